from __future__ import annotations

import ctypes
import platform

import pytest
import torch

from ff_mm.engine.freed_memory import keep_freed_memory

resource = pytest.importorskip('resource')


def faults():
    """How many pages the system has given this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def take_and_free():
    """128 MB in blocks that are not mapped, as the outputs of layers are."""
    blocks = [torch.ones(1 << 22) for _ in range(8)]
    del blocks


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='of glibc')
def test_what_is_freed_is_not_given_back():
    keep_freed_memory()
    take_and_free()
    before = faults()
    take_and_free()
    assert faults() - before < 1000  # of 32,768 pages


def test_other_libraries_are_left_alone(monkeypatch):
    for library in (object(), OSError(), TypeError()):

        def load(name, library=library):
            if isinstance(library, Exception):
                raise library
            return library

        monkeypatch.setattr(ctypes, 'CDLL', load)
        keep_freed_memory()
