"""Looking at pools and soups: a folder an analysis, runner, numbers and figures."""

from ff_mm.analysis.connectivity.lmc_runner import LMCRunner
from ff_mm.analysis.loss_surface.loss_surface_runner import LossSurfaceRunner
from ff_mm.analysis.overlays.overlay_runner import OverlayRunner
from ff_mm.analysis.soup_tree.soup_tree_runner import SoupTreeRunner
from ff_mm.analysis.trajectory.trajectory_runner import TrajectoryRunner

__all__ = [
    'LMCRunner',
    'LossSurfaceRunner',
    'OverlayRunner',
    'SoupTreeRunner',
    'TrajectoryRunner',
]
