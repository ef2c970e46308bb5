from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from ff_mm.engine.freed_memory import keep_freed_memory

# What a process gets anew the second time that it takes 128 MB, in blocks that are not
# mapped, as the outputs of layers are. One of its own, since what lies in the heap of
# another decides, too.
FAULTS = """
import resource, torch
from ff_mm.engine.freed_memory import keep_freed_memory

def take_and_free():
    blocks = [torch.ones(1 << 22) for _ in range(8)]
    del blocks

keep_freed_memory()
take_and_free()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
take_and_free()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='of glibc')
def test_what_is_freed_is_not_given_back():
    command = [sys.executable, '-c', FAULTS]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    # Of 32,768 pages; a block or two may lie where they are given back.
    assert int(run.stdout.split()[-1]) < 16384  # the forks print before it


def test_other_libraries_are_left_alone(monkeypatch):
    for library in (object(), OSError(), TypeError()):

        def load(name, library=library):
            if isinstance(library, Exception):
                raise library
            return library

        monkeypatch.setattr(ctypes, 'CDLL', load)
        keep_freed_memory()
