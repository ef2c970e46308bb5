"""Carries out the analyses: ``ff-mm lmc``, ``loss-surface`` and the others."""

from __future__ import annotations

import argparse
import shlex

from mmengine.registry import RUNNERS

from ff_mm import cli
from ff_mm.errors import ConfigError
from ff_mm.fusion.session import FusionSession
from ff_mm.parallel.team import Team
from ff_mm_commands.table import typed


def run(args: argparse.Namespace) -> None:
    """Carries out the analysis ``args.runner_type`` of a fusion config."""
    cfg = cli.read_config(args, args.config, args.soup)
    cli.check_kind(cfg, 'ingredients')
    if 'ingredients' not in cfg:
        raise ConfigError(
            f'{cfg.filename} is not a fusion config, it names no ingredients; inherit '
            'one of configs/_base_/soups/'
        )
    cfg.runner_type = args.runner_type
    cfg.soup_command = _soup_command(args)
    team = Team.of_launcher(args.launcher)
    with FusionSession(team) as session:
        RUNNERS.build(cfg).run(session)
    team.leave()


def _soup_command(args: argparse.Namespace) -> str:
    """The command that makes the soup which an analysis looks at."""
    words = [args.config]
    words += ['--soup', args.soup] if args.soup else []
    words += ['--work-dir', args.work_dir] if args.work_dir else []
    return f'{typed("soup")} {shlex.join(words)}'
