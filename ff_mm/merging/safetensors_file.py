"""Files of safetensors, which are known by how they begin, whatever they are called."""

from __future__ import annotations

import os
from struct import Struct

from torch import Tensor

# How many bytes the header has, which is JSON and comes next.
_LENGTH = Struct('<Q')


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Says whether a file is one, or is called one.

    Raises:
        OSError: It cannot be read.
    """
    if os.fspath(path).endswith('.safetensors'):
        return True
    with open(path, 'rb') as file:
        head = file.read(_LENGTH.size + 1)
    if len(head) <= _LENGTH.size or head[-1:] != b'{':
        return False
    return _LENGTH.unpack(head[: _LENGTH.size])[0] < os.path.getsize(path)


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads the weights of a file.

    Raises:
        ValueError: It is damaged, or safetensors is not installed; without its name.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ValueError('needs `pip install safetensors`') from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError, MemoryError) as error:
        raise ValueError(f'damaged ({error}), copy it anew') from error
