"""Carries out ``ff-mm fuse``; ``ff_mm_commands/fuse.py`` has its options."""

from __future__ import annotations

import argparse

from mmengine.registry import RUNNERS

from ff_mm import cli
from ff_mm.comparison.dry_run import dry_run_fuse
from ff_mm.comparison.fuse.writing import fuse_table
from ff_mm.errors import ConfigError
from ff_mm.one_line import one_line


def run(args: argparse.Namespace) -> None:
    """Fuses, and prints what to deploy."""
    cfg = cli.read_config(args, args.config)
    cli.check_kind(cfg, 'fusions')
    if 'fusions' not in cfg or 'pool' not in cfg:
        raise ConfigError(
            f'{cfg.filename} names no pool and fusions; inherit configs/_base_/fuse.py'
        )
    if args.budget is not None:
        cfg.budget = args.budget
    runner = RUNNERS.build(cfg)
    if args.dry_run is not None:
        dry_run_fuse(runner, args.dry_run)
        return
    fuse_table(runner.run())
    print(one_line(str(runner.file)))
