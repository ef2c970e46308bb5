"""Models that MMPretrain lacks."""

from ff_mm.models.ensemble_classifier import EnsembleClassifier
from ff_mm.models.linear_probe import LinearProbe
from ff_mm.models.masked_bce_loss import MaskedBCELoss
from ff_mm.models.masked_multilabel_head import MaskedMultiLabelClsHead
from ff_mm.models.starting_weights import StartingWeights, check_starting_weights

__all__ = [
    'EnsembleClassifier',
    'LinearProbe',
    'MaskedBCELoss',
    'MaskedMultiLabelClsHead',
    'StartingWeights',
    'check_starting_weights',
]
