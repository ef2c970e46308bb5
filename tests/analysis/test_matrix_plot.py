"""Matrices over ingredients, as figures."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from ff_mm.analysis.matrix_plot import matrix_plot
from ff_mm.display.figures import COLUMN, PAGE, rendered


def _matrix(number, seed=0):
    draw = np.random.default_rng(seed).uniform(0.1, 1, (number, number))
    matrix = (draw + draw.T) / 2
    np.fill_diagonal(matrix, 0)
    return matrix


def _names(number):
    return [f'fission_lr0.0005_seed0_heavy_cycle{i}' for i in range(number)]


def _panel(figure):
    return next(axes for axes in figure.axes if axes.images)


def _rows(figure):
    return [t.get_text().split('  ')[0] for t in _panel(figure).get_yticklabels()]


def _values(figure):
    return _panel(figure).images[0].get_array()


def _separators(figure):
    return sorted({line.get_xdata()[0] for line in _panel(figure).lines} - {0})


@pytest.mark.parametrize('number', [1, 4, 16, 48, 120])
def test_names_do_not_overlap(number):
    figure = matrix_plot(_names(number), _matrix(number), 'loss barrier')
    assert figure.get_size_inches()[0] == (COLUMN if number <= 4 else PAGE)
    FigureCanvasAgg(figure).draw()
    axes = _panel(figure)
    for labels in (axes.get_yticklabels(), axes.get_xticklabels()):
        assert all(label.get_fontsize() >= 6.5 for label in labels)
        boxes = [label.get_window_extent() for label in labels]
        # Letters are lower than their line.
        boxes = [b.padded(0, -0.15 * b.height) for b in boxes]
        for i, box in enumerate(boxes):
            assert not box.count_overlaps(boxes[i + 1 :])
    if number <= 48:
        assert len(axes.get_yticks()) == number


def test_members_of_a_group_come_together():
    matrix = np.arange(16.0).reshape(4, 4)
    figure = matrix_plot(['w', 'x', 'y', 'z'], matrix, 'd', ['b', 'a', 'b', 'a'])
    assert _rows(figure) == ['w', 'y', 'x', 'z']
    order = [0, 2, 1, 3]
    shown = _values(figure)
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(shown[off], matrix[np.ix_(order, order)][off])
    assert _separators(figure) == [1.5]


def test_nothing_separates_without_groups():
    assert _separators(matrix_plot(_names(4), _matrix(4), 'd')) == []


def test_the_tree_gives_the_order_and_its_cut_the_parts():
    # a and c are near, b and d are near.
    matrix = np.array(
        [[0, 5, 1, 5], [5, 0, 5, 2], [1, 5, 0, 5], [5, 2, 5, 0]], np.float64
    )
    tree = linkage(squareform(matrix), 'average')
    figure = matrix_plot(list('abcd'), matrix, 'barrier', None, tree, threshold=3)
    assert _rows(figure) == ['a', 'c', 'b', 'd']
    assert _separators(figure) == [1.5]
    top = figure.axes[0]
    assert top.get_xlim() == _panel(figure).get_xlim()
    heights = {max(line.get_ydata()) for line in top.lines}
    assert heights == {1, 2, 5, 3}
    # Branches start over the cells, and join over the middle of two.
    assert {tuple(line.get_xdata()[[0, -1]]) for line in top.lines[:3]} == {
        (0, 1),
        (2, 3),
        (0.5, 2.5),
    }
    FigureCanvasAgg(figure).draw()
    above, below = top.get_window_extent(), _panel(figure).get_window_extent()
    assert above.x0 == pytest.approx(below.x0, abs=1)
    assert above.x1 == pytest.approx(below.x1, abs=1)


def test_cells_are_square():
    figure = matrix_plot(_names(16), _matrix(16), 'd', ['g'] * 16)
    FigureCanvasAgg(figure).draw()
    box = _panel(figure).get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.02)


def test_what_is_not_evaluated_is_told_apart_and_said():
    matrix = _matrix(5)
    matrix[0, 1] = matrix[1, 0] = np.nan
    figure = matrix_plot(_names(5), matrix, 'd')
    assert _values(figure).mask.sum() == 2 + 5
    assert b'not evaluated' in rendered(figure, 'svg')
    assert b'not evaluated' not in rendered(
        matrix_plot(_names(5), _matrix(5), 'd'), 'svg'
    )


def test_colours_leave_out_the_diagonal_and_what_is_beyond_measure():
    matrix = _matrix(9) + 7
    np.fill_diagonal(matrix, 0)
    off = matrix[~np.eye(9, dtype=bool)]
    image = _panel(matrix_plot(_names(9), matrix, 'd')).images[0]
    assert image.get_clim() == (off.min(), off.max())
    matrix[0, 1] = matrix[1, 0] = np.inf
    image = _panel(matrix_plot(_names(9), matrix, 'd')).images[0]
    assert np.isfinite(image.get_clim()).all()
    assert image.colorbar.extend == 'max'


def test_limits_can_be_fixed():
    fixed = _panel(matrix_plot(_names(3), _matrix(3), 'd', limits=(0, 0.01))).images[0]
    assert fixed.get_clim() == (0, 0.01)
    assert fixed.colorbar.extend == 'max'


def test_values_stand_in_the_cells_of_few():
    svg = rendered(matrix_plot(['a', 'b'], [[0, 0.1234], [0.1234, 0]], 'd'), 'svg')
    assert svg.count(b'>0.123<') == 2


def test_a_large_matrix_is_small_as_svg():
    figure = matrix_plot(_names(48), _matrix(48), 'd', [f'g{i % 6}' for i in range(48)])
    assert len(rendered(figure, 'svg')) < 150_000


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((['a'], np.zeros((2, 2)), 'd'), '1 names, but a matrix'),
        ((['a', 'b'], np.zeros((2, 2)), 'd', ['g']), '1 groups'),
        ((['a', 'b'], np.zeros((2, 2)), 'd', None, np.zeros((2, 4))), 'a tree of 3'),
    ],
)
def test_sizes_that_do_not_fit_are_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        matrix_plot(*arguments)
