"""Writes a model in the formats of others.

python tools/export.py work_dirs/gog_X --to onnx safetensors --config configs/gog_X.py
python tools/export.py configs/gog_X.py some.pth --to huggingface --licence cc-by-nc-4.0

The model is the folder of a soup or of an export, or a config and a checkpoint. What is
written is compared with the model itself: on the validation set of --config, or, if
there is none, on made-up images.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_model_options

FORMATS = ('safetensors', 'onnx', 'huggingface')
#: A licence that nobody has said.
UNKNOWN = 'unknown'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('paths', nargs='+', metavar='MODEL', help='see above')
    parser.add_argument(
        '--to', nargs='+', choices=FORMATS, required=True, help='formats'
    )
    parser.add_argument(
        '--out', help='folder, with one for each format; default: beside the weights'
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1e-4,
        help='largest difference of a probability; default: %(default)s',
    )
    parser.add_argument(
        '--images', type=int, help='compare on so many validation images at most'
    )
    card = parser.add_argument_group('the card of huggingface')
    card.add_argument('--title', help="the model's name; default: that of its folder")
    card.add_argument(
        '--licence', default=UNKNOWN, help='of the weights, such as cc-by-nc-4.0'
    )
    card.add_argument('--dataset', default='', help='what the data set is called')
    card.add_argument('--data', default='', help='a text on the data')
    card.add_argument('--intended-use', default='', help='a text')
    card.add_argument('--limits', default='', help='a text')
    card.add_argument('--tags', nargs='+', default=(), help='for the hub')
    card.add_argument(
        '--push-to-hub',
        metavar='REPO',
        help='send the folder there, as who is logged in; private, unless --public',
    )
    card.add_argument('--public', action='store_true', help='can be seen by all')
    add_model_options(parser)
