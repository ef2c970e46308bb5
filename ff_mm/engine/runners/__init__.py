"""Runners: fission, fusion, comparison, and the quiet MMEngine Runner that they use."""

from ff_mm.engine.runners.comparison_runner import ComparisonRunner
from ff_mm.engine.runners.generation_runner import GenerationRunner
from ff_mm.engine.runners.quiet_runner import QuietRunner
from ff_mm.engine.runners.soups import (
    BestIngredientRunner,
    GoGSoupRunner,
    GoUSoupRunner,
    GreedySoupRunner,
    HierarchicalSoupRunner,
    UniformSoupRunner,
)

__all__ = [
    'BestIngredientRunner',
    'ComparisonRunner',
    'GenerationRunner',
    'GoGSoupRunner',
    'GoUSoupRunner',
    'GreedySoupRunner',
    'HierarchicalSoupRunner',
    'QuietRunner',
    'UniformSoupRunner',
]
