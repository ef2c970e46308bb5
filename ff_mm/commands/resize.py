"""Carries out ``ff-mm resize``; ``ff_mm_commands/resize.py`` has its options."""

from __future__ import annotations

import argparse
import sys
import time

from ff_mm.cores import allowed_cores
from ff_mm.datasets.resizing.resizing import ResizeOptions, resize_dataset
from ff_mm.datasets.resizing.summary import resize_summary
from ff_mm.errors import ConfigError


def run(args: argparse.Namespace) -> None:
    """Resizes, says what became of the images, and exits."""
    try:
        options = ResizeOptions(args.short_side, args.format, args.quality, args.bits)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    workers = allowed_cores() if args.workers is None else args.workers
    began = time.perf_counter()
    report = resize_dataset(args.source, args.target, options, workers, args.overwrite)
    resize_summary(report, args.target, time.perf_counter() - began)
    sys.exit(1 if report.unreadable or report.left_out else 0)
