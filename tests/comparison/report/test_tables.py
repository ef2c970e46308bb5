from __future__ import annotations

import copy
import csv
import io
import re

import pytest
from example import METHODS, comparison
from rich.console import Console

from ff_mm.comparison.report import comparison_table
from ff_mm.comparison.report.latex import escape, to_latex
from ff_mm.comparison.report.long_csv import to_csv
from ff_mm.comparison.report.markdown import to_markdown
from ff_mm.comparison.report.tables import (
    all_tables,
    cost_table,
    delong_table,
    difference_table,
    ingredients_table,
    main_table,
    metrics_table,
)
from ff_mm.comparison.report.wording import interval, signed

NASTY = r'[a] \x_1 {50%} & <script> | #~^ $y$ *'


def nasty():
    methods = {k: (f'{NASTY} {k}', *v[1:]) for k, v in METHODS.items()}
    return comparison(methods, title=NASTY)


def by_title(table):
    return {row[0].text: row for row in table.rows}


def printed(it, width=160):
    console = Console(file=io.StringIO(), width=width)
    comparison_table(it, console)
    return console.file.getvalue()


def test_the_main_table_has_a_row_a_method_and_a_column_a_set():
    table = main_table(comparison())
    assert table.columns == ['method', 'val', 'test', 'OOD: elsewhere']
    row = by_title(table)['FGG + GoG']
    assert (row[2].text, row[2].detail) == ('0.5410', '[0.500, 0.580]')
    assert [row[0].text for row in table.rows] == [m[0] for m in METHODS.values()]


def test_a_difference_that_is_significant_is_marked():
    rows = by_title(main_table(comparison()))
    assert rows['FGG + GoG'][2].marked
    assert not rows['FGG + GoU'][2].marked
    assert not rows['GS (best)'][2].marked


def test_bold_is_the_best_that_is_one_model():
    rows = by_title(main_table(comparison()))
    assert [title for title, row in rows.items() if row[2].best] == ['FGG + GoG']


def test_the_least_is_best_where_the_rule_says_so_and_equals_share_it():
    methods = METHODS | {'other': ('other', 'gs', 'uniform', 1, 0.50001)}
    rows = by_title(main_table(comparison(methods, rule='less')))
    best = [title for title, row in rows.items() if row[2].best]
    assert best == ['GS (best)', 'other']


def test_repeated_runs_show_their_spread():
    row = by_title(main_table(comparison(runs=3)))['GS (best)']
    assert (row[2].text, row[2].spread) == ('0.4800', '± 0.012')
    assert not by_title(main_table(comparison()))['GS (best)'][2].spread


def test_the_papers_results_stand_beside():
    known = dict(backbone='ResNet50', dataset='HAM10000')
    table = main_table(comparison(published=known))
    rows = by_title(table)
    assert table.columns[-1] == 'paper, test'
    assert rows['FGG + GoU'][-1].text == '0.6818'
    assert rows['FGG + GoU'][-1].best
    assert rows['FGG, logit ensemble'][-1].text == '-'
    assert 'not the metric' not in ' '.join(table.notes)


def test_another_metric_of_the_paper_is_pointed_out():
    known = dict(backbone='DeiT-B', dataset='RSNA')
    note = main_table(comparison(published=known)).notes[-1]
    assert 'macro f1' in note
    assert 'inferred' in note
    assert 'not the metric of this table' in note


def test_differences_leave_the_baseline_out():
    table = difference_table(comparison())
    rows = by_title(table)
    assert 'GS (best)' not in rows
    assert [c.text for c in rows['FGG + GoU'][3:5]] == ['+0.0410', '0.234']
    assert rows['FGG + GoU'][3].detail == '[+0.011, +0.071]'
    assert rows['FGG + GoG'][4].text == '< 0.001'


def test_nothing_is_minus_zero():
    assert signed(-0.00001) == '+0.0000'
    assert interval(dict(low=-0.0001, high=0.01)) == '[0.000, 0.010]'


def test_other_metrics_are_those_of_test_without_the_main_one():
    table = metrics_table(comparison())
    assert table.columns == ['method', 'accuracy']
    assert by_title(table)['GS (best)'][1].text == '0.5800'


def test_the_cost_of_generation_selection_and_inference():
    rows = by_title(cost_table(comparison()))
    texts = [cell.text for cell in rows['FGG, logit ensemble'][1:]]
    assert texts[:4] == ['9', '56', '0:30', '130,704']
    assert texts[4:7] == ['12.3', '20', '4,000']
    assert texts[7:] == ['24', '81.11', '326.4']


def test_unknown_costs_are_left_open():
    it = comparison()
    it['methods']['gs_best']['cost']['generation'] = None
    del it['methods']['fgg_best']['cost']['generation']['images']
    rows = by_title(cost_table(it))
    assert [c.text for c in rows['GS (best)'][1:6]] == ['-'] * 4 + ['12.3']
    assert [c.text for c in rows['FGG (best)'][3:5]] == ['0:30', '-']


def test_what_is_in_each_model_of_each_run():
    table = ingredients_table(comparison(runs=2))
    assert len(table.rows) == 2 * len(METHODS)
    texts = [cell.text for cell in table.rows[1]]
    assert texts == [
        'GS (best)',
        '1',
        'gs_best/run0/soup.pth',
        '2 of 24',
        'gs_a (0.75), b (0.25)',
    ]


def test_delong_is_left_out_where_there_is_none():
    rows = delong_table(comparison()).rows
    assert [c.text for c in rows[1]][:4] == ['test', 'mel', 'FGG (best)', '0.8000']
    assert [c.text for c in rows[0]][4:] == ['-', '-']
    keys = [table.key for table in all_tables(comparison(delong={}))]
    assert 'delong' not in keys
    assert 'main' in keys


def test_values_and_intervals_that_are_not_known_are_left_open():
    it = copy.deepcopy(comparison())
    results = it['methods']['fgg_gog']['results']
    results['test']['macro_recall'].update(value=None, low=None, high=None)
    results['val']['macro_recall'].update(low=None, high=None)
    results['ood/elsewhere']['macro_recall']['difference'].update(p=None)
    row = by_title(main_table(it))['FGG + GoG']
    assert [c.text for c in row] == ['FGG + GoG', '0.6010', '-', '0.4810']
    assert row[1].detail == ''
    assert not row[3].marked
    assert by_title(difference_table(it))['FGG + GoG'][-1].text == '-'


def test_every_row_of_every_table_is_whole():
    known = dict(backbone='ResNet50', dataset='HAM10000')
    for table in all_tables(comparison(runs=2, published=known)):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_markdown_says_what_the_tables_say():
    it = comparison()
    text = to_markdown(it, all_tables(it))
    (line,) = [line for line in text.splitlines() if line.startswith('| FGG + GoG  ')][
        :1
    ]
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    assert cells[2] == r'**0.5410**\* \[0.500, 0.580\]'
    assert it['recommendation']['text'][0] in text


def test_no_title_breaks_a_markdown_table():
    it = nasty()
    text = to_markdown(it, all_tables(it))
    assert '<script>' not in text.replace(r'\<script\>', '')
    bars = [
        len(re.findall(r'(?<!\\)\|', line))
        for line in text.splitlines()
        if line.startswith('|')
    ][: len(METHODS) + 2]
    assert set(bars) == {5}


def test_latex_is_balanced_whatever_the_titles():
    text = to_latex(nasty(), all_tables(nasty()))
    bare = re.sub(r'\\[\\{}%&_#$]', '', text)
    assert bare.count('{') == bare.count('}')
    assert bare.count('$') % 2 == 0
    for environment in ('table', 'tabular'):
        begun = text.count(rf'\begin{{{environment}}}')
        assert begun == text.count(rf'\end{{{environment}}}') > 0


@pytest.mark.parametrize('it', [comparison(), nasty()], ids=['plain', 'nasty'])
def test_latex_rows_have_as_many_cells_as_the_tabular_has_columns(it):
    text = to_latex(it, all_tables(it))
    specs = re.findall(r'^\\begin\{tabular\}\{([lr]+)\}', text, re.MULTILINE)
    blocks = re.findall(r'\\toprule\n(.*?)\\bottomrule', text, re.DOTALL)
    assert len(specs) == len(blocks) > 4
    for spec, block in zip(specs, blocks, strict=True):
        rules = r'\\(midrule|addlinespace\[3pt\])\n'
        for line in re.sub(rules, '', block).splitlines():
            assert line.endswith(r'\\')
            assert len(re.findall(r'(?<!\\)&', line)) == len(spec) - 1
            # These after a line's end would be arguments of it.
            assert not line.startswith(('[', '*'))


def test_wide_latex_tables_go_on_below():
    it = comparison()
    text = to_latex(it, all_tables(it))
    cost = text.split('-cost}')[1].split(r'\end{table}')[0]
    assert cost.count(r'\toprule') == 2


def test_latex_has_minus_signs_and_escapes_only_text():
    text = to_latex(comparison(), all_tables(comparison()))
    assert '[$-$0.007, +0.053]' in text
    assert r'\textbf{0.5410}*' in text
    assert r'\label{tab:invented-tiny-main}' in text
    assert escape('a_b & 5% ~') == r'a\_b \& 5\% \textasciitilde{}'


def test_csv_has_every_number_in_full():
    known = dict(backbone='ResNet50', dataset='HAM10000')
    it = comparison(runs=2, published=known)
    rows = list(csv.DictReader(io.StringIO(to_csv(it))))

    def find(**wanted):
        return [row for row in rows if wanted.items() <= row.items()]

    of_test = dict(method='fgg_gog', set='test', metric='macro_recall')
    (mean,) = find(**of_test, run='mean')
    expected = it['methods']['fgg_gog']['results']['test']['macro_recall']
    assert float(mean['value']) == expected['value']
    assert float(mean['difference_low']) == expected['difference']['low']
    assert (mean['p'], mean['baseline'], mean['sd']) == ('0.0004', 'gs_best', '0.0123')
    assert len(find(**of_test)) == 1 + 2 + 1
    (paper,) = find(**of_test, run='published')
    assert (paper['value'], paper['low']) == ('0.6614', '')
    assert find(method='gs_best', set='test', metric='recall/mel', run='1')
    (baseline,) = find(method='gs_best', set='test', metric='accuracy', run='mean')
    assert (baseline['p'], baseline['baseline']) == ('', '')


def test_the_terminal_shows_the_main_table_and_the_recommendation():
    it = comparison()
    text = printed(it)
    assert '0.5410*' in text
    assert '[0.500, 0.580]' in text
    for sentence in (*it['recommendation']['text'], it['recommendation']['file']):
        assert sentence in text


def test_the_terminal_takes_titles_as_they_are():
    methods = {k: (f'[red]{k}[/red]', *v[1:]) for k, v in METHODS.items()}
    assert '[red]fgg_gog[/red]' in printed(comparison(methods))
