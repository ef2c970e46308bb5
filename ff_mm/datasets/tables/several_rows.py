"""Putting the rows of one image together: several findings, boxes or readers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

#: How: one voice is enough, all must agree, most decide.
WAYS = ('any', 'all', 'majority')

Label = int | tuple[float, ...]

_MISSING = -1.0

T = TypeVar('T', int, float)


def put_together(
    labels: Sequence[Label], raters: Sequence[str], way: str
) -> Label | None:
    """Gives the label of an image out of those of its rows.

    Args:
        labels: Of each row: the number of a class; or a score each label, 1, 0, or -1
            where it is missing.
        raters: Who says so. All that one says counts as one voice, of which the
            highest is taken. Where nobody is named each row is a voice: give each
            another name.
        way: One of :data:`WAYS`. Of classes ``'any'`` is the one with the highest
            number, ``'all'`` that with the lowest.

    Returns:
        The label. Missing scores have no voice. Where two are equal a score is -1; a
        class is None.
    """
    voices = defaultdict(list)
    for label, rater in zip(labels, raters, strict=True):
        voices[rater].append(label)
    if isinstance(labels[0], tuple):
        said = [tuple(map(max, zip(*of, strict=True))) for of in voices.values()]
        return tuple(_score(scores, way) for scores in zip(*said, strict=True))
    classes = [
        [number for number in dict.fromkeys(of) if isinstance(number, int)]
        for of in voices.values()
    ]
    if way == 'majority':
        return _most(number for numbers in classes for number in numbers)
    highest = [max(numbers) for numbers in classes]
    return max(highest) if way == 'any' else min(highest)


def _score(scores: Sequence[float], way: str) -> float:
    known = [score for score in scores if score != _MISSING]
    if not known:
        return _MISSING
    if way != 'majority':
        return max(known) if way == 'any' else min(known)
    most = _most(known)
    return _MISSING if most is None else most


def _most(values: Iterable[T]) -> T | None:
    """What occurs most often; None if two do."""
    (first, count), *others = Counter(values).most_common(2)
    return None if others and others[0][1] == count else first
