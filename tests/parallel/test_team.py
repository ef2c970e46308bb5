"""Processes that share out work through torch.distributed's store."""

import os

import pytest

from ff_mm.errors import ConfigError
from ff_mm.parallel.launching import set_environment
from ff_mm.parallel.team import Team, TeamError


def take_numbers(team):
    """Takes numbers until 20 are gone."""
    taken = []
    while (number := team.next_number('chain')) < 20:
        taken.append(number)
    return taken


def test_each_number_goes_to_one_process(in_team):
    taken = in_team(4, take_numbers)
    assert sorted(n for numbers in taken for n in numbers) == list(range(20))


def exchange_twice(team):
    """Says the rank, then its square."""
    return team.exchange('it', team.rank), team.exchange('it', {'a': team.rank**2})


def test_exchange_gives_all_values_by_rank_in_each_round(in_team):
    squares = [{'a': 0}, {'a': 1}, {'a': 4}]
    assert in_team(3, exchange_twice) == [([0, 1, 2], squares)] * 3


def what_the_first_did(team):
    """Lets the first return a value that names it."""
    return [team.first_does('it', lambda: {'by': team.rank}) for _ in range(2)]


def test_the_first_process_does_what_is_done_once(in_team):
    assert in_team(3, what_the_first_did) == [[{'by': 0}] * 2] * 3


def first_fails(team):
    """Lets the first fail; the kind of error that each process sees."""
    try:
        team.first_does('it', lambda: 1 / 0)
    except (ZeroDivisionError, TeamError) as error:
        return type(error).__name__, str(error)


def test_where_the_first_fails_the_others_learn_why(in_team):
    first, *others = in_team(3, first_fails)
    assert first[0] == 'ZeroDivisionError'
    assert {kind for kind, _ in others} == {'TeamError'}
    assert all('division by zero' in text for _, text in others)


def leave(team):
    """Leaves."""
    team.leave()
    return True


def test_all_can_leave(in_team):
    assert in_team(3, leave) == [True] * 3


def test_a_team_of_one_needs_no_launcher():
    team = Team.of_launcher('none')
    assert (team.rank, team.size, team.is_first) == (0, 1, True)
    assert team.first_does('it', lambda: (1, 2)) == [1, 2]
    assert team.exchange('it', 'x') == ['x']
    assert not team.is_told('it', 0.001)


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_that_has_not_started_the_process_is_named(launcher, monkeypatch):
    for name in list(os.environ):
        if name.startswith(('RANK', 'SLURM', 'OMPI')):
            monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match=f'--launcher {launcher}.*is not set; start'):
        Team.of_launcher(launcher)


def test_slurm_without_a_known_host_asks_for_it(monkeypatch):
    for name, value in dict(PROCID='0', NTASKS='1', LOCALID='0').items():
        monkeypatch.setenv(f'SLURM_{name}', value)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_PORT'):
        monkeypatch.setenv(name, 'to be restored')
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    monkeypatch.delenv('SLURM_NODELIST', raising=False)
    with pytest.raises(ConfigError, match='set MASTER_ADDR'):
        Team.of_launcher('slurm')


def test_jobs_of_slurm_do_not_meet_at_a_port(monkeypatch):
    values = dict(PROCID='0', NTASKS='1', LOCALID='0', JOB_ID='', STEP_ID='0')
    for name, value in values.items():
        monkeypatch.setenv(f'SLURM_{name}', value)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_PORT'):
        monkeypatch.setenv(name, 'to be restored')
    monkeypatch.setenv('MASTER_ADDR', 'localhost')
    ports = set()
    for job, step in [
        ('', '0'),
        ('17', '0'),
        ('17', '1'),
        ('18', '0'),
        ('9999999', '5'),
    ]:
        monkeypatch.setenv('SLURM_JOB_ID', job)
        monkeypatch.setenv('SLURM_STEP_ID', step)
        monkeypatch.delenv('MASTER_PORT')
        set_environment('slurm')
        ports.add(int(os.environ['MASTER_PORT']))
    assert len(ports) == 5 and all(1024 < port < 2**16 for port in ports)
