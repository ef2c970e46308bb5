"""Linear mode connectivity: how models fare on the straight lines between them.

python tools/analysis_tools/lmc.py configs/gog_ham10000_resnet50.py

Takes any config of tools/soup.py, for its ingredients and data. What is looked at, and
how closely, is said by --cfg-options lmc.points=9 lmc.split=test lmc.differ="[lr,seed]"
lmc.at_most=20; see LMCOptions in ff_mm/analysis/connectivity/lmc_runner.py. The
same command goes on where it was interrupted. With several processes:

tools/dist.sh analysis_tools/lmc.py GPUS CONFIG --launcher pytorch
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_analysis_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_analysis_options(parser, 'LMCRunner')
