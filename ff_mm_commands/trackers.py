"""The experiment trackers that runs can be logged to, and the option that says so."""

from __future__ import annotations

import argparse

#: As they are typed -> MMEngine's visualization backend.
TRACKERS = {
    'tensorboard': 'TensorboardVisBackend',
    'mlflow': 'MLflowVisBackend',
    'wandb': 'WandbVisBackend',
}


def add_tracker_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--log-to``.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        '--log-to',
        nargs='+',
        choices=sorted(TRACKERS),
        default=[],
        help='log to these trackers as well, as visualizer.vis_backends of the config '
        'does, which has their options',
    )
