"""Claims: one process at a time, and dead owners are recognised."""

import json
import multiprocessing
import os
import signal
import threading
import time

import pytest
from many_processes import PATIENCE

from ff_mm.files import NotRegularError
from ff_mm.parallel import claim as claim_module
from ff_mm.parallel.claim import Claim, ClaimError, InUseError, only_one
from ff_mm.parallel.holder import Holder

FORK = multiprocessing.get_context('fork')


def test_one_takes_it_the_other_does_not(tmp_path):
    mine, other = Claim(tmp_path, 'base'), Claim(tmp_path, 'base')
    assert mine.take() and mine.is_mine
    assert not other.take() and not other.is_mine
    assert other.holder.pid == os.getpid()
    assert str(os.getpid()) in str(other.holder)
    assert Claim(tmp_path, 'another').take()


def test_released_it_is_free(tmp_path):
    mine, other = Claim(tmp_path, 'base'), Claim(tmp_path, 'base')
    mine.take()
    mine.release()
    assert other.holder is None and not mine.is_mine
    assert other.take() and not mine.take()
    mine.release()  # not its own any more
    assert other.is_mine
    other.release()
    assert mine.take()


def hold(folder, taken):
    """Takes the claim and waits."""
    taken.put(Claim(folder, 'base').take())
    time.sleep(PATIENCE)


def test_a_dead_process_holds_nothing(tmp_path):
    taken = FORK.Queue()
    process = FORK.Process(target=hold, args=(tmp_path, taken))
    process.start()
    assert taken.get(timeout=PATIENCE)
    claim = Claim(tmp_path, 'base')
    assert not claim.take() and claim.holder.pid == process.pid
    os.kill(process.pid, signal.SIGKILL)
    # Also before anybody has waited for it, while it is a zombie.
    for _ in range(20 * PATIENCE):
        if claim.holder is None:
            break
        time.sleep(0.05)
    assert claim.take()
    process.join()


def test_a_number_that_came_again_is_another_process(tmp_path):
    Claim(tmp_path, 'base').take()
    edit(tmp_path / 'base.1', pid=os.getppid(), started=1)
    assert Claim(tmp_path, 'base').take()


def edit(path, **changes):
    """Changes what a claim's file says, and leaves its time."""
    stat = path.stat()
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    os.utime(path, (stat.st_atime, stat.st_mtime))


@pytest.mark.parametrize(('silent', 'dead'), [(10, False), (1000, True)])
def test_a_holder_elsewhere_is_dead_when_silent_for_long(tmp_path, silent, dead):
    Claim(tmp_path, 'base').take()
    edit(tmp_path / 'base.1', machine='elsewhere')
    os.utime(tmp_path / 'base.1', (time.time() - silent,) * 2)
    claim = Claim(tmp_path, 'base')
    assert (claim.holder is None) == dead
    assert claim.take() == dead


def test_who_was_taken_for_dead_learns_it(tmp_path):
    mine, other = Claim(tmp_path, 'base'), Claim(tmp_path, 'base')
    mine.take()
    edit(tmp_path / 'base.1', machine='elsewhere')
    os.utime(tmp_path / 'base.1', (0, 0))
    assert other.take()
    assert not mine.is_mine and other.is_mine


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(claim_module, 'BEAT', 0.01)
    claim = Claim(tmp_path, 'base')
    claim.take()
    os.utime(tmp_path / 'base.1', (0, 0))
    for _ in range(100 * PATIENCE):
        if (tmp_path / 'base.1').stat().st_mtime > 0:
            break
        time.sleep(0.01)
    assert (tmp_path / 'base.1').stat().st_mtime > time.time() - 60
    claim.release()


@pytest.fixture
def clock(monkeypatch):
    """Seconds by the process's own count, which go on when they are told to."""
    now = [0.0]
    monkeypatch.setattr(claim_module.time, 'monotonic', lambda: now[0])
    return now


@pytest.mark.parametrize('ahead', [1, 3600, 400 * 86400])
def test_a_sign_of_life_in_the_future_is_waited_for_no_longer(tmp_path, clock, ahead):
    Claim(tmp_path, 'base').take()
    edit(tmp_path / 'base.1', machine='elsewhere')
    os.utime(tmp_path / 'base.1', (time.time() + ahead,) * 2)
    assert not Claim(tmp_path, 'base').take()
    clock[0] += claim_module.DEAD_AFTER - 1
    assert not Claim(tmp_path, 'base').take()
    clock[0] += 2
    assert Claim(tmp_path, 'base').take()


def test_an_owner_whose_clock_was_set_back_lives_on(tmp_path, clock):
    Claim(tmp_path, 'base').take()
    edit(tmp_path / 'base.1', machine='elsewhere')
    for day in (3, 2, 1):  # it gives signs, none of them of now
        os.utime(tmp_path / 'base.1', (time.time() + day * 86400,) * 2)
        assert not Claim(tmp_path, 'base').take()
        clock[0] += claim_module.DEAD_AFTER - 1


@pytest.mark.parametrize('number', ['9' * 200, '0', '1000001'])
def test_a_number_that_nobody_has_given_is_refused(tmp_path, number):
    (tmp_path / f'base.{number}').write_text('{}')
    with pytest.raises(ClaimError, match=r'expected a number from 1 to 1000000'):
        Claim(tmp_path, 'base').take()


def test_the_claims_of_a_high_number_are_removed_at_once(tmp_path):
    (tmp_path / 'base.999999').write_text('{"released": true}')
    claim = Claim(tmp_path, 'base')
    assert claim.take()
    claim.remove()
    assert not list(tmp_path.iterdir())


def test_a_file_too_large_for_a_claim_is_refused(tmp_path):
    (tmp_path / 'base.1').write_text('[' * 100_000)
    with pytest.raises(ClaimError, match=r'base\.1: is no claim'):
        Claim(tmp_path, 'base').take()


def test_a_pipe_is_a_file_without_sense(tmp_path):
    os.mkfifo(tmp_path / 'base.1')
    assert not Claim(tmp_path, 'base').take()
    os.utime(tmp_path / 'base.1', (0, 0))
    assert Claim(tmp_path, 'base').take()


SENSELESS = [
    *('', '{"host": "a', '[]', '{}', '{"pid": 1}', '[' * 10_000),
    '{"host": "a", "machine": "", "pid": "1", "started": 1, "since": "now"}',
    '{"host": "\\u001b[2J", "machine": "", "pid": 1, "started": 1, "since": "now"}',
]


@pytest.mark.parametrize('content', SENSELESS, ids=range(len(SENSELESS)))
def test_a_file_without_sense_holds_until_it_is_old(tmp_path, content):
    path = tmp_path / 'base.1'
    path.write_text(content)
    assert not Claim(tmp_path, 'base').take()
    assert 'unknown' in str(Claim(tmp_path, 'base').holder)
    os.utime(path, (0, 0))
    assert Claim(tmp_path, 'base').take()


def race(folder, start, wins, end):
    """Takes the claim as soon as all may, and lives until all have tried."""
    claim = Claim(folder, 'base')
    start.wait()
    wins.put(claim.take())
    end.wait(PATIENCE)


@pytest.mark.parametrize('before', ['nothing', 'dead', 'released'])
def test_of_many_that_race_one_wins(tmp_path, before):
    if before != 'nothing':
        claim = Claim(tmp_path, 'base')
        claim.take()
        if before == 'released':
            claim.release()
        else:
            edit(tmp_path / 'base.1', started=1)
    start, wins, end = FORK.Event(), FORK.Queue(), FORK.Event()
    arguments = (tmp_path, start, wins, end)
    racers = [FORK.Process(target=race, args=arguments) for _ in range(8)]
    for racer in racers:
        racer.start()
    start.set()
    assert sum(wins.get(timeout=PATIENCE) for _ in racers) == 1
    end.set()
    for racer in racers:
        racer.join()


def test_this_process_describes_itself():
    holder = Holder.this_process()
    assert holder.pid == os.getpid() and holder.host and holder.started > 0


def test_of_two_names_where_one_begins_the_other_each_is_its_own(tmp_path):
    assert Claim(tmp_path, 'base').take()
    assert Claim(tmp_path, 'base_2').take()
    assert Claim(tmp_path, 'bas').take()
    assert not Claim(tmp_path, 'base').take()


def test_the_number_of_one_name_is_no_ending_of_another(tmp_path):
    (tmp_path / 'lr0.123').write_text('{"released": true}')  # lr0, the 123rd holder
    assert Claim(tmp_path, 'lr0.1').take()
    assert (tmp_path / 'lr0.1.1').exists()


def test_one_at_a_time_may_use_a_folder(tmp_path):
    with only_one(tmp_path / 'work', '.plan'):
        again = only_one(tmp_path / 'work', '.plan', hint=' (or wait)')
        with (
            pytest.raises(InUseError, match=r'work: process \d+ on .*\(or wait'),
            again,
        ):
            pass
        with only_one(tmp_path / 'work', '.soup'):
            pass
    with only_one(tmp_path / 'work', '.plan'):
        pass
    assert not (tmp_path / 'work').exists()


def die_while_claiming(folder):
    """Is killed when its claim has a file, and before that says whose it is."""
    claim_module.os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    Claim(folder, 'base').take()


def test_who_dies_while_claiming_leaves_no_claim(tmp_path):
    process = FORK.Process(target=die_while_claiming, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert Claim(tmp_path, 'base').take()


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError('no links here')

    monkeypatch.setattr(claim_module.os, 'link', refuse)
    claim = Claim(tmp_path, 'base')
    assert claim.take() and claim.is_mine and claim.holder.pid == os.getpid()
    assert not Claim(tmp_path, 'base').take()
    assert [path.name for path in tmp_path.iterdir()] == ['base.1']


@pytest.fixture
def elsewhere(tmp_path):
    """A claim of a process on another machine."""
    Claim(tmp_path, '.plan').take()
    edit(tmp_path / '.plan.1', machine='elsewhere', host='node7')
    return tmp_path


@pytest.mark.parametrize('ahead', [0, 86400])
def test_a_job_that_died_elsewhere_is_outlived(elsewhere, monkeypatch, ahead):
    os.utime(elsewhere / '.plan.1', (time.time() + ahead,) * 2)
    monkeypatch.setattr(claim_module, 'DEAD_AFTER', 1.0)
    lines = []
    with only_one(elsewhere, '.plan', notify=lines.append):
        pass
    assert len(lines) == 1 and 'on node7' in lines[0] and 'sign of life' in lines[0]


def test_a_job_that_lives_elsewhere_is_not(elsewhere, monkeypatch):
    monkeypatch.setattr(claim_module, '_LOOK_AGAIN', 0.01)

    refused = threading.Event()

    def live():
        while not refused.wait(0.2):
            os.utime(elsewhere / '.plan.1')

    threading.Thread(target=live, daemon=True).start()
    with (
        pytest.raises(InUseError, match='on node7, since'),
        only_one(elsewhere, '.plan'),
    ):
        pass
    refused.set()


def test_a_folder_out_of_which_links_lead_is_not_used(tmp_path):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'trials').symlink_to(tmp_path)
    with pytest.raises(NotRegularError), only_one(tmp_path / 'work', '.plan'):
        pass
