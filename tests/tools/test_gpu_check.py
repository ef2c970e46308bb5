"""The script for a GPU, in small on a CPU; and what becomes of checks that go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ff_mm.files import read_json

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools' / 'benchmarks' / 'gpu_check.sh'
OF_A_GPU = {'grad_scaler', 'ddp_gloo', 'sharing', 'profile'}


def test_all_checks_run_to_their_end_on_a_cpu(tmp_path):
    environment = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1')
    done = subprocess.run(
        [SCRIPT, '--device', 'cpu', '--out', 'found.json'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith('nothing has failed\n')
    checks = read_json(tmp_path / 'found.json')['checks']
    statuses = {name: check['status'] for name, check in checks.items()}
    assert {name for name, said in statuses.items() if said == 'skipped'} == OF_A_GPU
    assert set(statuses.values()) == {'passed', 'skipped'}
    figures = {name: check.get('figures') for name, check in checks.items()}
    (chosen, _) = figures['decisions']['chosen']['greedy']
    assert len(chosen) > 1
    assert figures['resume']['bit_for_bit']
    assert figures['training']['recipe']['images_per_second']['median'] > 0
    assert figures['selection']['candidates'] == 11
    assert list(tmp_path.iterdir()) == [tmp_path / 'found.json']


@pytest.fixture
def separate(monkeypatch):
    """The module that runs checks."""
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'benchmarks')
    import separate

    yield separate
    sys.modules.pop('separate')


@pytest.fixture
def run(separate, tmp_path):
    """A function: runs a check for so many seconds."""

    def run(check, seconds=600.0):
        setting = separate.Setting('cpu', tmp_path / 'own', tmp_path, 'fork')
        return separate.run_check(check, setting, seconds)

    return run


def test_what_a_check_gives_is_kept(run):
    found = run(lambda setting: dict(small=setting.small))
    assert (found['status'], found['figures']) == ('passed', dict(small=True))


def test_a_check_that_goes_wrong_says_so_and_ends_nothing_else(run, separate):
    def fail(setting):
        print('before that')
        separate.require(False, 'too far apart')

    found = run(fail)
    assert (found['status'], found['reason']) == ('failed', 'too far apart')
    assert 'before that' in found['output'] and 'Traceback' in found['output']


def test_a_check_that_dies_says_of_what(run):
    found = run(lambda setting: os.kill(os.getpid(), signal.SIGKILL))
    assert (found['status'], found['reason']) == ('died', 'exit code -9')


def test_a_check_that_makes_no_sense_here_is_no_failure(run, separate):
    def skip(setting):
        raise separate.Skipped('no GPU')

    found = run(skip)
    assert (found['status'], found['reason']) == ('skipped', 'no GPU')


def test_a_check_that_hangs_is_killed_with_all_that_it_has_started(run, tmp_path):
    def hang(setting):
        child = subprocess.Popen(['sleep', '600'])
        (tmp_path / 'pid').write_text(str(child.pid))
        time.sleep(600)

    found = run(hang, 1.0)
    assert (found['status'], found['reason']) == ('timed out', 'not done after 1 s')
    with pytest.raises(ProcessLookupError):
        while True:  # until it has been waited for
            os.kill(int((tmp_path / 'pid').read_text()), 0)
            time.sleep(0.01)


def test_a_process_of_a_check_that_ends_early_is_a_failure(run, separate):
    def check(setting):
        assert separate.apart(setting, os.getpid) != os.getpid()
        separate.apart(setting, os._exit, 3)

    found = run(check)
    assert found['reason'] == '_exit has ended with exit code 3'
