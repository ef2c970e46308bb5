"""Loss surfaces: a plane through three models, or random directions from one.

python tools/analysis_tools/loss_surface.py configs/gog_ham10000_resnet50.py

Takes any config of tools/soup.py, for its ingredients and data. What is looked at, and
how closely, is said by --cfg-options loss_surface.points=21 loss_surface.split=test
loss_surface.directions=2; see LossSurfaceOptions in
ff_mm/analysis/loss_surface/loss_surface_runner.py. The same command
goes on where it was interrupted. With several processes:

tools/dist.sh analysis_tools/loss_surface.py GPUS CONFIG --launcher pytorch
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_analysis_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_analysis_options(parser, 'LossSurfaceRunner')
