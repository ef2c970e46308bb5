"""The best value that a score can still reach, from the mistakes made so far."""

from __future__ import annotations

from ff_mm.evaluation.bounds.bound import Bound
from ff_mm.evaluation.bounds.classes import CLASS_SCORES, ClassBound
from ff_mm.evaluation.bounds.costs import CostBound
from ff_mm.evaluation.bounds.kappa import KAPPA_WEIGHTS, KappaBound
from ff_mm.evaluation.bounds.labels import LabelBound
from ff_mm.evaluation.bounds.ranks import AUROCBound, AveragePrecisionBound, RankBound

__all__ = [
    'CLASS_SCORES',
    'KAPPA_WEIGHTS',
    'AUROCBound',
    'AveragePrecisionBound',
    'Bound',
    'ClassBound',
    'CostBound',
    'KappaBound',
    'LabelBound',
    'RankBound',
]
