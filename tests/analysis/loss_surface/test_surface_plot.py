"""Surfaces and lines, as figures."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from ff_mm.analysis.loss_surface.surface_plot import Mark, line_plot, surface_plot
from ff_mm.display.figures import COLUMN, FAINT, rendered

X, Y = np.linspace(-2, 6, 17), np.linspace(-1, 4, 11)
BOWL = (X - 2) ** 2 + (Y[:, None] - 1) ** 2
MODELS = (Mark('first', 0, 0), Mark('second', 4, 0), Mark('third', 2, 3))


def _plot(values=BOWL, marks=MODELS, rule='less', **more):
    return surface_plot(X, Y, values, marks, 'loss, val', rule, **more)


def _texts(axes):
    return [text.get_text() for text in axes.texts]


def _legend(figure):
    return [t.get_text() for legend in figure.legends for t in legend.get_texts()]


def _crosses(axes):
    return {
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.lines
        if line.get_marker() == 'x'
    }


def _colour_bar(figure):
    return figure.axes[1]


def test_few_models_have_their_names_beside_them():
    figure = _plot()
    axes = figure.axes[0]
    assert _texts(axes) == ['first', 'second', 'third']
    assert _legend(figure) == ['local minimum']


def test_units_of_both_axes_are_of_one_length():
    figure = _plot()
    FigureCanvasAgg(figure).draw()
    box = figure.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(8 / 5, rel=1e-6)
    # And hardly any of the figure is left empty.
    assert box.height > 0.7 * figure.bbox.height


@pytest.mark.parametrize(
    ('width', 'height'), [(18, 0.1), (18, 5), (8, 18), (0.1, 18), (1e-9, 1)]
)
@pytest.mark.filterwarnings('error')
def test_thin_and_tall_planes_are_readable_and_say_that_units_differ(width, height):
    x, y = np.linspace(0, width, 5), np.linspace(0, height, 7)
    values = (x - width / 2) ** 2 / width**2 + (y[:, None] / height) ** 2
    marks = [Mark('a', 0, 0), Mark('b', width, 0), Mark('c', width / 2, height)]
    figure = surface_plot(x, y, values, marks, 'loss', 'less', distance='distance')
    rendered(figure, 'png')
    axes = figure.axes[0]
    box = axes.get_window_extent()
    assert 2 < box.width / figure.dpi < 7
    assert 2 < box.height / figure.dpi < 7
    assert axes.get_xlabel() == 'distance; axes not to scale'
    assert axes.get_ylabel() == 'distance'
    assert axes.get_xlim() == (0, width)


def test_axes_to_scale_do_not_say_that_they_are_not():
    for height in (0.36, 1, 1.9):
        y = np.linspace(0, height, 11)
        figure = surface_plot(X / 8, y, BOWL, (), 'loss', 'less')
        assert figure.axes[0].get_xlabel() == 'distance in weight space'
        FigureCanvasAgg(figure).draw()
        box = figure.axes[0].get_window_extent()
        assert box.height / box.width == pytest.approx(height, rel=1e-6)


def test_what_is_off_the_plane_is_in_the_legend_with_its_distance():
    soup = Mark('uniform soup', 2, 1, 'soup', 1.25)
    figure = _plot(marks=[*MODELS, soup])
    assert _texts(figure.axes[0]) == ['1', '2', '3', '4']
    assert '4  uniform soup, off 1.25' in _legend(figure)
    assert '1  first' in _legend(figure)
    assert figure.legends[0].get_title().get_text() == 'off: distance from the plane'


def test_a_name_stands_beside_its_number():
    name = 'fission_lr0.001_seed0_minimal_cycle2'
    figure = _plot(marks=[Mark(name, 2, 1)] * 9)
    assert f'9  {name}' in _legend(figure)


def test_a_long_label_stays_within_a_flat_figure():
    label = 'expected calibration error on ood/corrupted'
    figure = surface_plot(X, Y * 0.57, BOWL, MODELS, label, 'less')
    FigureCanvasAgg(figure).draw()
    box = _colour_bar(figure).yaxis.label.get_window_extent()
    assert 0 <= box.y0 < box.y1 <= figure.bbox.height
    assert box.x1 <= figure.bbox.width


def test_soups_in_the_plane_are_told_from_models():
    figure = _plot(marks=[*MODELS, Mark('uniform soup', 2, 1, 'soup')])
    assert _legend(figure) == ['model', 'soup', 'local minimum']


def test_a_crowd_has_numbers_that_do_not_overlap():
    draw = np.random.default_rng(0)
    places = draw.uniform((-1, -0.5), (5, 3.5), (24, 2))
    marks = [Mark(f'fission_lr0.0005_cycle{i}', *p) for i, p in enumerate(places)]
    figure = _plot(marks=marks)
    axes = figure.axes[0]
    assert _texts(axes) == [str(i + 1) for i in range(24)]
    assert len(_legend(figure)) == 25
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    overlaps = sum(box.count_overlaps(boxes[i + 1 :]) for i, box in enumerate(boxes))
    assert overlaps == 0


def test_models_at_one_place_are_all_named():
    figure = _plot(marks=[Mark(f'model {i}', 2, 1) for i in range(20)])
    assert len(_legend(figure)) == 21


def test_better_is_dark_whatever_the_rule():
    less, greater = _plot(), _plot(-BOWL, rule='greater')
    colours = [
        figure.axes[0].collections[0].get_facecolor() for figure in (less, greater)
    ]
    np.testing.assert_allclose(colours[0], colours[1][::-1], atol=0.01)
    assert colours[0][0][:3].sum() < colours[0][-1][:3].sum()


@pytest.mark.parametrize(('rule', 'sign'), [('less', 1), ('greater', -1)])
def test_local_minima_of_cost_are_marked(rule, sign):
    values = BOWL.copy()
    values[9, 14] = 0.5
    figure = _plot(sign * values, rule=rule)
    assert _crosses(figure.axes[0]) == {(2.0, 1.0), (5.0, 3.5)}
    assert _legend(figure) == ['local minimum' if rule == 'less' else 'local maximum']


def test_a_shallow_minimum_is_not_marked():
    values = BOWL.copy()
    values[9, 14] = values[8:11, 13:16].min() - 0.04 * BOWL.max()
    assert _crosses(_plot(values).axes[0]) == {(2.0, 1.0)}


@pytest.mark.parametrize('beyond', [1e30, np.inf])
def test_a_loss_that_explodes_leaves_the_rest_readable(beyond):
    values = BOWL.copy()
    values[:, :3] = beyond
    figure = _plot(values)
    bar = _colour_bar(figure)
    assert bar.get_ylim()[1] <= BOWL.max()
    assert bar.get_title() == 'beyond'
    assert _colour_bar(_plot()).get_title() == ''
    assert rendered(figure, 'png')


def test_what_is_no_number_is_a_hole_and_said():
    values = BOWL.copy()
    values[0, 0] = np.nan
    figure = _plot(values)
    assert 'no number' in _legend(figure)
    assert figure.axes[0].get_facecolor() == to_rgba(FAINT)


@pytest.mark.parametrize('value', [0.0, 0.7])
def test_a_flat_surface_is_drawn(value):
    figure = _plot(np.full_like(BOWL, value))
    assert _crosses(figure.axes[0]) == set()
    assert rendered(figure, 'svg')


@pytest.mark.parametrize('shape', [(3, 3), (17, 11)])
def test_a_grid_of_another_shape_is_an_error(shape):
    with pytest.raises(ValueError, match='a grid of 11 x 17'):
        _plot(np.zeros(shape))


def test_a_line_is_a_curve_with_the_model_at_0():
    x = np.linspace(-1, 1, 21)
    figure = line_plot(x, x**2, 'loss, val')
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), x**2)
    assert figure.get_size_inches()[0] == COLUMN
    assert axes.get_title() == ''


def test_a_line_that_explodes_is_cut_off_and_says_so():
    x = np.linspace(-1, 1, 21)
    values = np.where(abs(x) > 0.9, np.inf, np.where(abs(x) > 0.7, 1e9, x**2))
    (axes,) = line_plot(x, values, 'loss, val').axes
    assert axes.get_ylim()[1] < 1
    assert axes.get_title()
