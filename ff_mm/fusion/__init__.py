"""From a pool to one model: sessions, soup runners, basins, deployment, report."""

from ff_mm.fusion.ensemble_runner import EnsembleRunner
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
    'EnsembleRunner',
    'EnsembleSelectionRunner',
    'GoGSoupRunner',
    'GoUSoupRunner',
    'GreedySoupRunner',
    'HierarchicalSoupRunner',
    'LearnedSoupRunner',
    'PrunedSoupRunner',
    'UniformSoupRunner',
]
