"""Processes that share out work through torch.distributed's store."""

import os

import pytest

from ff_mm.errors import ConfigError
from ff_mm.parallel.team import Team, set_environment


def take_numbers(team):
    """Takes numbers until 20 are gone."""
    taken = []
    while (number := team.next_number('chain')) < 20:
        taken.append(number)
    return taken


def test_each_number_goes_to_one_process(in_team):
    taken = in_team(4, take_numbers)
    assert sorted(n for numbers in taken for n in numbers) == list(range(20))


def count_twice(team):
    """Takes numbers and says something in two runs."""
    numbers = []
    for run in (team.anew(), team.anew()):
        numbers.append(run.next_number('chain'))
        assert not run.is_told(f'left/{team.rank}')
        run.leave()
    return numbers


def test_another_run_begins_anew(in_team):
    counted = in_team(3, count_twice)
    assert [sorted(numbers) for numbers in zip(*counted, strict=True)] == [
        [0, 1, 2]
    ] * 2


def leave(team):
    """Leaves."""
    team.leave()
    return True


def test_all_can_leave(in_team):
    assert in_team(3, leave) == [True] * 3


def test_a_team_of_one_needs_no_launcher():
    team = Team.of_launcher('none')
    assert (team.rank, team.size, team.is_first) == (0, 1, True)
    assert not team.is_told('it', 0.001)
    team.tell('it', {'a': [1, None]})
    assert team.is_told('it') and team.listen('it') == {'a': [1, None]}


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
