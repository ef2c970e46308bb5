"""Checks the data sets that a config names, image by image.

python tools/dataset_converters/check_dataset.py configs/fgg_ham10000_resnet50.py

Prints the counts of each class in train, val, test and every out-of-distribution set,
and what is wrong: missing and unreadable files, the same image under two names, groups
(patients, lesions) on both sides of a split. Exits with 1 if anything is to be mended.
"""

from __future__ import annotations

import argparse
import sys

from mmengine.registry import init_default_scope

from ff_mm import cli
from ff_mm.config import load_config, resolve
from ff_mm.cores import allowed_cores
from ff_mm.datasets.checks.inspection import dataset_configs, inspect_datasets
from ff_mm.datasets.checks.report import dataset_table
from ff_mm.files import write_json
from ff_mm.option_values import ReadOptions


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--workers',
        type=int,
        default=allowed_cores(),
        help='processes that read images (default: %(default)s)',
    )
    parser.add_argument(
        '--no-decode',
        action='store_true',
        help='read the files without decoding them: faster, but damaged images are not '
        'found, and copies only if they are the same byte for byte',
    )
    parser.add_argument('--json', metavar='FILE', help='also write everything to FILE')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ReadOptions,
        help='override settings of the config, such as data_root=data/ham10000',
    )
    return parser.parse_args()


def main() -> None:
    """Looks at all images, prints what there is, and exits."""
    args = parse_args()
    cfg = resolve(load_config(args.config, args.cfg_options))
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    inspection = inspect_datasets(
        dataset_configs(cfg),
        args.workers,
        decode=not args.no_decode,
        head=(cfg.get('model') or {}).get('head'),
    )
    dataset_table(inspection, args.config)
    if args.json:
        write_json(inspection.as_dict(), args.json)
    sys.exit(1 if inspection.problems else 0)


if __name__ == '__main__':
    cli.run(main, goes_on=False)
