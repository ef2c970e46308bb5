"""What a run is resumed from: the state's file, its content, and what it restores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from ff_mm.engine.hooks.resume_state_hook import find_state, remove_states

STATE = [dict(type='SafeCheckpointHook'), dict(type='ResumeStateHook')]


def early_stopping(**changes):
    hook = dict(
        type='ResumableEarlyStoppingHook', monitor='score', rule='less', patience=3
    )
    return hook | changes


def load(path):
    return torch.load(path, weights_only=True)


def interrupted(runner, interrupt, epoch, point='training'):
    interrupt.moment = ('toy', epoch, point)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    return find_state(runner.work_dir)


def test_the_state_is_that_after_the_last_epochs_validation(toy_runner, interrupt):
    hooks = [
        dict(type='BestCheckpointHook', monitor='score', rule='greater'),
        *STATE,
        dict(type='Interrupt'),
    ]
    runner = toy_runner(custom_hooks=hooks)
    state = interrupted(runner, interrupt, 3)
    assert [p.name for p in state.parent.glob('*.pth')].count('state_epoch_2.pth') == 1
    content = load(state)
    assert (content['meta']['epoch'], content['meta']['iter']) == (2, 6)
    best = content['message_hub']['runtime_info']['best']
    assert best == dict(epoch=2, metrics=dict(score=1.0))
    assert 'optimizer' in content


def test_only_the_newest_state_is_kept(toy_runner, tmp_path):
    runner = toy_runner(custom_hooks=STATE)
    runner.train()
    states = [p.name for p in (tmp_path / 'toy').glob('state*')]
    assert states == ['state_epoch_3.pth']  # of 4: nothing goes on after the last


def test_an_interval_is_kept(toy_runner, tmp_path):
    hooks = [STATE[0], dict(type='ResumeStateHook', interval=2)]
    toy_runner(epochs=6, custom_hooks=hooks).train()
    assert find_state(tmp_path / 'toy').name == 'state_epoch_4.pth'


def test_the_newest_state_is_found_by_number(tmp_path):
    for name in ('state_epoch_9.pth', 'state_epoch_10.pth', 'state_epoch_x.pth'):
        (tmp_path / name).touch()
    (tmp_path / '.state_epoch_11.pth.0a.part').touch()
    assert find_state(tmp_path).name == 'state_epoch_10.pth'
    remove_states(tmp_path, keep='state_epoch_10.pth')
    assert not (tmp_path / 'state_epoch_9.pth').exists()
    remove_states(tmp_path)
    assert find_state(tmp_path) is None
    assert find_state(tmp_path / 'nothing') is None


@pytest.mark.parametrize('broken_off', [None, 2, 3, 4])
def test_patience_goes_on_over_an_interruption(toy_runner, interrupt, broken_off):
    def build(**changes):
        return toy_runner(
            epochs=9,
            # Best at epoch 2; epochs 3, 4 and 5 wait.
            val_evaluator=dict(
                type='ScriptedMetric', values=[2, 1, 1, 1, 1, 0, 0, 0, 0]
            ),
            custom_hooks=[early_stopping(), *STATE, dict(type='Interrupt')],
            **changes,
        )

    runner = build()
    if broken_off:
        state = interrupted(runner, interrupt, broken_off)
        runner.release()
        runner = build(resume=True, load_from=str(state))
    runner.train()
    assert runner.epoch == 5


def test_early_stopping_does_not_guess_a_rule(toy_runner):
    hook = early_stopping()
    del hook['rule']
    with pytest.raises(TypeError, match='rule'):
        toy_runner(custom_hooks=[hook])


def test_a_state_loads_safely_and_gives_the_buffers_back(toy_runner, interrupt):
    hooks = [*STATE, dict(type='Interrupt')]
    first = toy_runner(custom_hooks=hooks)
    first.message_hub.update_info('numpy', dict(a=np.float64(0.5), b=np.arange(3)))
    state = interrupted(first, interrupt, 3)
    first.release()
    content = load(state)
    assert content['message_hub']['runtime_info']['numpy'] == dict(a=0.5, b=[0, 1, 2])

    second = toy_runner(custom_hooks=hooks, resume=True, load_from=str(state))
    second.load_or_resume()
    history = second.message_hub.get_scalar('train/loss')
    assert isinstance(history, HistoryBuffer)
    before, _ = first.message_hub.get_scalar('train/loss').data
    after, _ = history.data
    # Three of the unfinished epoch were not saved.
    assert after.tolist() == before.tolist()[:6]
    assert history.max_length == first.message_hub.get_scalar('train/loss').max_length


def test_what_could_not_be_loaded_again_is_said_with_its_path(toy_runner):
    runner = toy_runner(custom_hooks=STATE)
    runner.message_hub.update_info('mine', dict(values=[1, {2, 3}]))
    with pytest.raises(TypeError, match=r'runtime_info\.mine\.values\[1\] is a .*set'):
        runner.train()
