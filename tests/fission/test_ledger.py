from __future__ import annotations

import json

import pytest
import torch

from ff_mm.errors import FFMMError, LedgerError
from ff_mm.files import read_json
from ff_mm.fission import FGGPlan, Ledger

TRIALS = FGGPlan([1e-3]).trials()
CONFIG = dict(image_size=32, plan=dict(base=dict(epochs=3), lrs=(1e-3,)), log_level='I')
RESULT = dict(
    epochs=3, seconds=1.25, images=300, metrics=dict(loss=0.5), ingredients=[]
)
GOOD = dict(name='a', file='a.pth', sha256='0' * 64, metrics={})


def new(tmp_path, **changes):
    """A ledger that is on disk."""
    ledger = Ledger(tmp_path, CONFIG | changes, TRIALS)
    ledger.publish()
    return ledger


def end(ledger, trial, **result):
    assert ledger.take(trial)
    ledger.finish(trial, RESULT | result)
    ledger.release(trial)


def test_a_trial_is_planned_then_running_then_done_on_disk(tmp_path):
    ledger = new(tmp_path)

    def states():
        ledger.publish()
        return [entry['state'] for entry in read_json(ledger.path)['trials']]

    assert states() == ['planned'] * 3
    assert ledger.take('probe')
    assert states() == ['running', 'planned', 'planned']
    ledger.finish('probe', RESULT)
    ledger.release('probe')
    assert states() == ['done', 'planned', 'planned']
    assert not ledger.complete and not ledger.take('probe')

    again = Ledger(tmp_path, CONFIG, TRIALS)
    assert again.is_done('probe') and not again.is_done('base_lr0.001')
    assert again.entry('probe').items() >= RESULT.items()
    assert again.cost() == dict(trials=1, epochs=3, seconds=1.2, images=300)


def test_what_two_processes_note_is_kept_whoever_writes_last(tmp_path):
    one, two = new(tmp_path), new(tmp_path)
    end(one, 'probe')
    end(two, 'base_lr0.001')
    one.publish()
    two.publish()
    trials = read_json(tmp_path / 'ledger.json')['trials']
    assert [trial['state'] for trial in trials] == ['done', 'done', 'planned']
    assert two.is_done('probe')


def test_a_failed_trial_says_why_and_costs_nothing(tmp_path):
    ledger = new(tmp_path)
    ledger.take('probe')
    ledger.fail('probe', 'diverged', 'loss nan in epoch 2')
    again = Ledger(tmp_path, CONFIG, TRIALS)
    assert again.has_failed('probe') and again.is_settled('probe')
    assert not again.is_done('probe')
    assert again.failures == {
        'probe': dict(kind='diverged', reason='loss nan in epoch 2')
    }
    assert again.cost()['trials'] == 0


def test_forgotten_a_trial_is_planned_again(tmp_path):
    ledger = new(tmp_path)
    end(ledger, 'probe')
    ledger.forget('probe')
    assert not ledger.is_settled('probe')
    assert Ledger(tmp_path, CONFIG, TRIALS).take('probe')


@pytest.mark.parametrize('content', ['', '{"state": "do', '[]', '{"state": "eaten"}'])
def test_a_damaged_record_is_noted_and_its_trial_planned(tmp_path, content):
    end(new(tmp_path), 'probe')
    record = tmp_path / 'trials' / 'probe' / 'record.json'
    record.write_text(content)
    ledger = Ledger(tmp_path, CONFIG, TRIALS)
    assert not ledger.is_settled('probe') and ledger.take('probe')
    assert len(ledger.notes) == 1
    assert str(record) in ledger.notes[0] and 'trained again' in ledger.notes[0]


@pytest.mark.parametrize(
    'change',
    [
        dict(ingredients=None),
        dict(ingredients=[dict(name='a', file='.', sha256='0' * 64, metrics={})]),
        dict(ingredients=[dict(name='a', file='../a', sha256='0' * 64, metrics={})]),
        dict(seconds=None),
        dict(epochs=10**400),
        dict(images=-1),
        dict(metrics=None),
        dict(metrics=dict(loss='\ud800')),
        dict(best_file=dict(file='best.pth')),
        dict(state='failed'),
        dict(state=['done']),
        dict(best_epoch='1'),
        dict(ingredients=[dict(name='a', file='a', sha256='0' * 64, metrics='x')]),
        dict(ingredients=[dict(GOOD, metrics=dict(loss='x'))]),
        dict(ingredients=[dict(GOOD, hyper=3)]),
        dict(ingredients=[dict(GOOD, epoch=-1)]),
    ],
    ids=str,
)
def test_a_record_without_what_is_needed_of_it_is_damaged_too(tmp_path, change):
    """It would be used after all is trained."""
    end(new(tmp_path), 'probe')
    record = tmp_path / 'trials' / 'probe' / 'record.json'
    record.write_text(json.dumps(read_json(record) | change))
    ledger = Ledger(tmp_path, CONFIG, TRIALS)
    assert not ledger.is_settled('probe')
    assert 'trained again' in ledger.notes[0]
    ledger.publish()


def test_what_the_plan_says_is_not_asked_of_a_record(tmp_path):
    end(new(tmp_path), 'probe')
    record = tmp_path / 'trials' / 'probe' / 'record.json'
    kept = ('id', 'state', 'config', *RESULT)
    whole = read_json(record)
    record.write_text(json.dumps({key: whole[key] for key in kept}))
    entry = Ledger(tmp_path, CONFIG, TRIALS).entry('probe')
    assert entry == {key: value for key, value in whole.items() if key != 'config'}


def test_a_result_that_could_not_be_read_again_is_one_clear_error(tmp_path):
    ledger = new(tmp_path)
    assert ledger.take('probe')
    odd = dict(GOOD, metrics=dict(loss=dict(a=1)))
    with pytest.raises(FFMMError, match="'a': metrics: expected numbers by name"):
        ledger.finish('probe', dict(RESULT, ingredients=[odd]))


def test_a_record_of_another_config_is_refused(tmp_path):
    end(new(tmp_path), 'probe')
    (tmp_path / 'ledger.json').unlink()
    with pytest.raises(LedgerError, match=r'record\.json: is of another config'):
        Ledger(tmp_path, CONFIG | dict(image_size=64), TRIALS)


def test_a_lost_ledger_is_made_again_of_the_records(tmp_path):
    end(new(tmp_path), 'probe')
    before = new(tmp_path).path.read_text()
    (tmp_path / 'ledger.json').unlink()
    assert new(tmp_path).path.read_text() == before


def test_entries_say_what_a_trial_is(tmp_path):
    ledger = Ledger(tmp_path, CONFIG, TRIALS)
    entry = ledger.entry('fission_lr0.001')
    assert entry['parent'] == 'base_lr0.001'
    assert entry['stage'] == 'fission'
    assert entry['hyper'] == dict(lr=1e-3, seed=0)
    assert entry['planned_epochs'] == 17
    assert entry['overrides']['train_cfg.max_epochs'] == 17


@pytest.mark.parametrize(
    ('change', 'line'),
    [
        (dict(image_size=64), 'image_size: 32 -> 64'),
        (dict(plan=dict(base=dict(epochs=5), lrs=[1e-3])), 'plan.base.epochs: 3 -> 5'),
        (
            dict(plan=dict(base=dict(epochs=3), lrs=[1e-4])),
            'plan.lrs: [0.001] -> [0.0001]',
        ),
        (dict(extra=1), 'extra: (absent) -> 1'),
    ],
)
def test_another_config_is_refused_with_what_differs(tmp_path, change, line):
    new(tmp_path)
    with pytest.raises(LedgerError) as caught:
        Ledger(tmp_path, CONFIG | change, TRIALS)
    assert line in str(caught.value)
    assert '--work-dir' in str(caught.value)


def test_what_decides_nothing_may_change(tmp_path):
    new(tmp_path).take('probe')
    change = dict(
        log_level='DEBUG',
        work_dir='elsewhere',
        default_hooks=dict(logger=dict(interval=1)),
        ood_dataloaders=dict(a=dict()),
        test_dataloader=dict(batch_size=2),
    )
    again = Ledger(tmp_path, CONFIG | change, TRIALS)
    assert again.entry('probe')['state'] == 'running'


def test_an_option_that_is_off_is_as_good_as_absent(tmp_path):
    new(tmp_path).take('probe')
    off = dict(channels_last=False, compile={})
    again = Ledger(tmp_path, CONFIG | off, TRIALS)
    assert again.entry('probe')['state'] == 'running'
    with pytest.raises(LedgerError, match=r'channels_last: \(absent\) -> true'):
        Ledger(tmp_path, CONFIG | dict(channels_last=True), TRIALS)


@pytest.mark.parametrize('content', ['null', '[]', '{"format": 2}'])
def test_what_is_no_ledger_is_one_clear_error(tmp_path, content):
    path = tmp_path / 'ledger.json'
    path.write_text(content)
    with pytest.raises(LedgerError, match=r'ledger\.json: is not a ledger'):
        Ledger(tmp_path, CONFIG, TRIALS)
    assert path.read_text() == content


@pytest.mark.parametrize('left', [0, 1, 100, 0.5])
def test_a_ledger_cut_in_half_is_made_again_of_the_records(tmp_path, left):
    end(new(tmp_path), 'probe')
    before = new(tmp_path).path.read_text()
    path = tmp_path / 'ledger.json'
    path.write_text(before[: int(left * len(before)) if left == 0.5 else left])
    ledger = Ledger(tmp_path, CONFIG, TRIALS)
    assert 'ledger.json: not JSON, or cut short' in ledger.notes[0]
    ledger.publish()
    assert path.read_text() == before


def test_a_ledger_of_another_format_is_refused(tmp_path):
    (tmp_path / 'ledger.json').write_text('{"format": 99}')
    with pytest.raises(LedgerError, match='format 99, expected 2'):
        Ledger(tmp_path, CONFIG, TRIALS)


def test_many_differences_are_counted(tmp_path):
    new(tmp_path)
    change = {f'key{i}': i for i in range(11)}
    with pytest.raises(LedgerError, match='and 3 more'):
        Ledger(tmp_path, CONFIG | change, TRIALS)


def test_another_number_of_threads_is_noted_but_not_refused(tmp_path, monkeypatch):
    assert new(tmp_path).drift == []
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads + 3)
    ledger = Ledger(tmp_path, CONFIG, TRIALS)
    assert ledger.drift == [f'threads: {threads} -> {threads + 3}']
