"""From a pool to the one model to deploy.

python tools/fuse.py configs/fuse_ham10000_resnet50.py

Tries the few fusions that the config names, chooses by validation alone, and leaves
fused.pth, deploy.py and report.md with what that is expected to be worth. With --budget
the ensemble of the pool is distilled into one network, too, in so many epochs. The same
command goes on where it was interrupted, and makes nothing twice.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_common_options, add_fusion_dry_run
from ff_mm_commands.trackers import add_tracker_option


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--budget',
        type=int,
        metavar='EPOCHS',
        help='epochs in which to distil the pool into one network; 0: do not',
    )
    add_fusion_dry_run(parser)
    add_common_options(parser, several_processes=False)
    add_tracker_option(parser)
