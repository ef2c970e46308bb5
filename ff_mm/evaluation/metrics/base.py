"""What a metric of ff_mm is: one definition, and what it keeps of each case.

A metric is defined once, over the truth, the predictions and how often each case
counts. If each counts once that is its value, and of a resample its value there; the
best that can still be reached is its value with the cases to come predicted right.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from ff_mm.display.console import log
from ff_mm.errors import FFMMError
from ff_mm.plain import MISSING

#: Truth and scores of one case. The truth is the class number of single-label data, or
#: int8 of shape (labels,) of multi-label data: 1 present, 0 absent, -1 missing. The
#: scores are float32 of shape (classes or labels,).
Case = tuple[int | np.ndarray, np.ndarray]

#: Truth and predictions of several cases, as :func:`stack` gives them.
Cases = tuple[np.ndarray, np.ndarray]

#: Function of how often each case counts, float64 of shape (resamples, cases), ->
#: name of a score -> its value in each resample, of shape (resamples, ...).
Scores = Callable[[np.ndarray], dict[str, np.ndarray]]


#: Scores of what is absent and of what is present, beyond all that a model gives.
BEYOND = (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))


class SampleError(FFMMError):
    """A data sample of which a metric cannot make sense."""


class Claim(NamedTuple):
    """That no predictions of cases to come are better than right ones.

    Attributes:
        rule: ``'greater'`` or ``'less'``: which value of the score is better.
        margin: By how much a bound is loosened for rounding. Sums of a million terms
            are off by less than the default. It is 0 where the bound is sound in
            floating point, too, so that a tie is known before the end.
    """

    rule: str
    margin: float = 1e-10


class CountedMetric(BaseMetric):
    """A metric that is defined by :meth:`scores` alone.

    A subclass gives :meth:`scores` and ``process``. For passes that end early it gives
    :meth:`claim` and :meth:`perfect` as well; no claim is inherited, since a subclass
    may compute something else. One that has a ``compute_metrics`` of its own is treated
    like a metric of others.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.
    """

    # MMEngine warns about None; an empty prefix is silent and adds nothing.
    default_prefix = ''

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    @abstractmethod
    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the metric: its scores by how often each case counts.

        What does not depend on that is done once, before the function is returned.

        Args:
            truth: As :func:`stack` gives it.
            predicted: Likewise.
        """

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Computes the scores over all cases of all ranks.

        Args:
            results: What ``process`` kept of every case.

        Returns:
            Name of each score -> its value, as plain Python numbers or lists.
        """
        truth, predicted = stack(results)
        return once(self.scores(truth, predicted), len(truth))

    def kept(self, truth: np.ndarray, scores: np.ndarray) -> Cases | None:
        """Returns at once what ``process`` keeps of cases, as :func:`stack` gives it.

        It says so of the ``process`` of its own class; see :func:`kept_at_once`.

        Args:
            truth: Class numbers, or int8 of shape (cases, labels).
            scores: Float32 of shape (cases, classes or labels).

        Returns:
            None: only ``process`` knows.
        """
        return None

    def claim(self, name: str) -> Claim | None:
        """Says that right predictions are best for a score; None: nobody claims so."""
        return None

    def truth_of(self, samples: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
        """Returns the truth of cases as :func:`stack` has it; None: of another kind.

        Args:
            samples: Data samples of them as dicts; predictions need not be there.
        """
        return truth_of_all(samples)

    def perfect(self, truth: np.ndarray, classes: int) -> np.ndarray | None:
        """Returns right predictions, as :func:`stack` has them.

        Args:
            truth: Of cases that have not been processed.
            classes: Of single-label data, how many the model has.

        Returns:
            None if the metric is of data of another kind.
        """
        return None

    def best(self, name: str, seen: Cases, rest: Cases) -> float:
        """Returns what no predictions of the rest can beat, but for rounding.

        Args:
            name: A score with a claim.
            seen: The cases that have been processed.
            rest: The others, predicted right.
        """
        truth, predicted = map(np.concatenate, zip(seen, rest, strict=True))
        return once(self.scores(truth, predicted), len(truth))[name]

    def outputs(self, predicted: np.ndarray) -> int:
        """Returns how many classes or labels the model has that made predictions.

        Args:
            predicted: As :func:`stack` gives it. Where only the class is kept, the
                number means nothing, and nobody needs it.
        """
        return predicted.shape[-1]

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns how wrong each case is predicted, to see the hardest ones first.

        Args:
            name: The score that selects.
            truth: As :func:`stack` gives it.
            predicted: Likewise.

        Returns:
            Finite, 0 or more, of shape (cases,); 0 is right.
        """
        return np.zeros(len(truth))

    def warn(self, text: str) -> None:
        """Writes a warning of one line to the current log, named by the metric."""
        log(f'{type(self).__name__}: {text}')


class ScoreMetric(CountedMetric):
    """Keeps truth and predicted scores of every case, for any number of ranks.

    Data samples with ``gt_score`` are multi-label, those with ``gt_label`` alone are
    single-label.
    """

    #: The right scores of what is absent and of what is present.
    right_scores = (0.0, 1.0)

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

    def kept(self, truth: np.ndarray, scores: np.ndarray) -> Cases | None:
        """Returns truth and scores as they are."""
        return truth, scores.astype(np.float64)

    def perfect(self, truth: np.ndarray, classes: int) -> np.ndarray | None:
        """Returns the right scores."""
        present = truth == 1 if truth.ndim == 2 else np.eye(classes, dtype=bool)[truth]
        absent_score, present_score = self.right_scores
        return np.where(present, present_score, absent_score)

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns how far scores are from the truth, summed over what is known."""
        known = truth != MISSING if truth.ndim == 2 else np.ones((len(truth), 1), bool)
        if truth.ndim == 1:
            truth = np.eye(predicted.shape[1])[truth]
        distance = np.abs(truth - predicted)
        distance[~np.isfinite(distance)] = 1
        return (distance * known).sum(axis=1)


def require_probabilities(truth: np.ndarray, scores: np.ndarray) -> None:
    """Refuses finite scores of something known that are less than 0 or more than 1.

    Args:
        truth: As :func:`stack` gives it.
        scores: Likewise.

    Raises:
        SampleError: If there is one.
    """
    known = np.isfinite(scores) & (truth != MISSING).reshape(len(truth), -1)
    wrong = scores[known & ((scores < 0) | (scores > 1))]
    if len(wrong):
        raise SampleError(
            f'pred_score={wrong[0]:.4g}: expected probabilities, from 0 to 1; check '
            'the head, or leave metrics of probabilities out of the evaluator'
        )


def is_counted(metric: BaseMetric) -> bool:
    """Whether a metric is defined by :meth:`CountedMetric.scores`, and nothing else."""
    own = getattr(type(metric), 'compute_metrics', None)
    return own is CountedMetric.compute_metrics


def kept_at_once(
    metric: BaseMetric, truth: np.ndarray, scores: np.ndarray
) -> Cases | None:
    """Returns what a metric keeps of cases, without a data sample for each.

    Args:
        metric: Any metric.
        truth: As :meth:`CountedMetric.kept` takes it.
        scores: Likewise.

    Returns:
        None where that is not known: of metrics of others, and of classes that keep
        something else than the class that they derive from.
    """
    own = next(kind for kind in type(metric).__mro__ if 'process' in vars(kind))
    if not is_counted(metric) or 'kept' not in vars(own):
        return None
    return metric.kept(truth, scores)


def once(scores: Scores, cases: int) -> dict[str, Any]:
    """Returns scores if each case counts once, as plain Python numbers or lists."""
    found = scores(np.ones((1, cases)))
    return {name: values[0].tolist() for name, values in found.items()}


def stack(results: Sequence[tuple[Any, Any]]) -> Cases:
    """Returns truth and predictions of what metrics keep of some cases.

    Returns:
        The truth: class numbers of shape (cases,), or int8 of shape (cases, labels).
        The predictions: class numbers of shape (cases,), float64 scores of shape
        (cases, classes or labels), or both as records of shape (cases,).
    """
    truth, predicted = zip(*results, strict=True)
    found = np.array(predicted)
    is_score = np.issubdtype(found.dtype, np.floating)
    return np.array(truth), found.astype(np.float64) if is_score else found


def choose(
    argument: str, given: Sequence[str], known: Iterable[str], empty: bool = False
) -> tuple[str, ...]:
    """Returns the names of scores that a config gave, once it is sure that they exist.

    Args:
        argument: What the metric calls them; opens the error.
        given: The names.
        known: All names there are.
        empty: Whether none may be given.

    Raises:
        ValueError: If a name is unknown, or none was given and one must be.
    """
    known = list(known)
    if any(name not in known for name in given) or not (given or empty):
        raise ValueError(f'{argument} must be some of {known}, got {given!r}')
    return tuple(given)


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
