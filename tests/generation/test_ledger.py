from __future__ import annotations

import pytest
import torch

from ff_mm.errors import LedgerError
from ff_mm.files import read_json
from ff_mm.generation import FGGPlan, Ledger

TRIALS = FGGPlan([1e-3]).trials()
CONFIG = dict(image_size=32, plan=dict(base=dict(epochs=3), lrs=(1e-3,)), log_level='I')
RESULT = dict(epochs=3, seconds=1.25, metrics=dict(loss=0.5), ingredients=[])


def test_a_trial_is_planned_then_running_then_done_on_disk(tmp_path):
    path = tmp_path / 'ledger.json'
    ledger = Ledger(path, CONFIG, TRIALS)

    def states():
        return [entry['state'] for entry in read_json(path)['trials']]

    assert states() == ['planned'] * 3
    ledger.start('probe')
    assert states() == ['running', 'planned', 'planned']
    ledger.finish('probe', RESULT)
    assert states() == ['done', 'planned', 'planned']
    assert not ledger.complete

    again = Ledger(path, CONFIG, TRIALS)
    assert again.is_done('probe') and not again.is_done('base_lr0.001')
    assert again.entry('probe').items() >= RESULT.items()
    assert again.cost() == dict(trials=1, epochs=3, seconds=1.2)


def test_training_images_are_counted_unless_an_older_trial_did_not(tmp_path):
    ledger = Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS)
    ledger.finish('probe', dict(RESULT, images=300))
    assert ledger.cost()['images'] == 300
    ledger.finish('base_lr0.001', dict(RESULT, images=120))
    assert ledger.cost()['images'] == 420
    ledger.finish('fission_lr0.001', RESULT)
    assert 'images' not in ledger.cost()


def test_entries_say_what_a_trial_is(tmp_path):
    ledger = Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS)
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
    Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS)
    with pytest.raises(LedgerError) as caught:
        Ledger(tmp_path / 'ledger.json', CONFIG | change, TRIALS)
    assert line in str(caught.value)
    assert '--work-dir' in str(caught.value)


def test_what_decides_nothing_may_change(tmp_path):
    Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS).start('probe')
    change = dict(
        log_level='DEBUG',
        work_dir='elsewhere',
        default_hooks=dict(logger=dict(interval=1)),
        ood_dataloaders=dict(a=dict()),
        test_dataloader=dict(batch_size=2),
    )
    again = Ledger(tmp_path / 'ledger.json', CONFIG | change, TRIALS)
    assert again.entry('probe')['state'] == 'running'


def test_an_option_that_is_off_is_as_good_as_absent(tmp_path):
    Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS).start('probe')
    off = dict(channels_last=False, compile=False)
    again = Ledger(tmp_path / 'ledger.json', CONFIG | off, TRIALS)
    assert again.entry('probe')['state'] == 'running'
    with pytest.raises(LedgerError, match=r'channels_last: \(absent\) -> true'):
        Ledger(tmp_path / 'ledger.json', CONFIG | dict(channels_last=True), TRIALS)


@pytest.mark.parametrize('content', ['', '[1, 2', 'null', '[]', '{"format": 1}'])
def test_a_damaged_ledger_is_one_clear_error(tmp_path, content):
    path = tmp_path / 'ledger.json'
    path.write_text(content)
    with pytest.raises(LedgerError, match=r'ledger\.json'):
        Ledger(path, CONFIG, TRIALS)
    assert path.read_text() == content


def test_a_ledger_cut_in_half_is_one_clear_error(tmp_path):
    path = tmp_path / 'ledger.json'
    Ledger(path, CONFIG, TRIALS)
    content = path.read_text()
    path.write_text(content[: len(content) // 2])
    with pytest.raises(LedgerError, match=r'ledger\.json: not JSON, or cut short'):
        Ledger(path, CONFIG, TRIALS)


def test_a_ledger_of_another_format_is_refused(tmp_path):
    (tmp_path / 'ledger.json').write_text('{"format": 99}')
    with pytest.raises(LedgerError, match='format 99, expected 1'):
        Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS)


def test_many_differences_are_counted(tmp_path):
    Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS)
    change = {f'key{i}': i for i in range(11)}
    with pytest.raises(LedgerError, match='and 3 more'):
        Ledger(tmp_path / 'ledger.json', CONFIG | change, TRIALS)


def test_another_number_of_threads_is_noted_but_not_refused(tmp_path, monkeypatch):
    assert Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS).drift == []
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads + 3)
    ledger = Ledger(tmp_path / 'ledger.json', CONFIG, TRIALS)
    assert ledger.drift == [f'threads: {threads} -> {threads + 3}']
