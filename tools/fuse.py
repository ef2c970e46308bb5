"""From a pool to the one model to deploy.

python tools/fuse.py configs/fuse_ham10000_resnet50.py

Tries the few fusions that the config names, chooses by validation alone, and leaves
fused.pth, deploy.py and report.md with what that is expected to be worth. With --budget
the ensemble of the pool is distilled into one network, too, in so many epochs. The same
command goes on where it was interrupted, and makes nothing twice.
"""

from __future__ import annotations

import argparse

from mmengine.registry import RUNNERS

from ff_mm import cli
from ff_mm.comparison.fuse.writing import fuse_table
from ff_mm.errors import ConfigError
from ff_mm.one_line import one_line


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--budget',
        type=int,
        metavar='EPOCHS',
        help='epochs in which to distil the pool into one network; 0: do not',
    )
    cli.add_common_options(parser)
    return parser.parse_args()


def main() -> None:
    """Fuses, and prints what to deploy."""
    args = parse_args()
    cfg = cli.read_config(args, args.config)
    cli.check_kind(cfg, 'fusions')
    if 'fusions' not in cfg or 'pool' not in cfg:
        raise ConfigError(
            f'{cfg.filename} names no pool and fusions; inherit configs/_base_/fuse.py'
        )
    if args.launcher != 'none':
        raise ConfigError('--launcher: fusions are chosen in one process')
    if args.budget is not None:
        cfg.budget = args.budget
    runner = RUNNERS.build(cfg)
    fuse_table(runner.run())
    print(one_line(str(runner.file)))


if __name__ == '__main__':
    cli.run(main)
