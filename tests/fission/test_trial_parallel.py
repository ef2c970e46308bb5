"""A plan on several processes gives what one process gives, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from many_processes import PATIENCE, make, tool_of_one
from mmengine.registry import RUNNERS
from trained_plans import listed_digests

from ff_mm.files import read_json

ROOT = Path(__file__).parents[2]
PLAN = dict(plan__lrs=[1e-2, 1e-3, 1e-4], plan__probe__epochs=1)


@pytest.fixture(scope='module')
def config(tmp_path_factory, generation_config):
    """The file of a plan, and what one process makes of it."""
    folder = tmp_path_factory.mktemp('one')
    cfg = generation_config(folder / 'one', **PLAN)
    cfg.dump(folder / 'plan.py')
    RUNNERS.build(cfg).train()
    return folder / 'plan.py', listed_digests(folder / 'one')


def arguments(config, work_dir):
    return [str(config), '--launcher', 'pytorch', '--work-dir', str(work_dir)]


@pytest.mark.parametrize('processes', [2, 4])
def test_trial_parallel_gives_what_one_process_gives(config, tmp_path, processes):
    file, expected = config
    options = arguments(file, tmp_path)
    out = ''.join(make(processes, tool_of_one, 'train.py', *options))
    assert listed_digests(tmp_path) == expected
    assert f'trial parallel: {processes} processes' in out
    assert read_json(tmp_path / 'ingredients.json')['complete'] is True
    # Said and shown once, not by each process.
    assert out.count('train: 40 images') == 1 or out.count('train:') == 1
    assert out.count('ingredients.json') == 1
    assert not (tmp_path / 'claims').exists()


def start(config, work_dir):
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    launch += ['--nproc_per_node=2', 'tools/train.py', *arguments(config, work_dir)]
    return subprocess.Popen(
        launch,
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def children(pid):
    path = Path(f'/proc/{pid}/task/{pid}/children')
    return [int(child) for child in path.read_text().split()]


@pytest.mark.skipif(sys.platform != 'linux', reason='asks /proc who the processes are')
def test_one_of_two_is_killed_and_the_same_command_given_again(config, tmp_path):
    file, expected = config
    process = start(file, tmp_path)
    deadline = time.monotonic() + PATIENCE
    while not list(tmp_path.glob('trials/base_*/best.pth')):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    process = start(file, tmp_path)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    assert listed_digests(tmp_path) == expected
