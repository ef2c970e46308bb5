from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import rgb_to_hsv, to_rgb
from matplotlib.patches import FancyBboxPatch, PathPatch

from ff_mm.analysis.soup_tree.tree_plot import tree_plot
from ff_mm.analysis.soup_tree.tree_reading import soup_tree
from ff_mm.display.figures import INK, PAGE, rendered

GOG = [('greedy', 'lr'), ('greedy', None)]
THREE = [('uniform', ['lr', 'seed']), ('greedy', 'lr'), ('greedy', None)]


def pool(groups, size, name='fission_lr{lr}_seed{seed}_cycle{i}'):
    """Models of which the earlier ones are better."""
    found = {}
    for g in range(groups):
        for i in range(size):
            hyper = dict(lr=10.0 ** -(g + 1), seed=i % 2)
            score = 0.9 - 0.05 * g - 0.01 * i
            found[name.format(i=i, **hyper)] = (score, hyper)
    return found


LONG = 'resnet50_' * 6 + 'lr{lr}_seed{seed}_' + 'x' * 40 + '{i}'
CASES = {
    'three': (pool(1, 3), [('greedy', None)]),
    'one': (pool(1, 1), [('best', None)]),
    'best': (pool(2, 8), [('best', None)]),
    'uniform': (pool(1, 48), [('uniform', None)]),
    '4 x 4': (pool(4, 4), GOG),
    '8 x 6': (pool(8, 6), GOG),
    '16 x 1': (pool(16, 1), GOG),
    'three levels': (pool(6, 8), THREE),
    'long names': (pool(4, 4, LONG), THREE),
    'unknown': ({name: (None, h) for name, (_, h) in pool(2, 3).items()}, GOG),
}


@pytest.fixture(params=CASES)
def case(request, soup_report):
    ingredients, levels = CASES[request.param]
    tree = soup_tree(soup_report(ingredients, levels))
    figure = tree_plot(tree)
    return tree, figure


def texts(figure):
    return [text for axes in figure.axes for text in axes.texts if text.get_text()]


def boxes(figure):
    return [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]


def branches(figure):
    return [p for p in figure.axes[0].patches if isinstance(p, PathPatch)]


def test_all_texts_are_on_the_page_and_none_covers_another(case):
    _, figure = case
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    assert figure.get_size_inches()[0] <= PAGE + 0.01
    page = figure.bbox
    extents = [(t, t.get_window_extent(renderer)) for t in texts(figure)]
    for text, box in extents:
        assert text.get_fontsize() >= 6.5
        assert page.x0 <= box.x0 and box.x1 <= page.x1, text
        assert page.y0 <= box.y0 and box.y1 <= page.y1, text
    for (one, a), (other, b) in combinations(extents, 2):
        # Half a pixel: extents have whole ones.
        assert not a.padded(-0.5).overlaps(b.padded(-0.5)), (one, other)


def test_each_node_has_its_value_and_each_child_a_branch(case):
    tree, figure = case
    nodes = [node for _, node in tree.nodes()]
    assert len(boxes(figure)) == len(nodes)
    assert len(branches(figure)) == len(nodes) - 1
    said = [text.get_text() for text in texts(figure)]
    for node in nodes:
        value = node.value('accuracy')
        assert ('-' if value is None else f'{value:.4f}') in said


def test_names_are_whole_where_there_is_room(soup_report):
    tree = soup_tree(soup_report(*CASES['8 x 6']))
    said = {text.get_text() for text in texts(tree_plot(tree))}
    assert {node.name for _, node in tree.nodes()} - {'soup'} <= said
    assert {'GoG', 'greedy', 'greedy by lr', 'ingredients'} <= said


def test_names_that_must_be_shortened_lose_what_siblings_share(soup_report):
    ingredients = {
        f'{"resnet" * 10}_cycle{i}_heavy': (0.9 - i / 10, dict(lr=1, seed=0))
        for i in range(4)
    }
    figure = tree_plot(soup_tree(soup_report(ingredients, THREE)))
    said = {text.get_text() for text in texts(figure)}
    assert {f'…_cycle{i}_heavy' for i in range(4)} <= said


def test_what_was_left_out_is_dashed_with_its_reason_and_grey(soup_report):
    ingredients = {'a': (0.7, {}), 'b': (0.6, {}), 'c': (0.5, {}), 'd': (0.4, {})}
    scores, bounds = {'a b': 0.8, 'a b c': 0.75}, {'a b d': 0.65}
    tree = soup_tree(soup_report(ingredients, [('greedy', None)], scores, bounds))
    figure = tree_plot(tree)
    lines = [line.get_linestyle() for line in branches(figure)]
    assert lines[0] == lines[1] == '-'
    assert lines[2] == lines[3] != '-'
    widths = [line.get_linewidth() for line in branches(figure)]
    assert widths[0] == widths[1] > widths[2]
    said = {text.get_text(): text for text in texts(figure)}
    assert '+ 0.8000 with it' in said
    assert '\N{MINUS SIGN} 0.7500 with it' in said
    assert '\N{MINUS SIGN} at most 0.6500 with it' in said
    assert said['a'].get_color() == INK != said['c'].get_color()
    assert '50%' in said


@pytest.mark.parametrize('rule', ['greater', 'less'])
def test_the_best_value_is_the_brightest(soup_report, rule):
    scores = {'a': (0.1, {}), 'b': (0.5, {}), 'c': (0.9, {})}
    tree = soup_tree(soup_report(scores, [('best', None)], rule=rule))
    figure = tree_plot(tree)
    brightness = [rgb_to_hsv(to_rgb(box.get_facecolor()))[2] for box in boxes(figure)]
    # The soup, and then those tried, best first.
    assert brightness[0] == brightness[1] > brightness[2] > brightness[3]


def test_another_metric_of_another_set_has_its_own_colours(soup_report):
    tree = soup_tree(soup_report({'a': (0.9, {}), 'b': (0.1, {})}, [('best', None)]))
    tree = tree.with_metrics(
        {'ood/x': [dict(loss=v) for v in (3.0, 3.0, 1.0)]}, ['loss']
    )
    figure = tree_plot(tree, 'loss', 'ood/x', 'less')
    said = {text.get_text() for text in texts(figure)}
    assert 'boxes: loss on x of each alone, lower is better' in said
    assert {'3.0000', '1.0000'} <= said
    one, other = boxes(figure)[1:]
    assert sum(other.get_facecolor()) > sum(one.get_facecolor())


def test_the_figure_grows_in_height(soup_report):
    heights = [
        tree_plot(soup_tree(soup_report(*CASES[name]))).get_size_inches()[1]
        for name in ('4 x 4', '8 x 6')
    ]
    assert heights[1] > 2 * heights[0]


def test_the_same_tree_gives_the_same_file(soup_report):
    tree = soup_tree(soup_report(*CASES['4 x 4']))
    assert rendered(tree_plot(tree), 'svg') == rendered(tree_plot(tree), 'svg')


def test_dollars_in_names_are_dollars(soup_report):
    tree = soup_tree(soup_report({'$a_b$ c$': (0.5, {})}, [('best', None)]))
    assert b'$a_b$ c$' in rendered(tree_plot(tree), 'svg')
