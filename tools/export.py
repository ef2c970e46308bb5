"""Writes a model in the formats of others, see docs/using_a_model.md."""

from __future__ import annotations

from ff_mm import cli
from ff_mm.exporting.command import main

if __name__ == '__main__':
    cli.run(main, goes_on=False)
