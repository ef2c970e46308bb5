"""Shows where the configs and tools are that come with ff_mm.

bash "$(ff-mm where tools)"/dist_train.sh CONFIG 8

The launch scripts of tools/ start a command in several processes.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.folders import shipped


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        'folder', nargs='?', choices=['configs', 'tools'], help='only this path'
    )


def run(args: argparse.Namespace) -> None:
    """Prints a path, or both with their names."""
    if args.folder:
        print(shipped(args.folder))
        return
    for name in ('configs', 'tools'):
        print(f'{name:<8} {shipped(name)}')
