"""Lists the configs that come with ff_mm, for each command that takes one.

ff-mm configs ham10000 resnet50

Each name is one that the commands take. To change more than --cfg-options can, write a
config of your own that begins with _base_ = 'ff_mm::NAME.py'.
"""

from __future__ import annotations

import argparse
import sys

from ff_mm_commands.folders import config_names


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        'patterns', nargs='*', metavar='WORD', help='only those whose names have it'
    )


def run(args: argparse.Namespace) -> None:
    """Prints the names; exits with 1 if there are none."""
    wanted = [n for n in config_names() if all(word in n for word in args.patterns)]
    for name in wanted:
        print(name)
    sys.exit(0 if wanted else 1)
