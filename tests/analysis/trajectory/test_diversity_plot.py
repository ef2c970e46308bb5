from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ff_mm.analysis.trajectory.diversity_plot import diversity_plot

KINDS = ['lr'] * 3 + ['seed + augmentation'] * 2


def test_kinds_have_points_of_their_own_the_closest_first():
    figure = diversity_plot([3, 4, 5, 1, 2], [0.1, 0.2, 0.3, 0.4, 0.5], KINDS, 'said')
    (axes,) = figure.axes
    points = {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections}
    assert list(points) == ['seed + augmentation (2)', 'lr (3)']
    assert points['lr (3)'].tolist() == [[3, 0.1], [4, 0.2], [5, 0.3]]
    colours = {tuple(c.get_facecolor()[0]) for c in axes.collections}
    assert len(colours) == 2
    assert axes.get_title() == 'said'
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0


def test_distances_of_many_sizes_are_on_a_logarithmic_axis_unless_one_is_0():
    shares = [0.1] * 5
    (axes,) = diversity_plot([0.01, 0.1, 1, 10, 20], shares, KINDS).axes
    assert axes.get_xscale() == 'log'
    figure = axes.figure
    FigureCanvasAgg(figure).draw()
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert '0.1' in labels
    assert not any('$' in label for label in labels)
    (axes,) = diversity_plot([0, 0.1, 1, 10, 20], shares, KINDS).axes
    assert axes.get_xscale() == 'linear'


@pytest.mark.parametrize('number', [1, 12, 30])
def test_every_kind_can_be_told_apart_and_is_in_the_legend(number):
    differ = [f'kind {i}' for i in range(number)] * 2
    values = np.linspace(1, 2, 2 * number)
    figure = diversity_plot(values, values / 10, differ)
    (axes,) = figure.axes
    looks = {
        (tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes())
        for c in axes.collections
    }
    assert len(looks) == min(number, 28)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert len(legend.get_texts()) == number
    assert box.y0 >= 0
    assert box.y1 <= axes.xaxis.label.get_window_extent().y0
    assert axes.get_window_extent().height > 150


def test_a_pair_that_is_not_known_is_left_out():
    (axes,) = diversity_plot([1, 2], [np.nan, 0.2], ['lr', 'lr']).axes
    FigureCanvasAgg(axes.figure).draw()
    assert axes.get_ylim()[1] >= 0.2
