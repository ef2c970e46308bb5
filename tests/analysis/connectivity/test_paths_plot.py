"""Paths between models, as figures."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from ff_mm.analysis.connectivity.paths_plot import LinearPath, paths_plot
from ff_mm.display.figures import COLUMN, PAGE, rendered

LAMBDAS = np.linspace(0, 1, 9)


def _path(differ='lr', key='lr', a=1e-3, b=1e-4, values=None):
    values = 1 + LAMBDAS * (1 - LAMBDAS) if values is None else values
    return LinearPath(differ, key, a, b, LAMBDAS, values)


def _panels(figure):
    return {axes.get_title().split('\n')[0]: axes for axes in figure.axes}


def _legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def _points(axes):
    return [line for line in axes.lines if line.get_marker() == 'o']


def test_a_panel_a_kind_one_difference_first():
    kinds = ['lr + seed', 'lr', 'seed', 'base to snapshot', 'lr']
    figure = paths_plot([_path(kind) for kind in kinds], 'loss')
    assert list(_panels(figure)) == ['lr', 'seed', 'base to snapshot', 'lr + seed']
    assert _panels(figure)['lr'].get_title() == 'lr\n2 pairs'
    assert figure.get_size_inches()[0] == PAGE
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_one_kind_is_a_column_wide():
    assert paths_plot([_path()], 'loss').get_size_inches()[0] == COLUMN


def test_curves_go_from_b_to_a():
    values = np.linspace(3, 5, 9)
    (axes,) = paths_plot([_path(a=2, b=1, values=values)], 'loss').axes
    (curves,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    np.testing.assert_array_equal(curves.get_segments()[0][:, 1], values)
    ends = {p.get_xdata()[0]: p for p in _points(axes)}
    assert ends[0].get_ydata()[0] == 3
    assert ends[1].get_ydata()[0] == 5
    legend = axes.get_legend()
    colours = {
        t.get_text(): tuple(h.get_markerfacecolor())
        for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    assert tuple(ends[0].get_markerfacecolor()) == colours['1']
    assert tuple(ends[1].get_markerfacecolor()) == colours['2']


def test_a_value_has_one_colour_in_all_panels():
    paths = [_path(a=1, b=2), _path('lr + seed', a=2, b=3)]
    first, second = paths_plot(paths, 'loss').axes
    (of_two,) = [p for p in _points(first) if p.get_xdata()[0] == 0]
    (also,) = [p for p in _points(second) if p.get_xdata()[0] == 1]
    assert tuple(of_two.get_markerfacecolor()) == tuple(also.get_markerfacecolor())


def test_learning_rates_are_in_order_and_only_those_of_the_panel():
    paths = [_path(a=1e-3, b=5e-5), _path(a=2e-4, b=1e-3), _path('x', a=7, b=8)]
    assert _legend(_panels(paths_plot(paths, 'loss'))['lr']) == [
        '5e-05',
        '0.0002',
        '0.001',
    ]


@pytest.mark.parametrize(
    ('key', 'a', 'b', 'expected'),
    [
        ('augmentation', 'minimal', 'heavy', ['heavy', 'minimal']),
        ('stage', 'base', 'fission', ['base', 'snapshot']),
        ('size', [8, 8], [16, 16], ['[16, 16]', '[8, 8]']),
        ('size', [8, 8], None, ['none', '[8, 8]']),
        ('crop', dict(size=8), [], ['[]', "{'size': 8}"]),
        ('mixup', True, False, ['False', 'True']),
        ('mixup', True, 1, ['1', 'True']),
    ],
)
def test_values_of_any_kind_are_in_the_legend(key, a, b, expected):
    (axes,) = paths_plot([_path(key, key, a, b)], 'loss').axes
    assert _legend(axes) == expected


def test_where_nothing_differs_there_is_no_legend():
    (axes,) = paths_plot([_path('nothing', '', None, None)], 'loss').axes
    assert axes.get_legend() is None


def test_many_values_do_not_fill_the_legend():
    paths = [_path('seed', 'seed', i, i + 1) for i in range(30)]
    (axes,) = paths_plot(paths, 'loss').axes
    assert len(_legend(axes)) == 8
    assert _legend(axes)[0] == '0'
    assert _legend(axes)[-1] == '30'


def test_what_explodes_leaves_the_axis_and_is_counted():
    paths = [_path() for _ in range(9)]
    paths.append(_path(values=1 + LAMBDAS * (1 - LAMBDAS) * 1e5))
    (axes,) = paths_plot(paths, 'loss').axes
    assert axes.get_title().endswith('10 pairs, 1 beyond the axis')
    assert axes.get_ylim()[1] < 2


def test_a_path_with_gaps_is_drawn_and_the_same_numbers_are_the_same_file():
    values = np.where(LAMBDAS == 0.5, np.nan, 1.0)
    paths = [_path(values=values), _path()]
    first, again = (rendered(paths_plot(paths, 'a $metric'), 'svg') for _ in range(2))
    assert first == again
    assert b'a $metric' in first
