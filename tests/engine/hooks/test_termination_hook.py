from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from many_processes import PATIENCE
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, RUNNERS
from toys import toy_loader
from trained_plans import digests

from ff_mm.engine.hooks import termination_hook
from ff_mm.engine.hooks.resume_state_hook import find_state
from ff_mm.files import read_json
from ff_mm.parallel import termination
from ff_mm.parallel.termination import (
    Terminated,
    deferred,
    requested_at,
    termination_as_exception,
)

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='signals are POSIX')

EVER = 1e9
BASE, FISSION = 'base_lr0.01', 'fission_lr0.01'


@HOOKS.register_module()
class SendTermination(Hook):
    """Sends SIGTERM to this process, once, when a test says so."""

    priority = 'LOWEST'
    # Trial, epoch from 1, what is going on, and the batch from 0.
    moment: tuple[str, int, str, int] | None = None
    to_all = False  # processes, as SLURM does

    def _at(self, runner, epoch, point, batch_idx) -> None:
        now = (Path(runner.work_dir).name, epoch, point, batch_idx)
        if SendTermination.moment == now:
            SendTermination.moment = None
            os.kill(os.getpid(), signal.SIGTERM)
            if SendTermination.to_all:
                pids = [str(child.pid) for child in multiprocessing.active_children()]
                assert len(pids) == 4
                subprocess.run(['kill', '-TERM', *pids], check=True)

    def after_train_iter(self, runner, batch_idx, *_, **__) -> None:
        self._at(runner, runner.epoch + 1, 'training', batch_idx)

    def after_val_iter(self, runner, batch_idx, *_, **__) -> None:
        self._at(runner, runner.epoch, 'validation', batch_idx)


@pytest.fixture
def send():
    """A function that says when SIGTERM is to come."""

    def at(trial, epoch, point, batch_idx=0, to_all=False):
        SendTermination.moment = (trial, epoch, point, batch_idx)
        SendTermination.to_all = to_all

    SendTermination.moment = None
    yield at
    SendTermination.moment = None


@pytest.fixture
def build(toy_runner):
    """A function that builds a run of four epochs of three batches."""

    def function(grace=EVER, interval=1, **changes):
        hooks = [
            dict(type='TerminationHook', grace=grace),
            dict(type='EpochSeedHook'),
            dict(type='SafeCheckpointHook'),
            dict(type='ResumeStateHook', interval=interval),
            *changes.pop('others', []),
            dict(type='SendTermination'),
        ]
        return toy_runner(custom_hooks=hooks, **changes)

    return function


def terminated(run, work_dir=None):
    """Carries out a run that is terminated; gives the name of its state."""
    with pytest.raises(Terminated), termination_as_exception():
        try:
            with deferred():
                run()
        finally:
            assert requested_at() is not None
    state = work_dir and find_state(work_dir)
    return state.name if state else None


@pytest.mark.parametrize(
    ('grace', 'point', 'interval', 'epoch', 'state'),
    [
        # In epoch 3 of 4.
        (EVER, ('training', 0), 1, 2, 'state_epoch_3.pth'),
        (EVER, ('training', 2), 3, 2, 'state_epoch_3.pth'),
        (EVER, ('training', 1), 9, 2, 'state_epoch_3.pth'),
        (EVER, ('validation', 1), 9, 3, 'state_epoch_3.pth'),
        (0, ('training', 0), 1, 2, 'state_epoch_2.pth'),
        (0, ('training', 1), 9, 2, None),
        (0, ('validation', 0), 1, 3, 'state_epoch_2.pth'),
    ],
)
def test_a_terminated_run_ends_bit_for_bit_like_an_unbroken_one(
    build, send, tmp_path, grace, point, interval, epoch, state
):
    best = dict(type='BestCheckpointHook', monitor='score', rule='less')
    unbroken = build(name='unbroken', others=[best])
    unbroken.train()

    send('toy', 3, *point)
    first = build(grace, interval, others=[best])
    assert terminated(first.train, tmp_path / 'toy') == state
    assert first.epoch == (3 if state == 'state_epoch_3.pth' else epoch)
    first.release()

    file = find_state(tmp_path / 'toy')
    resume = dict(resume=True, load_from=str(file)) if file else {}
    second = build(grace, interval, others=[best], **resume)
    second.train()
    weights = unbroken.model.state_dict()
    for key, value in second.model.state_dict().items():
        assert torch.equal(value, weights[key])
    moments = unbroken.optim_wrapper.state_dict()['state']
    for key, state in second.optim_wrapper.state_dict()['state'].items():
        assert torch.equal(state['exp_avg'], moments[key]['exp_avg'])


def test_a_signal_in_the_last_epoch_lets_the_run_end(build, send, tmp_path):
    send('toy', 4, 'training')
    runner = build()
    ended = []

    def run():
        runner.train()
        ended.append(runner.epoch)

    assert terminated(run, tmp_path / 'toy') == 'state_epoch_3.pth'
    assert ended == [4]


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='needs sigwaitinfo')
def test_a_signal_to_all_processes_does_not_take_the_data_workers(
    build, send, tmp_path
):
    loader = toy_loader(workers=2)
    send('toy', 3, 'training', to_all=True)
    runner = build(train_dataloader=loader, val_dataloader=loader)
    assert terminated(runner.train, tmp_path / 'toy') == 'state_epoch_3.pth'
    processes = multiprocessing.active_children()
    assert len(processes) == 4
    runner.release()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * 4


def test_before_the_first_epoch_is_over_there_is_no_state(build, send, tmp_path):
    send('toy', 1, 'training')
    assert terminated(build(grace=0).train, tmp_path / 'toy') is None


def test_a_run_without_states_stops_as_well(toy_runner, send, tmp_path):
    send('toy', 2, 'training')
    hooks = [dict(type='TerminationHook', grace=EVER), dict(type='SendTermination')]
    runner = toy_runner(custom_hooks=hooks)
    assert terminated(runner.train, tmp_path / 'toy') is None
    assert runner.epoch == 2


@HOOKS.register_module()
class Tick(Hook):
    """Lets a second pass with each batch, of training and of validation."""

    priority = 'VERY_HIGH'  # after the signal has been sent and before it is noticed
    clock = SimpleNamespace(now=0.0)

    def before_train_iter(self, *_, **__) -> None:
        Tick.clock.now += 1

    def before_val_iter(self, *_, **__) -> None:
        Tick.clock.now += 1


@pytest.fixture
def clock(monkeypatch):
    """Replaces the clock by one that :class:`Tick` moves."""
    Tick.clock.now = 100.0
    fake = SimpleNamespace(monotonic=lambda: Tick.clock.now)
    monkeypatch.setattr(termination_hook, 'time', fake)
    monkeypatch.setattr(termination, 'time', fake)


@pytest.mark.parametrize(
    ('grace', 'moment', 'epoch', 'saved'),
    [
        # After 1 of 3 batches, 2 batches and a validation of 3 are left.
        (5, (2, 'training', 0), 2, 2),
        (4.9, (2, 'training', 0), 1, 1),
        # Nobody knows yet how long the first validation takes: only its first batch
        # tells that it is too long.
        (4.9, (1, 'training', 0), 1, None),
        (1.9, (1, 'training', 0), 0, None),
        (2, (2, 'validation', 0), 2, 2),
        (1.9, (2, 'validation', 0), 2, 1),
    ],
)
def test_an_epoch_is_finished_if_there_is_time_for_it(
    build, send, clock, tmp_path, grace, moment, epoch, saved
):
    send('toy', *moment)
    runner = build(grace, others=[dict(type='Tick')])
    state = terminated(runner.train, tmp_path / 'toy')
    assert runner.epoch == epoch
    assert state == (saved and f'state_epoch_{saved}.pth')


def test_a_validation_that_is_passed_over_takes_no_time(build, send, clock, tmp_path):
    send('toy', 2, 'training')
    # Minima at the ends of epochs 1 and 5.
    cycle = dict(type='CyclicalLR', max_value=0.01, min_value=1e-5, cycle=4)
    runner = build(
        2,
        epochs=5,
        others=[dict(type='Tick'), dict(type='SnapshotHook')],
        param_scheduler=dict(cycle, by_epoch=True, phase=0.25),
        val_cfg=dict(type='SnapshotValLoop'),
    )
    assert terminated(runner.train, tmp_path / 'toy') == 'state_epoch_2.pth'


@pytest.mark.parametrize(
    ('option', 'value'), [('grace', -1), ('grace', float('nan')), ('interval', 0)]
)
def test_options_are_checked(option, value):
    with pytest.raises(ValueError, match=f'{option}={value}'):
        HOOKS.build(dict(type='TerminationHook', **{option: value}))


def plan(work_dir, generation_config, grace, **changes):
    options = dict(
        plan__lrs=[1e-2],
        plan__probe__epochs=1,
        plan__base=dict(epochs=3, _delete_=True),
        custom_hooks=[
            dict(type='TerminationHook', grace=grace),
            dict(type='SendTermination'),
        ],
    )
    return RUNNERS.build(generation_config(work_dir, **options | changes)).train


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, generation_config):
    """Digests of the ingredients of a plan that nothing has terminated."""
    work_dir = tmp_path_factory.mktemp('unbroken')
    plan(work_dir, generation_config, EVER)()
    return digests(work_dir)


@pytest.mark.parametrize(
    ('grace', 'trial', 'moment', 'state'),
    [
        (EVER, BASE, (2, 'training', 1), 'state_epoch_2.pth'),
        (0, BASE, (2, 'training', 1), None),
        (0, FISSION, (1, 'validation', 0), 'state_epoch_1.pth'),
        (EVER, FISSION, (1, 'training', 0), 'state_epoch_1.pth'),
    ],
)
def test_a_terminated_plan_goes_on_to_the_same_ingredients(
    tmp_path, generation_config, send, unbroken, grace, trial, moment, state
):
    # A state would be written at the end of all times.
    changes = dict(state_interval=99)
    send(trial, *moment)
    train = plan(tmp_path, generation_config, grace, **changes)
    assert terminated(train, tmp_path / 'trials' / trial) == state
    states = {
        e['id']: e['state'] for e in read_json(tmp_path / 'ledger.json')['trials']
    }
    assert states[trial] == 'running'
    plan(tmp_path, generation_config, grace, **changes)()
    assert digests(tmp_path) == unbroken
