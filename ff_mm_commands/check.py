"""Checks the data sets that a config names, image by image.

python tools/dataset_converters/check_dataset.py configs/fgg_ham10000_resnet50.py

Prints the counts of each class in train, val, test and every out-of-distribution set,
and what is wrong: missing and unreadable files, the same image under two names, groups
(patients, lesions) on both sides of a split. Exits with 1 if anything is to be mended.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_config_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--workers',
        type=int,
        help='processes that read images (default: as many as there are cores)',
    )
    parser.add_argument(
        '--no-decode',
        action='store_true',
        help='read the files without decoding them: faster, but damaged images are not '
        'found, and copies only if they are the same byte for byte',
    )
    parser.add_argument('--json', metavar='FILE', help='also write everything to FILE')
    add_config_options(parser, 'data_root=data/ham10000')
