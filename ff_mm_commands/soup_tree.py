"""What a soup is made of: a tree of what went in, what was left out, and why.

python tools/soup.py configs/gog_ham10000_resnet50.py
python tools/analysis_tools/soup_tree.py configs/gog_ham10000_resnet50.py

Reads the report.json that tools/soup.py has left in the work directory, and needs
nothing else: no data, no network. What else the parts reach, on which sets, is
evaluated by --cfg-options soup_tree.splits="[val,test,ood/messidor]"
soup_tree.metrics="[macro_recall,loss]"; see SoupTreeOptions in
ff_mm/analysis/soup_tree/soup_tree_runner.py. The same command goes on where it was
interrupted. With several processes:

tools/dist.sh analysis_tools/soup_tree.py GPUS CONFIG --launcher pytorch
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_analysis_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_analysis_options(parser, 'SoupTreeRunner')
