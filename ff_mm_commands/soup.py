"""Fusion: makes one model of the ingredients that a generation left behind.

python tools/soup.py configs/gog_ham10000_resnet50.py

Several soups of a config, each in a work directory of its own:

python tools/soup.py configs/gog_ham10000_resnet50.py --soup best uniform greedy gou gog

There is a soup for each file of configs/_base_/soups/; without --soup it is the
config's own. Several soups, and several configs, are carried out one after the other
and compared in one table. They share what they have in common: images are decoded once,
no evaluation is made twice. With several processes: tools/dist_soup.sh.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.folders import shipped, soup_names
from ff_mm_commands.options import add_common_options, add_fusion_dry_run
from ff_mm_commands.trackers import add_tracker_option


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    soups = soup_names(shipped('configs') / '_base_' / 'soups')
    parser.add_argument('configs', nargs='+', help='config files, or their names')
    parser.add_argument(
        '--soup',
        nargs='+',
        metavar='NAME',
        default=[None],
        help="soups to make of each config, instead of the config's own: "
        f'{", ".join(soups)}; --work-dir then has a folder for each',
    )
    add_fusion_dry_run(parser)
    add_common_options(parser)
    add_tracker_option(parser)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuses one work directory for several configs."""
    if args.work_dir and len(args.configs) > 1:
        parser.error('--work-dir is for one config; several have one each')
