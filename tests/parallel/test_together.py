"""What processes do at the same time; threads stand in for them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch.distributed as dist
from many_processes import PATIENCE

from ff_mm.errors import ConfigError
from ff_mm.parallel.team import Team
from ff_mm.parallel.termination import Terminated
from ff_mm.parallel.together import AnotherFailed, first_alone, in_turn, together

SIZE = 3


def in_team(work):
    """What ``work(team)`` returns or raises on each member."""
    store = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)

    def member(rank):
        own = dist.TCPStore('127.0.0.1', store.port, is_master=False)
        try:
            return work(Team(own, rank, SIZE))
        except BaseException as error:
            return error

    with ThreadPoolExecutor(SIZE) as threads:
        return list(threads.map(member, range(SIZE)))


def test_all_get_all_results():
    found = in_team(lambda team: together(team, 'it', lambda: {'rank': team.rank}))
    assert found == [[{'rank': 0}, {'rank': 1}, {'rank': 2}]] * SIZE


def taken(team, tasks, work, **options):
    """What each process has done itself, and what it was told."""
    own, noted = [], []

    def task(value):
        own.append(value)
        return work(value)

    in_turn(team, 'it', tasks, task, lambda *pair: noted.append(pair), **options)
    return own, noted


@pytest.mark.parametrize('number', range(6))
def test_each_task_is_done_once_and_all_know_its_outcome(number):
    tasks = [f'task {i}' for i in range(number)]
    found = in_team(lambda team: taken(team, tasks, str.upper))
    assert sorted(task for own, _ in found for task in own) == tasks
    for _, noted in found:
        assert sorted(noted) == [(task, task.upper()) for task in tasks]


def test_who_is_free_takes_the_next():
    # One is at work until all others are done.
    free = Event()

    def work(task):
        if task == 0:
            assert free.wait(PATIENCE)
        if task == 8:
            free.set()
        return task

    found = in_team(lambda team: taken(team, list(range(9)), work))
    assert [0] in [own for own, _ in found]


@pytest.mark.parametrize('last', range(4))
def test_one_outcome_ends_it_and_all_before_it_are_there(last, monkeypatch):
    # Those after the last wait until its end is known: whoever has it may be slow.
    over = Event()
    tell = Team.tell

    def tell_and_note(team, key, *value):
        tell(team, key, *value)
        if key.endswith('/over'):
            over.set()

    monkeypatch.setattr(Team, 'tell', tell_and_note)

    def work(task):
        assert task <= last or over.wait(PATIENCE)
        return float(task)

    def member(team):
        return taken(team, list(range(40)), work, ends=lambda found: found == last)

    for _, noted in in_team(member):
        known = sorted(task for task, _ in noted)
        assert known == list(range(len(known)))
        # Each of the others had one more task, at most.
        assert last < len(known) <= last + SIZE


def test_numbers_come_through_bit_for_bit():
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.inf]
    for _, noted in in_team(lambda team: taken(team, values, float)):
        assert all(task.hex() == found.hex() for task, found in noted)
    for found in in_team(lambda team: together(team, 'it', lambda: math.nan)):
        assert all(map(math.isnan, found))


def test_the_first_works_alone():
    assert in_team(lambda team: first_alone(team, 'it', lambda: [team.rank])) == (
        [[0]] * SIZE
    )


def test_a_name_can_be_used_again_by_others_of_the_same_team():
    def work(team):
        other = Team(team._store, team.rank, team.size)
        found = []
        for each in (team, other, team):
            said = f'{len(found)} {team.rank}'
            found += together(each, 'it', lambda said=said: said)[2:]
        return found

    assert in_team(work) == [['0 2', '1 2', '2 2']] * SIZE


@pytest.mark.parametrize(
    ('error', 'kind', 'message'),
    [
        (
            ConfigError('no such file'),
            AnotherFailed,
            'process 1 .*ConfigError: no',
        ),
        (MemoryError(), AnotherFailed, 'process 1 has stopped: MemoryError'),
        (KeyboardInterrupt(), KeyboardInterrupt, ''),
        (Terminated(), Terminated, ''),
    ],
)
def test_the_end_of_one_is_that_of_all(error, kind, message):
    def work(team):
        def part():
            if team.rank == 1:
                raise error

        return together(team, 'it', part)

    first, failed, last = in_team(work)
    assert failed is error
    for other in (first, last):
        assert type(other) is kind
        with pytest.raises(kind, match=message):
            raise other


def test_one_process_is_a_team_too():
    assert taken(Team.alone(), 'abc', str.upper) == (
        [*'abc'],
        [('a', 'A'), ('b', 'B'), ('c', 'C')],
    )
    with pytest.raises(ZeroDivisionError):
        together(Team.alone(), 'it', lambda: 1 / 0)
