"""From a pool to one model: sessions, soup runners, basins, deployment, report."""

from ff_mm.fusion.folds import FoldSoupRunner
from ff_mm.fusion.soups import (
    BestIngredientRunner,
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
