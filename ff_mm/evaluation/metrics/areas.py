"""What is kept of a mask: three areas a class, and what its pixels cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ff_mm.datasets.masks.mask_file import IGNORED
from ff_mm.evaluation.metrics.base import SampleError
from ff_mm.one_line import one_line


def true_areas(mask: np.ndarray, classes: int, ignored: int = IGNORED) -> np.ndarray:
    """Returns how many pixels of a mask are of each class, int64 of shape (classes,).

    Args:
        mask: Class numbers, of any shape.
        classes: How many there are.
        ignored: The number of pixels that do not count.

    Raises:
        SampleError: A number that is no class.
    """
    known = mask[mask != ignored]
    if known.size and not 0 <= known.min() <= known.max() < classes:
        wrong = known.max() if known.max() >= classes else known.min()
        raise SampleError(
            f'a mask has the value {wrong}: expected 0 to {classes - 1}, or {ignored} '
            'for pixels that do not count; check classes and label_map of the data set'
        )
    return np.bincount(known.ravel(), minlength=classes).astype(np.int64)


def areas(
    truth: np.ndarray, predicted: np.ndarray, classes: int, ignored: int = IGNORED
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is kept of a predicted mask.

    Args:
        truth: The true class of each pixel.
        predicted: The predicted class of each, of the same shape.
        classes: How many there are.
        ignored: The number in ``truth`` of pixels that do not count.

    Returns:
        How many pixels of each class are true, int64 of shape (classes,); and how many
        are that and predicted, and how many are predicted, of shape (2, classes).

    Raises:
        SampleError: Shapes that differ, or a number that is no class.
    """
    if truth.shape != predicted.shape:
        raise SampleError(
            f'a mask has {_size(truth)} pixels, its prediction {_size(predicted)}: '
            'load masks after the image is resized, since predictions are of its own '
            'size, and check that mask and image are equal in size'
        )
    of_truth = true_areas(truth, classes, ignored)
    known = truth != ignored
    said = predicted[known]
    hits = said[said == truth[known]]
    counts = [np.bincount(each, minlength=classes) for each in (hits, said)]
    if len(counts[1]) > classes:
        raise SampleError(
            f'class {len(counts[1]) - 1} is predicted, the data set has {classes}: set '
            'num_classes of the decode_head to that'
        )
    return of_truth, np.array(counts, np.int64)


def mask_of(sample: Mapping[str, Any], name: str) -> np.ndarray:
    """Returns a mask of a data sample of mmsegmentation's, of shape (H, W).

    Args:
        sample: A data sample as a dict.
        name: ``'gt_sem_seg'`` or ``'pred_sem_seg'``.

    Raises:
        SampleError: It has none.
    """
    if name not in sample:
        raise SampleError(
            f'a data sample has no {name}: expected those of mmsegmentation, as the '
            'pipeline makes them with LoadMask and PackSegInputs'
        )
    data = torch.as_tensor(sample[name]['data'])
    return data.reshape(data.shape[-2:]).cpu().numpy().astype(np.int64)


def cost_of_pixels(
    sample: Mapping[str, Any], classes: int, ignored: int = IGNORED
) -> float:
    """Returns the sum over known pixels of -log p of the true class, in nats.

    Args:
        sample: A data sample as a dict: ``seg_logits`` of shape (classes, H, W), or
            (1, H, W) of two classes, and ``gt_sem_seg``.
        classes: How many there are.
        ignored: The number of pixels that do not count.

    Returns:
        NaN where a logit of a known pixel is not finite.

    Raises:
        SampleError: Shapes that differ, or logits that are not there.
    """
    if 'seg_logits' not in sample:
        raise SampleError(
            'a data sample has no seg_logits, from which the loss is taken: leave '
            'MaskLoss out of the evaluator'
        )
    truth = torch.from_numpy(mask_of(sample, 'gt_sem_seg'))
    logits = torch.as_tensor(sample['seg_logits']['data']).detach().cpu().double()
    if len(logits) == 1:  # of what is class 1
        logits = torch.cat([torch.zeros_like(logits), logits])
    if logits.shape != (classes, *truth.shape):
        raise SampleError(
            f'seg_logits of shape {tuple(logits.shape)}: expected '
            f'{(classes, *truth.shape)}, as many as there are classes and pixels'
        )
    known = truth != ignored
    found = logits[:, known]
    cost = torch.nn.functional.cross_entropy(found.T, truth[known], reduction='sum')
    return float(cost) if bool(torch.isfinite(found).all()) else float('nan')


def require_classes(meta: Mapping[str, Any] | None, metric: str) -> int:
    """Returns how many classes a data set has.

    Raises:
        SampleError: It names none.
    """
    classes = (meta or {}).get('classes')
    if not classes:
        raise SampleError(f'{one_line(metric)}: the data set names no classes')
    return len(classes)


def _size(mask: np.ndarray) -> str:
    return ' x '.join(map(str, mask.shape))
