"""Carries out ``ff-mm study``; ``ff_mm_commands/study.py`` has its options."""

from __future__ import annotations

import argparse

from ff_mm.comparison.study import Study, read_settings, study_table, write_study
from ff_mm.comparison.study.study import METRICS
from ff_mm.files import check_folder
from ff_mm.one_line import one_line


def run(args: argparse.Namespace) -> None:
    """Reads the comparisons, and writes and prints what they say together."""
    check_folder(args.work_dir)
    study = Study(
        read_settings(args.folders),
        baseline=args.baseline,
        ensemble=args.ensemble,
        metrics=args.metrics or METRICS[1:],
        confidence=args.confidence,
        margin=args.margin,
        seed=args.seed,
    ).describe()
    write_study(study, args.work_dir)
    study_table(study)
    print(one_line(f'{args.work_dir}/study.md'))
