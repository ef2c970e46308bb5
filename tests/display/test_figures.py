from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ff_mm.display.figures import legend_below


def drawn(length, attempts=(3, 2, 1)):
    """The legend of a figure of 3 x 2 inches, and the figure."""
    figure = Figure(figsize=(3, 2), layout='constrained')
    figure.subplots()
    entries = [Line2D([], [], label='x' * length) for _ in range(3)]
    legend_below(figure, [dict(handles=entries, ncols=n) for n in attempts])
    (legend,) = figure.legends
    return legend, figure


def test_the_widest_that_fits_is_taken_and_the_figure_grows_by_it():
    wide, figure = drawn(2)
    assert wide._ncols == 3
    assert figure.get_size_inches()[0] == 3 and figure.get_size_inches()[1] > 2
    narrow, taller = drawn(20)
    assert narrow._ncols == 1
    assert taller.get_size_inches()[1] > figure.get_size_inches()[1]
    box = narrow.get_window_extent(FigureCanvasAgg(taller).get_renderer())
    assert box.width <= taller.bbox.width


def test_where_none_fits_the_last_one_stays():
    legend, _ = drawn(200, (2, 1))
    assert legend._ncols == 1
