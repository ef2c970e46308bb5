"""Carries out ``ff-mm check``; ``ff_mm_commands/check.py`` has its options."""

from __future__ import annotations

import argparse
import sys

from mmengine.registry import init_default_scope

from ff_mm.config import load_config, resolve
from ff_mm.cores import allowed_cores
from ff_mm.datasets.checks.inspection import dataset_configs, inspect_datasets
from ff_mm.datasets.checks.report import dataset_table
from ff_mm.files import write_json
from ff_mm.option_values import option_texts


def run(args: argparse.Namespace) -> None:
    """Looks at all images, prints what there is, and exits."""
    cfg = resolve(load_config(args.config, option_texts(args.cfg_options)))
    # Of data alone there may be a config that says no scope.
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    inspection = inspect_datasets(
        dataset_configs(cfg),
        allowed_cores() if args.workers is None else args.workers,
        decode=not args.no_decode,
        head=(cfg.get('model') or {}).get('head'),
    )
    dataset_table(inspection, args.config)
    if args.json:
        write_json(inspection.as_dict(), args.json)
    sys.exit(1 if inspection.problems else 0)
