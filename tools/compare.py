"""Comparison: all methods on all sets, with intervals, cost and a recommendation.

python tools/compare.py configs/compare_ham10000_resnet50.py

The config names one or several pools (the ingredients.json of generations and grid
searches) and the methods. Models are chosen on validation alone. Predictions are kept,
so that the same command with other metrics or more resamples takes seconds.
"""

from __future__ import annotations

import argparse

from mmengine.registry import RUNNERS

from ff_mm import cli
from ff_mm.comparison.report import comparison_table
from ff_mm.errors import ConfigError
from ff_mm.one_line import one_line


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    cli.add_common_options(parser)
    return parser.parse_args()


def main() -> None:
    """Compares, and prints the table and the recommendation."""
    args = parse_args()
    cfg = cli.read_config(args, args.config)
    cli.check_kind(cfg, 'pools')
    if 'pools' not in cfg or 'methods' not in cfg:
        raise ConfigError(
            f'{cfg.filename} is not a comparison config, it names no pools and methods;'
            ' inherit configs/_base_/comparisons/paper.py'
        )
    if args.launcher != 'none':
        raise ConfigError('--launcher: a comparison runs in one process')
    comparison = RUNNERS.build(cfg).run()
    comparison_table(comparison)
    print(one_line(f'{cfg.work_dir}/comparison.html'))


if __name__ == '__main__':
    cli.run(main)
