"""Trajectories: how ingredients came about, how far apart and how different they are.

python tools/analysis_tools/trajectory.py configs/gog_ham10000_resnet50.py

Takes any config of tools/soup.py, for its ingredients and data. Draws metrics and
learning rate over the epochs of bases and fissions, distances and directions of the
ingredients in weight space, and how differently they predict. What is looked at is said
by --cfg-options trajectory.split=test trajectory.trials="[fission_lr0.001]"
trajectory.origin=start.pth; see TrajectoryOptions in
ff_mm/analysis/trajectory/trajectory_runner.py. The same command goes on where it was
interrupted. With several processes:

tools/dist.sh analysis_tools/trajectory.py GPUS CONFIG --launcher pytorch
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_analysis_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_analysis_options(parser, 'TrajectoryRunner')
