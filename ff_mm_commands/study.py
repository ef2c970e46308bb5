"""Study: the comparisons of several data sets in one table and one forest plot.

python tools/study.py work_dirs/compare_a work_dirs/compare_b --work-dir work_dirs/study

Each folder is the work directory of a tools/compare.py, of one data set. Methods go by
their names: those of the same name are one rule. Nothing is evaluated anew, so it takes
seconds.
"""

from __future__ import annotations

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
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
        help='metrics besides that of selection; default: loss auroc accuracy '
        'macro_recall',
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
