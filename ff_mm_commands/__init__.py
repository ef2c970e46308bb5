"""The command line: what can be typed, read before anything heavy is imported.

A package of its own, as to import any part of ``ff_mm`` is to import torch, MMEngine
and MMPretrain, which takes seconds that ``--help`` and a mistyped option need not wait
for. It needs nothing but the standard library. Each command has a file here with its
options, and one of the same name in ``ff_mm/commands/`` that carries it out. ``ff-mm
train`` and ``python tools/train.py`` are the same.
"""

from ff_mm_commands.carry_out import main, run

__all__ = ['main', 'run']
