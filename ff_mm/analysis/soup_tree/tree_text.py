"""The tree of a soup for people: on a terminal, as text, as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from ff_mm.analysis.soup_tree.tree import SoupTree, TreeNode
from ff_mm.display.console import make_console, stacked, words
from ff_mm.display.csv_file import write_csv
from ff_mm.display.numbers import shown
from ff_mm.files import atomic_write
from ff_mm.fusion.report import merge_text
from ff_mm.merging.soup import MEAN
from ff_mm.one_line import one_line

# Letters that rich puts before the label of a node, for each node above it.
_GUIDE = 4
# Of text in a file; no line is as long.
_WIDTH = 1000


def print_soup_tree(tree: SoupTree, console: Console | None = None) -> None:
    """Prints the tree: a node a line, with weight, metrics and the reason.

    Args:
        tree: The tree.
        console: Where to print; standard output by default. If it is no terminal no
            line is broken.
    """
    console = console or make_console()
    if console.is_terminal:
        console.print(*map(words, _introduction(tree)), _rich_tree(tree), sep='\n')
        return
    for line in _lines(tree):
        console.print(words(line), soft_wrap=True)


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
    return [*map(one_line, _introduction(tree)), *drawn]


def _pool_size(tree: SoupTree) -> int:
    return len({node.name for _, node in tree.nodes() if node.method is None})


def _rich_tree(tree: SoupTree) -> Tree:
    """Draws the tree; weights and metrics stand in columns."""
    columns, nodes = tree.columns(), tree.nodes()
    heads = [('', 'weight'), *columns]
    widths = [max(*map(len, head), 6) for head in heads]
    # Of the longest name with its sign, where the top one has the room of a guide.
    room = max(_GUIDE * len(path) + len(_name(node)) for path, node in nodes) - 2

    def row(name: str, cells: Iterable[str], end: str = '') -> str:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return '  '.join([name, *padded, end]).rstrip()

    def line(node: TreeNode, depth: int) -> Text:
        values = [node.value(metric, split) for split, metric in columns]
        name = f'{_MARKS[node.accepted]}{_name(node)}'.ljust(room - _GUIDE * depth)
        cells = [_percent(node), *map(shown, values)]
        end = '; '.join(filter(None, [tree.verdict(node), _merged(node)]))
        return words(row(name, cells, end), _style(node))

    top = stacked(
        *(words(row(' ' * room, lines)) for lines in zip(*heads, strict=True)),
        line(tree.root, 0),
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


def _name(node: TreeNode) -> str:
    return one_line(node.name)


def _percent(node: TreeNode) -> str:
    return f'{node.weight:.1%}' if node.weight else ''


def _merged(node: TreeNode) -> str:
    """Says how the members of a soup were combined, if not by their mean."""
    if node.merge == MEAN:
        return ''
    return f'merged by {merge_text(node.merge.describe())}'


def _style(node: TreeNode) -> str:
    return 'bold' if node.is_in else 'dim'
