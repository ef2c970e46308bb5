"""Pairs of ingredients by what the two differ in (appendix B1 of FissionFusion).

Kinds have names: the hyper-parameters that differ, ``'lr'`` or ``'lr + seed'``, and
with them what else does, ``'lr + cycle'``. Where all hyper-parameters are equal it is
``'cycle'``, ``'base to snapshot'`` or ``'nothing'``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ff_mm.display.titles import NO_HYPER
from ff_mm.errors import ConfigError
from ff_mm.merging.ingredient import hashable
from ff_mm.one_line import one_line

#: The order in names; other hyper-parameters follow by name.
_FIRST = ('lr', 'seed', 'augmentation')
_STAGES = {'base', 'fission'}
_ABSENT = object()

BASE_TO_SNAPSHOT, NOTHING = 'base to snapshot', 'nothing'

Hyper = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two ingredients.

    Attributes:
        a: The name of one; of those of a pool, the one that comes first.
        b: The name of the other.
        differ: In what they differ, see :func:`kinds`.
    """

    a: str
    b: str
    differ: str


def kinds(hyper_a: Hyper, hyper_b: Hyper) -> str:
    """Names what two ingredients differ in.

    A hyper-parameter that only one of them has is one that differs. ``parent`` is left
    out of account, and ``cycle`` where the stages differ.

    Args:
        hyper_a: Hyper-parameters, ``stage`` and ``cycle``, as of
            :class:`~ff_mm.merging.pool.PoolEntry`.
        hyper_b: The same of the other; the order of the two makes no difference.

    Returns:
        As ``'lr'``, ``'lr + seed'``, ``'lr + cycle'``, ``'lr + stage'``; with equal
        hyper-parameters ``'cycle'``, ``'base to snapshot'``, ``'stage'`` (of stages
        that are not these two) or ``'nothing'``.
    """
    names = _differing(hyper_a, hyper_b)
    if names == ['stage'] and {hyper_a.get('stage'), hyper_b.get('stage')} == _STAGES:
        return BASE_TO_SNAPSHOT
    return one_line(' + '.join(names)) or NOTHING


def all_pairs(hypers: Mapping[str, Hyper]) -> list[Pair]:
    """Lists all pairs of ingredients, in the order of the pool.

    Args:
        hypers: By name, see :func:`kinds`.
    """
    return [Pair(a, b, kinds(hypers[a], hypers[b])) for a, b in combinations(hypers, 2)]


def choose(
    pairs: Sequence[Pair], kinds: Sequence[str] | None, at_most: int | None, seed: int
) -> list[Pair]:
    """Takes the pairs of some kinds, and of each kind a random sample.

    Whether a pair is taken depends on the seed and on the pairs of its kind alone, and
    a larger sample holds the smaller one: evaluations that were made stay of use.

    Args:
        pairs: All there are.
        kinds: Values of ``differ``; None: all.
        at_most: So many pairs of each kind; None: all.
        seed: Of the sample.

    Returns:
        In the order of ``pairs``.

    Raises:
        ConfigError: A kind that no pair is of.
    """
    counts = Counter(pair.differ for pair in pairs)
    kinds = list(counts) if kinds is None else kinds
    for kind in kinds:
        if kind not in counts:
            found = ', '.join(f'{name!r} ({n})' for name, n in counts.most_common())
            raise ConfigError(
                f'no two ingredients differ in {kind!r}; kinds of pairs, with how '
                f'many there are of each: {found or "none"}'
            )
    taken: set[Pair] = set()
    for kind in kinds:
        of_kind = [pair for pair in pairs if pair.differ == kind]
        taken.update(sorted(of_kind, key=lambda pair: _lot(pair, seed))[:at_most])
    return [pair for pair in pairs if pair in taken]


def ends(pair: Pair, hypers: Mapping[str, Hyper]) -> tuple[str, Any, Any]:
    """Tells the two ends of a pair apart by the first thing that differs.

    Args:
        pair: The pair.
        hypers: By name, see :func:`kinds`.

    Returns:
        The name of a hyper-parameter (or ``'stage'``, ``'cycle'``; ``''`` if nothing
        differs), its value of ``a`` and of ``b``; None where it has none.
    """
    a, b = hypers[pair.a], hypers[pair.b]
    key = next(iter(_differing(a, b)), '')
    return key, a.get(key), b.get(key)


def _differing(a: Hyper, b: Hyper) -> list[str]:
    names = sorted({*a, *b} - set(NO_HYPER), key=_rank)
    found = [name for name in names if _key(a, name) != _key(b, name)]
    # A base has no cycle, so between stages it says nothing new; none and one that is
    # not said are the same. The parent follows from the rest.
    for name in ('stage', 'cycle'):
        if a.get(name) != b.get(name):
            return [*found, name]
    return found


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST)), name


def _key(hyper: Hyper, name: str) -> Any:
    return hashable(hyper[name]) if name in hyper else _ABSENT


def _lot(pair: Pair, seed: int) -> bytes:
    """What sorts pairs at random, the same with every version of every library."""
    text = json.dumps([seed, *sorted((pair.a, pair.b))])
    return hashlib.sha256(text.encode()).digest()
