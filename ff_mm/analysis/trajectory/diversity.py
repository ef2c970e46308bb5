"""How differently two models predict.

What a soup or an ensemble gains depends on models being good and different. Share of
cases that two models predict differently, and that share against their errors: Fort, Hu
and Lakshminarayanan 2019, "Deep ensembles: a loss landscape perspective", section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ff_mm.evaluation.predictions import Predictions, require_same_cases
from ff_mm.plain import MISSING

# From which score on a label is predicted, as metrics have it.
_THRESHOLD = np.float32(0.5)


@dataclass(frozen=True, eq=False)
class Diversity:
    """Disagreement of models, all shares in [0, 1] and float64.

    Attributes:
        disagreement: Share of cases that two models put into different classes, of
            shape (models, models); of multi-label data the mean over labels of the
            share, among cases of which the label is known. NaN with a model that
            predicts NaN.
        errors: Share of cases that each model gets wrong, counted in the same way.
    """

    disagreement: np.ndarray
    errors: np.ndarray

    @property
    def normalised(self) -> np.ndarray:
        """Disagreement over the mean error of the two models.

        Models that err independently of each other come near 2 where errors are few;
        models that make the same errors near 0. NaN if neither makes an error.
        """
        mean = (self.errors[:, None] + self.errors[None]) / 2
        with np.errstate(invalid='ignore', divide='ignore'):
            return np.where(mean > 0, self.disagreement / mean, np.nan)


def diversity(predictions: Mapping[str, Predictions]) -> Diversity:
    """Computes how far models disagree.

    Args:
        predictions: Of each model, on one set.

    Returns:
        In the order given.

    Raises:
        PredictionsError: They are of different cases.
    """
    require_same_cases(predictions)
    for model in predictions.values():
        model.require_scores()
    models = list(predictions.values())
    truth = _columns(models[0].truth)
    known = truth != MISSING
    said = [_decisions(model) for model in models]
    broken = np.array([bool(np.isnan(model.scores).any()) for model in models])
    disagreement = np.zeros((len(models), len(models)))
    for i, one in enumerate(said):
        for j, other in enumerate(said[:i]):
            share = _share(one != other, known)
            disagreement[i, j] = disagreement[j, i] = share
    errors = np.array([_share(one != truth, known) for one in said])
    disagreement[broken] = disagreement[:, broken] = errors[broken] = np.nan
    return Diversity(disagreement, errors)


def _decisions(model: Predictions) -> np.ndarray:
    """What is predicted, of shape (cases, labels) or (cases, 1)."""
    if model.is_multilabel:
        return (model.scores >= _THRESHOLD).astype(np.int8)
    return _columns(model.scores.argmax(1))


def _columns(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 2 else values[:, None]


def _share(differs: np.ndarray, known: np.ndarray) -> float:
    """Mean over labels; those that no case tells anything of are left out."""
    counts = known.sum(0)
    shares = (differs & known).sum(0)[counts > 0] / counts[counts > 0]
    return float(shares.mean()) if shares.size else np.nan
