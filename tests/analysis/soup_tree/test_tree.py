from __future__ import annotations

import copy
import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ff_mm.analysis.soup_tree.tree_reading import read_soup_tree, soup_tree
from ff_mm.analysis.soup_tree.tree_text import (
    print_soup_tree,
    write_nodes,
    write_soup_tree,
)
from ff_mm.errors import FFMMError
from ff_mm.files import write_json

# Two learning rates; b is worse with a, c could not be better, d is taken in.
POOL = {
    'a': (0.7, dict(lr=1)),
    'b': (0.6, dict(lr=1)),
    'c': (0.5, dict(lr=1)),
    'd': (0.4, dict(lr=1)),
    'e': (0.3, dict(lr=2)),
    'f': (0.2, dict(lr=2)),
}
GOG = [('greedy', 'lr'), ('greedy', None)]
SCORES = {'a b': 0.65, 'a d': 0.8, 'e f': 0.3, 'a d e': 0.75}
BOUNDS = {'a c': 0.69}


@pytest.fixture
def report(soup_report):
    return soup_report(POOL, GOG, SCORES, BOUNDS)


def by_name(tree):
    return {node.name: node for _, node in tree.nodes()}


def printed(tree, **options):
    console = Console(file=io.StringIO(), **options)
    print_soup_tree(tree, console)
    return console.file.getvalue()


def test_the_tree_has_all_that_was_considered_in_the_order_of_trial(report):
    tree = soup_tree(report)
    assert [path for path, _ in tree.nodes()] == [
        ('soup',),
        ('soup', 'lr=1'),
        *[('soup', 'lr=1', name) for name in 'abcd'],
        ('soup', 'lr=2'),
        *[('soup', 'lr=2', name) for name in 'ef'],
    ]
    assert tree.levels == ('greedy by lr', 'greedy')
    accepted = {name: node.accepted for name, node in by_name(tree).items()}
    assert accepted == {
        'soup': None,
        **{'lr=1': True, 'a': True, 'b': False, 'c': False, 'd': True},
        **{'lr=2': False, 'e': True, 'f': False},
    }


def test_weights_are_those_in_the_whole_and_recipes_those_of_the_node(report):
    nodes = by_name(soup_tree(report))
    weights = {name: node.weight for name, node in nodes.items() if node.weight}
    assert weights == {'soup': 1, 'lr=1': 1, 'a': 0.5, 'd': 0.5}
    assert nodes['soup'].recipe == nodes['lr=1'].recipe == {'a': 0.5, 'd': 0.5}
    # Of what was left out, too.
    assert nodes['lr=2'].recipe == {'e': 1}
    assert nodes['f'].recipe == {'f': 1}


def test_every_node_says_what_decided(report):
    tree = soup_tree(report)
    said = {name: tree.verdict(node) for name, node in by_name(tree).items()}
    assert said == {
        'soup': '',
        'lr=1': 'the best one alone',
        'a': 'the best one alone',
        'b': 'worse: 0.6500 with it, 0.7000 without',
        'c': 'cannot be better: at most 0.6900 with it, 0.7000 without',
        'd': 'better: 0.8000 with it, 0.7000 without',
        'lr=2': 'worse: 0.7500 with it, 0.8000 without',
        'e': 'the best one alone',
        'f': 'a tie, not better: 0.3000 with it, 0.3000 without',
    }


def test_where_less_is_better_a_bound_is_the_least(soup_report):
    pool = {'a': (0.2, {}), 'b': (0.3, {})}
    tree = soup_tree(soup_report(pool, [('greedy', None)], None, {'a b': 0.25}, 'less'))
    verdict = tree.verdict(by_name(tree)['b'])
    assert verdict == 'cannot be better: at least 0.2500 with it, 0.2000 without'
    assert 'lower is better' in printed(tree)


def test_an_accepted_tie_is_said(soup_report):
    pool = {'a': (0.2, {}), 'b': (0.1, {})}
    made = soup_report(pool, [('greedy', None)], {'a b': 0.2}, accept_ties=True)
    node = by_name(soup_tree(made))['b']
    assert node.accepted and node.reason == 'a tie, accepted'


def test_a_score_that_is_no_number_is_none_but_its_reason_is_there(
    soup_report, tmp_path
):
    pool = {'a': (0.2, {}), 'b': (float('nan'), {}), 'c': (0.1, {})}
    write_json(
        soup_report(pool, [('greedy', None)], {'a c': float('nan')}),
        tmp_path / 'r.json',
    )
    tree = read_soup_tree(tmp_path / 'r.json', '')
    nodes = by_name(tree)
    assert nodes['b'].value('accuracy') is None
    assert tree.verdict(nodes['b']) == 'its own score is NaN'
    assert tree.verdict(nodes['c']) == 'the score is NaN'


def test_a_uniform_soup_has_one_decision_for_all(soup_report):
    tree = soup_tree(soup_report(POOL, [('uniform', None)]))
    assert tree.verdict(tree.root) == ''
    for child in tree.root.children:
        assert (child.accepted, child.reason) == (True, 'mean of all 6')
        assert child.weight == pytest.approx(1 / 6)


def test_the_best_single_is_compared_by_the_own_scores(soup_report):
    # Of 'b' nothing was recorded; the score with which it lost is its own.
    pool = {'a': (0.7, {}), 'b': (None, {})}
    tree = soup_tree(soup_report(pool, [('best', None)]))
    nodes = by_name(tree)
    assert tree.verdict(nodes['b']) == 'worse'
    assert nodes['b'].value('accuracy') == 0.5
    assert tree.root.recipe == {'a': 1}


def test_own_scores_that_were_not_recorded_are_taken_where_they_are_known(soup_report):
    pool = {
        'a': (None, dict(lr=1)),
        'b': (None, dict(lr=1)),
        'c': (None, dict(lr=2)),
    }
    scores = {'a': 0.9, 'b': 0.1, 'c': 0.2}
    nodes = by_name(soup_tree(soup_report(pool, GOG, scores)))
    assert nodes['a'].value('accuracy') == 0.9  # the first one, alone
    assert nodes['b'].value('accuracy') is None
    uniform = [('uniform', 'lr'), ('greedy', None)]
    nodes = by_name(soup_tree(soup_report(pool, uniform, scores)))
    assert nodes['c'].value('accuracy') == nodes['lr=2'].value('accuracy') == 0.2


def test_two_soups_of_one_name_keep_their_own_decisions(soup_report):
    pool = {'a': (0.7, dict(lr=1)), 'b': (0.6, dict(lr='1'))}
    tree = soup_tree(soup_report(pool, GOG, {'a b': 0.65}))
    assert [(n.name, n.accepted) for n in tree.root.children] == [
        ('lr=1', True),
        ('lr=1', False),
    ]
    assert tree.root.children[1].score == 0.65


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    chance=st.integers(0, 2**16),
    methods=st.lists(
        st.sampled_from(['greedy', 'uniform', 'best']), min_size=1, max_size=3
    ),
)
def test_weights_recipes_and_order_fit_whatever_the_soup(
    soup_report, scores, chance, methods
):
    pool = {
        f'm{i}': (score, dict(x=(chance >> i) % 2, y=i % 3))
        for i, score in enumerate(scores)
    }
    keys = [['x', 'y'], 'x', None][-len(methods) :]
    report = soup_report(pool, list(zip(methods, keys, strict=True)))
    tree = soup_tree(report)
    leaves = [node for _, node in tree.nodes() if node.level == 0]
    assert sorted(leaf.name for leaf in leaves) == sorted(pool)
    weights = {leaf.name: leaf.weight for leaf in leaves if leaf.weight}
    assert weights == pytest.approx(tree.root.recipe)
    for _, node in tree.nodes():
        assert sum(node.recipe.values()) == pytest.approx(1)
        kept = [child for child in node.children if child.accepted]
        assert sum(child.weight for child in kept) == pytest.approx(
            node.weight if kept else 0
        )
        tried = [child.best for child in kept if child.best is not None]
        assert tried == sorted(tried)


def test_text_has_a_line_a_node_with_signs_weights_and_values(report):
    lines = printed(soup_tree(report), width=200).splitlines()
    assert lines[0] == (
        'GoG: 2 of 6 ingredients, chosen by accuracy on validation (higher is better)'
    )
    assert [line.split() for line in lines[1:4]] == [
        ['val'],
        ['weight', 'accuracy'],
        ['soup', '100.0%', '0.8000'],
    ]
    assert lines[4].split()[1:5] == ['+', 'lr=1', '100.0%', '0.8000']
    (line,) = [line for line in lines if ' - c ' in line]
    assert line.endswith(
        '0.5000  cannot be better: at most 0.6900 with it, 0.7000 without'
    )
    assert '%' not in line
    assert len(lines) == 3 + 9
    # Values stand below each other, however deep the node.
    assert len({line.index(' 0.') for line in lines[3:]}) == 1


def test_on_a_narrow_terminal_no_word_is_lost(report):
    text = printed(soup_tree(report), width=60, force_terminal=True, color_system=None)
    assert max(map(len, text.splitlines()[1:])) <= 60
    words = text.replace('│', ' ').split()
    assert words.count('without') == 5
    assert words.count('alone') == 3


def test_names_are_no_markup(soup_report):
    pool = {'[red]x[/red]': (0.7, {}), ':smile:': (0.6, {})}
    text = printed(soup_tree(soup_report(pool, [('uniform', None)])), width=200)
    assert '+ [red]x[/red] ' in text
    assert '+ :smile: ' in text


def test_the_file_has_what_is_printed(report, tmp_path):
    tree = soup_tree(report)
    write_soup_tree(tree, tmp_path / 'soup_tree.txt')
    assert (tmp_path / 'soup_tree.txt').read_text() == printed(tree, width=40)


def test_re_estimated_batch_norm_is_said(soup_report):
    made = soup_report(POOL, GOG, bn_reestimation=dict(num_samples=8))
    assert 'without the re-estimation of batch norm' in printed(soup_tree(made))


def test_the_table_has_a_row_a_node(report, tmp_path):
    write_nodes(soup_tree(report), tmp_path / 'nodes.csv')
    with open(tmp_path / 'nodes.csv', newline='') as file:
        rows = {row['name']: row for row in csv.DictReader(file)}
    assert list(rows) == ['soup', 'lr=1', *'abcd', 'lr=2', *'ef']
    assert rows['c'] == dict(
        path='soup / lr=1 / c',
        parent='soup / lr=1',
        name='c',
        level='0',
        method='',
        weight='0.0',
        accepted='False',
        reason='cannot be better',
        score='',
        bound='0.69',
        best='0.7',
    ) | {'val/accuracy': '0.5'}
    assert rows['soup']['method'] == 'greedy'
    assert (rows['d']['score'], rows['d']['best']) == ('0.8', '0.7')


def test_more_metrics_come_in_the_order_of_the_nodes(report):
    tree = soup_tree(report)
    test = [
        dict(accuracy=i / 10, loss=float('nan') if i == 3 else float(i), matrix=[[1]])
        for i, _ in enumerate(tree.nodes())
    ]
    more = tree.with_metrics(dict(test=test), ['accuracy', 'loss', 'matrix'])
    for i, ((_, before), (_, node)) in enumerate(
        zip(tree.nodes(), more.nodes(), strict=True)
    ):
        assert node.value('accuracy', 'test') == i / 10
        assert node.value('loss', 'test') == (None if i == 3 else i)
        assert node.value('matrix', 'test') is None
        assert node.value('accuracy') == before.value('accuracy')
    assert more.columns()[:2] == [('val', 'accuracy'), ('test', 'accuracy')]


def test_without_a_report_the_command_that_makes_it_is_named(tmp_path):
    with pytest.raises(FFMMError) as error:
        read_soup_tree(tmp_path / 'report.json', 'python tools/soup.py x.py')
    assert str(error.value) == (
        f'{tmp_path}/report.json: no such file, there is no soup yet; make it first: '
        'python tools/soup.py x.py'
    )


def without(*path):
    def change(report):
        part = report
        for key in path[:-1]:
            part = part[key]
        del part[path[-1]]

    return change


def with_value(value, *path):
    def change(report):
        part = report
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value

    return change


DAMAGES = {
    'format': (with_value(2, 'format'), 'format 2, expected 1'),
    'no format': (without('format'), "'format' is missing"),
    'no tree': (without('tree'), "'tree' is missing"),
    'no dict': (with_value([1], 'tree'), 'tree: expected names and values, got [1]'),
    'no metric': (without('metric'), "'metric' is missing"),
    'rule': (
        with_value('max', 'rule'),
        "rule: expected 'greater' or 'less', got 'max'",
    ),
    'no name': (without('tree', 'members', 0, 'name'), "'name' is missing"),
    'a member': (
        with_value(3, 'tree', 'members', 0),
        'members: 1: expected names and values, got 3',
    ),
    'no member': (with_value([], 'tree', 'members'), "'soup' has no members"),
    'weight': (with_value(0.3, 'tree', 'members', 0, 'weight'), 'is 0.3, not 1.0'),
    'text': (
        with_value('x', 'tree', 'score'),
        "tree: score: expected a number, got 'x'",
    ),
    'truth': (with_value(True, 'tree', 'score'), 'expected a number'),
    'step': (
        with_value(None, 'tree', 'steps', 0),
        'steps: 1: expected names and values',
    ),
    'levels': (with_value([], 'levels'), 'its tree has 2 levels, not 0'),
    'a level': (with_value(7, 'tree', 'members', 0, 'level'), 'not one level above'),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_report_of_another_kind_is_one_line(report, tmp_path, damage):
    change, expected = DAMAGES[damage]
    report = copy.deepcopy(report)
    change(report)
    write_json(report, tmp_path / 'report.json')
    with pytest.raises(FFMMError) as error:
        read_soup_tree(tmp_path / 'report.json', 'python tools/soup.py x.py')
    message = str(error.value)
    assert expected in message
    assert message.startswith(f'{tmp_path}/report.json: no report that can be read (')
    assert message.endswith('); make it again: python tools/soup.py x.py')
    assert '\n' not in message


@pytest.mark.parametrize(
    'text', ['', '[]', '{"format": 1', 'null', '"\xff', '{"tree":' * 5000, '[' * 10**5]
)
def test_a_damaged_report_is_one_line(tmp_path, text):
    (tmp_path / 'report.json').write_text(text, encoding='latin-1')
    with pytest.raises(FFMMError, match='no report that can be read') as error:
        read_soup_tree(tmp_path / 'report.json', 'python tools/soup.py x.py')
    assert '\n' not in str(error.value)
    assert str(error.value).count('report.json') == 1


def test_soups_within_soups_without_end_are_one_line(report, tmp_path):
    node = json.dumps(report['tree'])
    for _ in range(5000):
        node = (
            '{"name": "x", "level": 1, "weight": 1, "method": "greedy", "steps": [], '
            f'"rejected": [], "members": [{node}]}}'
        )
    text = json.dumps(report | dict(tree=0)).replace('"tree": 0', f'"tree": {node}')
    (tmp_path / 'report.json').write_text(text)
    with pytest.raises(FFMMError, match='no report that can be read'):
        read_soup_tree(tmp_path / 'report.json', 'python tools/soup.py x.py')
