"""How often processes that wait ask the file system, which may be a server's."""

import builtins
import io
import os
import time

import pytest

from ff_mm.fission import GridSearchPlan, Ledger
from ff_mm.parallel.claim import Claim
from ff_mm.parallel.dispatch import Dispatch, Task
from ff_mm.parallel.team import Team
from ff_mm.parallel.waiting import Waiting
from ff_mm.parallel.watch import Watch

LRS = [1e-3 / (number + 1) for number in range(200)]
TRIALS = GridSearchPlan(LRS, [0], ['medium'], probe=None).trials()
TASKS = [Task(trial.id, trial.parents) for trial in TRIALS]
QUESTIONS = ('stat', 'lstat', 'listdir', 'mkdir', 'link', 'unlink', 'utime', 'open')
RESULT = dict(epochs=1, seconds=0.5, images=10, metrics={}, ingredients=[])


@pytest.fixture
def questions(monkeypatch, tmp_path):
    """The questions about the work directory, which may be cleared."""
    asked = []

    def count(module, name):
        call = getattr(module, name)

        def counted(path, *args, **kwargs):
            if str(path).startswith(str(tmp_path)):
                asked.append(f'{name} {path}')
            return call(path, *args, **kwargs)

        monkeypatch.setattr(module, name, counted)

    for name in QUESTIONS:
        count(os, name)
    count(io, 'open')
    count(builtins, 'open')
    return asked


class EndOfWait(Exception):
    """Enough was waited."""


@pytest.fixture
def clock(monkeypatch):
    """Sleep that takes no time: ``clock.events`` are called when they are due."""

    class Clock:
        def __init__(self):
            self.now, self.events = 0.0, []

        def sleep(self, seconds):
            self.now += seconds
            for event in list(self.events):
                event(self.now)

    found = Clock()
    monkeypatch.setattr(time, 'sleep', found.sleep)
    monkeypatch.setattr(time, 'monotonic', lambda: found.now)
    return found


@pytest.fixture
def elsewhere(tmp_path, clock):
    """A ledger of a process on another machine that has all trials and lives."""
    other = Ledger(tmp_path, {}, TRIALS)
    beat, utime = [0.0], os.utime
    for trial in TRIALS:
        other.take(trial.id)
    claims = list((tmp_path / 'claims').iterdir())
    for path in claims:
        path.write_text(path.read_text().replace('"machine": "', '"machine": "other '))

    def live(now):
        if now - beat[0] >= 15:
            beat[0] = now
            for number, path in enumerate(claims):
                utime(path, (time.time(), time.time() + number * 1e-3))

    clock.events.append(live)
    return other


def stop_at(clock, seconds):
    def stop(now):
        if now >= seconds:
            raise EndOfWait

    clock.events.append(stop)


def idle(tasks, ledger, lines):
    with pytest.raises(EndOfWait):
        Dispatch(tasks, ledger, Team.alone(), pytest.fail, lines.append).carry_out()


@pytest.mark.parametrize('number', [1, 200])
def test_who_waits_for_others_asks_seldom(
    tmp_path, clock, elsewhere, questions, number
):
    ledger, lines = Ledger(tmp_path, {}, TRIALS), []
    questions.clear()
    stop_at(clock, 600)
    idle(TASKS[:number], ledger, lines)
    assert len(lines) == 1 and 'waiting for' in lines[0]
    # A few for each trial, and then a look whenever the wait has grown by a tenth.
    assert len(questions) < 60 * (number + 8)
    late = len(questions)
    clock.events.pop()
    stop_at(clock, clock.now + 300)
    idle(TASKS[:number], ledger, lines)
    assert len(questions) - late < 50 * (number + 8)


def test_the_answer_comes_late_by_a_tenth_of_the_wait(tmp_path, clock, elsewhere):
    ended = []

    def end(now):
        if now >= 100 and not ended:
            ended.append(now)
            elsewhere.finish(TASKS[0].id, RESULT)
            elsewhere._claims[TASKS[0].id].release()

    clock.events.append(end)
    ledger = Ledger(tmp_path, {}, TRIALS)
    Dispatch(TASKS[:1], ledger, Team.alone(), pytest.fail).carry_out()
    assert ended[0] <= clock.now <= 1.11 * ended[0]


def test_a_look_asks_of_each_claim_but_its_time(tmp_path, elsewhere, questions):
    watch = Watch(tmp_path / 'claims')
    names = [task.id for task in TASKS]
    assert all(watch.look(names).values())
    questions.clear()
    assert watch.look([*names, 'nobody has claimed it']).keys() == set(names)
    assert len(questions) <= 2 * len(names) + 8
    questions.clear()
    assert watch.look([]) == {} and not questions


def test_the_ledger_is_written_after_one_look(tmp_path, elsewhere, questions):
    ledger = Ledger(tmp_path, {}, TRIALS)
    assert {entry['state'] for entry in ledger.entries} == {'running'}
    questions.clear()
    ledger.publish()
    assert len([q for q in questions if '/claims' in q]) <= 2 * len(TRIALS) + 8


@pytest.mark.parametrize('change', ['released', 'dead', 'taken', 'gone'])
def test_a_look_sees_what_has_changed(tmp_path, change):
    claim, watch = Claim(tmp_path, 'a.b'), Watch(tmp_path)
    assert watch.look(['a.b']) == {}
    claim.take()
    assert watch.look(['a.b', 'a'])['a.b'].pid == os.getpid()
    path = tmp_path / 'a.b.1'
    if change == 'released':
        claim.release()
    elif change == 'dead':
        path.write_text(path.read_text().replace('"started": ', '"started": 1'))
    elif change == 'taken':
        claim.release()
        Claim(tmp_path, 'a.b').take()
        assert watch.look(['a.b'])['a.b'].pid == os.getpid()
        return
    else:
        path.unlink()
        tmp_path.rmdir()
    assert watch.look(['a.b']) == {'a.b': None}


def test_files_of_others_are_no_claims(tmp_path):
    """A file to tell the time by has sixteen digits, which may all be decimal."""
    claim, watch = Claim(tmp_path, 'a'), Watch(tmp_path)
    (tmp_path / '.now.1234567890123456').touch()
    (tmp_path / 'b.0').touch()
    assert claim.take() and not Claim(tmp_path, 'a').take()
    assert watch.look(['a'])['a'] and watch.look(['c']) == {}


def test_pauses_grow_with_the_wait(clock):
    waiting = Waiting(2, 30)
    assert waiting.pause() == 2
    clock.sleep(100)
    assert waiting.pause() == 10
    clock.sleep(10_000)
    assert waiting.pause() == 30
