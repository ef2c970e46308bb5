from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import torch.distributed as dist
from rich.console import Console

from ff_mm.display.console import duration
from ff_mm.fission.progress import PlanProgress
from ff_mm.parallel.team import Team


def entry(trial_id, epochs, state='planned'):
    return dict(id=trial_id, planned_epochs=epochs, state=state)


def progress(entries, terminal=False):
    console = Console(file=io.StringIO(), width=200, force_terminal=terminal)
    return PlanProgress(entries, console), console.file


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0, '0 s'),
        (59.4, '59 s'),
        (59.6, '1 min 00 s'),
        (190, '3 min 10 s'),
        (3599.9, '1 h 00 min'),
        (7500, '2 h 05 min'),
        (100 * 3600, '100 h 00 min'),
    ],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text


def test_a_log_gets_a_line_an_epoch_with_the_whole_plans_count():
    shown, out = progress([entry('a', 2, 'done'), entry('b', 3), entry('c', 5)])
    with shown:
        shown.start_trial('b', 0, 3)
        shown.end_epoch(1, dict(loss=0.5))
        shown.end_epoch(2, dict(loss=0.25))
    first, second = out.getvalue().splitlines()
    assert first.startswith('[3/10 epochs, ') and 'b epoch 1/3: loss 0.5000' in first
    assert second.startswith('[4/10 epochs, ') and 'loss 0.2500' in second


def test_what_early_stopping_saves_is_no_longer_to_come():
    shown, out = progress([entry('a', 50), entry('b', 50)])
    with shown:
        shown.start_trial('a', 0, 50)
        shown.end_epoch(1, {})
        shown.end_trial()
        shown.start_trial('b', 0, 50)
        shown.end_epoch(1, {})
    assert out.getvalue().splitlines()[-1].startswith('[2/51 epochs')


def test_a_resumed_trial_counts_its_epochs_but_not_as_done_in_this_session():
    shown, out = progress([entry('a', 10)])
    with shown:
        shown.start_trial('a', 7, 10)
        assert shown._left() == '?'
        shown.end_epoch(8, {})
    lines = out.getvalue().splitlines()
    assert lines[0] == 'a: going on after epoch 7'
    assert lines[1].startswith('[8/10 epochs')


def test_a_terminal_gets_a_bar_and_a_line_a_trial():
    shown, out = progress([entry('a', 2)], terminal=True)
    with shown:
        shown.start_trial('a', 0, 2)
        shown.end_epoch(1, dict(loss=0.5))
        shown.end_epoch(2, dict(loss=0.25))
        shown.end_trial()
    text = out.getvalue()
    assert 'a: 2 epochs, the last: loss 0.2500' in text
    assert 'trial 1/1 a' in text and '2/2' in text


def test_the_bar_goes_on_within_an_epoch():
    shown, _ = progress([entry('a', 2)], terminal=True)
    with shown:
        shown.start_trial('a', 0, 2)
        shown.within_epoch(0.25)
        (bar,) = shown._bar.tasks
        assert bar.completed == 0.25
        shown.end_epoch(1, {})
        assert bar.completed == 1
        shown.within_epoch(0.5)
        assert bar.completed == 1.5


def test_a_log_hears_of_a_long_epoch_once_a_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(
        'ff_mm.fission.progress.time', SimpleNamespace(perf_counter=lambda: now[0])
    )
    shown, out = progress([entry('a', 2)])
    with shown:
        shown.start_trial('a', 0, 2)
        for second in range(1, 151):
            now[0] = second
            shown.within_epoch(second / 200)
        shown.end_epoch(1, {})
        now[0] = 200.0
        shown.within_epoch(0.1)
    first, second, *others = out.getvalue().splitlines()
    assert first == '[0/2 epochs] a epoch 1/2: 30% trained'
    assert second == '[0/2 epochs] a epoch 1/2: 60% trained'
    assert len(others) == 1 and others[0].startswith('[1/2 epochs, ')


def test_a_failed_trial_is_said_and_its_epochs_are_no_longer_to_come():
    shown, out = progress([entry('a', 50), entry('b', 3)])
    with shown:
        shown.start_trial('a', 0, 50)
        shown.end_epoch(1, {})
        shown.fail_trial('a', 'diverged: loss nan')
        shown.fail_trial('c', 'before it began')
        shown.start_trial('b', 0, 3)
        shown.end_epoch(1, {})
    lines = out.getvalue().splitlines()
    assert lines[1] == 'a has failed (diverged: loss nan) and is left out'
    assert lines[-1].startswith('[2/4 epochs')


def test_processes_of_a_team_count_together():
    store = dist.HashStore()
    entries = [entry('a', 2), entry('b', 2)]
    first, second = (
        PlanProgress(entries, Console(file=io.StringIO()), Team(store, rank, 2))
        for rank in range(2)
    )
    with first, second:
        first.start_trial('a', 0, 2)
        second.start_trial('b', 0, 2)
        first.end_epoch(1, {})
        second.end_epoch(1, {})
    assert first.console.file.getvalue().startswith('[1/4 epochs')
    assert second.console.file.getvalue().startswith('[2/4 epochs')
