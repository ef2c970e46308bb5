"""What a soup is made of: the tree of ``report.json``, as nodes, text and table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from ff_mm.display.console import make_console
from ff_mm.display.csv_file import write_csv
from ff_mm.display.numbers import shown
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import atomic_write, read_json
from ff_mm.fusion.report import FORMAT
from ff_mm.merging.merge import Merge
from ff_mm.merging.soup import MEAN

#: Metric by name by set; None is what is unknown or not finite.
Values = Mapping[str, Mapping[str, float | None]]

# Letters that rich puts before the label of a node, for each node above it.
_GUIDE = 4
# Of text in a file; no line is as long.
_WIDTH = 1000
# Weights are sums of floats.
_TOLERANCE = 1e-6


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


def read_soup_tree(file: str | Path, command: str) -> SoupTree:
    """Reads the tree of a report.

    Args:
        file: ``report.json`` of a soup.
        command: What makes it, for messages.

    Raises:
        FFMMError: There is no such file, or it is damaged or of another format.
    """
    try:
        return soup_tree(read_json(file))
    except FileNotFoundError:
        raise FFMMError(
            f'{file}: no such file, there is no soup yet; make it first: {command}'
        ) from None
    except (ValueError, RecursionError) as error:
        why = str(error).removeprefix(f'{file}: ')
        raise FFMMError(
            f'{file}: no report that can be read ({why}); make it again: {command}'
        ) from None


def soup_tree(report: Any) -> SoupTree:
    """Makes the tree of the content of a report.

    Args:
        report: As in ``report.json``.

    Raises:
        ValueError: It is none, or contradicts itself; with what is wrong, in one line.
    """
    if not isinstance(report, Mapping) or 'format' not in report:
        raise ValueError("there is no 'format' in it")
    if report['format'] != FORMAT:
        raise ValueError(f'its format is {report["format"]!r}, expected {FORMAT}')
    metric = _take(report, 'metric', str)
    rule = _take(report, 'rule', str)
    if rule not in ('greater', 'less'):
        raise ValueError(f"rule is {rule!r}, expected 'greater' or 'less'")
    levels = tuple(map(_level, _take(report, 'levels', list)))
    root = _node(_take(report, 'tree', Mapping), metric, 1.0)
    if root.level != len(levels):
        raise ValueError(f'its tree has {root.level} levels, not {len(levels)}')
    reestimated = bool(report.get('bn_reestimation'))
    title = _take(report, 'title', str)
    return SoupTree(title, metric, rule, levels, root, reestimated)


def print_soup_tree(tree: SoupTree, console: Console | None = None) -> None:
    """Prints the tree: a node a line, with weight, metrics and the reason.

    Args:
        tree: The tree.
        console: Where to print; standard output by default. If it is no terminal no
            line is broken.
    """
    console = console or make_console()
    if console.is_terminal:
        console.print(*map(Text, _introduction(tree)), _rich_tree(tree), sep='\n')
        return
    for line in _lines(tree):
        console.print(Text(line), soft_wrap=True)


def write_soup_tree(tree: SoupTree, file: str | Path) -> None:
    """Writes the tree as :func:`print_soup_tree` prints it."""
    with atomic_write(file, 'w') as out:
        out.write('\n'.join(_lines(tree)) + '\n')


def write_nodes(tree: SoupTree, file: str | Path) -> None:
    """Writes a row a node, parents before children.

    Columns: ``path`` (the names from the top), ``parent`` (its path), ``name``,
    ``level``, ``method``, ``weight`` (in the whole), ``accepted``, ``reason``,
    ``score`` (of the soup with it), ``bound`` (its score was no better), ``best`` (of
    the soup without it), and ``<set>/<metric>`` of the node alone. What is unknown is
    empty.
    """
    columns = tree.columns()
    rows = [
        dict(
            path=' / '.join(path),
            parent=' / '.join(path[:-1]),
            name=node.name,
            level=node.level,
            method=node.method,
            weight=node.weight,
            accepted=node.accepted,
            reason=node.reason,
            score=node.score,
            bound=node.bound,
            best=node.best,
        )
        | {f'{split}/{metric}': node.value(metric, split) for split, metric in columns}
        for path, node in tree.nodes()
    ]
    write_csv(Path(file), rows)


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


def _node(data: Any, metric: str, weight: float | None) -> TreeNode:
    """Makes a node without what was decided about it, but with all below it."""
    name, level = _take(data, 'name', str), _take(data, 'level', int)
    if weight is not None and abs(_take(data, 'weight', float) - weight) > _TOLERANCE:
        raise ValueError(f'the weight of {name!r} is {data["weight"]}, not {weight}')
    own = {'val': {metric: _finite(_take(data, 'score', float, None))}}
    if level == 0:
        return TreeNode(name, level, None, weight, {name: 1.0}, own)
    members = _take(data, 'members', list)
    if not members:
        raise ValueError(f'{name!r} has no members')
    merge, weights = _merge(data, name), _weights(data, name, len(members))
    shares = _shares(weight, weights or (1.0,) * len(members), merge)
    kept = [_node(c, metric, s) for c, s in zip(members, shares, strict=True)]
    others = [_node(child, metric, 0.0) for child in _take(data, 'rejected', list)]
    if level != 1 + max(child.level for child in kept + others):
        raise ValueError(f'{name!r} is not one level above what is in it')
    alone = len(kept) == 1 and merge.method.is_mean  # it is the same model
    if alone and kept[0].value(metric) is None:
        kept[0] = replace(kept[0], metrics=own)
    method = _take(data, 'method', str)
    steps = [_Step.read(step) for step in _take(data, 'steps', list)]
    children = _decided(kept, others, steps, name, method, metric)
    return TreeNode(
        name,
        level,
        method,
        weight,
        _recipe(kept, weights, merge),
        own,
        children,
        merge=merge,
        weights=weights,
    )


def _merge(data: Mapping[str, Any], name: str) -> Merge:
    try:
        return Merge.read(data.get('merge'))
    except ConfigError as error:
        raise ValueError(f'{name!r}: {error}') from None


def _weights(
    data: Mapping[str, Any], name: str, number: int
) -> tuple[float, ...] | None:
    if data.get('weights') is None:
        return None
    weights = tuple(map(_finite, _take(data, 'weights', list)))
    numbers = tuple(weight for weight in weights if weight is not None)
    if len(numbers) != number or not sum(numbers):
        raise ValueError(f'{name!r} has {number} members, its weights are {weights}')
    return numbers


def _shares(
    weight: float | None, weights: Sequence[float], merge: Merge
) -> list[float | None]:
    """The weights of members in the whole."""
    if weight == 0:
        return [0.0] * len(weights)
    if weight is None or not merge.method.is_mean:
        return [None] * len(weights)
    return [weight * share / sum(weights) for share in weights]


@dataclass(frozen=True)
class _Step:
    """A decision as the report has it, see :class:`ff_mm.merging.scorer.Step`."""

    candidate: str
    accepted: bool
    reason: str
    score: float | None
    best: float | None
    bound: float | None

    @classmethod
    def read(cls, data: Any) -> _Step:
        numbers = {
            key: _finite(_take(data, key, float, None))
            for key in ('score', 'best', 'bound')
        }
        return cls(
            _take(data, 'candidate', str),
            _take(data, 'accepted', bool),
            _take(data, 'reason', str),
            **numbers,
        )


def _decided(
    kept: Sequence[TreeNode],
    others: Sequence[TreeNode],
    steps: Sequence[_Step],
    name: str,
    method: str,
    metric: str,
) -> tuple[TreeNode, ...]:
    """Adds what was decided about the children of a soup, in the order of trial."""
    waiting = dict(enumerate(steps))
    whole = [step for step in steps if step.candidate == name]
    children: list[tuple[int, TreeNode]] = []
    for node, accepted in [(n, True) for n in kept] + [(n, False) for n in others]:
        # By order too, as two soups may share a name (of lr=1 and lr='1').
        number = next(
            (
                n
                for n, step in waiting.items()
                if (step.candidate, step.accepted) == (node.name, accepted)
            ),
            None,
        )
        node = replace(node, chosen_by=method, accepted=accepted)
        if number is not None:
            node = _with_step(node, waiting.pop(number), metric)
        elif whole:  # one decision about all, as of a uniform soup
            node = replace(node, reason=whole[0].reason)
        children.append((len(steps) if number is None else number, node))
    children.sort(key=lambda item: item[0])
    return tuple(node for _, node in children)


def _with_step(node: TreeNode, step: _Step, metric: str) -> TreeNode:
    node = replace(
        node, reason=step.reason, score=step.score, bound=step.bound, best=step.best
    )
    # Of one alone it is the score of its own, which the report need not have else.
    alone = node.chosen_by == 'best' or (step.accepted and step.best is None)
    if alone and node.value(metric) is None:
        node = replace(node, metrics={'val': {metric: step.score}})
    return node


def _recipe(
    members: Sequence[TreeNode], weights: Sequence[float] | None, merge: Merge
) -> dict[str, float | None]:
    weights = weights or (1.0,) * len(members)
    recipe: dict[str, float | None] = {}
    for member, share in zip(members, weights, strict=True):
        for name, weight in member.recipe.items():
            before = recipe.get(name, 0.0)
            if weight is None or before is None or not merge.method.is_mean:
                recipe[name] = None
            else:
                recipe[name] = before + weight * share / sum(weights)
    return recipe


def _level(data: Any) -> str:
    soup, keys = _take(data, 'soup', str), data.get('group_by')
    merge = _merge(data, soup)
    merged = '' if merge == MEAN else f', merged by {merge.type}'
    if not keys:
        return f'{soup}{merged}'
    by = ', '.join(map(str, keys)) if isinstance(keys, list) else keys
    return f'{soup} by {by}{merged}'


_REQUIRED = object()
_WORDS = {str: 'a string', list: 'a list', Mapping: 'a dict', bool: 'true or false'}


def _take(data: Any, key: str, kind: type, default: Any = _REQUIRED) -> Any:
    """Returns a value of a dict that came from a file.

    Raises:
        ValueError: It is missing, or of another kind.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f'expected a dict with {key!r}, got {str(data)[:40]!r}')
    if data.get(key) is None:
        if default is _REQUIRED:
            raise ValueError(f'{key!r} is missing')
        return default
    value = data[key]
    number = kind in (int, float)
    fits = isinstance(value, int | float) if number else isinstance(value, kind)
    if not fits or (number and isinstance(value, bool)):
        word = 'a number' if number else _WORDS[kind]
        raise ValueError(f'{key!r} is {str(value)[:40]!r}, expected {word}')
    return value


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _introduction(tree: SoupTree) -> Iterator[str]:
    better = 'higher' if tree.rule == 'greater' else 'lower'
    yield (
        f'{tree.title}: {len(tree.root.recipe)} of {_pool_size(tree)} ingredients, '
        f'chosen by {tree.metric} on validation ({better} is better)'
    )
    if tree.reestimated:
        yield 'without the re-estimation of batch norm, which came after all decisions'


def _lines(tree: SoupTree) -> list[str]:
    console = Console(width=_WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(_rich_tree(tree))
    drawn = [line.rstrip() for line in capture.get().splitlines()]
    return [*_introduction(tree), *drawn]


def _pool_size(tree: SoupTree) -> int:
    return len({node.name for _, node in tree.nodes() if node.method is None})


def _rich_tree(tree: SoupTree) -> Tree:
    """Draws the tree; weights and metrics stand in columns."""
    columns, nodes = tree.columns(), tree.nodes()
    heads = [('', 'weight'), *columns]
    widths = [max(*map(len, head), 6) for head in heads]
    # Of the longest name with its sign, where the top one has the room of a guide.
    room = max(_GUIDE * len(path) + len(node.name) for path, node in nodes) - 2

    def row(name: str, cells: Iterable[str], end: str = '') -> str:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return '  '.join([name, *padded, end]).rstrip()

    def line(node: TreeNode, depth: int) -> Text:
        values = [node.value(metric, split) for split, metric in columns]
        name = f'{_MARKS[node.accepted]}{node.name}'.ljust(room - _GUIDE * depth)
        cells = [_percent(node), *map(shown, values)]
        return Text(row(name, cells, tree.verdict(node)), style=_style(node))

    top = Text('\n').join(
        [
            *(Text(row(' ' * room, lines)) for lines in zip(*heads, strict=True)),
            line(tree.root, 0),
        ]
    )
    drawn = Tree(top)
    _grow(drawn, tree.root, line, 1)
    return drawn


_MARKS = {None: '', True: '+ ', False: '- '}


def _grow(
    branch: Tree, node: TreeNode, line: Callable[[TreeNode, int], Text], depth: int
) -> None:
    for child in node.children:
        _grow(branch.add(line(child, depth)), child, line, depth + 1)


def _percent(node: TreeNode) -> str:
    return f'{node.weight:.1%}' if node.weight else ''


def _style(node: TreeNode) -> str:
    return 'bold' if node.is_in else 'dim'
