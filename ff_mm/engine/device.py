"""Which device computes, and whether it is the one that the machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from glob import glob
from inspect import signature

import torch
from mmengine.device import get_device, utils

from ff_mm.errors import FFMMError

# What CUDA_VISIBLE_DEVICES says where no GPU is wanted; the last is SLURM's.
_NONE = ('', '-1', 'NoDevFiles')
_SECONDS = 20


class DeviceError(FFMMError):
    """A GPU that is there and cannot be used."""


def use_device(device: str | None) -> None:
    """Takes the device that is asked for, before anything computes.

    MMEngine and torch have looked for GPUs as they were imported, and CUDA does not
    look again. So the program is begun anew where there is one and none is wanted.

    Args:
        device: ``'cpu'``; None: a GPU if there is one.

    Raises:
        DeviceError: None is named, and there is an NVIDIA device that torch cannot use.
    """
    if device == 'cpu':
        utils.DEVICE = 'cpu'  # of others, such as Apple's
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
        if torch.cuda.is_available():
            sys.stdout.flush()
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        return
    if get_device() != 'cpu' or os.environ.get('CUDA_VISIBLE_DEVICES') in _NONE:
        return
    if found := find_nvidia():
        raise DeviceError(
            f'there is an NVIDIA device ({found}), and torch {torch.__version__} '
            f'cannot use it: {_reason()}; mend that, or insist with --device cpu'
        )


def find_nvidia() -> str | None:
    """Says by what an NVIDIA device shows itself to this process, if one does."""
    if nodes := glob('/dev/nvidia[0-9]*'):
        # Those that this process may not open are for other jobs.
        ours = [node for node in nodes if os.access(node, os.R_OK | os.W_OK)]
        return min(ours, default=None)
    if glob('/proc/driver/nvidia/gpus/*'):
        return '/proc/driver/nvidia'
    program = shutil.which('nvidia-smi')
    return None if program is None or not _lists_any(program) else 'nvidia-smi'


def _lists_any(program: str) -> bool:
    command = [program, '-L']
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(command, capture_output=True, timeout=_SECONDS)
        return b'GPU 0' in found.stdout
    return False


def _reason() -> str:
    """Why torch cannot use a GPU, in its own words."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible is not None:
        return f'CUDA_VISIBLE_DEVICES={visible} names none'
    if torch.version.cuda is None:
        return 'it was built without CUDA'
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0].split('. ')[0].rstrip('.')
    return 'CUDA finds none'


def describe_device() -> str:
    """Says in a line which device this process computes on."""
    device = get_device()
    if device == 'cpu':
        threads = torch.get_num_threads()
        return f'device: CPU, {threads} thread{"s" * (threads > 1)}'
    if device != 'cuda':
        return f'device: {device}'
    number = torch.cuda.current_device()
    known = torch.cuda.get_device_properties(number)
    return f'device: cuda:{number}, {known.name}, {known.total_memory / 2**30:.0f} GB'


def computes_bfloat16() -> bool:
    """Says whether the GPUs have instructions for bfloat16; older ones emulate it."""
    supported = torch.cuda.is_bf16_supported
    if 'including_emulation' in signature(supported).parameters:
        return bool(supported(including_emulation=False))
    return bool(supported())
