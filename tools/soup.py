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

from mmengine.registry import RUNNERS

from ff_mm import cli
from ff_mm.config import soup_names
from ff_mm.display.tables import soup_table
from ff_mm.errors import ConfigError
from ff_mm.fusion.session import FusionSession
from ff_mm.one_line import one_line
from ff_mm.parallel.team import Team


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument(
        '--soup',
        nargs='+',
        metavar='NAME',
        default=[None],
        help="soups to make of each config, instead of the config's own: "
        f'{", ".join(soup_names(cli.SOUPS))}; --work-dir then has a folder for each',
    )
    cli.add_common_options(parser)
    args = parser.parse_args()
    if args.work_dir and len(args.configs) > 1:
        parser.error('--work-dir is for one config; several have one each')
    return args


def main() -> None:
    """Makes the soups, and prints what they reach."""
    args = parse_args()
    configs = [
        cli.read_config(args, path, soup)
        for path in args.configs
        for soup in dict.fromkeys(args.soup)
    ]
    for cfg in configs:
        cli.check_kind(cfg, 'ingredients')
        if 'ingredients' not in cfg or 'runner_type' not in cfg:
            raise ConfigError(
                f'{cfg.filename} is not a fusion config, it names no ingredients; '
                'inherit one of configs/_base_/soups/'
            )
    team = Team.of_launcher(args.launcher)
    with FusionSession(team) as session:
        reports, files = [], []
        for cfg in configs:
            runner = RUNNERS.build(cfg)
            reports.append(runner.run(session))
            files.append(runner.file)
    if team.is_first:
        soup_table(reports)
        for file in files:
            print(one_line(str(file)))
    team.leave()


if __name__ == '__main__':
    cli.run(main)
