"""Study: the comparisons of several data sets in one table and one forest plot.

python tools/study.py work_dirs/compare_a work_dirs/compare_b --work-dir work_dirs/study

Each folder is the work directory of a tools/compare.py, of one data set. Methods go by
their names: those of the same name are one rule. Nothing is evaluated anew, so it takes
seconds.
"""

from __future__ import annotations

import argparse

from ff_mm import cli
from ff_mm.comparison.study import Study, read_settings, study_table, write_study
from ff_mm.comparison.study.study import METRICS
from ff_mm.files import check_folder
from ff_mm.one_line import one_line


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folders', nargs='+', help='work directories of comparisons')
    parser.add_argument(
        '--work-dir', default='work_dirs/study', help='folder for tables and plots'
    )
    parser.add_argument(
        '--baseline', help="method to compare with; default: the comparisons' own"
    )
    parser.add_argument(
        '--ensemble',
        help='method whose gain is the whole way; default: the first ensemble',
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=METRICS[1:],
        help='metrics besides that of selection',
    )
    parser.add_argument(
        '--confidence', type=float, default=0.95, help='of the intervals'
    )
    parser.add_argument(
        '--margin',
        type=float,
        default=0.005,
        help='what a method must lose in a setting to count as worse: half a point',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the bootstrap')
    return parser.parse_args()


def main() -> None:
    """Reads the comparisons, and writes and prints what they say together."""
    args = parse_args()
    check_folder(args.work_dir)
    study = Study(
        read_settings(args.folders),
        baseline=args.baseline,
        ensemble=args.ensemble,
        metrics=args.metrics,
        confidence=args.confidence,
        margin=args.margin,
        seed=args.seed,
    ).describe()
    write_study(study, args.work_dir)
    study_table(study)
    print(one_line(f'{args.work_dir}/study.md'))


if __name__ == '__main__':
    cli.run(main)
