"""Plans: fast geometric generation, and the grid search that it replaces."""

from ff_mm.generation.plans.fgg import FGGPlan
from ff_mm.generation.plans.grid_search import GridSearchPlan
from ff_mm.generation.plans.plan import Plan

__all__ = ['FGGPlan', 'GridSearchPlan', 'Plan']
