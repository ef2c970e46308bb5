from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from ff_mm.display.tables import evaluation_table, generation_table, soup_table
from ff_mm.files import read_json
from ff_mm.fusion.report import write_report

REPORT = dict(
    method='gog',
    title='GoG',
    metric='accuracy',
    rule='greater',
    ingredients=[dict(name='a', weight=0.75), dict(name='b', weight=0.25)],
    val=dict(accuracy=0.5, loss=1.25),
    test=dict(accuracy=0.25, loss=2.0),
    ood=dict(noise=dict(accuracy=0.125, loss=3.0)),
    levels=[],
    tree={},
    bn_reestimation=None,
    evaluations=dict(val=7, test=1, selection=6, stopped=2, basins=0),
    pool_size=6,
    generation_cost=dict(trials=5, epochs=14, seconds=61.0),
    seconds=2.5,
)


def printed(function, *args):
    console = Console(file=io.StringIO(), width=160)
    function(*args, console=console)
    return console.file.getvalue()


def row(text, name):
    lines = text.splitlines()
    (line,) = [line for line in lines if line.startswith(f'│ {name} ')]
    return [cell.strip() for cell in line.strip('│ \n').split('│')]


def test_soups_are_compared_in_one_table():
    other = REPORT | dict(title='uniform', test=None, ood={})
    text = printed(soup_table, [REPORT, other])
    assert row(text, 'GoG')[:5] == ['GoG', '0.5000', '0.2500', '0.1250', '2 of 6']
    assert row(text, 'uniform')[:4] == ['uniform', '0.5000', '-', '-']
    assert '14 epochs in 5 trials, 1 min 01 s' in ' '.join(text.split())


def test_what_soups_have_to_beat_is_the_tables_first_row():
    single = dict(name='a', val=dict(accuracy=0.375), test=None, ood={})
    report = REPORT | dict(best_single=single)
    text = printed(soup_table, [report])
    assert row(text, 'best single')[:5] == ['best single', '0.3750', '-', '-', '1 of 6']
    assert text.index('best single') < text.index('GoG')
    best = report | dict(method='best', title='best')
    assert 'best single' not in printed(soup_table, [report, best])


@pytest.mark.parametrize(
    ('names', 'said', 'not_said'),
    [
        ('ab', 'For comparison, the best single model on validation, a.', 'one model'),
        ('a', 'This is the best single model on validation, a, and no', 'comparison'),
        ('b', 'This is one model, b, and no average.', 'This is the best'),
    ],
)
def test_a_report_compares_with_the_best_single_model(names, said, not_said, tmp_path):
    single = dict(name='a', val=dict(accuracy=0.375), test=None, ood={})
    ingredients = [dict(name=name, weight=1 / len(names)) for name in names]
    report = REPORT | dict(best_single=single, ingredients=ingredients)
    write_report(report, tmp_path)
    text = (tmp_path / 'report.md').read_text()
    assert said in text
    assert not_said not in text
    assert ('0.3750' in text) == (names != 'a')


def test_a_pool_of_unknown_cost_has_a_table_too():
    assert 'GoG' in printed(soup_table, [REPORT | dict(generation_cost=None)])


def test_all_metrics_of_one_model():
    text = printed(evaluation_table, REPORT, 'soup.pth')
    assert row(text, 'noise') == ['noise', '0.1250', '3.0000']
    assert 'soup.pth' in text


def test_the_generations_table_has_a_row_a_trial():
    def entry(name, **more):
        metrics = dict(loss=0.5)
        entry = dict(id=name, state='done', epochs=3, seconds=1)
        return entry | dict(metrics=metrics, ingredients=[]) | more

    entries = [entry('base', best_epoch=2, ingredients=[1]), entry('fission')]
    manifest = dict(cost=dict(epochs=6, seconds=2), ingredients=[1])
    text = printed(generation_table, entries, manifest, 'work')
    assert row(text, 'base') == ['base', '3', '2', '0.5000', '1', '1 s']
    assert row(text, 'fission')[2] == ''
    assert '1 ingredients in work/ingredients.json, 6 epochs, 2 s' in text


@pytest.mark.parametrize(('width', 'others'), [(160, 3), (115, 1), (80, 0)])
def test_a_narrow_table_has_fewer_metrics_and_whole_names(width, others):
    names = ['accuracy', 'macro_f1', 'macro_recall', 'auroc', 'loss']
    entry = dict(id='fission_lr0.001_seed0_vidir_modern', state='done', epochs=3)
    entry |= dict(seconds=100, metrics=dict.fromkeys(names, 0.5), ingredients=[])
    manifest = dict(cost=dict(epochs=3, seconds=100), ingredients=[])
    console = Console(file=io.StringIO(), width=width)
    generation_table([entry], manifest, 'w', console, ['macro_recall', 'loss'])
    text = console.file.getvalue()
    header, _, rest = text.partition('┡')
    assert 'recall' in header
    assert 'loss' in header
    assert sum(name in header for name in ('accuracy', 'f1', 'auroc')) == others
    first = [line.split('│')[1].strip() for line in rest.splitlines() if '│' in line]
    assert ''.join(first) == entry['id']
    assert '0.5000' in text
    assert '1 min 40 s' in text


def test_in_80_columns_short_names_of_trials_stay_in_one_line():
    metrics = dict(macro_recall=0.5, loss=2.0)
    entry = dict(id='fission_lr0.0001', state='done', epochs=12, metrics=metrics)
    entry |= dict(seconds=112, ingredients=[])
    manifest = dict(cost=dict(epochs=12, seconds=112), ingredients=[])
    console = Console(file=io.StringIO(), width=80)
    generation_table([entry], manifest, 'w', console, ['macro_recall', 'loss'])
    cells = row(console.file.getvalue(), 'fission_lr0.0001')
    assert cells == [
        'fission_lr0.0001',
        '12',
        '',
        '0.5000',
        '2.0000',
        '0',
        '1 min 52 s',
    ]


def test_failed_trials_are_said_and_have_no_row():
    failure = dict(kind='diverged', reason='loss nan in epoch 2')
    entries = [dict(id='base', state='failed', failure=failure)]
    manifest = dict(cost=dict(epochs=0, seconds=0), ingredients=[])
    text = printed(generation_table, entries, manifest, 'work')
    assert 'base is left out, diverged: loss nan in epoch 2' in text
    assert '0 ingredients' in text


def test_a_report_for_programs_and_for_people(tmp_path):
    write_report(REPORT, tmp_path)
    assert read_json(tmp_path / 'report.json') == dict(format=1, **REPORT)
    text = (tmp_path / 'report.md').read_text()
    for line in (
        '| set | accuracy | loss |',
        '| test | 0.2500 | 2.0000 |',
        '| noise | 0.1250 | 3.0000 |',
        '| a | 0.7500 |',
    ):
        assert line in text.splitlines()
    assert 're-estimation' not in text


def test_a_report_says_what_was_before_batch_norm_reestimation(tmp_path):
    before = dict(val=dict(accuracy=0.1, loss=9.0), test=None, ood={})
    bn = dict(num_samples=320, before=before)
    write_report(REPORT | dict(bn_reestimation=bn), tmp_path)
    text = (tmp_path / 'report.md').read_text()
    assert 'Before batch-norm re-estimation on 320 images' in text
    assert '| val | 0.1000 | 9.0000 |' in text


def test_a_metric_that_is_not_a_number_is_null_in_json(tmp_path):
    write_report(REPORT | dict(val=dict(accuracy=math.nan)), tmp_path)
    assert read_json(tmp_path / 'report.json')['val'] == dict(accuracy=None)


BY_LABEL = {
    'auroc': 0.75,
    'auroc_left_out': 1,
    'auroc/Edema': 0.75,
    'auroc/Pleural Effusion': None,
    'confusion_matrix': [[1, 0], [0, 1]],
    'loss': None,
}


def test_values_of_single_labels_have_a_table_of_their_own(tmp_path):
    sets = dict(val=BY_LABEL, test=BY_LABEL, ood={})
    write_report(REPORT | dict(metric='auroc', **sets), tmp_path)
    lines = (tmp_path / 'report.md').read_text().splitlines()
    assert '| set | auroc | auroc_left_out | loss |' in lines
    assert '| val | 0.7500 | 1 | - |' in lines
    assert '| auroc | val | test |' in lines
    assert '| Edema | 0.7500 | 0.7500 |' in lines
    assert '| Pleural Effusion | - | - |' in lines
    assert 'confusion_matrix' not in ''.join(lines)
    # They are all there for programs.
    assert read_json(tmp_path / 'report.json')['val'] == BY_LABEL


def test_tables_show_what_holds_for_all_labels():
    text = printed(evaluation_table, dict(val=BY_LABEL, test=None, ood={}), 'x')
    assert row(text, 'val') == ['val', '0.7500', '1', '-']
    assert 'Edema' not in text
    entry = dict(id='base', state='done', epochs=1, seconds=1)
    entry |= dict(metrics=BY_LABEL, ingredients=[])
    manifest = dict(cost=dict(epochs=1, seconds=2), ingredients=[])
    text = printed(generation_table, [entry], manifest, 'work')
    assert row(text, 'base')[3:6] == ['0.7500', '1', '-']


def test_metrics_of_mmpretrain_are_shown_where_there_are_no_others():
    of_stock = {'accuracy/top1': 91.25, 'accuracy/top5': 99.5, 'matrix': [[1]]}
    text = printed(evaluation_table, dict(val=of_stock, test=None, ood={}), 'x')
    assert 'accuracy/top1' in text and '91.2500' in text and '99.5000' in text
    assert "in the metrics' own units" in text and 'fractions' not in text
