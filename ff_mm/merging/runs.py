"""The run that an ingredient is of: a base, and all that was trained on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ff_mm.merging.ingredient import Ingredient, hashable
from ff_mm.merging.pool import PoolEntry

#: What levels group by.
KEY = 'run'

# Hyper-parameters that differ within a run: what is no training but came with it.
_WITHIN = ('stage', 'cycle', 'parent', 'average')
_BASE = 'base'

# A folder of ingredients, in which names are unique, and a name.
_Place = tuple[Path, str]


def with_runs(
    ingredients: Sequence[Ingredient], entries: Sequence[PoolEntry]
) -> list[Ingredient]:
    """Returns ingredients with their run among the hyper-parameters.

    A run begins with a base. Averages of its weights belong to it, and all that was
    trained on from it with the same hyper-parameters (seed, augmentation, part of the
    data), such as snapshots. Folders of ingredients are told apart, so repetitions of
    a plan have runs of their own. One that says ``run`` itself keeps what it says; one
    of which neither stage nor parent is known has none.

    Args:
        ingredients: Those of the pool.
        entries: What the pool says of each, in the same order.
    """
    places = {(entry.file.parent, entry.file.stem): entry for entry in entries}
    beginnings = [_beginning(entry, places) for entry in entries]
    names = _names([b for b in beginnings if b is not None], places)
    return [
        ingredient
        if beginning is None or KEY in ingredient.hyper
        else replace(ingredient, hyper={**ingredient.hyper, KEY: names[beginning]})
        for ingredient, beginning in zip(ingredients, beginnings, strict=True)
    ]


def _beginning(entry: PoolEntry, places: Mapping[_Place, PoolEntry]) -> _Place | None:
    """Where the run of an ingredient begins; None: nothing is known of it."""
    if not any(entry.hyper.get(key) for key in ('stage', 'parent')):
        return None
    seen = {entry.name}
    while (parent := _trained_from(entry)) is not None:
        place = (entry.file.parent, parent)
        above = places.get(place)
        if above is None:
            return place  # left out of the pool, but known by name
        if above.name in seen or not _agree(entry, above):
            break
        seen.add(above.name)
        entry = above
    return entry.file.parent, _trial(entry)


def _trained_from(entry: PoolEntry) -> str | None:
    """The ingredient that it goes on from; None: it is the first of its run."""
    parent = entry.hyper.get('parent')
    # What a base has begun with, such as a probe, all others have begun with as well.
    if entry.hyper.get('stage') == _BASE or parent is None:
        return None
    return str(parent)


def _trial(entry: PoolEntry) -> str:
    """The name of what was trained; averages have theirs from it."""
    average = entry.hyper.get('average')
    name = entry.file.stem
    return name if average is None else name.removesuffix(f'_{average}')


def _agree(one: PoolEntry, other: PoolEntry) -> bool:
    """Whether two are alike in all hyper-parameters that both have."""
    shared = [k for k in one.hyper if k in other.hyper and k not in _WITHIN]
    return all(hashable(one.hyper[k]) == hashable(other.hyper[k]) for k in shared)


def _names(
    beginnings: Sequence[_Place], places: Mapping[_Place, PoolEntry]
) -> dict[_Place, str]:
    """What runs are called: as where they begin, and with the folder if need be."""
    names: dict[_Place, str] = {}
    for place in dict.fromkeys(beginnings):
        folder, name = place
        name = places[place].name if place in places else name
        names[place] = str(folder / name) if name in names.values() else name
    return names
