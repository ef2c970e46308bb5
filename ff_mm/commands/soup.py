"""Carries out ``ff-mm soup``; ``ff_mm_commands/soup.py`` has its options."""

from __future__ import annotations

import argparse

from mmengine.registry import RUNNERS

from ff_mm import cli
from ff_mm.display.tables import soup_table
from ff_mm.errors import ConfigError
from ff_mm.fusion.dry_run import dry_run_soups
from ff_mm.fusion.session import FusionSession
from ff_mm.one_line import one_line
from ff_mm.parallel.team import Team


def run(args: argparse.Namespace) -> None:
    """Makes the soups, and prints what they reach."""
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
    if args.dry_run is not None:
        if args.launcher != 'none':
            raise ConfigError(
                '--dry-run is for one process: give it without --launcher'
            )
        dry_run_soups(configs, args.dry_run)
        return
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
