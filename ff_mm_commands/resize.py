"""Resizes all images of a data set once, so that no epoch decodes them at full size.

python tools/dataset_converters/resize_dataset.py data/aptos data/small --short-side 384

Writes a copy with the same folders, names and tables; DICOM becomes PNG. Give the same
command again and it goes on where it was interrupted. Exits with 1 if an image could
not be read, or a file was left out since it is a pipe, a device or a link to elsewhere.
"""

from __future__ import annotations

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('source', help='folder of the data set')
    parser.add_argument('target', help='folder for the copy')
    parser.add_argument(
        '--short-side',
        type=int,
        required=True,
        help='shorter side of the images in pixels; smaller ones are not enlarged. '
        'Leave room for random crops: about 1.5 times the image_size of training',
    )
    parser.add_argument(
        '--format',
        choices=['keep', 'jpg', 'png'],
        default='keep',
        help='format of the images (default: keep, with DICOM as png)',
    )
    parser.add_argument(
        '--quality', type=int, default=95, help='of jpg (default: %(default)s)'
    )
    parser.add_argument(
        '--bits',
        type=int,
        default=16,
        help='that images of 16 bits use, where they become jpg: 12 if their values '
        'are 0 to 4095 (default: %(default)s)',
    )
    parser.add_argument(
        '--workers', type=int, help='processes (default: as many as there are cores)'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='make all images anew, for example with another --short-side',
    )
