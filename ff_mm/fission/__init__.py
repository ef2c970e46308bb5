"""What to train: plans, their trials, the ledger of what is done, and their runner."""

from ff_mm.fission.distillation.distillation_hook import DistillationHook
from ff_mm.fission.distillation.teaching_hook import TeachingHook
from ff_mm.fission.fedsoup_hook import FedSoupHook
from ff_mm.fission.generation_runner import GenerationRunner
from ff_mm.fission.ledger import Ledger
from ff_mm.fission.plans import (
    DistillationPlan,
    FedSoupPlan,
    FGGPlan,
    GridSearchPlan,
    Plan,
    SparseSoupPlan,
    SWAPlan,
)
from ff_mm.fission.trial import Trial, trial_config

__all__ = [
    'DistillationHook',
    'DistillationPlan',
    'FGGPlan',
    'FedSoupHook',
    'FedSoupPlan',
    'GenerationRunner',
    'GridSearchPlan',
    'Ledger',
    'Plan',
    'SWAPlan',
    'SparseSoupPlan',
    'TeachingHook',
    'Trial',
    'trial_config',
]
