from __future__ import annotations

from types import SimpleNamespace

import pytest

from ff_mm.engine.hooks.resume_state_hook import find_state
from ff_mm.fission.progress_hook import ProgressHook, seconds_spent

STATE = [dict(type='SafeCheckpointHook'), dict(type='ResumeStateHook')]


class Display:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def start_trial(self, trial_id, epoch, epochs):
        self.told.append((trial_id, epoch, epochs))

    def within_epoch(self, part):
        self.parts = [*getattr(self, 'parts', []), part]

    def end_epoch(self, epoch, metrics):
        self.told.append((epoch, metrics))

    def end_trial(self):
        self.told.append('end')


def train(runner):
    display = Display()
    runner.register_hook(ProgressHook(display, 'toy'))
    runner.train()
    return display.told


def every_other_epoch(begin=1):
    return dict(by_epoch=True, max_epochs=4, val_interval=2, val_begin=begin)


def test_every_epoch_is_reported_once_after_its_validation(toy_runner):
    told = train(toy_runner(epochs=2))
    assert told == [('toy', 0, 2), (1, dict(score=0.0)), (2, dict(score=1.0)), 'end']


def test_each_iteration_says_how_far_its_epoch_is(toy_runner):
    display = Display()
    runner = toy_runner(epochs=2)
    runner.register_hook(ProgressHook(display, 'toy'))
    runner.train()
    assert display.parts == [1 / 3, 2 / 3, 1, 1 / 3, 2 / 3, 1]


def test_epochs_that_are_not_validated_are_reported_too(toy_runner):
    told = train(toy_runner(train_cfg=every_other_epoch()))
    metrics = [{}, dict(score=1.0), {}, dict(score=3.0)]
    epochs = list(zip([1, 2, 3, 4], metrics, strict=True))
    assert told == [('toy', 0, 4), *epochs, 'end']


def test_the_last_epoch_is_reported_if_it_is_not_validated(toy_runner):
    told = train(toy_runner(train_cfg=every_other_epoch(begin=9)))
    assert told[1:] == [(1, {}), (2, {}), (3, {}), (4, {}), 'end']


def test_seconds_are_counted_over_an_interruption_after_no_validation(
    toy_runner, interrupt, monkeypatch
):
    hooks = [*STATE, dict(type='Interrupt')]
    runner = toy_runner(train_cfg=every_other_epoch(), custom_hooks=hooks)
    # A clock that ticks with the iterations, three an epoch.
    clock = SimpleNamespace(perf_counter=lambda: runner.iter)
    monkeypatch.setattr('ff_mm.fission.progress_hook.time', clock)
    interrupt.moment = ('toy', 4, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(runner)
    runner.release()

    state = str(find_state(runner.work_dir))
    runner = toy_runner(
        train_cfg=every_other_epoch(), custom_hooks=hooks, resume=True, load_from=state
    )
    told = train(runner)
    assert told == [('toy', 3, 4), (4, dict(score=3.0)), 'end']
    assert seconds_spent(runner) == 12
