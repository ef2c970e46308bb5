"""Weights of labels and of their positives, from how often they occur."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ff_mm.datasets.errors import DatasetError
from ff_mm.plain import MISSING


def check_scores(scores: Tensor, names: Sequence[str] | None = None) -> None:
    """Refuses what is neither a label nor missing.

    Args:
        scores: ``gt_score`` of some images, of shape (images, labels): 1, 0, a soft
            label between the two, or -1 for missing.
        names: How to call each image in the error; by default by its place in the
            batch.

    Raises:
        DatasetError: Any other value, NaN included; names the first.
    """
    allowed = (scores == MISSING) | ((scores >= 0) & (scores <= 1))
    if allowed.all():
        return
    image, label = (~allowed).nonzero()[0].tolist()
    value = scores[image, label].item()
    name = names[image] if names else f'image {image} of the batch'
    remedy = 'correct the data set'
    if MISSING < value < 0:
        remedy += '; Mixup and CutMix mix -1 with labels: remove batch_augments'
    raise DatasetError(
        f'{name}: gt_score[{label}] is {value:g}, expected 1, 0, a soft label '
        f'between them, or {MISSING} for missing: {remedy}'
    )


def count_labels(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Counts the positives and the negatives of each label over the known ones.

    Args:
        scores: ``gt_score`` of shape (images, labels), see :func:`check_scores`.

    Returns:
        Positives and negatives, float64 of shape (labels,). A soft label of 0.7 counts
        as 0.7 positives and 0.3 negatives.
    """
    known = scores != MISSING
    positives = torch.where(known, scores, 0).sum(dim=0, dtype=torch.float64)
    return positives, known.sum(dim=0) - positives


def rarity_weights(scores: Tensor) -> Tensor:
    r"""Weights rare labels more, as the FissionFusion authors' code does on CheXpert.

    With :math:`n_l` the number of positives of label l

    .. math:: w_l = \frac{\max_k n_k - n_l + \bar n}{\max_k n_k - \min_k n_k + \bar n}

    so that the rarest label has weight 1 and the most frequent one the least, which
    is above 0.

    Args:
        scores: ``gt_score`` of all training images, of shape (images, labels), -1 where
            missing.

    Returns:
        Float64 of shape (labels,), each above 0 and at most 1; all 1 if nothing is
        positive.
    """
    positives, _ = count_labels(scores)
    if not positives.any():
        return torch.ones_like(positives)
    weights = positives.max() - positives + positives.mean()
    return weights / weights.max()


def balanced_pos_weights(scores: Tensor) -> Tensor:
    """Weights positives so that those of a label count as much as its negatives.

    That is negatives / positives over the images in which the label is known, as
    PyTorch proposes for ``pos_weight`` of ``BCEWithLogitsLoss``.

    Args:
        scores: ``gt_score`` of all training images, of shape (images, labels), -1 where
            missing.

    Returns:
        Float64 of shape (labels,), above 0; 1 for a label that has only positives, only
        negatives, or is never known.
    """
    positives, negatives = count_labels(scores)
    both = (positives > 0) & (negatives > 0)
    return torch.where(both, negatives / positives, 1.0)
