"""Several trials on one device, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.files import read_json
from ff_mm.fission.device_sharing import (
    check_processes,
    first_device_alone,
    trials_per_device,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('number', [0, -1, 1.5, '2', True, None])
def test_what_is_no_number_of_trials_is_refused(number):
    with pytest.raises(ConfigError, match='expected how many trials'):
        trials_per_device(Config(dict(trials_per_device=number)))


def test_one_trial_on_several_devices_is_not_shared(tmp_path, generation_config):
    cfg = generation_config(tmp_path, trials_per_device=2, parallel='data')
    with pytest.raises(ConfigError, match="parallel='data' all processes train one"):
        RUNNERS.build(cfg)
    assert trials_per_device(Config(dict(parallel='data'))) == 1


@pytest.mark.parametrize(
    ('started', 'devices', 'right'),
    [
        ('3', 0, True),
        ('3', 1, True),
        ('6', 2, True),
        ('2', 2, False),
        ('3', 2, False),
        ('1', 0, False),
        (None, 2, True),
    ],
)
def test_as_many_processes_as_trials_on_all_devices(
    monkeypatch, started, devices, right
):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: devices)
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    if started is not None:
        monkeypatch.setenv('LOCAL_WORLD_SIZE', started)
    check_processes(1)
    if right:
        check_processes(3)
        return
    command = f'tools/dist_train.sh CONFIG {3 * max(1, devices)}'
    with pytest.raises(ConfigError, match=f'{started} were started: {command},'):
        check_processes(3)


@pytest.mark.parametrize(
    ('visible', 'devices', 'first'),
    [(None, 0, None), (None, 1, None), (None, 8, '0'), ('3,5', 2, '3'), ('5', 1, None)],
)
def test_one_command_takes_one_device(monkeypatch, visible, devices, first):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: devices)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    expected = {} if first is None else dict(CUDA_VISIBLE_DEVICES=first)
    assert first_device_alone() == expected


def test_one_command_starts_as_many_processes_with_the_same_outcome(
    tmp_path, generation_config
):
    plan = dict(plan__lrs=[1e-2, 1e-3], plan__probe=None, plan__base__epochs=1)
    cfg = generation_config(tmp_path / 'one', **plan, plan__fission=None)
    cfg.dump(tmp_path / 'fgg.py')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    RUNNERS.build(cfg).train()
    torch.set_num_threads(threads)
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), 'fgg.py']
    command += ['--work-dir', 'two', '--trials-per-device', '2']
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    expected = 'trial parallel: 2 processes take whole trials, 2 on each device'
    assert done.stdout.count(expected) == 1
    one, two = (
        read_json(tmp_path / name / 'ingredients.json') for name in ('one', 'two')
    )
    assert [e['sha256'] for e in one['ingredients']] == [
        e['sha256'] for e in two['ingredients']
    ]
    # How many share a device changes nothing that comes out, so a plan may go on.
    cfg.work_dir, cfg.trials_per_device = str(tmp_path / 'two'), 1
    RUNNERS.build(cfg).train()
