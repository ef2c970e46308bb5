from __future__ import annotations

import csv
import io

import pytest
from comparisons import SKILLS, write
from rich.console import Console

from ff_mm.comparison.study import Study, read_settings, study_table, write_study
from ff_mm.comparison.study.forest import forest_plot
from ff_mm.comparison.study.tables import all_tables, sentences
from ff_mm.files import read_json

DIAMOND = 'D'


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    few = {name: SKILLS[name] for name in ('best', 'soup', 'ensemble')}
    return [
        write(folder / 'compare_one', seed=1, runs=2),
        write(folder / 'compare_two', seed=2, skills=few, sets=('val', 'test')),
    ]


@pytest.fixture
def study(folders):
    return Study(read_settings(folders)).describe()


def test_the_command_writes_all_and_says_what_it_comes_to(
    folders, tmp_path, tool, capsys
):
    options = ['--work-dir', tmp_path, '--metrics', 'loss']
    assert tool('study.py', *folders, *options) == 0
    out = capsys.readouterr().out
    assert '2 settings: one (macro recall, runs: 2), two' in out.replace('\n', ' ')
    stems = ['study_forest', 'study_forest_loss']
    plots = [f'{stem}.{suffix}' for stem in stems for suffix in ('png', 'svg')]
    files = [*plots, 'study.csv', 'study.json', 'study.md']
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
    found = read_json(tmp_path / 'study.json')
    expected = Study(read_settings(folders), metrics=['loss']).describe()
    assert found == expected


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['{tmp_path}/none'], 'none: no comparison in it'),
        (['{one}', '{one}'], 'given twice'),
        (['{one}', '--baseline', 'bets'], "baseline='bets': no comparison has such"),
    ],
    ids=['none', 'twice', 'baseline'],
)
def test_what_is_wrong_is_one_line(folders, tmp_path, tool, capsys, arguments, message):
    names = dict(tmp_path=tmp_path, one=folders[0])
    options = ['--work-dir', tmp_path / 'out']
    assert tool('study.py', *(a.format(**names) for a in arguments), *options) == 2
    err = capsys.readouterr().err
    assert err.startswith('error: ')
    assert message in err
    assert err.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_csv_has_every_difference(study, tmp_path):
    write_study(study, tmp_path)
    text = (tmp_path / 'study.csv').read_text(encoding='utf-8')
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        result = study['methods'][row['method']]['results'][row['domain']]
        own = result[row['metric']]
        if row['setting'] != 'mean':
            own = own['settings'][row['setting']]
        assert float(row['value']) == own['value']
        assert float(row['low']) == own['low']
    means = [row for row in rows if row['setting'] == 'mean']
    assert len(means) == 5 * (3 + 3)
    assert {row['settings'] for row in means if row['domain'] == 'ood'} == {'1'}


def test_sentences_name_what_is_above_and_below_zero(study):
    methods = study['methods']
    for name, (low, high) in dict(soup=(-0.01, 0.02), ensemble=(0.01, 0.02)).items():
        result = methods[name]['results']['test']['selected']
        fixed = dict(low=0.004, high=0.02)
        result.update(value=0.0123, low=low, high=high, fixed=fixed)
    methods['bad']['results']['test']['selected'].update(
        value=-0.02, low=-0.03, high=-0.01, fixed=dict(low=-0.03, high=-0.01)
    )
    said = list(sentences(study))
    expected = (
        'In-domain, above 0 over settings: Ensemble +1.23 [+1.00, +2.00].',
        'In-domain, above 0 in these settings only: Soup +1.23 [+0.40, +2.00].',
        'In-domain, below 0 over settings: Bad -2.00 [-3.00, -1.00].',
    )
    assert [text for text in said if text.startswith('In-domain')] == list(expected)
    assert 'coarse' in said[-1]


def test_tables_say_in_how_many_settings_a_method_is(study):
    tables = {table.key: table for table in all_tables(study)}
    assert list(tables) == [
        'selected-test',
        'selected-ood',
        'metrics-test',
        'metrics-ood',
        'settings-test',
        'settings-ood',
        'cost',
    ]
    rows = {row[0].text: row for row in tables['selected-test'].rows}
    assert {name: row[1].text for name, row in rows.items()} == {
        'Soup': '2',
        'Ensemble': '2',
        'Bad': '1',
    }
    for table in tables.values():
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_names_of_others_mean_nothing_in_markdown_and_figures(study, tmp_path):
    name = '<b>$x^2$ | \x1b[31m'
    study['methods']['soup']['title'] = name
    write_study(study, tmp_path)
    text = (tmp_path / 'study.md').read_text(encoding='utf-8')
    assert '<b>' not in text
    assert r'$x^2$ \|' in text
    assert '\x1b' not in text + (tmp_path / 'study_forest.svg').read_text('utf-8')
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    study_table(study, console)
    assert '\x1b' not in console.file.getvalue()


def drawn(axes, marker):
    """Places of the points with a marker."""
    return [
        tuple(line.get_xydata()[0])
        for line in axes.lines
        if line.get_marker() == marker and len(line.get_xydata()) == 1
    ]


def test_the_forest_has_every_mean_and_every_setting(study):
    figure = forest_plot(study)
    assert [axes.get_title() for axes in figure.axes] == [
        'In-domain',
        'Out of distribution',
    ]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ['Soup', 'Ensemble', 'Bad']
    for axes, domain in zip(figure.axes, ('test', 'ood'), strict=True):
        results = [
            study['methods'][name]['results'][domain]['selected']
            for name in ('soup', 'ensemble', 'bad')
        ]
        means = [100 * result['value'] for result in results]
        assert [x for x, _ in drawn(axes, DIAMOND)] == pytest.approx(means)
        of_one = [100 * result['settings']['one']['value'] for result in results]
        assert [x for x, _ in drawn(axes, 'o')] == pytest.approx(of_one)


def test_what_lies_far_out_does_not_hide_the_rest(study):
    result = study['methods']['bad']['results']['test']['selected']
    near = forest_plot(study).axes[0].get_xlim()
    for each in (result, result['settings']['one']):
        each.update(value=-30.0, low=-40.0, high=-20.0)
    axes = forest_plot(study).axes[0]
    assert axes.get_xlim()[0] >= near[0]
    arrows = drawn(axes, '<')
    assert [x for x, _ in arrows] == [axes.get_xlim()[0]] * 2


def test_without_results_there_is_no_forest(study):
    assert forest_plot(study, 'kappa') is None
