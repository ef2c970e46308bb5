"""Plans: fast geometric generation, and the grid search that it replaces."""

from ff_mm.fission.plans.distillation import DistillationPlan
from ff_mm.fission.plans.fedsoup import FedSoupPlan
from ff_mm.fission.plans.fgg import FGGPlan
from ff_mm.fission.plans.grid_search import GridSearchPlan
from ff_mm.fission.plans.plan import Plan
from ff_mm.fission.plans.sparse import SparseSoupPlan
from ff_mm.fission.plans.swa import SWAPlan

__all__ = [
    'DistillationPlan',
    'FGGPlan',
    'FedSoupPlan',
    'GridSearchPlan',
    'Plan',
    'SWAPlan',
    'SparseSoupPlan',
]
