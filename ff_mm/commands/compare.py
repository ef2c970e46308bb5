"""Carries out ``ff-mm compare``; ``ff_mm_commands/compare.py`` has its options."""

from __future__ import annotations

import argparse

from mmengine.registry import RUNNERS

from ff_mm import cli
from ff_mm.comparison.dry_run import dry_run_comparison
from ff_mm.comparison.report import comparison_table
from ff_mm.errors import ConfigError
from ff_mm.one_line import one_line


def run(args: argparse.Namespace) -> None:
    """Compares, and prints the table and the recommendation."""
    cfg = cli.read_config(args, args.config)
    cli.check_kind(cfg, 'pools')
    if 'pools' not in cfg or 'methods' not in cfg:
        raise ConfigError(
            f'{cfg.filename} is not a comparison config, it names no pools and methods;'
            ' inherit configs/_base_/comparisons/paper.py'
        )
    runner = RUNNERS.build(cfg)
    if args.dry_run is not None:
        dry_run_comparison(runner, args.dry_run)
        return
    comparison = runner.run()
    comparison_table(comparison)
    print(one_line(f'{cfg.work_dir}/comparison.html'))
