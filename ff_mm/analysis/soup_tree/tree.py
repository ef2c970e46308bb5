"""What a soup is made of: the tree of ``report.json``, as nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from ff_mm.display.numbers import shown
from ff_mm.merging.merge import Merge
from ff_mm.merging.soup import MEAN

#: Metric by name by set; None is what is unknown or not finite.
Values = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class TreeNode:
    """A soup or an ingredient, and what was decided about it.

    Attributes:
        name: Its name in the report.
        level: 0 for an ingredient, more for a soup.
        method: How its own children were chosen; None for an ingredient.
        weight: Its share in the whole soup, of any sign; 0 if it, or a soup that it is
            in, was left out; None where it has none, as it was merged and not added.
        recipe: Its own ingredients: weight by name, of sum 1; None of what was merged.
        metrics: Its own metrics, of the soup or ingredient alone.
        children: What it was made of and what was left out, in the order of trial.
        chosen_by: The method of the soup that decided about it; None at the top.
        accepted: Whether that soup took it in; None at the top.
        reason: Why, in a few words.
        score: What the soup scored with it; None if that was not needed.
        bound: Where the evaluation was stopped early: it scored no better than this.
        best: What the soup scored without it; None for the first one.
        merge: How its members were combined.
        weights: How much of each of them went in; None: as much of each.
    """

    name: str
    level: int
    method: str | None
    weight: float | None
    recipe: Mapping[str, float | None]
    metrics: Values
    children: tuple[TreeNode, ...] = ()
    chosen_by: str | None = None
    accepted: bool | None = None
    reason: str = ''
    score: float | None = None
    bound: float | None = None
    best: float | None = None
    merge: Merge = MEAN
    weights: tuple[float, ...] | None = None

    @property
    def is_in(self) -> bool:
        """Whether it is in the whole soup."""
        return self.weight != 0

    @property
    def members(self) -> list[TreeNode]:
        """What it was made of."""
        return [child for child in self.children if child.accepted]

    def value(self, metric: str, split: str = 'val') -> float | None:
        """Returns a metric of its own on a set; None: it is not known."""
        return self.metrics.get(split, {}).get(metric)


@dataclass(frozen=True)
class SoupTree:
    """A soup with all that was considered for it.

    Attributes:
        title: What the soup is called.
        metric: What selected, on validation.
        rule: Whether a ``'greater'`` or a ``'less'`` value of it is better.
        levels: What was done at each level of soups, from the bottom: ``'greedy by
            lr'``.
        root: The soup.
        reestimated: Whether batch norm was re-estimated after all decisions, so that
            the finished soup's metrics are not those of the root.
    """

    title: str
    metric: str
    rule: str
    levels: tuple[str, ...]
    root: TreeNode
    reestimated: bool = False

    def nodes(self) -> list[tuple[tuple[str, ...], TreeNode]]:
        """Lists all nodes with their paths from the top, parents before children."""
        return list(_walk(self.root, ()))

    def columns(self) -> list[tuple[str, str]]:
        """Lists the (set, metric) of which any node has a value."""
        found: dict[tuple[str, str], None] = {}
        for _, node in self.nodes():
            for split, values in node.metrics.items():
                found.update(dict.fromkeys((split, metric) for metric in values))
        return list(found)

    def with_metrics(
        self, results: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str]
    ) -> SoupTree:
        """Returns the tree with more metrics at its nodes.

        Args:
            results: For each set, the metrics of each node, in the order of
                :meth:`nodes`.
            names: Which of them to take.
        """
        found = (
            {
                split: {name: _finite(values[i].get(name)) for name in names}
                for split, values in results.items()
            }
            for i in count()
        )
        return replace(self, root=_measured(self.root, found))

    def verdict(self, node: TreeNode) -> str:
        """Says in a line why a node was taken in or left out, with the numbers."""
        if node.chosen_by == 'best' or (node.score is None and node.bound is None):
            return node.reason
        if node.best is None:
            return node.reason
        limit = '' if node.bound is None else f'{self.limit} '
        number = node.score if node.bound is None else node.bound
        compared = f'{limit}{shown(number)} with it, {shown(node.best)} without'
        return f'{node.reason}: {compared}'

    @property
    def limit(self) -> str:
        """The words before a bound."""
        return 'at most' if self.rule == 'greater' else 'at least'


def set_title(split: str) -> str:
    """Says what a set is in words: ``'validation'``, ``'test'``, ``'rosendahl'``."""
    return 'validation' if split == 'val' else split.removeprefix('ood/')


def _walk(
    node: TreeNode, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], TreeNode]]:
    path = (*above, node.name)
    yield path, node
    for child in node.children:
        yield from _walk(child, path)


def _measured(node: TreeNode, found: Iterator[Values]) -> TreeNode:
    """Adds metrics that come in the order in which :func:`_walk` goes."""
    metrics = {split: dict(values) for split, values in node.metrics.items()}
    for split, values in next(found).items():
        metrics.setdefault(split, {}).update(values)
    children = tuple(_measured(child, found) for child in node.children)
    return replace(node, metrics=metrics, children=children)


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
