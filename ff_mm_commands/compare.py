"""Comparison: all methods on all sets, with intervals, cost and a recommendation.

python tools/compare.py configs/compare_ham10000_resnet50.py

The config names one or several pools (the ingredients.json of generations and grid
searches) and the methods. Models are chosen on validation alone. Predictions are kept,
so that the same command with other metrics or more resamples takes seconds.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_common_options, add_fusion_dry_run
from ff_mm_commands.trackers import add_tracker_option


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('config', help='config file, or its name')
    add_fusion_dry_run(parser)
    add_common_options(parser, several_processes=False)
    add_tracker_option(parser)
