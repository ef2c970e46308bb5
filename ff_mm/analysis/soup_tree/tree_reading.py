"""The tree of a soup as ``report.json`` has it, checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ff_mm.analysis.soup_tree.tree import SoupTree, TreeNode
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.fusion.report import FORMAT
from ff_mm.merging.merge import Merge
from ff_mm.merging.soup import MEAN
from ff_mm.records import (
    COUNT,
    FLAG,
    NAMED,
    NUMBER,
    PLAIN,
    TEXT,
    Is,
    Optional,
    RecordError,
    Rows,
    Table,
    read_record,
)

_WHAT = 'a report of a soup'
# Weights are sums of floats.
_TOLERANCE = 1e-6


class _Node:
    """What is in a node, nodes again included."""

    def read(self, value: Any, where: str = '') -> dict[str, Any]:
        """Reads what an ingredient has, and of a soup what more it has."""
        node = _INGREDIENT.read(value, where)
        return _SOUP.read(node, where) if node['level'] else node


_INGREDIENT = Table(
    name=TEXT, level=COUNT, weight=Optional(NUMBER), score=Optional(NUMBER)
)
_STEP = Table(
    candidate=TEXT,
    accepted=FLAG,
    reason=TEXT,
    score=Optional(NUMBER),
    best=Optional(NUMBER),
    bound=Optional(NUMBER),
)
_SOUP = Table(
    method=TEXT,
    members=Rows(_Node()),
    rejected=Rows(_Node()),
    steps=Rows(_STEP, 'candidate'),
    merge=Optional(NAMED),
    weights=Optional(Rows(NUMBER)),
)
_REPORT = Table(
    FORMAT,
    format=COUNT,
    title=TEXT,
    metric=TEXT,
    rule=Is("'greater' or 'less'", lambda rule: rule in ('greater', 'less')),
    levels=Rows(Table(soup=TEXT, group_by=Optional(PLAIN), merge=Optional(NAMED))),
    tree=_Node(),
)


def read_soup_tree(file: str | Path, command: str) -> SoupTree:
    """Reads the tree of a report.

    Args:
        file: ``report.json`` of a soup.
        command: What makes it, for messages.

    Raises:
        FFMMError: There is no such file, or it is damaged or of another format.
    """
    try:
        return _soup_tree(read_record(file, _REPORT, _WHAT))
    except FileNotFoundError:
        raise FFMMError(
            f'{file}: no such file, there is no soup yet; make it first: {command}'
        ) from None
    except RecordError as error:
        why = str(error).removeprefix(f'{file}: is not {_WHAT}: ')
        raise FFMMError(
            f'{file}: no report that can be read ({why}); make it again: {command}'
        ) from None


def soup_tree(report: Any) -> SoupTree:
    """Makes the tree of the content of a report.

    Args:
        report: As in ``report.json``.

    Raises:
        RecordError: It is none, or contradicts itself; with what is wrong, in one line.
    """
    return _soup_tree(_REPORT.read(report))


def _soup_tree(report: Mapping[str, Any]) -> SoupTree:
    levels = tuple(map(_level, report['levels']))
    root = _node(report['tree'], report['metric'], 1.0)
    if root.level != len(levels):
        raise RecordError(f'its tree has {root.level} levels, not {len(levels)}')
    return SoupTree(
        report['title'],
        report['metric'],
        report['rule'],
        levels,
        root,
        bool(report.get('bn_reestimation')),
    )


def _node(data: Mapping[str, Any], metric: str, weight: float | None) -> TreeNode:
    """Makes a node without what was decided about it, but with all below it."""
    name, level = data['name'], data['level']
    if weight is not None and not _equal(data.get('weight'), weight):
        raise RecordError(
            f'the weight of {name!r} is {data.get("weight")}, not {weight}'
        )
    own = {'val': {metric: data.get('score')}}
    if level == 0:
        return TreeNode(name, level, None, weight, {name: 1.0}, own)
    members = data['members']
    if not members:
        raise RecordError(f'{name!r} has no members')
    merge, weights = _merge(data, name), data.get('weights')
    if weights is not None and (len(weights) != len(members) or not sum(weights)):
        raise RecordError(
            f'{name!r} has {len(members)} members, its weights are {weights}'
        )
    shares = _shares(weight, _weights(members, weights, merge))
    kept = [_node(c, metric, s) for c, s in zip(members, shares, strict=True)]
    others = [_node(child, metric, 0.0) for child in data['rejected']]
    if level != 1 + max(child.level for child in kept + others):
        raise RecordError(f'{name!r} is not one level above what is in it')
    alone = len(kept) == 1 and merge.method.is_mean  # it is the same model
    if alone and kept[0].value(metric) is None:
        kept[0] = replace(kept[0], metrics=own)
    return TreeNode(
        name,
        level,
        data['method'],
        weight,
        _recipe(kept, _weights(members, weights, merge)),
        own,
        _decided(kept, others, data, metric),
        merge=merge,
        weights=None if weights is None else tuple(weights),
    )


def _equal(found: float | None, expected: float) -> bool:
    return found is not None and abs(found - expected) <= _TOLERANCE


def _merge(data: Mapping[str, Any], name: str) -> Merge:
    try:
        return Merge.read(data.get('merge'))
    except ConfigError as error:
        raise RecordError(f'{name!r}: {error}') from None


def _shares(
    weight: float | None, weights: Sequence[float | None]
) -> list[float | None]:
    """The weights of members in the whole."""
    if weight == 0:
        return [0.0] * len(weights)
    return [
        None if weight is None or share is None else weight * share for share in weights
    ]


def _weights(
    members: Sequence[Mapping[str, Any]], weights: Sequence[float] | None, merge: Merge
) -> list[float | None]:
    """The weights of members, of sum 1; None where they were not added up."""
    if not merge.is_mean_of(len(members)):
        return [None] * len(members)
    names = [member['name'] for member in members]
    try:
        found = merge.weights_of(names, weights or [1.0] * len(members))
    except FFMMError as error:
        raise RecordError(str(error)) from None
    return [weight / sum(found) for weight in found]


def _decided(
    kept: Sequence[TreeNode],
    others: Sequence[TreeNode],
    soup: Mapping[str, Any],
    metric: str,
) -> tuple[TreeNode, ...]:
    """Adds what was decided about the children of a soup, in the order of trial."""
    steps = soup['steps']
    waiting = dict(enumerate(steps))
    whole = [step for step in steps if step['candidate'] == soup['name']]
    children: list[tuple[int, TreeNode]] = []
    for node, accepted in [(n, True) for n in kept] + [(n, False) for n in others]:
        # By order too, as two soups may share a name (of lr=1 and lr='1').
        number = next(
            (
                n
                for n, step in waiting.items()
                if (step['candidate'], step['accepted']) == (node.name, accepted)
            ),
            None,
        )
        node = replace(node, chosen_by=soup['method'], accepted=accepted)
        if number is not None:
            node = _with_step(node, waiting.pop(number), metric)
        elif whole:  # one decision about all, as of a uniform soup
            node = replace(node, reason=whole[0]['reason'])
        children.append((len(steps) if number is None else number, node))
    children.sort(key=lambda item: item[0])
    return tuple(node for _, node in children)


def _with_step(node: TreeNode, step: Mapping[str, Any], metric: str) -> TreeNode:
    node = replace(
        node,
        reason=step['reason'],
        score=step.get('score'),
        bound=step.get('bound'),
        best=step.get('best'),
    )
    # Of one alone it is the score of its own, which the report need not have else.
    first = step['accepted'] and step.get('best') is None
    if (node.chosen_by == 'best' or first) and node.value(metric) is None:
        node = replace(node, metrics={'val': {metric: step.get('score')}})
    return node


def _recipe(
    members: Sequence[TreeNode], weights: Sequence[float | None]
) -> dict[str, float | None]:
    recipe: dict[str, float | None] = {}
    for member, share in zip(members, weights, strict=True):
        for name, weight in member.recipe.items():
            before = recipe.get(name, 0.0)
            if weight is None or before is None or share is None:
                recipe[name] = None
            else:
                recipe[name] = before + weight * share
    return recipe


def _level(level: Mapping[str, Any]) -> str:
    soup, keys = level['soup'], level.get('group_by')
    merge = _merge(level, soup)
    merged = '' if merge == MEAN else f', merged by {merge.type}'
    if not keys:
        return f'{soup}{merged}'
    by = ', '.join(map(str, keys)) if isinstance(keys, list) else keys
    return f'{soup} by {by}{merged}'
