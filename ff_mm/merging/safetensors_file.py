"""Files of safetensors, which are known by how they begin, whatever they are called."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from struct import Struct
from typing import Any

from torch import Tensor

from ff_mm.errors import ConfigError
from ff_mm.files import PathLike, atomic_write

# How many bytes the header has, which is JSON and comes next.
_LENGTH = Struct('<Q')
# Where the header has what checkpoints of torch have as `meta`, as JSON.
_META = 'ff_mm'


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


def read_meta(path: PathLike) -> Mapping[str, Any]:
    """Reads what :func:`write_safetensors` said of the weights.

    Args:
        path: A file that :func:`read_safetensors` has read.

    Returns:
        Plain values; empty where it says nothing, or is another's.
    """
    from safetensors import safe_open

    with safe_open(path, 'pt') as file:
        text = (file.metadata() or {}).get(_META)
    try:
        meta = json.loads(text) if text else {}
    except (ValueError, RecursionError):  # another's, or forged
        return {}
    return meta if isinstance(meta, dict) else {}


def write_safetensors(
    weights: Mapping[str, Tensor],
    path: PathLike,
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Writes weights atomically; equal content gives equal bytes.

    Args:
        weights: The weights; such as share their memory are written each by itself.
        path: The file.
        meta: What is said of them, plain values; it goes into the header.

    Raises:
        ConfigError: safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise ConfigError(f'{path}: needs `pip install safetensors`') from error
    # One entry at most: of several the library writes the order as chance has it.
    header = {_META: json.dumps(meta, sort_keys=True)} if meta else None
    own = {key: value.contiguous().clone() for key, value in weights.items()}
    with atomic_write(path) as file:
        file.write(save(own, header))
