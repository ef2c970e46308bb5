"""Hierarchical soups: soups of soups, grouped by hyper-parameters.

Sanjeev et al., "FissionFusion: fast geometric generation and hierarchical souping for
medical image analysis", MICCAI 2024 (arXiv 2403.13341).
"""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient, hashable
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Supply
from ff_mm.merging.scorer import Scorer, Step
from ff_mm.merging.search import best_variant
from ff_mm.merging.soup import MEAN, Soup, require_distinct_names
from ff_mm.merging.soups.choice import Choice
from ff_mm.one_line import one_line


@dataclass(frozen=True)
class Level:
    """One step of a hierarchical soup.

    Attributes:
        soup: Which soup is made in each group: a key of
            :data:`~ff_mm.merging.soups.SOUPS`, or ``dict(type=key, ...)`` with its
            options.
        group_by: The hyper-parameter(s) that the members of a group have in common;
            None puts all into one group.
        merge: How the members of a soup are combined: a key of
            :data:`ff_mm.merging.methods.METHODS`, or ``dict(type=key, ...)`` with its
            options. Of options that are lists of numbers each combination is tried, and
            the best on validation taken, see :mod:`ff_mm.merging.search`.

    Raises:
        ConfigError: If there is no such soup, or no such way to combine.
    """

    soup: Choice | str | Mapping[str, Any]
    group_by: str | Sequence[str] | None = None
    merge: Merge | str | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.which.check(self.how)

    @property
    def which(self) -> Choice:
        """Which soup is made in each group."""
        return Choice.read(self.soup)

    @property
    def has_margin(self) -> bool:
        """Whether steps are taken only if they are better for sure."""
        return self.which.options.get('accept') is not None

    @property
    def how(self) -> Merge:
        """How the members of a soup are combined."""
        return Merge.read(self.merge)

    def describe(self) -> dict[str, Any]:
        """Return it as a report has it, JSON-like."""
        described: dict[str, Any] = dict(soup=self.which.type, group_by=self.group_by)
        if self.which.options:
            described['options'] = dict(self.which.options)
        if self.how != MEAN:
            described['merge'] = self.how.describe()
        return described

    @property
    def variants(self) -> list[Merge]:
        """The ways to combine that are tried; of one member alone there is but one."""
        return self.how.variants()[: 1 if self.which.type == 'best' else None]

    @property
    def keys(self) -> tuple[str, ...]:
        """The hyper-parameters to group by, none or more."""
        if self.group_by is None:
            return ()
        return (
            (self.group_by,) if isinstance(self.group_by, str) else tuple(self.group_by)
        )


def gou(
    group_by: str | Sequence[str] = 'lr', merge: Any = None, accept: float | None = None
) -> list[Level]:
    """Greedy of uniform: uniform soups in the groups, a greedy soup of those."""
    return [Level('uniform', group_by, merge), _greedy_top(merge, accept)]


def gog(
    group_by: str | Sequence[str] = 'lr', merge: Any = None, accept: float | None = None
) -> list[Level]:
    """Greedy of greedy: greedy soups in the groups, a greedy soup of those."""
    return [Level('greedy', group_by, merge), _greedy_top(merge, accept)]


def _greedy_top(merge: Any, accept: float | None) -> Level:
    margin = {} if accept is None else dict(accept=accept)
    return Level(dict(type='greedy', **margin), None, merge)


def bou(group_by: str | Sequence[str] = 'run', merge: Any = None) -> list[Level]:
    """Best of uniform: uniform soups in the groups, the best of those."""
    return [Level('uniform', group_by, merge), Level('best')]


def hierarchical(
    ingredients: Sequence[AnyIngredient],
    levels: Sequence[Level],
    scorer: Scorer,
    name: str = 'soup',
    store: PathLike | None = None,
    supplies: Mapping[str, Supply] | None = None,
) -> Soup:
    """Make soups in groups, soups of these soups, and so on until one is left.

    The levels are tried out on the hyper-parameters before anything is scored, so that
    a mistake in them costs no time. Between the groups of a level nothing is kept but
    the choices made, and what is in ``store``.

    Memory, besides what scoring takes: with ``store``, one double precision sum (twice
    a model of single precision) and one model, whatever the number of ingredients and
    levels. Without it, a sum for each level of nested soups, and one model; and a soup
    of the levels below is computed from its members each time it is needed. The soups
    are bit for bit the same.

    Args:
        ingredients: Ingredients or soups, of distinct names.
        levels: From the bottom to the top. The last one must leave one soup.
        scorer: Scores and ranks on validation, at all levels.
        name: The name of the soup.
        store: A folder for the weights of the soups below the top, a file a soup of
            more than one member. They are needed as long as the soup is; who makes the
            folder removes it.
        supplies: What merging methods may need besides the members, by name, such as
            ``'origin'``.

    Returns:
        The soup at the top; its members, and what it rejected, are the soups below.

    Raises:
        ConfigError: If there are no ingredients or levels, an ingredient lacks a
            hyper-parameter that a level groups by, more than one soup is left, or a
            merging method lacks what it needs.
        FFMMError: If two ingredients share a name, or all of a greedy or best soup's
            score NaN.
    """
    check_levels(ingredients, levels, name)
    *below, top = _supplied(levels, supplies)
    groups = _soups_of_groups(ingredients, below, scorer, _files(store))
    # At the top one group is left, which is called as the soup is and not written.
    (soup,) = _soups_of(groups, top, len(levels), scorer, _files(None), name)
    return soup


def soups_of_groups(
    ingredients: Sequence[AnyIngredient],
    levels: Sequence[Level],
    scorer: Scorer,
    store: PathLike | None = None,
    supplies: Mapping[str, Supply] | None = None,
) -> list[AnyIngredient]:
    """Make soups in groups, and soups of these soups; they need not end in one.

    Args:
        ingredients: Ingredients or soups, of distinct names.
        levels: From the bottom to the top; without any the ingredients stay.
        scorer: See :func:`hierarchical`.
        store: Likewise.
        supplies: Likewise.

    Returns:
        What the last level leaves.
    """
    below = _supplied(levels, supplies)
    return _soups_of_groups(ingredients, below, scorer, _files(store))


def _supplied(
    levels: Sequence[Level], supplies: Mapping[str, Supply] | None
) -> list[Level]:
    """Give the merges of all levels what they need, before anything is scored."""
    return [
        replace(level, merge=level.how.supplied(supplies or {})) for level in levels
    ]


def _soups_of_groups(
    ingredients: Sequence[AnyIngredient],
    levels: Sequence[Level],
    scorer: Scorer,
    files: Iterator[Path | None],
) -> list[AnyIngredient]:
    current = list(ingredients)
    for number, level in enumerate(levels, 1):
        current = list(_soups_of(current, level, number, scorer, files))
    return current


def _soups_of(
    ingredients: Sequence[AnyIngredient],
    level: Level,
    number: int,
    scorer: Scorer,
    files: Iterator[Path | None],
    name: str | None = None,
) -> list[Soup]:
    """Make the soups of one level; a name is that of the only one."""
    groups = groups_of(ingredients, level, number)
    level.how.prepare(ingredients)
    variants = level.variants
    if level.which.type == 'uniform' and len(variants) == 1:  # to be scored at once
        scorer.score_all(
            Soup(label, 'uniform', tuple(members), merge=variants[0])
            for label, members in groups
        )
    return [
        best_variant(level.which, variants, members, scorer, name or label, files)
        for label, members in groups
    ]


def _files(store: PathLike | None) -> Iterator[Path | None]:
    """Yield names of files that no other soup has, in this or another call."""
    while True:
        yield None if store is None else Path(store) / f'{secrets.token_hex(16)}.pth'


def check_levels(
    ingredients: Sequence[AnyIngredient], levels: Sequence[Level], name: str
) -> None:
    """Find mistakes early; the last level must leave one soup.

    Args:
        ingredients: Ingredients or soups.
        levels: From the bottom to the top.
        name: What is made of them.

    Raises:
        ConfigError: As :func:`hierarchical` does.
        FFMMError: Likewise.
    """
    if not levels:
        raise ConfigError(f'hierarchical soup {name!r}: there are no levels')
    left = check_groups(ingredients, levels, name)
    if len(left) > 1:
        number, level = len(levels), levels[-1]
        raise ConfigError(
            f'the last level (level {number}, {level.which.type} by {level.group_by}) '
            f'must leave one soup, but leaves {len(left)}: {", ".join(left)}; '
            f'add a level without group_by'
        )


def check_groups(
    ingredients: Sequence[AnyIngredient], levels: Sequence[Level], name: str
) -> list[str]:
    """Go through the levels without scoring anything, to find mistakes early.

    A soup agrees on at least the hyper-parameters on which all of its candidates do,
    so what works here with all of them works later with those that are kept.

    Args:
        ingredients: Ingredients or soups.
        levels: From the bottom to the top.
        name: What is made of them.

    Returns:
        The names of what the last level leaves.

    Raises:
        ConfigError: There are no ingredients, or one lacks a hyper-parameter that a
            level groups by.
        FFMMError: Two ingredients share a name.
    """
    if not ingredients:
        raise ConfigError(f'hierarchical soup {name!r}: there are no ingredients')
    require_distinct_names(ingredients, name)
    current: list[AnyIngredient] = list(ingredients)
    # Levels of one merge say in one place how much of what there is at any of them.
    names: dict[int, list[str]] = {}
    for number, level in enumerate(levels, 1):
        groups = groups_of(current, level, number)
        same = next(i for i, other in enumerate(levels) if other.how == level.how)
        names.setdefault(same, []).extend(member.name for member in current)
        current = [Soup(label, level.which.type, tuple(m)) for label, m in groups]
    for place, found in names.items():
        levels[place].how.check_names(found)
        if levels[place].how.left_out:
            levels[place].how.check(ingredients[0].in_passing(), ingredients[0].name)
    return [soup.name for soup in current]


def groups_of(
    ingredients: Sequence[AnyIngredient], level: Level, number: int
) -> list[tuple[str, list[AnyIngredient]]]:
    """Group by the values of a level's keys: labels and members, as first seen.

    Args:
        ingredients: Ingredients or soups.
        level: The level.
        number: Its number, for what is wrong with it.

    Raises:
        ConfigError: An ingredient lacks a hyper-parameter that the level groups by.
    """
    groups: dict[Hashable, list[AnyIngredient]] = {}
    for ingredient in ingredients:
        groups.setdefault(_values(ingredient, level, number), []).append(ingredient)
    return [(_label(members[0], level, number), members) for members in groups.values()]


def _values(ingredient: AnyIngredient, level: Level, number: int) -> Hashable:
    hyper = ingredient.hyper
    for key in level.keys:
        if key not in hyper:
            raise ConfigError(
                f'level {number} groups by {key!r}, which {ingredient.name!r} does not '
                f'have; it has {", ".join(map(repr, hyper)) or "nothing to group by"}'
            )
    return tuple(hashable(hyper[key]) for key in level.keys)


def _label(ingredient: AnyIngredient, level: Level, number: int) -> str:
    hyper = ingredient.hyper
    values = ', '.join(f'{key}={hyper[key]}' for key in level.keys)
    return one_line(values) or f'level {number}'


def tree(soup: AnyIngredient, weight: float | None = 1.0) -> dict[str, Any]:
    """Describe a soup for a report, down to its ingredients.

    Args:
        soup: A soup, or an ingredient.
        weight: Its weight in the whole; None: it has none, as it was merged and not
            added.

    Returns:
        A JSON-like dict: name, level, score and weight in the whole, and for soups
        also method, members, rejected (of weight 0) and steps; merge unless it is the
        mean, weights unless the members weigh equally, and details if there are any.
        NaN scores stay NaN, which
        :func:`~ff_mm.files.write_json` turns into null.
    """
    node = {
        'name': soup.name,
        'level': soup.level,
        'score': soup.score,
        'weight': weight,
    }
    if not isinstance(soup, Soup):
        return node
    described = node | {
        'method': soup.method,
        'members': [
            tree(member, share)
            for member, share in zip(soup.members, _shares(soup, weight), strict=True)
        ],
        'rejected': [tree(other, 0.0) for other in soup.rejected],
        'steps': [_described(step) for step in soup.steps],
    }
    if soup.merge != MEAN:
        described['merge'] = soup.merge.describe()
    if soup.weights is not None:
        described['weights'] = list(soup.weights)
    if soup.details is not None:
        described['details'] = dict(soup.details)
    return described


def _described(step: Step) -> dict[str, Any]:
    described = asdict(step)
    if step.agreement is None:  # only a margin asks for it
        del described['agreement']
    return described


def _shares(soup: Soup, weight: float | None) -> list[float | None]:
    """The weights of a soup's members in the whole, where they have any."""
    if weight == 0:
        return [0.0] * len(soup.members)
    if weight is None or not soup.merge.is_mean_of(len(soup.members)):
        return [None] * len(soup.members)
    names = [member.name for member in soup.members]
    shares = soup.merge.weights_of(names, soup.shares)
    return [weight * share / sum(shares) for share in shares]
