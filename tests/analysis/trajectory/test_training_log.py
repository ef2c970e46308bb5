from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from mmengine.registry import RUNNERS

from ff_mm.analysis.trajectory.training_log import (
    chain_titles,
    chains,
    epoch_rows,
    read_trials,
    root,
)
from ff_mm.errors import LedgerError
from ff_mm.files import read_json, write_json

BASE, FISSION = 'base_lr0.01', 'fission_lr0.01'
STEPS = 5
PLAN = dict(
    plan__lrs=[1e-2],
    plan__probe__epochs=1,
    custom_hooks=[dict(type='Interrupt')],
    default_hooks=dict(logger=dict(type='LoggerHook', interval=2, ignore_last=False)),
)


@pytest.fixture(scope='module')
def generation(tmp_path_factory, generation_config):
    """The work directory of a finished plan of three trials; minima at 1 and 3."""
    work_dir = tmp_path_factory.mktemp('generation') / 'fgg'
    RUNNERS.build(generation_config(work_dir, **PLAN)).train()
    return work_dir


@pytest.fixture
def own(generation, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(generation, tmp_path / 'fgg')


def by_id(folder):
    return {trial.id: trial for trial in read_trials(folder)}


def entries(folder):
    return {e['id']: e for e in read_json(folder / 'ledger.json')['trials']}


def log_of(folder, trial):
    (file,) = folder.glob(f'trials/{trial}/*/vis_data/scalars.json')
    return file


def test_metrics_are_those_that_the_ledger_has_and_all_between(generation):
    trials = by_id(generation)
    assert list(trials) == ['probe', BASE, FISSION]
    recorded = entries(generation)
    base, fission = trials[BASE], trials[FISSION]
    assert sorted(base.metrics) == list(range(1, base.epochs + 1))
    best = recorded[BASE]['best_epoch']
    assert base.best_epoch == best
    assert base.metrics[best] == pytest.approx(recorded[BASE]['metrics'])
    assert fission.snapshots == {1: 1, 3: 2}
    for record in recorded[FISSION]['ingredients']:
        assert fission.metrics[record['epoch']] == pytest.approx(record['metrics'])
    # Epoch 2 has no snapshot and was not validated.
    assert list(fission.metric('accuracy')) == [1, 3]
    assert fission.metric('nonsense') == {}


def test_the_cycle_in_closed_form_is_what_was_logged_at_each_step(generation):
    fission = by_id(generation)[FISSION]
    assert [step for _, step in fission.rates] == [2, 4, 5, 7, 9, 10, 12, 14, 15]
    at, values = fission.learning_rate()
    assert (at[0], at[-1]) == (0, 3)
    assert (np.diff(at) > 0).all()
    for (epoch, step), rate in fission.rates.items():
        assert (epoch - 1) * STEPS < step <= epoch * STEPS
        done = (step - 1) / STEPS
        assert np.interp(done, at, values) == pytest.approx(rate, rel=1e-9)
    assert values[0] == fission.schedule.max_value == 5e-3
    assert values[at == 1] == values[-1] == fission.schedule.min_value == 1e-5
    assert fission.rate_of_epoch(2) == fission.rates[2, 10]
    assert fission.rate_of_epoch(4) is None


def test_a_rate_that_falls_by_epochs_is_drawn_as_steps(generation):
    base = by_id(generation)[BASE]
    at, values = base.learning_rate()
    assert base.schedule is None
    for epoch in range(base.epochs):
        expected = 1e-2 * (1 + math.cos(math.pi * epoch / 3)) / 2
        within = (at > epoch + 1e-9) & (at < epoch + 1)
        assert values[within] == pytest.approx([expected] * within.sum())
        assert base.rate_of_epoch(epoch + 1) == pytest.approx(expected)
    assert at[-1] == pytest.approx(base.epochs)


def test_a_resumed_trial_reads_like_an_unbroken_one(
    generation, tmp_path, generation_config, interrupt
):
    cfg = generation_config(tmp_path, **PLAN)
    interrupt.moment = (BASE, 2, 'training')
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.build(cfg).train()
    # Folders are named by the second.
    (first,) = (tmp_path / 'trials' / BASE).glob('2*')
    first.rename(first.with_name('20000101_000000'))
    RUNNERS.build(generation_config(tmp_path, **PLAN)).train()
    assert len(list((tmp_path / 'trials' / BASE).glob('*/vis_data'))) == 2
    resumed, unbroken = by_id(tmp_path)[BASE], by_id(generation)[BASE]
    assert resumed.metrics == unbroken.metrics
    assert resumed.rates == unbroken.rates


def test_what_is_said_later_counts_and_a_line_cut_short_does_not(own):
    before = by_id(own)[BASE]
    later = own / 'trials' / BASE / '29990101_000000' / 'vis_data' / 'scalars.json'
    later.parent.mkdir(parents=True)
    lines = [
        {'train/lr': 0.5, 'train/loss': 1.0, 'epoch': 2, 'iter': 7, 'step': 7},
        {'val/accuracy': 0.125, 'val/time': 3.0, 'step': 2},
        {'val/accuracy': 0.25, 'step': 99},
    ]
    text = '\n'.join(map(json.dumps, lines))
    later.write_text(text + '\n[1, 2]\n{"val/accuracy": 0.75, "st')
    after = by_id(own)[BASE]
    assert after.metrics[2] == {'accuracy': 0.125}
    assert {k: v for k, v in after.metrics.items() if k != 2} == {
        k: v for k, v in before.metrics.items() if k != 2
    }
    assert after.rates == {**before.rates, (2, 7): 0.5}


@pytest.mark.parametrize(
    'line',
    [
        {'step': 1, 'epoch': 1, 'lr': 'y'},
        {'step': 1, 'epoch': None, 'lr': 0.5},
        {'step': 1, 'epoch': 10**400, 'lr': 0.5},
        {'step': 1, 'epoch': 1.5, 'lr': 0.5},
        {'step': 0, 'epoch': 1, 'lr': 0.5},
        {'step': [1], 'accuracy': 0.5},
        {'step': 1, 'accuracy': 10**400},
        {'step': 1, 'accuracy': 'high', 'loss': 1.0},
        {'step': 1, 'accuracy': {'a': 1}},
        {'step': 1, 'accuracy': 0.5, '\ud800': 1},
        {'step': 1},
        {'accuracy': 0.5},
    ],
    ids=str,
)
def test_a_line_that_is_not_as_it_should_be_does_not_count(own, line):
    before = by_id(own)[BASE]
    with open(log_of(own, BASE), 'a') as file:
        file.write(f'\n{json.dumps(line)}\n')
    after = by_id(own)[BASE]
    assert (after.metrics, after.rates) == (before.metrics, before.rates)
    assert np.isfinite(after.learning_rate()).all()


def test_logs_of_stock_mmengine_have_no_modes_before_names(own):
    before = by_id(own)[BASE]
    file = log_of(own, BASE)
    text = file.read_text()
    file.write_text(text.replace('"train/', '"').replace('"val/', '"'))
    after = by_id(own)[BASE]
    assert file.read_text() != text
    assert (after.metrics, after.rates) == (before.metrics, before.rates)


def test_without_logs_what_was_kept_is_known(own):
    for trial in (BASE, FISSION):
        log_of(own, trial).unlink()
    trials = by_id(own)
    base, fission = trials[BASE], trials[FISSION]
    assert trials['probe'].logged
    assert not base.logged
    assert not fission.logged
    assert list(base.metrics) == [base.best_epoch]
    assert sorted(fission.metrics) == [1, 3]
    assert len(base.learning_rate()[0]) == 0
    assert fission.learning_rate()[1].min() == 1e-5
    assert base.rate_of_epoch(1) is None


def test_metrics_that_are_not_finite_are_gaps(own):
    file = log_of(own, BASE)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        if 'val/loss' in line and line['step'] == 1:
            line['val/loss'] = math.nan
    file.write_text('\n'.join(map(json.dumps, lines)))
    base = by_id(own)[BASE]
    assert 1 not in base.metric('loss')
    assert 1 in base.metric('accuracy')


def test_trials_that_are_not_done_are_left_out(own):
    ledger = read_json(own / 'ledger.json')
    ledger['trials'][2] = dict(ledger['trials'][2], state='running')
    write_json(ledger, own / 'ledger.json')
    assert list(by_id(own)) == ['probe', BASE]
    (chain,) = chains(read_trials(own))
    assert chain.fission is None
    assert chain_titles([chain]) == [BASE]


@pytest.mark.parametrize(
    'content',
    [
        '',
        '{"trials": [',
        '[]',
        '{}',
        '{"trials": 3}',
        '{"trials": [{"state": "done"}]}',
        '{"trials": ["done"]}',
    ],
)
def test_what_is_no_ledger_is_refused_in_one_line(tmp_path, content):
    (tmp_path / 'ledger.json').write_text(content)
    with pytest.raises(LedgerError, match=r'ledger\.json: is not a ledger') as error:
        read_trials(tmp_path)
    assert '\n' not in str(error.value)


def test_a_missing_ledger_is_named(tmp_path):
    with pytest.raises(LedgerError, match=r'ledger\.json: no such file'):
        read_trials(tmp_path)


@pytest.mark.parametrize('epochs', [10**9, -1, '3', 1e6, 10**400])
def test_a_number_of_epochs_that_nobody_trains_is_refused(own, epochs):
    ledger = read_json(own / 'ledger.json')
    ledger['trials'][1]['epochs'] = epochs
    (own / 'ledger.json').write_text(json.dumps(ledger))
    with pytest.raises(LedgerError, match='epochs: expected a whole number from 0 to'):
        read_trials(own)


def test_a_cycle_too_short_to_be_drawn_is_refused(own):
    ledger = read_json(own / 'ledger.json')
    ledger['trials'][2]['overrides']['param_scheduler'][0]['cycle'] = 1e-9
    write_json(ledger, own / 'ledger.json')
    with pytest.raises(LedgerError, match='too short for 3 epochs'):
        read_trials(own)


def test_ids_do_not_lead_out_of_the_folder(own):
    ledger = read_json(own / 'ledger.json')
    ledger['trials'][1]['id'] = f'../../elsewhere/{BASE}'
    write_json(ledger, own / 'ledger.json')
    with pytest.raises(LedgerError, match="id: expected a file's name"):
        read_trials(own)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (dict(epochs='3'), 'epochs: expected a whole number'),
        (dict(epochs=10**9), 'epochs: expected a whole number from 0 to'),
        (dict(hyper=None), 'hyper: expected names and values'),
        (dict(metrics={'a': 10**400}), 'metrics: expected names and values'),
        (dict(metrics=[1]), 'metrics: expected names and values'),
        (dict(best_epoch=0), 'best_epoch: expected a whole number from 1'),
        (dict(ingredients=[{}]), "ingredients: 1: 'epoch' is missing"),
    ],
)
def test_what_an_entry_lacks_is_named(own, change, said):
    ledger = read_json(own / 'ledger.json')
    ledger['trials'][1].update(change)
    (own / 'ledger.json').write_text(json.dumps(ledger))
    with pytest.raises(LedgerError, match=f"trials: '{BASE}': {said}") as error:
        read_trials(own)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    'scheduler', [3, [3], [{}], [dict(type='CyclicalLR', cycle=0)], dict(a=1)], ids=str
)
def test_a_cycle_that_is_none_is_not_drawn(own, scheduler):
    ledger = read_json(own / 'ledger.json')
    ledger['trials'][2]['overrides']['param_scheduler'] = scheduler
    write_json(ledger, own / 'ledger.json')
    assert by_id(own)[FISSION].schedule is None


def test_a_chain_is_a_base_and_the_fission_from_it(generation):
    trials = read_trials(generation)
    probe, base, fission = trials
    (chain,) = chains(trials, 'fgg')
    assert (chain.base, chain.fission, chain.generation) == (base, fission, 'fgg')
    assert (chain.start(base), chain.start(fission)) == (0, base.epochs)
    assert root(fission, trials) is root(base, trials) is probe
    assert root(probe, trials) is probe


def test_chains_of_equal_hyper_parameters_are_told_apart_by_generation(generation):
    trials = read_trials(generation)
    both = [*chains(trials, 'one'), *chains(trials, 'other')]
    first, second = chain_titles(both)
    assert first.startswith('one')
    assert second.startswith('other')


def test_a_row_an_epoch_says_where_the_chain_is(generation):
    trials = by_id(generation)
    base, fission = trials[BASE], trials[FISSION]
    rows = list(epoch_rows(chains(list(trials.values()), 'fgg')))
    assert [r['chain_epoch'] for r in rows] == list(range(1, base.epochs + 3 + 1))
    assert [r['epoch'] for r in rows if r['chosen']] == [base.best_epoch]
    snapshots = {r['epoch']: r['snapshot'] for r in rows if r['snapshot']}
    assert snapshots == fission.snapshots
    assert rows[-1]['accuracy'] == fission.metrics[3]['accuracy']
    assert 'accuracy' not in rows[-2]
    assert rows[-1]['lr'] == fission.rates[3, 15]
