"""From a pool to one model: sessions, soup runners, basins, deployment, report."""

from ff_mm.fusion.ensemble_runner import EnsembleRunner
from ff_mm.fusion.folds import FoldSoupRunner
from ff_mm.fusion.soups import (
    BestIngredientRunner,
    BoUSoupRunner,
    EnsembleSelectionRunner,
    GoGSoupRunner,
    GoUSoupRunner,
    GreedySoupRunner,
    HierarchicalSoupRunner,
    LearnedSoupRunner,
    PrunedSoupRunner,
    UniformSoupRunner,
)

__all__ = [
    'BestIngredientRunner',
    'BoUSoupRunner',
    'EnsembleRunner',
    'EnsembleSelectionRunner',
    'FoldSoupRunner',
    'GoGSoupRunner',
    'GoUSoupRunner',
    'GreedySoupRunner',
    'HierarchicalSoupRunner',
    'LearnedSoupRunner',
    'PrunedSoupRunner',
    'UniformSoupRunner',
]
