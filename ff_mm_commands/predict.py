"""Says what a model sees in images.

python tools/predict.py work_dirs/gog_X images/ --out predictions.csv
python tools/predict.py configs/gog_X.py some.pth a.png b.dcm table.csv
python tools/predict.py work_dirs/gog_X --page --attribution

The model is the folder of a soup or of an export, or a config and a checkpoint. Then
come images: files (DICOM too), folders, csv files with a column `image`.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_model_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('paths', nargs='+', metavar='MODEL IMAGES', help='see above')
    parser.add_argument(
        '--out', default='predictions.csv', help='the csv file; default: %(default)s'
    )
    parser.add_argument(
        '--column', default='image', help='column of a csv that has the paths'
    )
    parser.add_argument('--root', help="what a csv's paths are relative to")
    parser.add_argument(
        '--thresholds', help='JSON file such as {"melanoma": 0.3}: said from there on'
    )
    parser.add_argument(
        '--tta',
        nargs='+',
        metavar='VIEW',
        default=(),
        help='show each image in several ways (hflip, vflip, rotate) and average; '
        'measured on validation before, if --config names it',
    )
    parser.add_argument(
        '--attribution',
        nargs='?',
        const='auto',
        metavar='METHOD',
        help='also write pictures of where in the image the prediction comes from: '
        'gradcam, occlusion, or the one that suits the network',
    )
    parser.add_argument(
        '--maps', help='folder for these pictures; default: beside the csv'
    )
    parser.add_argument(
        '--page',
        action='store_true',
        help='open a page for the browser of this machine, to drop images on',
    )
    parser.add_argument(
        '--port', type=int, default=0, help='of the page; default: a free one'
    )
    add_model_options(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuses options that do not go together."""
    if args.maps and not args.attribution:
        parser.error('--maps is for --attribution')
