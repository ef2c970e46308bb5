"""How rough a loss surface is: its local minima, how deep they are, and a figure.

Surfaces are arrays of values on a rectangular grid, of which less is better; of a
metric of which more is better the caller gives the negative. A cell without a finite
value (not evaluated, or a model that gave NaN) counts as high as the highest finite
one: a wall, over which one climbs no higher than over the top of the surface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.cluster.hierarchy import DisjointSet

#: Of the range of a surface: a minimum that is less deep is no more than a ripple.
DEEP = 0.05

_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Minimum:
    """A local minimum of a surface.

    Attributes:
        row: Where, from 0; of a plateau the cell next to its centre.
        column: The same.
        value: The value there.
        depth: How far one has to climb to get to a lower minimum (topological
            persistence), in the unit of the values; of the lowest, to the top.
    """

    row: int
    column: int
    value: float
    depth: float


def minima(values: ArrayLike) -> list[Minimum]:
    """Finds the local minima of a surface, and how deep each is.

    A cell has eight neighbours. Neighbours of equal value are one plateau, and one
    minimum, if none of them has a lower neighbour. Of two minima of one value the one
    that comes first row by row counts as lower. Cells on the border are cells like
    others: a surface that falls towards its border has minima there.

    Depths are those of Edelsbrunner, Letscher and Zomorodian (2002), Topological
    persistence and simplification, dimension 0: cells join by rising value, and where
    two basins meet, the one with the higher minimum ends.

    Args:
        values: [rows, columns], or [points] of a line.

    Returns:
        The deepest first, so the lowest is first; none if no value is finite.

    Raises:
        ValueError: If there are more than two dimensions.
    """
    surface = _filled(values)
    if surface.size == 0:
        return []
    found = [
        Minimum(*_centre(surface, cell), float(surface.flat[cell]), depth)
        for cell, depth in _basins(surface)
    ]
    # The sort is stable and the lowest has come first, should depths be equal.
    return sorted(found, key=lambda minimum: -minimum.depth)


def count_deeper(minima: Sequence[Minimum], share: float) -> int:
    """Counts the minima that are deeper than a share of the surface's range.

    Args:
        minima: All of a surface; the depth of the lowest is the range.
        share: From 0 to 1; 0 counts all, if the surface is not flat.
    """
    if not minima:
        return 0
    least = share * max(minimum.depth for minimum in minima)
    return sum(minimum.depth > least for minimum in minima)


def roughness(values: ArrayLike) -> float:
    r"""Gives a figure for how rough a surface is, whatever its scale.

    For the values :math:`f_1, ..., f_n` along one line of the grid,

    .. math:: r = \sum_i |f_{i+1} - f_i| - (f_1 - \min f) - (f_n - \min f),

    that is the total variation less what a line with these ends and that minimum cannot
    do without: down once, and up once. The roughness is the mean of r over all rows and
    all columns, divided by the range (highest less lowest value) of the whole surface.

    It is 0 for all surfaces of which every row and column goes down, then up, among
    them all that are quasi-convex, as a bowl; 2 of a row that rises from the lowest
    value to the highest and falls back. It stays the same if values are scaled or
    shifted, or the grid is mirrored or transposed. It depends on where the grid ends: a
    surface that climbs steeply towards its border is smooth in proportion. Compare
    surfaces of one metric, of equal grids and margins. This figure is ours; it is not
    of a paper.

    Args:
        values: [rows, columns], or [points] of a line.

    Returns:
        0 or greater; 0 of a flat surface and where no value is finite.

    Raises:
        ValueError: If there are more than two dimensions.
    """
    surface = _filled(values)
    span = np.ptp(surface) if surface.size else 0.0
    # Values divided first, as the sum of very large ones is infinite.
    lines = [_excess(lines / span) for lines in _lines(surface)] if span else []
    # Rounding may leave less than nothing.
    return max(float(np.concatenate(lines).mean()), 0.0) if lines else 0.0


def _filled(values: ArrayLike) -> NDArray[np.float64]:
    """Returns a surface of two dimensions, all finite; empty if no value is."""
    surface = np.atleast_2d(np.asarray(values, np.float64))
    if surface.ndim > 2:
        raise ValueError(f'a surface has two dimensions, got {surface.ndim}')
    finite = np.isfinite(surface)
    if not finite.any():
        return np.empty((0, 0))
    return np.where(finite, surface, surface[finite].max())


def _lines(surface: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Gives the rows, then the columns; not those of a single cell."""
    for lines in (surface, surface.T):
        if lines.shape[1] > 1:
            yield lines


def _excess(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """R of each line, see :func:`roughness`."""
    variation = np.abs(np.diff(lines, axis=1)).sum(1)
    return variation - (lines[:, 0] + lines[:, -1] - 2 * lines.min(1))


def _basins(surface: NDArray[np.float64]) -> Iterator[tuple[int, float]]:
    """Gives the lowest cell of each basin and its depth; not those of depth 0."""
    flat = surface.ravel()
    order = np.argsort(flat, kind='stable').tolist()
    rank = {cell: number for number, cell in enumerate(order)}
    basins = DisjointSet()
    lowest: dict[int, int] = {}  # by any cell that stands for the basin
    yield order[0], float(np.ptp(flat))
    for cell in order:
        basins.add(cell)
        lowest[cell] = cell
        for neighbour in _around(cell, surface.shape):
            if neighbour not in basins or basins.connected(cell, neighbour):
                continue
            both = (lowest[basins[cell]], lowest[basins[neighbour]])
            lower, higher = sorted(both, key=rank.__getitem__)
            basins.merge(cell, neighbour)
            lowest[basins[cell]] = lower
            if flat[cell] > flat[higher]:
                yield higher, float(flat[cell] - flat[higher])


def _around(cell: int, shape: tuple[int, int]) -> Iterator[int]:
    row, column = divmod(cell, shape[1])
    for r in range(max(row - 1, 0), min(row + 2, shape[0])):
        for c in range(max(column - 1, 0), min(column + 2, shape[1])):
            if (r, c) != (row, column):
                yield r * shape[1] + c


def _centre(surface: NDArray[np.float64], cell: int) -> tuple[int, int]:
    """The cell of a plateau that is next to the mean of its cells."""
    plateaus, _ = ndimage.label(surface == surface.flat[cell], _NEIGHBOURS)
    cells = np.argwhere(plateaus == plateaus.flat[cell])
    distances = ((cells - cells.mean(0)) ** 2).sum(1)
    row, column = cells[distances.argmin()]
    return int(row), int(column)
