"""What to train: plans, their trials, the ledger of what is done, and their runner."""

from ff_mm.fission.generation_runner import GenerationRunner
from ff_mm.fission.ledger import Ledger
from ff_mm.fission.plans import (
    FedSoupPlan,
    FGGPlan,
    GridSearchPlan,
    Plan,
    SparseSoupPlan,
    SWAPlan,
)
from ff_mm.fission.trial import Trial, trial_config

__all__ = [
    'FGGPlan',
    'FedSoupPlan',
    'GenerationRunner',
    'GridSearchPlan',
    'Ledger',
    'Plan',
    'SWAPlan',
    'SparseSoupPlan',
    'Trial',
    'trial_config',
]
