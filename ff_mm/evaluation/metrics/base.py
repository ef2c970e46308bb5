"""Base of the metrics of predicted scores, and what they keep of each case."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ff_mm.errors import FFMMError
from ff_mm.plain import MISSING

#: Truth and scores of one case. The truth is the class number of single-label data, or
#: int8 of shape (labels,) of multi-label data: 1 present, 0 absent, -1 missing. The
#: scores are float32 of shape (classes or labels,).
Case = tuple[int | np.ndarray, np.ndarray]


class SampleError(FFMMError):
    """A data sample of which a metric cannot make sense."""


class ScoreMetric(BaseMetric):
    """Keeps truth and predicted scores of every case, for any number of ranks.

    Data samples with ``gt_score`` are multi-label, those with ``gt_label`` alone are
    single-label. A subclass gives ``compute_metrics``, which gets the cases of all
    ranks as a list of :data:`Case`.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.
    """

    # MMEngine warns about None; an empty prefix is silent and adds nothing.
    default_prefix = ''

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping]) -> None:
        """Keeps a copy of the truth and the scores of every case of a batch.

        Args:
            data_batch: Not used.
            data_samples: MMPretrain's data samples as dicts: ``pred_score`` of shape
                (classes or labels,), on any device and of any floating-point dtype, and
                either ``gt_label`` of shape (1,), a class number, or ``gt_score`` of
                the shape of ``pred_score``: 1 present, 0 absent, -1 missing.

        Raises:
            SampleError: If a truth is none of these.
        """
        self.results.extend(keep_case(sample) for sample in data_samples)

    def warn(self, text: str) -> None:
        """Writes a warning of one line to the current log, named by the metric."""
        line = f'{type(self).__name__}: {text}'
        print_log(line, logger='current', level=logging.WARNING)


def keep_case(sample: Mapping[str, Any]) -> Case:
    """Returns copies of the truth and the scores of a data sample.

    Args:
        sample: A data sample as a dict, see :meth:`ScoreMetric.process`.

    Raises:
        SampleError: If the truth does not fit the scores, or has other values.
    """
    scores = _copy(sample['pred_score'])
    if 'gt_score' in sample:
        return _known_labels(_copy(sample['gt_score']), len(scores)), scores
    return _class_number(torch.as_tensor(sample['gt_label']), len(scores)), scores


def truth_of_all(samples: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
    """Returns the truth of data samples, as :meth:`ScoreMetric.process` takes it.

    Args:
        samples: Data samples as dicts; predictions need not be there.

    Returns:
        Class numbers of shape (cases,), or int8 of shape (cases, labels) with 1, 0 and
        -1 (missing). None if there is no case, or if not all are of one kind.
    """
    if not samples or not all('gt_score' in sample for sample in samples):
        several = any('gt_score' in sample for sample in samples)
        return None if several else class_numbers(samples)
    rows = [_copy(sample['gt_score']) for sample in samples]
    one_shape = rows[0].ndim == 1 and len({row.shape for row in rows}) == 1
    return np.stack(rows).astype(np.int8) if one_shape else None


def class_numbers(samples: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
    """Returns the true class number of each data sample, of shape (cases,).

    Returns:
        None if there is no case, or one that has no class or several.
    """
    labels = [torch.as_tensor(sample.get('gt_label', ())) for sample in samples]
    if not labels or any(label.numel() != 1 for label in labels):
        return None
    numbers = np.array([int(label) for label in labels])
    return numbers if numbers.min() >= 0 else None


def _copy(values: Any) -> np.ndarray:
    # A copy: a row of the batch's tensor would keep the whole batch alive.
    tensor = torch.as_tensor(values).detach()
    return tensor.to('cpu', torch.float32, copy=True).numpy()


def _known_labels(truth: np.ndarray, number: int) -> np.ndarray:
    if truth.shape != (number,) or not np.isin(truth, (0, 1, MISSING)).all():
        raise SampleError(
            f'gt_score={truth.tolist()}: expected {number} values, as many as '
            f'pred_score has, each 1 (present), 0 (absent) or {MISSING} (missing)'
        )
    return truth.astype(np.int8)


def _class_number(truth: torch.Tensor, number: int) -> int:
    if truth.numel() != 1 or not 0 <= int(truth) < number:
        raise SampleError(
            f'gt_label={truth.tolist()}: expected one class number from 0 to '
            f'{number - 1}, as pred_score has {number} entries; check num_classes of '
            f'the head, and give multi-label data gt_score'
        )
    return int(truth)
