"""Files that are written while training goes on."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook

from ff_mm import files
from ff_mm.engine.background_writer import BackgroundWriter
from ff_mm.engine.hooks.resume_state_hook import find_state
from ff_mm.errors import ConfigError
from ff_mm.merging.state_dict import read_checkpoint

STATE = [dict(type='SafeCheckpointHook'), dict(type='ResumeStateHook')]


@pytest.fixture
def gate(monkeypatch):
    """Holds up all writing until it is opened."""
    opened = threading.Event()
    write = BackgroundWriter._write

    def held_up(*args):
        opened.wait()
        write(*args)

    monkeypatch.setattr(BackgroundWriter, '_write', held_up)
    yield opened
    opened.set()


def test_nobody_waits_until_two_files_are_to_be_written(tmp_path, gate):
    """Each is a copy in memory, so no third one is made before there is room."""
    writer, room = BackgroundWriter(), []
    for number in range(2):
        writer.write(b'%d' % number, tmp_path / f'{number}')
    third = threading.Thread(target=lambda: (writer.make_room(), room.append(True)))
    third.start()
    third.join(0.2)
    assert not list(tmp_path.iterdir()) and not room
    gate.set()
    third.join()
    writer.write(b'2', tmp_path / '2')
    writer.wait()
    assert [(tmp_path / f'{n}').read_bytes() for n in range(3)] == [b'0', b'1', b'2']


def test_nothing_follows_what_has_failed_and_the_error_is_raised_in_the_loop(tmp_path):
    writer = BackgroundWriter()
    (tmp_path / 'file').touch()
    writer.write(b'best', tmp_path / 'file' / 'best')  # a file is no folder
    with pytest.raises(NotADirectoryError):
        writer.write(b'state', tmp_path / 'state')
        writer.wait()
    writer.check()  # it is said once
    assert not (tmp_path / 'state').exists()
    writer.write(b'later', tmp_path / 'later')  # as after a full disk
    writer.wait()
    assert (tmp_path / 'later').read_bytes() == b'later'


def test_what_has_become_anothers_is_left_alone(tmp_path):
    writer, ours = BackgroundWriter(), iter([True, False])
    theirs = tmp_path / 'theirs'
    theirs.write_bytes(b'theirs')
    writer.allowed = lambda: next(ours)  # it is lost while the file is written
    writer.write(b'ours', theirs)
    writer.submit(theirs.unlink)
    writer.wait()
    assert [p.name for p in tmp_path.iterdir()] == ['theirs']
    assert theirs.read_bytes() == b'theirs'


def test_training_goes_on_while_a_state_is_written(toy_runner, gate, tmp_path):
    """The state is what it was when it was copied, not when it is written."""
    alone = toy_runner('alone', custom_hooks=STATE)
    steps = []

    class Look(Hook):
        def after_train_iter(self, runner, batch_idx, *_, **__):
            steps.append((runner.epoch, batch_idx))
            if runner.epoch == 1 and batch_idx == 2:  # nothing is there yet
                assert find_state(runner.work_dir) is None
                gate.set()

    alone.register_hook(Look())
    alone.train()
    assert (1, 2) in steps
    assert find_state(alone.work_dir).name == 'state_epoch_3.pth'


def test_the_best_epoch_is_on_disk_before_the_state_that_speaks_of_it(
    toy_runner, monkeypatch
):
    order = []
    write = BackgroundWriter._write

    def noted(self, content, path):
        if 'best' in str(path):
            time.sleep(0.05)
        write(self, content, path)
        order.append(str(path).rpartition('/')[2])

    monkeypatch.setattr(BackgroundWriter, '_write', noted)
    best = dict(type='BestCheckpointHook', monitor='score', rule='greater')
    toy_runner(epochs=3, custom_hooks=[best, *STATE]).train()
    assert order == [
        'best.pth',
        'state_epoch_1.pth',
        'best.pth',
        'state_epoch_2.pth',
        'best.pth',
    ]


def test_a_full_disk_ends_the_run_in_the_same_epoch(toy_runner, monkeypatch):
    failed = threading.Event()

    def full(*_):
        failed.set()
        raise OSError(errno.ENOSPC, 'No space left on device', 'state_epoch_1.pth')

    class Wait(Hook):
        def before_train_iter(self, runner, batch_idx, *_, **__):
            if (runner.epoch, batch_idx) == (1, 1):
                runner.writer.wait()

    monkeypatch.setattr(BackgroundWriter, '_write', full)
    runner = toy_runner(custom_hooks=STATE)
    runner.register_hook(Wait())
    with pytest.raises(OSError, match='No space left'):
        runner.train()
    assert failed.is_set() and runner.epoch == 1
    assert find_state(runner.work_dir) is None


def test_an_error_that_nobody_waits_for_is_raised_in_training(toy_runner):
    runner = toy_runner(custom_hooks=STATE)

    class Fail(Hook):
        def before_train_iter(self, runner, batch_idx, *_, **__):
            if (runner.epoch, batch_idx) == (0, 1):
                runner.writer.submit(lambda: 1 / 0)
                runner.writer._waiting[0].exception()  # it has come to pass

    runner.register_hook(Fail())
    with pytest.raises(ZeroDivisionError):
        runner.train()
    assert (runner.epoch, runner.iter) == (0, 1)


def train_until_killed(build, call, place):
    """Trains until the given call of os.replace, and ends before or after it."""
    calls, replace = [], os.replace

    def dies(*paths):
        calls.append(paths)
        if len(calls) == call and place == 'before':
            os._exit(9)
        replace(*paths)
        if len(calls) == call:
            os._exit(9)

    files.os = SimpleNamespace(**{**vars(os), 'replace': dies})
    build('run').train()


@pytest.mark.parametrize('place', ['before', 'after'])
@pytest.mark.parametrize('call', range(2, 7))
def test_whoever_is_killed_while_writing_goes_on_as_if_unbroken(
    toy_runner, tmp_path, call, place
):
    best = dict(type='BestCheckpointHook', monitor='score', rule='greater')
    hooks = [best, dict(type='EpochSeedHook'), *STATE]
    build = partial(toy_runner, epochs=3, custom_hooks=hooks)
    whole = build('whole')
    whole.train()
    process = multiprocessing.get_context('fork').Process(
        target=train_until_killed, args=(build, call, place)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    state = find_state(tmp_path / 'run')
    on = build('run', resume=state is not None, load_from=state and str(state))
    on.train()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, on.model.state_dict()[name])
    kept = [tmp_path / name / 'best.pth' for name in ('whole', 'run')]
    ours, theirs = (read_checkpoint(path)['state_dict'] for path in kept)
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


@pytest.mark.parametrize(
    ('interval', 'states'),
    [('0s', 3), ('1h', 0), (' 0.5 min', 0), (1, 3), (2, 1)],
    ids=str,
)
def test_states_by_time(toy_runner, monkeypatch, interval, states):
    written = []
    monkeypatch.setattr(
        BackgroundWriter, '_write', lambda self, content, path: written.append(path)
    )
    hooks = [STATE[0], dict(type='ResumeStateHook', interval=interval)]
    toy_runner(custom_hooks=hooks).train()
    assert len(written) == states


@pytest.mark.parametrize('interval', [0, True, 1.5, 'often', '3 minutes', '-3min'])
def test_what_is_no_interval_is_said(toy_runner, interval):
    hooks = [STATE[0], dict(type='ResumeStateHook', interval=interval)]
    with pytest.raises(ConfigError, match=r'state_interval=.*3min'):
        toy_runner(custom_hooks=hooks)
