"""Runners: fission, fusion, comparison, analyses, and MMEngine's Runner made quiet."""

from ff_mm.engine.runners.comparison_runner import ComparisonRunner
from ff_mm.engine.runners.generation_runner import GenerationRunner
from ff_mm.engine.runners.lmc_runner import LMCRunner
from ff_mm.engine.runners.loss_surface_runner import LossSurfaceRunner
from ff_mm.engine.runners.quiet_runner import QuietRunner
from ff_mm.engine.runners.soup_tree_runner import SoupTreeRunner
from ff_mm.engine.runners.soups import (
    BestIngredientRunner,
    GoGSoupRunner,
    GoUSoupRunner,
    GreedySoupRunner,
    HierarchicalSoupRunner,
    UniformSoupRunner,
)
from ff_mm.engine.runners.trajectory_runner import TrajectoryRunner

__all__ = [
    'BestIngredientRunner',
    'ComparisonRunner',
    'GenerationRunner',
    'GoGSoupRunner',
    'GoUSoupRunner',
    'GreedySoupRunner',
    'HierarchicalSoupRunner',
    'LMCRunner',
    'LossSurfaceRunner',
    'QuietRunner',
    'SoupTreeRunner',
    'TrajectoryRunner',
    'UniformSoupRunner',
]
