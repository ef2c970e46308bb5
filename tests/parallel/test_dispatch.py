"""Who carries out which trial: chains, many processes, dead owners, failures."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_processes import PATIENCE

from ff_mm.fission import FGGPlan, Ledger
from ff_mm.fission.ledger import comparable
from ff_mm.parallel.claim import Claim
from ff_mm.parallel.dispatch import (
    Dispatch,
    TakenOverError,
    Task,
    chains,
    write_until_current,
)
from ff_mm.parallel.team import Team

RESULT = dict(epochs=1, seconds=0.5, images=10, metrics={}, ingredients=[])
TRIALS = FGGPlan([1e-2, 1e-3, 1e-4]).trials()
TASKS = [Task(trial.id, trial.parents) for trial in TRIALS]


def names(plan):
    return [[task.id for task in chain] for chain in chains(plan)]


def test_a_base_and_its_fission_are_a_chain_and_the_probe_comes_first():
    assert names(TASKS) == [
        ['probe'],
        ['base_lr0.01', 'fission_lr0.01'],
        ['base_lr0.001', 'fission_lr0.001'],
        ['base_lr0.0001', 'fission_lr0.0001'],
    ]


def test_an_only_child_follows_its_parent():
    assert names([Task('a'), Task('b', ('a',)), Task('c', ('b',))]) == [['a', 'b', 'c']]
    assert names([Task('a'), Task('b')]) == [['a'], ['b']]
    tree = dict(a='', b='a', c='a', d='b', e='c')
    tasks = [Task(task, tuple(parents)) for task, parents in tree.items()]
    assert names(tasks) == [['a'], ['b', 'd'], ['c', 'e']]


def test_a_child_of_several_begins_a_chain():
    rounds = dict(a='', b='', c='ab', d='ab', e='c')
    tasks = [Task(task, tuple(parents)) for task, parents in rounds.items()]
    assert names(tasks) == [['a'], ['b'], ['c', 'e'], ['d']]


@given(st.data())
def test_chains_hold_every_task_once_and_parents_first(data):
    tasks = [Task('0')]
    for number in range(1, data.draw(st.integers(1, 12))):
        known = st.sampled_from([task.id for task in tasks])
        parents = data.draw(st.lists(known, max_size=3, unique=True))
        tasks.append(Task(str(number), tuple(parents)))
    found = chains(tasks)
    order = [task.id for chain in found for task in chain]
    assert sorted(order) == sorted(task.id for task in tasks)
    seen = set()
    for chain in found:
        # All that a chain has to wait for is in chains before it, or in itself.
        for task in chain:
            assert seen.issuperset(task.parents)
            seen.add(task.id)


def carry_out(team, work_dir, seconds=0.01):
    """Carries out the plan; what this process has done, in its order."""
    ledger = Ledger(work_dir, {}, TRIALS)
    done = []

    def run(task):
        time.sleep(seconds)
        parent = ledger.entry(task)['parent']
        assert parent is None or ledger.is_done(parent)
        ledger.finish(task, dict(RESULT, by=team.rank))
        ledger.publish()
        done.append(task)

    Dispatch(TASKS, ledger, team, run).carry_out()
    assert ledger.complete
    ledger.publish(last=True)
    return done


@pytest.mark.parametrize('size', [1, 2, 4, 9])
def test_each_trial_is_carried_out_once_by_whole_chains(in_team, tmp_path, size):
    done = in_team(size, carry_out, tmp_path)
    everything = [task for tasks in done for task in tasks]
    assert sorted(everything) == sorted(task.id for task in TASKS)
    for tasks in done:
        bases = [task.replace('base', 'fission') for task in tasks if 'base' in task]
        assert bases == [task for task in tasks if 'fission' in task]
    ledger = Ledger(tmp_path, {}, TRIALS)
    assert ledger.cost() == dict(trials=7, epochs=7, seconds=3.5, images=70)
    shown = read(ledger)
    assert [entry['state'] for entry in shown['trials']] == ['done'] * 7


def read(ledger):
    from ff_mm.files import read_json

    return read_json(ledger.path)


def test_what_is_done_is_not_done_again(tmp_path):
    ledger = Ledger(tmp_path, {}, TRIALS)
    for task in ('probe', 'base_lr0.01'):
        assert ledger.take(task)
        ledger.finish(task, RESULT)
        ledger.release(task)
    done = carry_out(Team.alone(), tmp_path)
    assert sorted(done) == sorted({t.id for t in TASKS} - {'probe', 'base_lr0.01'})


def die_in_the_second(team, work_dir):
    """Carries out the plan, but the first process dies in its second chain."""
    ledger = Ledger(work_dir, {}, TRIALS)
    done = []

    def run(task):
        if team.is_first and task != 'probe':
            (work_dir / 'dying').touch()
            os.kill(os.getpid(), 9)
        while not team.is_first and not (work_dir / 'dying').exists():
            time.sleep(0.01)  # else it may be through before the first has its second
        ledger.finish(task, RESULT)
        done.append(task)

    Dispatch(TASKS, ledger, team, run).carry_out()
    return done


def test_what_a_dead_process_has_left_others_take_over(tmp_path):
    import multiprocessing

    import torch.distributed as dist

    fork = multiprocessing.get_context('fork')
    server = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)

    def member(rank):
        store = dist.TCPStore('127.0.0.1', server.port, is_master=False)
        die_in_the_second(Team(store, rank, 2), tmp_path)

    first, second = (fork.Process(target=member, args=(rank,)) for rank in range(2))
    first.start()
    while not (tmp_path / 'claims').exists():  # it has the probe
        time.sleep(0.01)
    second.start()
    first.join(PATIENCE)
    second.join(PATIENCE)
    assert (first.exitcode, second.exitcode) == (-9, 0)
    assert Ledger(tmp_path, {}, TRIALS).complete


def test_a_failed_trial_takes_its_children_with_it_and_no_others(tmp_path):
    ledger = Ledger(tmp_path, {}, TRIALS)
    ran = []

    def run(task):
        ran.append(task)
        if task == 'base_lr0.01':
            ledger.fail(task, 'diverged', 'loss nan')
        else:
            ledger.finish(task, RESULT)

    Dispatch(TASKS, ledger, Team.alone(), run).carry_out()
    assert 'fission_lr0.01' not in ran and len(ran) == 6
    failures = Ledger(tmp_path, {}, TRIALS).failures
    assert {k: v['kind'] for k, v in failures.items()} == {
        'base_lr0.01': 'diverged',
        'fission_lr0.01': 'parent failed',
    }
    assert ledger.complete


def test_a_trial_in_other_hands_is_waited_for_and_the_rest_done(tmp_path):
    ledger = Ledger(tmp_path, {}, TRIALS)
    other = Ledger(tmp_path, {}, TRIALS)
    other.take('base_lr0.01')
    lines, ran = [], []

    def notify(line):
        lines.append(line)
        other.finish('base_lr0.01', RESULT)
        other.release('base_lr0.01')

    def run(task):
        ran.append(task)
        ledger.finish(task, RESULT)

    Dispatch(TASKS, ledger, Team.alone(), run, notify).carry_out()
    assert len(lines) == 1
    assert f'waiting for base_lr0.01: process {os.getpid()}' in lines[0]
    assert ran[-1] == 'fission_lr0.01' and 'base_lr0.01' not in ran


def test_an_error_gives_the_trial_free(tmp_path):
    ledger = Ledger(tmp_path, {}, TRIALS)

    def run(task):
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        Dispatch(TASKS, ledger, Team.alone(), run).carry_out()
    assert Ledger(tmp_path, {}, TRIALS).take('probe')


def seem_dead(work_dir, task):
    """Has the owner of a task seem a process of another machine, long silent."""
    claim = work_dir / 'claims' / f'{task}.1'
    claim.write_text(claim.read_text().replace('"machine": "', '"machine": "other '))
    os.utime(claim, (0, 0))


def test_who_was_taken_for_dead_goes_on_with_the_next(tmp_path):
    slow, fast = Ledger(tmp_path, {}, TRIALS), Ledger(tmp_path, {}, TRIALS)
    lines, done = [], []

    def run(task):
        done.append(task)
        if task == 'base_lr0.01':
            seem_dead(tmp_path, task)
            assert fast.take(task)
        if task == 'base_lr0.001':  # the other is done meanwhile
            fast.finish('base_lr0.01', dict(RESULT, by='fast'))
            fast.release('base_lr0.01')
        slow.finish(task, dict(RESULT, by='slow'))

    Dispatch(TASKS, slow, Team.alone(), run, lines.append).carry_out()
    assert slow.complete
    assert sorted(done) == sorted(trial.id for trial in TRIALS)
    assert slow.entry('base_lr0.01')['by'] == 'fast'
    assert slow.entry('fission_lr0.01')['by'] == 'slow'
    (line,) = lines
    assert "'base_lr0.01' was taken over by process" in line


@pytest.mark.parametrize('note', ['finish', 'fail', 'require_mine'])
def test_a_result_of_one_who_was_taken_for_dead_does_not_count(tmp_path, note):
    slow, fast = Ledger(tmp_path, {}, TRIALS), Ledger(tmp_path, {}, TRIALS)
    slow.take('probe')
    slow.require_mine('probe')
    seem_dead(tmp_path, 'probe')
    assert fast.take('probe')
    arguments = dict(finish=[RESULT], fail=['a', 'b'], require_mine=[])[note]
    with pytest.raises(TakenOverError, match="'probe' was taken over by process"):
        getattr(slow, note)('probe', *arguments)
    fast.finish('probe', RESULT)
    assert Claim(tmp_path / 'claims', 'probe').holder is not None
    assert comparable({}) == {}


def test_what_changes_while_it_is_written_is_written_too():
    states = iter(['a', 'b', 'b'])
    written = []
    assert write_until_current(lambda: next(states), written.append) == 'b'
    assert written == ['a', 'b']


def test_what_does_not_change_is_written_once():
    written = []
    assert write_until_current(lambda: 'a', written.append) == 'a'
    assert written == ['a']
