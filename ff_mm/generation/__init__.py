"""What to train: plans, their trials, and the ledger of what is done."""

from ff_mm.generation.ledger import Ledger
from ff_mm.generation.plans import FGGPlan, GridSearchPlan, Plan
from ff_mm.generation.trial import Trial, trial_config

__all__ = ['FGGPlan', 'GridSearchPlan', 'Ledger', 'Plan', 'Trial', 'trial_config']
