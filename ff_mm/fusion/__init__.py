"""From a pool to one model: sessions, soup runners, basins, deployment, report."""

from ff_mm.fusion.soups import (
    BestIngredientRunner,
    GoGSoupRunner,
    GoUSoupRunner,
    GreedySoupRunner,
    HierarchicalSoupRunner,
    PrunedSoupRunner,
    UniformSoupRunner,
)

__all__ = [
    'BestIngredientRunner',
    'GoGSoupRunner',
    'GoUSoupRunner',
    'GreedySoupRunner',
    'HierarchicalSoupRunner',
    'PrunedSoupRunner',
    'UniformSoupRunner',
]
