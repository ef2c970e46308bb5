"""What must hold for the masks of a run, looked at before any training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ff_mm.cores import own_cores
from ff_mm.datasets.checks.truth import data_infos
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.masks.loading import mask_of_case, mask_paths
from ff_mm.datasets.masks.mask_file import IGNORED, MaskError, size_of
from ff_mm.datasets.masks.masked import has_masks

# Of data sets that are still in use.
_LOOKED_AT: WeakKeyDictionary[Any, list[MaskFacts]] = WeakKeyDictionary()

_REMEDIES = {
    'values': 'Say what they mean: label_map={%s: %r}, or None for pixels that do not '
    'count.',
    '': 'Mend the masks, or leave the images out by exclude.',
}


class MaskFacts(NamedTuple):
    """What is known of a mask once it has been looked at.

    Attributes:
        path: Its file, of several the first, or the one that has a problem.
        areas: How many pixels are of each class; None if it cannot be used.
        ignored: How many do not count.
        problem: Why it cannot be used.
    """

    path: str
    areas: np.ndarray | None = None
    ignored: int = 0
    problem: str = ''


def look_at_masks(dataset: Any) -> list[MaskFacts]:
    """Looks at the mask of every case of a data set, on all cores; once.

    Args:
        dataset: One with masks, fully initialised.
    """
    if dataset not in _LOOKED_AT:
        _LOOKED_AT[dataset] = _look_at(dataset)
    return _LOOKED_AT[dataset]


def _look_at(dataset: Any) -> list[MaskFacts]:
    classes = len(dataset.metainfo['classes'])
    infos = list(data_infos(dataset))
    with ThreadPoolExecutor(own_cores()) as pool:
        return list(pool.map(lambda info: _look(info, classes), infos))


def check_masks(
    facts: Mapping[str, list[MaskFacts]],
    datasets: Mapping[str, Any],
    problems: Problems,
) -> list[str]:
    """Notes what is wrong with masks, and returns what is odd but may be meant.

    Args:
        facts: Of each data set by name, as :func:`look_at_masks` gives them. ``train``
            must have every class; of others a class may be missing.
        datasets: The data sets.
        problems: Takes the notes.
    """
    odd = []
    for name, found in facts.items():
        classes = list(datasets[name].metainfo['classes'])
        by_problem = defaultdict(list)
        unknown = []
        for fact in found:
            if fact.areas is None:
                by_problem[fact.problem].append(fact.path)
            elif not fact.areas.sum():
                unknown.append(fact.path)
        for problem, paths in by_problem.items():
            problems.found(
                f'{name}: a mask {problem}', paths, _remedy(problem, classes)
            )
        problems.found(
            f'{name}: masks without a pixel that counts',
            unknown,
            'Leave the images out by exclude, or check what label_map says of None.',
        )
        areas = [fact.areas for fact in found if fact.areas is not None]
        if by_problem or not areas:
            continue
        total = np.sum(areas, axis=0)
        lacking = [c for c, area in zip(classes, total, strict=True) if not area]
        if name == 'train':
            problems.found(
                'train: classes of which no mask has a pixel',
                lacking,
                'Check classes, in the order of their numbers, and label_map.',
            )
        elif lacking:
            odd.append(f'{name}: no mask has a pixel of {", ".join(map(str, lacking))}')
    return odd


def inspect_masks(
    datasets: Mapping[str, Any], problems: Problems, notes: Problems
) -> None:
    """Looks at all masks of the data sets that have some.

    Args:
        datasets: By name.
        problems: Takes what is wrong.
        notes: Takes what their pixels are, and what is odd.
    """
    masked = {name: each for name, each in datasets.items() if has_masks(each)}
    facts = {name: look_at_masks(each) for name, each in masked.items()}
    for note in check_masks(facts, masked, problems):
        notes.add(note)
    for name, each in masked.items():
        notes.add(describe_masks(name, each, facts[name]))


def with_classes(dataset: Any, infos: Iterable[dict[str, Any]]) -> Iterator[dict]:
    """Gives what is known of each case; of one with a mask the classes in it, too."""
    if not has_masks(dataset):
        yield from infos
        return
    for info, fact in zip(infos, look_at_masks(dataset), strict=True):
        areas = () if fact.areas is None else fact.areas
        yield dict(info, gt_label=np.flatnonzero(areas).tolist())


def describe_masks(name: str, dataset: Any, facts: list[MaskFacts]) -> str:
    """Says in one line how many images a data set has, and of what their pixels are.

    Returns:
        For example ``'val: 60 images, 2 classes (background 88.1 %, nucleus 11.9 %)'``.
    """
    areas = [fact.areas for fact in facts if fact.areas is not None]
    classes = dataset.metainfo['classes']
    total = np.sum(areas, axis=0) if areas else np.zeros(len(classes))
    shares = total / max(total.sum(), 1)
    listed = ', '.join(
        f'{c} {100 * share:.1f} %' for c, share in zip(classes, shares, strict=True)
    )
    ignored = sum(fact.ignored for fact in facts)
    more = f'; {ignored} pixels do not count' if ignored else ''
    return f'{name}: {len(facts)} images, {len(classes)} classes ({listed}{more})'


def _look(info: Mapping[str, Any], classes: int) -> MaskFacts:
    path = mask_paths(info)[0]
    try:
        mask = mask_of_case(info)
    except MaskError as error:
        return MaskFacts(error.path, problem=error.problem)
    size = size_of(info.get('img_path') or '')
    if size is not None and size != mask.shape:
        problem = f'has {mask.shape} pixels (height, width), the image {size}'
        return MaskFacts(path, problem=problem)
    known = mask[mask != IGNORED]
    areas = np.bincount(known, minlength=classes)
    return MaskFacts(path, areas, mask.size - known.size)


def _remedy(problem: str, classes: list) -> str:
    start = 'has values that are no class: '
    if not problem.startswith(start):
        return _REMEDIES['']
    value = problem.removeprefix(start).partition(',')[0]
    value = repr(value) if value.startswith('#') else value
    return _REMEDIES['values'] % (value, str(classes[-1]))
