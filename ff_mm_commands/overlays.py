"""Masks over images: truth, best single model, soup, and what the soup changes.

python tools/analysis_tools/overlays.py configs/gog_nuclei_unet.py

Takes any config of tools/soup.py of segmentation, once its soup is made. What is drawn
is said by --cfg-options overlays.split=ood/histology overlays.cases=8
overlays.order=worst; see OverlayOptions in ff_mm/analysis/overlays/overlay_runner.py.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.options import add_analysis_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_analysis_options(parser, 'OverlayRunner')
