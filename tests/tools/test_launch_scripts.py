"""The launch scripts, with real processes; SLURM's programs are stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from many_processes import PATIENCE, free_port

from ff_mm.files import read_json

ROOT = Path(__file__).parents[2]

# In place of tools/train.py where only the script matters: says what it has been given,
# and does what the first option says. Its config is the folder for its files.
TRAINING = """
import json, os, sys, time
from pathlib import Path
from signal import SIGTERM, signal

received = []
signal(SIGTERM, lambda *_: received.append(SIGTERM))
rank = os.environ.get('RANK') or os.environ['SLURM_PROCID']
file = Path(sys.argv[1], rank)
said = dict(arguments=sys.argv[1:], environment=dict(os.environ), folder=os.getcwd())
file.with_suffix('.new').write_text(json.dumps(said))
file.with_suffix('.new').rename(file.with_suffix('.json'))
try:
    if 'wait' in sys.argv:
        for _ in range(6000):
            time.sleep(0.1)
            if received:
                time.sleep(0.5)
                file.with_suffix('.saved').touch()
                sys.exit(0)
    if 'be killed' in sys.argv:
        os.kill(os.getpid(), 9)
    if 'die' in sys.argv and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':
        sys.exit(3)
except KeyboardInterrupt:
    file.with_suffix('.interrupted').touch()
    sys.exit(130)
"""

SRUN = """
import json, os, subprocess, sys
from pathlib import Path

options = sys.argv[1:]
command = options[options.index('-u') - 1:]
size = next(o.split('=')[1] for o in options if o.startswith('--ntasks='))
Path(os.environ['SRUN_SAYS']).write_text(json.dumps(options))
job = dict(os.environ, SLURM_NTASKS=size, SLURM_NODELIST='node[1-2]', SLURM_STEP_ID='0')
tasks = [
    subprocess.Popen(command, env=dict(job, SLURM_PROCID=str(i), SLURM_LOCALID=str(i)))
    for i in range(int(size))
]
sys.exit(max(task.wait() for task in tasks))
"""

SCONTROL = """
import sys
assert sys.argv[1:] == ['show', 'hostnames', 'node[1-2]']
print('127.0.0.1')
print('absent')
"""


@pytest.fixture
def scripts(tmp_path) -> Path:
    """The scripts, beside a stand-in for ``train.py``; a path with a space."""
    folder = tmp_path / 'a project' / 'tools'
    folder.mkdir(parents=True)
    for name in ('dist.sh', 'dist_train.sh', 'slurm_train.sh', 'torchrun.py'):
        shutil.copy(ROOT / 'tools' / name, folder)
    (folder / 'train.py').write_text(TRAINING)
    return folder


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """A function that starts a script as a shell would: as a process group."""
    running = []

    def start(script: Path, *arguments: object, **variables: str) -> subprocess.Popen:
        unset = ('PORT', 'NNODES', 'MASTER_PORT', 'MASTER_ADDR', 'PYTHONPATH')
        environment = {k: v for k, v in os.environ.items() if k not in unset}
        environment.update(PYTHON=sys.executable, OMP_NUM_THREADS='1')
        process = subprocess.Popen(
            [str(script), *map(str, arguments)],
            env=dict(environment, **variables),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Who runs the tests in the background has them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:  # the test has failed
            process.terminate()
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def slurm(tmp_path) -> dict[str, str]:
    """The environment of a login node."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name, text in dict(srun=SRUN, scontrol=SCONTROL).items():
        (programs / name).write_text(f'#!{sys.executable}\n{text}')
        (programs / name).chmod(0o755)
    path = f'{programs}{os.pathsep}{os.environ["PATH"]}'
    says = str(tmp_path / 'srun.json')
    return dict(PATH=path, SRUN_SAYS=says, SLURM_JOB_ID='4711', GPUS='2')


def end(process: subprocess.Popen) -> tuple[int, str]:
    """Waits for the end; gives exit code and output."""
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def said(folder: Path, size: int = 2) -> list[dict[str, Any]]:
    """Waits for what all ranks say."""
    files = [folder / f'{rank}.json' for rank in range(size)]
    for _ in range(10 * PATIENCE):
        if all(file.exists() for file in files):
            return [json.loads(file.read_text()) for file in files]
        time.sleep(0.1)
    raise AssertionError(f'{folder}: {sorted(folder.iterdir())}')


def test_two_processes_carry_out_a_plan_from_any_directory(
    start, tmp_path, generation_config
):
    changes = dict(plan__lrs=[1e-2], plan__probe=None, plan__base__epochs=1)
    changes['parallel'] = 'data'
    generation_config(tmp_path / 'fgg', **changes).dump(tmp_path / 'fgg.py')
    options = ['--cfg-options', 'plan.fission=None', 'plan.lrs=[1e-2, 1e-3]']
    code, output = end(start(ROOT / 'tools' / 'dist_train.sh', 'fgg.py', 2, *options))
    assert code == 0, output
    manifest = read_json(tmp_path / 'fgg' / 'ingredients.json')
    names = [entry['name'] for entry in manifest['ingredients']]
    assert names == ['base_lr0.01', 'base_lr0.001']


def test_two_runs_on_one_machine_do_not_collide(scripts, start, tmp_path):
    folders = [tmp_path / 'first', tmp_path / 'second']
    options = ('wait', 'a b', '[1, 2]')
    for folder in folders:
        folder.mkdir()
    runs = [start(scripts / 'dist_train.sh', f, 2, *options) for f in folders]
    ranks = [said(folder) for folder in folders]
    ports = {rank['environment']['MASTER_PORT'] for run in ranks for rank in run}
    assert len(ports) == 2
    for folder, run in zip(folders, ranks, strict=True):
        for number, rank in enumerate(run):
            launcher = ['--launcher', 'pytorch']
            assert rank['arguments'] == [str(folder), *launcher, *options]
            assert rank['environment']['WORLD_SIZE'] == '2'
            assert rank['environment']['LOCAL_RANK'] == str(number)
            assert rank['environment']['PYTHONPATH'] == str(scripts.parent)
            assert rank['folder'] == str(tmp_path)
    runs[0].terminate()
    os.killpg(runs[1].pid, signal.SIGTERM)  # as timeout and some schedulers do
    for folder, run in zip(folders, runs, strict=True):
        code, output = end(run)
        assert code == 0, output
        assert {f.name for f in folder.glob('*.saved')} == {'0.saved', '1.saved'}


def test_ctrl_c_interrupts_all(scripts, start, tmp_path):
    run = start(scripts / 'dist_train.sh', tmp_path, 2, 'wait')
    said(tmp_path)
    os.killpg(run.pid, signal.SIGINT)
    assert end(run)[0] == 130
    assert len(list(tmp_path.glob('*.interrupted'))) == 2


def test_a_process_that_dies_is_a_failure(scripts, start, tmp_path):
    code, output = end(start(scripts / 'dist_train.sh', tmp_path, 2, 'die'))
    assert code == 3, output
    assert 'has ended with exit code 3' in output and 'Traceback' not in output


def test_a_process_that_was_killed_may_have_had_too_little_memory(
    scripts, start, tmp_path
):
    code, output = end(start(scripts / 'dist_train.sh', tmp_path, 2, 'be killed'))
    assert code == 1, output
    assert 'exit code -9' in output and 'main memory ran out: start fewer' in output


@pytest.mark.parametrize('gpus', ['two', '0', '-1', '1.5'])
def test_what_is_no_number_of_processes_is_said(scripts, start, tmp_path, gpus):
    code, output = end(start(scripts / 'dist_train.sh', tmp_path, gpus))
    assert (code, output.count('\n')) == (2, 1)
    assert output.startswith(f'error: GPUS={gpus}: expected the number')


def test_processes_are_started_anew_if_asked_for(scripts, start, tmp_path):
    port = str(free_port())
    variables = dict(PORT=port, MAX_RESTARTS='1')
    script = scripts / 'dist_train.sh'
    code, output = end(start(script, tmp_path, 2, 'die', **variables))
    assert code == 0, output
    again = said(tmp_path)[1]['environment']
    assert again['TORCHELASTIC_RESTART_COUNT'] == '1'
    assert again['MASTER_PORT'] == port


@pytest.mark.parametrize('name', ['dist_train.sh', 'slurm_train.sh'])
def test_a_script_without_arguments_says_how_it_is_used(name, start):
    code, output = end(start(ROOT / 'tools' / name))
    assert code == 2
    assert output.startswith('usage: ') and 'CONFIG' in output


def test_two_tasks_of_slurm_train_together(start, slurm, tmp_path, plain):
    script = ROOT / 'tools' / 'slurm_train.sh'
    code, output = end(start(script, 'gpu', 'job', plain.name, **slurm))
    assert code == 0, output
    assert output.count('data parallel: 2 processes x batch_size 8 = 16 images') == 1
    assert (tmp_path / 'plain' / 'epoch_1.pth').is_file()


def test_srun_is_asked_for_what_is_wanted(scripts, start, slurm, tmp_path):
    variables = dict(slurm, SRUN_ARGS='--time=1 --mem=2G', CPUS_PER_TASK='3')
    arguments = ('gpu', 'my job', tmp_path, '--amp', 'a b')
    code, output = end(start(scripts / 'slurm_train.sh', *arguments, **variables))
    assert code == 0, output
    options = read_json(tmp_path / 'srun.json')
    wanted = ['-p', 'gpu', '--job-name=my job', '--ntasks=2', '--ntasks-per-node=2']
    wanted += ['--gres=gpu:2', '--cpus-per-task=3', '--kill-on-bad-exit=1']
    assert options[: options.index('-u') - 1] == [*wanted, '--time=1', '--mem=2G']
    for rank in said(tmp_path):
        launcher = ['--launcher', 'slurm']
        assert rank['arguments'] == [str(tmp_path), *launcher, '--amp', 'a b']
        assert rank['environment']['PYTHONPATH'] == str(scripts.parent)


def test_the_work_directory_may_be_the_fourth_argument(scripts, start, slurm, tmp_path):
    for fourth in ([], ['my work'], ['--amp']):
        more = [*fourth, '--cfg-options', 'a=1'] if fourth else []
        script = scripts / 'slurm_train.sh'
        assert end(start(script, 'gpu', 'job', tmp_path, *more, **slurm))[0] == 0
        arguments = said(tmp_path)[0]['arguments']
        if fourth == ['my work']:
            more = ['--work-dir', *more]
        assert arguments == [str(tmp_path), '--launcher', 'slurm', *more]


def test_without_gpus_none_are_asked_for(scripts, start, slurm, tmp_path):
    variables = dict(slurm, GPUS_PER_NODE='0')
    end(start(scripts / 'slurm_train.sh', 'cpu', 'job', tmp_path, **variables))
    assert not any('gpu:' in o for o in read_json(tmp_path / 'srun.json'))
