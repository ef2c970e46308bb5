"""No checkpoint runs code, whoever loads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_FORCED, _FORBIDDEN = (
    'TORCH_FORCE_WEIGHTS_ONLY_LOAD',
    'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD',
)


@contextmanager
def weights_only() -> Iterator[None]:
    """Has torch load weights alone, in any library and in processes begun meanwhile."""
    before = {name: os.environ.get(name) for name in (_FORCED, _FORBIDDEN)}
    os.environ[_FORCED] = '1'
    # With both set torch loads nothing at all.
    os.environ.pop(_FORBIDDEN, None)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
