"""What a model predicts for each case of a set, kept in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ff_mm.errors import FFMMError
from ff_mm.evaluation.arrays import MADE_ANEW, damaged_as, read_arrays
from ff_mm.evaluation.kept_results import KINDS, PREFIX
from ff_mm.evaluation.metrics.base import keep_case, stack
from ff_mm.files import PathLike, atomic_write
from ff_mm.plain import MISSING

# What is in a file, as it was saved.
_KINDS = dict(
    scores=('f4',), truth=('i8', 'i1'), cases=('U',), groups=('i8',), images=('U',)
)


class PredictionsError(FFMMError):
    """Predictions that are damaged, or that do not belong together."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Truth and predicted scores of all cases of a set.

    Attributes:
        scores: Float32 of shape (cases, classes or labels): the probabilities that
            MMPretrain's heads give as ``pred_score``. NaN of a model that has diverged.
        truth: Class numbers, int64 of shape (cases,), from 0; or of multi-label data
            int8 of shape (cases, labels): 1 present, 0 absent, -1 missing.
        cases: What tells the cases apart, such as paths of images; of shape (cases,).
        groups: Number of the patient or the lesion that a case belongs to, int64 of
            shape (cases,). None: the cases are independent.
        images: What identifies the images as they lay on disk; '' where that was not
            noted.
        kept: Of models that give no probabilities what metrics keep of each case, see
            :mod:`ff_mm.evaluation.kept_results`. Then there is one class, with the
            score 0.

    Raises:
        PredictionsError: If there is no case, shapes do not fit, or the truth has other
            values.
    """

    scores: np.ndarray
    truth: np.ndarray
    cases: tuple[str, ...]
    groups: np.ndarray | None = None
    images: str = ''
    kept: Mapping[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        several = np.ndim(self.truth) == 2
        arrays = dict(
            scores=np.asarray(self.scores, np.float32),
            truth=np.asarray(self.truth, np.int8 if several else np.int64),
            cases=tuple(str(case) for case in self.cases),
            groups=None if self.groups is None else np.asarray(self.groups, np.int64),
            images=str(self.images),
        )
        for name, value in arrays.items():
            object.__setattr__(self, name, value)
        problem = _wrong_shape(self) or _wrong_truth(self)
        if problem:
            raise PredictionsError(f'predictions: {problem}')

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def is_multilabel(self) -> bool:
        """Whether a case can have several labels."""
        return self.truth.ndim == 2

    @classmethod
    def from_samples(
        cls,
        samples: Sequence[Mapping[str, Any]],
        cases: Sequence[str] | None = None,
        groups: np.ndarray | None = None,
    ) -> Predictions:
        """Collects what MMPretrain's models return.

        Args:
            samples: Data samples as dicts, with ``pred_score`` and ``gt_label`` or
                ``gt_score``, see :meth:`ff_mm.evaluation.metrics.base.ScoreMetric.
                process`.
            cases: What tells the cases apart; None: the ``img_path`` of each sample,
                or its number where it has none.
            groups: As the attribute.

        Raises:
            SampleError: A truth that does not fit the scores.
            PredictionsError: There is no sample, or numbers do not fit.
        """
        if not samples:
            raise PredictionsError('predictions: expected one case or more, got none')
        truth, scores = stack([keep_case(sample) for sample in samples])
        if cases is None:
            numbered = enumerate(samples)
            cases = [str(s.get('img_path') or number) for number, s in numbered]
        return cls(scores, truth, tuple(cases), groups)

    @classmethod
    def of_results(
        cls,
        kept: Mapping[str, np.ndarray],
        cases: Sequence[str],
        groups: np.ndarray | None = None,
    ) -> Predictions:
        """Takes what metrics keep of each case for what a model says.

        Args:
            kept: As the attribute.
            cases: What tells the cases apart.
            groups: As the attribute.
        """
        nothing = np.zeros(len(cases))
        return cls(nothing[:, None], nothing, tuple(cases), groups, kept=kept)

    def require_scores(self) -> None:
        """Refuses what metrics keep in the place of probabilities.

        Raises:
            PredictionsError: There are no probabilities.
        """
        if self.kept is not None:
            raise PredictionsError(
                'predictions: there are no probabilities in them, but what metrics '
                'keep of each case; only those metrics can be had of them'
            )

    def save(self, path: PathLike) -> None:
        """Writes an npz file, atomically; equal predictions are equal bytes.

        Args:
            path: The file.
        """
        arrays: dict[str, Any] = dict(
            scores=self.scores, truth=self.truth, cases=np.array(self.cases)
        )
        if self.groups is not None:
            arrays['groups'] = self.groups
        if self.images:
            arrays['images'] = np.array(self.images)
        arrays.update(self.kept or {})
        with atomic_write(path) as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: PathLike, cases: Sequence[str] | None = None) -> Predictions:
        """Reads what :meth:`save` wrote.

        Args:
            path: The file.
            cases: Those that it should be about, in their order; None: any.

        Raises:
            PredictionsError: There is no such file, it is damaged, holds something
                else, or is about other cases.
        """
        with damaged_as(PredictionsError, path, 'predictions', MADE_ANEW):
            arrays = read_arrays(path, _KINDS, {PREFIX: KINDS})
            kept = {name: arrays.pop(name) for name in _kept_names(arrays)}
            found = cls(**arrays, kept=kept or None)
        if cases is not None:
            _require_equal_cases(found.cases, tuple(cases), str(path), 'the data set')
        return found


def require_same_cases(predictions: Mapping[str, Predictions]) -> None:
    """Checks that predictions are of the same cases, with the same truth and groups.

    Args:
        predictions: By the name that the error is to give.

    Raises:
        PredictionsError: Says what differs, and between which two.
    """
    (first, one), *others = predictions.items()
    for name, other in others:
        _require_equal_cases(other.cases, one.cases, name, first)
        differs = None
        if not np.array_equal(one.truth, other.truth):
            differs = 'truth'
        elif not _equal_groups(one.groups, other.groups):
            differs = 'groups'
        elif one.scores.shape != other.scores.shape:
            differs = f'number of classes ({other.scores.shape[1]})'
        if differs:
            raise PredictionsError(
                f'{name}: the {differs} of the cases is another than in {first}: '
                'compare models on one and the same set'
            )


def _require_equal_cases(
    got: tuple[str, ...], expected: tuple[str, ...], name: str, where: str
) -> None:
    if got == expected:
        return
    numbers = f'{len(got)} cases, {len(expected)} in {where}'
    pairs = zip(got, expected, strict=False)
    differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
    if differing:
        numbers += f', and {differing[0]!r} in the place of {differing[1]!r}'
    raise PredictionsError(
        f'{name}: other cases than {where}: {numbers}; delete the files of predictions '
        'to have them computed anew'
    )


def _equal_groups(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _kept_names(arrays: Mapping[str, Any]) -> list[str]:
    return [name for name in arrays if name.startswith(PREFIX)]


def _wrong_shape(found: Predictions) -> str | None:
    number = len(found.cases)
    if found.scores.ndim != 2 or found.scores.shape[0] != number or not number:
        return f'scores of shape {found.scores.shape} for {number} cases'
    if found.truth.shape not in (found.scores.shape, (number,)):
        return f'truth of shape {found.truth.shape} for scores of {found.scores.shape}'
    if found.groups is not None and found.groups.shape != (number,):
        return f'groups of shape {found.groups.shape} for {number} cases'
    for name, array in (found.kept or {}).items():
        if array.shape[:1] != (number,):
            return f'{name} of shape {array.shape} for {number} cases'
    return None


def _wrong_truth(found: Predictions) -> str | None:
    if found.is_multilabel:
        known = np.isin(found.truth, (0, 1, MISSING))
        return None if known.all() else f'a truth other than 1, 0 and {MISSING}'
    classes = found.scores.shape[1]
    if ((found.truth < 0) | (found.truth >= classes)).any():
        return f'a true class that is not from 0 to {classes - 1}'
    return None
