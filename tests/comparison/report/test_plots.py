from __future__ import annotations

import copy
import xml.etree.ElementTree as ET

import matplotlib
import pytest
from example import MANY, METHODS, comparison
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.text import Annotation

from ff_mm.comparison.report.plots import (
    cost_plot,
    draw_plots,
    inline_svg,
    robustness_plot,
    save,
)
from ff_mm.comparison.report.plots.style import styles

FOUR = ('val', 'test', 'ood/a', 'ood/b', 'ood/c', 'ood/d')


def names_of(axes):
    return [a.get_text() for a in axes.texts if isinstance(a, Annotation)]


def markers(axes):
    return [line for line in axes.lines if line.get_marker() not in ('None', '')]


@pytest.mark.parametrize(
    ('sets', 'panels', 'width'), [(FOUR[:3], 1, 3.4), (FOUR[:5], 3, 7), (FOUR, 4, 7)]
)
def test_a_panel_for_each_ood_set(sets, panels, width):
    figure = robustness_plot(comparison(sets=sets))
    assert len(figure.axes) == panels
    assert figure.get_size_inches()[0] == pytest.approx(width)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        f'macro recall, OOD: {name.removeprefix("ood/")}' for name in sets[2:]
    ]


def test_a_point_a_method_where_its_results_are():
    (axes,) = robustness_plot(comparison()).axes
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in markers(axes)]
    expected = [(v[-1] - 0.02, v[-1] - 0.08) for v in METHODS.values()]
    assert points == [pytest.approx(pair) for pair in expected]
    assert len(axes.lines) == 3 * len(METHODS)


def test_what_there_are_no_numbers_for_is_left_out():
    it = copy.deepcopy(comparison(sets=('val', 'test')))
    assert robustness_plot(it) is None
    for method in it['methods'].values():
        method['cost']['generation'] = None
    assert cost_plot(it) is None
    assert draw_plots(it) == []


def test_points_without_intervals():
    it = copy.deepcopy(comparison())
    for method in it['methods'].values():
        for results in method['results'].values():
            results['macro_recall'].update(low=None, high=None)
    (axes,) = robustness_plot(it).axes
    assert len(axes.lines) == len(METHODS)


def test_methods_without_a_result_are_left_out():
    it = copy.deepcopy(comparison())
    it['methods']['fgg_gou']['results']['ood/elsewhere'] = {}
    it['methods']['fgg_best']['results']['test']['macro_recall']['value'] = None
    (axes,) = robustness_plot(it).axes
    assert len(markers(axes)) == len(METHODS) - 2


def test_few_methods_have_their_names_beside_them():
    figure = robustness_plot(comparison())
    (axes,) = figure.axes
    assert sorted(names_of(axes)) == sorted(m[0] for m in METHODS.values())
    assert not figure.legends
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    for i, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[i + 1 :])
        assert axes.get_window_extent().contains(box.x0, box.y0)
        assert axes.get_window_extent().contains(box.x1, box.y1)


def test_a_name_that_would_be_nearer_to_another_point_goes_into_a_legend():
    names = ('best', 'uniform', 'greedy', 'gou', 'gog', 'hierarchical')
    methods = {
        name: (f'FGG + {name}', 'fgg', name, 1, 0.5 + 0.001 * i)
        for i, name in enumerate(names)
    }
    methods['gs'] = ('GS (best)', 'gs', 'best', 1, 0.5)
    figure = cost_plot(comparison(methods))
    assert figure.legends
    assert not names_of(figure.axes[0])


@pytest.mark.parametrize('sets', [FOUR[:3], FOUR], ids=['one', 'four'])
def test_many_methods_have_a_legend_that_fits(sets):
    figure = robustness_plot(comparison(MANY, sets=sets))
    (legend,) = figure.legends
    assert not any(names_of(axes) for axes in figure.axes)
    titles = [' '.join(text.get_text().split()) for text in legend.get_texts()]
    assert sorted(titles) == sorted(method[0] for method in MANY.values())
    FigureCanvasAgg(figure).draw()
    box = legend.get_window_extent()
    assert box.width <= figure.bbox.width
    assert all(box.y1 <= axes.get_tightbbox().y0 for axes in figure.axes)


def test_a_long_title_fits_into_a_legend():
    methods = {k: (f'{k} ' + 'and so on ' * 9, *v[1:]) for k, v in METHODS.items()}
    figure = robustness_plot(comparison(methods))
    (legend,) = figure.legends
    FigureCanvasAgg(figure).draw()
    assert legend.get_window_extent().width <= figure.bbox.width


def test_no_two_methods_look_alike_without_colour():
    looks = styles(comparison(MANY)['methods'])
    assert len({(look.marker, look.fill) for look in looks.values()}) == len(MANY)


def test_methods_of_one_pool_stand_around_its_cost():
    (axes,) = cost_plot(comparison(MANY)).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ['56', '240']
    at = [line.get_xdata()[0] for line in markers(axes)]
    assert len(set(at)) == len(MANY)
    assert sum(x < 115 for x in at) == 6
    assert axes.get_xscale() == 'log'


def test_one_pool_alone_has_no_plot_of_its_one_cost():
    methods = {k: v for k, v in METHODS.items() if v[1] == 'fgg'}
    assert cost_plot(comparison(methods)) is None


def test_pools_of_nearly_one_cost_stand_apart():
    it = copy.deepcopy(comparison(MANY))
    for method in it['methods'].values():
        if method['pool'] == 'gs':
            method['cost']['generation']['epochs'] = 58.0
    (axes,) = cost_plot(it).axes
    at = sorted(line.get_xdata()[0] for line in markers(axes))
    assert [x < 57 for x in at] == [True] * 6 + [False] * 7
    assert [label.get_text() for label in axes.get_xticklabels()] == ['56']


def test_files_for_print(tmp_path):
    plots = draw_plots(comparison())
    assert [plot.key for plot in plots] == ['robustness', 'cost']
    files = save(plots[0], tmp_path)
    assert [file.name for file in files] == [
        'comparison_robustness.pdf',
        'comparison_robustness.svg',
        'comparison_robustness.png',
    ]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert imread(files[2]).shape[1] == round(3.4 * 300)
    # TrueType, which stays text.
    assert b'/FontFile2' in files[0].read_bytes()
    assert 'FGG + GoG' in [e.text for e in ET.parse(files[1]).iter()]


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    for folder in ('a', 'b'):
        for plot in draw_plots(comparison()):
            save(plot, tmp_path / folder)
    for file in (tmp_path / 'a').iterdir():
        assert file.read_bytes() == (tmp_path / 'b' / file.name).read_bytes()


def test_no_letter_is_smaller_than_seven_points():
    for plot in draw_plots(comparison(MANY, sets=FOUR)):
        FigureCanvasAgg(plot.figure).draw()
        for text in plot.figure.findobj(matplotlib.text.Text):
            assert not text.get_text() or text.get_fontsize() >= 7


def test_global_settings_are_left_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    for plot in draw_plots(comparison()):
        save(plot, tmp_path)
    assert dict(matplotlib.rcParams) == before


def test_a_dollar_is_a_dollar():
    methods = {k: (f'$\\{k}$', *v[1:]) for k, v in METHODS.items()}
    texts = inline_svg(draw_plots(comparison(methods))[0])
    assert r'$\fgg_gog$' in texts


def test_svgs_of_one_page_share_no_id():
    plots = [ET.fromstring(inline_svg(plot)) for plot in draw_plots(comparison())]
    ids = [e.get('id') for root in plots for e in root.iter() if e.get('id')]
    assert len(ids) == len(set(ids)) > 0
    for root in plots:
        own = {e.get('id') for e in root.iter()}
        assert root.get('aria-label')
        assert not [e for e in root.iter() if e.tag in ('style', 'metadata', 'script')]
        for element in root.iter():
            reference = element.get('href') or ''
            assert not reference or reference.removeprefix('#') in own
            if clip := element.get('clip-path'):
                assert clip.removeprefix('url(#').removesuffix(')') in own


def test_an_svg_in_the_page_has_the_pages_colours():
    text = inline_svg(draw_plots(comparison())[0])
    assert 'currentColor' in text
    assert 'var(--pool-1)' in text
    assert '#e69f00' not in text
