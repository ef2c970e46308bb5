"""The line that training waits for data."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from ff_mm.fission import waiting_hook
from ff_mm.fission.waiting_hook import WaitingHook


@pytest.mark.parametrize(
    ('loading', 'step', 'share'),
    [(1.0, 3.0, 25), (1.0, 19.0, None), (0.1, 0.1, None)],
    ids=['waits', 'hardly', 'for a moment'],
)
def test_a_share_that_is_worth_it_is_said(monkeypatch, caplog, loading, step, share):
    caplog.set_level(logging.INFO)
    told, clock = [], SimpleNamespace(now=5.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(waiting_hook, 'time', clock)
    loader = SimpleNamespace(num_workers=4)
    runner = SimpleNamespace(
        epoch=2, train_dataloader=loader, logger=logging.getLogger('run')
    )
    hook = WaitingHook(told.append)
    hook.before_train_epoch(runner)
    for _ in range(3):
        clock.now += loading
        hook.before_train_iter(runner, 0)
        clock.now += step
        hook.after_train_iter(runner, 0)
    hook.after_train_epoch(runner)
    lines = [line for line in told if line.startswith('training waits for data, ')]
    assert lines == told == caplog.messages
    said = [f'{share} % of epoch 3 (4 data workers, '] if share else []
    assert [line.split(', ', 1)[1][: len(said[0])] for line in told] == said
