from __future__ import annotations

import io
import os
from functools import partial

import pytest
from rich.console import Console

from ff_mm.datasets.files.workers import WorkerError, track
from ff_mm.display import progress


def silent(terminal=False):
    return Console(file=io.StringIO(), width=100, force_terminal=terminal)


def square(number):
    return number * number


def fail_at(number, bad):
    if number == bad:
        raise ValueError(f'{bad} is bad')
    return number


def die(_):
    os._exit(9)


@pytest.mark.parametrize('processes', [0, 1, 2])
@pytest.mark.parametrize('total', [0, 1, 100])
def test_results_come_in_order(processes, total):
    results = track(square, iter(range(total)), total, processes, 'x', silent())
    assert list(results) == [number * number for number in range(total)]


@pytest.mark.parametrize('processes', [1, 2])
def test_an_error_of_the_function_comes_through(processes):
    results = track(partial(fail_at, bad=3), range(5), 5, processes, 'x', silent())
    with pytest.raises(ValueError, match='3 is bad'):
        list(results)


def test_tasks_are_taken_only_as_they_are_needed():
    taken = []

    def tasks():
        for number in range(10_000):
            taken.append(number)
            yield number

    results = track(square, tasks(), 10_000, 2, 'x', silent())
    next(results)
    assert len(taken) < 500
    results.close()


def test_a_worker_that_dies_is_one_line_with_a_remedy():
    with pytest.raises(WorkerError, match='fewer --workers'):
        list(track(die, range(5), 5, 2, 'x', silent()))


def test_a_log_file_gets_a_line_for_each_tenth(monkeypatch):
    monkeypatch.setattr(progress, '_SECONDS_BETWEEN_LINES', 0)
    console = silent()
    list(track(square, range(50), 50, 1, 'resizing', console))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith('[5/50 images, ') and lines[0].endswith('] resizing')
    assert lines[-1].startswith('[50/50 images, 0 s left]')


def test_short_work_leaves_no_lines():
    console = silent()
    list(track(square, range(50), 50, 1, 'resizing', console))
    assert console.file.getvalue() == ''


def test_a_terminal_gets_a_bar_that_is_gone_afterwards():
    console = silent(terminal=True)
    list(track(square, range(50), 50, 1, 'resizing', console))
    text = console.file.getvalue()
    assert '50/50' in text and text.endswith('\x1b[2K')
