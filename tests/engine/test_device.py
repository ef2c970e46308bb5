"""Which device computes, and GPUs that torch cannot use."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.device import get_device, utils

from ff_mm.engine import device
from ff_mm.engine.device import DeviceError, describe_device, find_nvidia, use_device


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that makes a machine of files, devices of which may be locked."""
    monkeypatch.setattr(utils, 'DEVICE', 'cpu')
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    look = device.glob
    monkeypatch.setattr(device, 'glob', lambda pattern: look(f'{tmp_path}{pattern}'))

    def make(*files, locked=False, cards='GPU 0: NVIDIA H100'):
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'#!/bin/sh\necho "{cards}"\n')
            path.chmod(0o755)
        if locked:
            monkeypatch.setattr(device.os, 'access', lambda *_: False)

    return make


SHOWN_BY = {
    'device': ('dev/nvidia0', 'dev/nvidiactl'),
    'driver': ('proc/driver/nvidia/gpus/0000:01:00.0/information',),
    'program': ('bin/nvidia-smi',),
}


@pytest.mark.parametrize('files', SHOWN_BY.values(), ids=SHOWN_BY)
def test_a_gpu_that_torch_cannot_use_is_one_line_with_a_remedy(machine, files):
    machine(*files)
    with pytest.raises(DeviceError, match='insist with') as caught:
        use_device(None)
    assert '--device cpu' in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('said', ['', '-1', 'NoDevFiles'])
def test_whoever_wants_none_gets_none(machine, monkeypatch, said):
    machine('dev/nvidia0')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', said)
    use_device(None)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
    use_device('cpu')


def test_a_number_that_names_no_gpu_is_said(machine, monkeypatch):
    machine('dev/nvidia0')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '7')
    with pytest.raises(DeviceError, match='CUDA_VISIBLE_DEVICES=7 names none'):
        use_device(None)


def test_what_is_not_there_or_not_ours_does_not_count(machine):
    machine()
    assert find_nvidia() is None
    machine('dev/nvidiactl', 'dev/nvidia-uvm')  # no card
    machine('bin/nvidia-smi', cards='No devices were found')
    assert find_nvidia() is None
    machine('dev/nvidia0', 'proc/driver/nvidia/gpus/0/information', locked=True)
    assert find_nvidia() is None


def test_the_cpu_in_place_of_a_gpu_begins_the_program_anew(machine, monkeypatch):
    begun = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(os, 'execv', lambda *command: begun.append(command))
    monkeypatch.setattr(sys, 'orig_argv', ['python3', '-u', 'tools/train.py', 'a b'])
    monkeypatch.setattr(utils, 'DEVICE', 'cuda')
    use_device('cpu')
    arguments = ['-u', 'tools/train.py', 'a b']
    assert begun == [(sys.executable, [sys.executable, *arguments])]
    assert os.environ['CUDA_VISIBLE_DEVICES'] == '-1'
    assert get_device() == 'cpu'


def test_the_device_is_said(monkeypatch):
    monkeypatch.setattr(device, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 4)
    assert describe_device() == 'device: CPU, 4 threads'
    card = SimpleNamespace(name='NVIDIA H100', total_memory=80 * 2**30)
    monkeypatch.setattr(device, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda number: card)
    assert describe_device() == 'device: cuda:1, NVIDIA H100, 80 GB'
