"""Evaluates a checkpoint or a soup on every set that a config names.

python tools/test.py configs/gog_ham10000_resnet50.py work_dirs/gog_X/soup.pth

Takes fusion configs, generation configs and plain mmpretrain configs: validation set,
test set and out-of-distribution sets, as far as they are there.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_common_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument('checkpoint', help='checkpoint or soup')
    parser.add_argument(
        '--entry',
        help='which weights of the checkpoint, such as state_dict_ema; by default '
        'those of state_dict or model',
    )
    parser.add_argument('--out', help='also write the metrics to this json file')
    add_common_options(parser)
