"""Files of arrays, read as what a stranger may have written."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ff_mm.files import PathLike


def read_arrays(
    path: PathLike,
    kinds: Mapping[str, Collection[str]],
    by_prefix: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """Reads an npz file that ``np.savez`` wrote.

    Args:
        path: The file.
        kinds: By the name of the array its types, such as ``'f8'``, or ``'U'`` for
            texts. Others would be cut or parsed into these.
        by_prefix: Likewise, by how a name begins.

    Raises:
        Exception: Of any kind; NumPy raises whatever a damaged file makes it stumble
            over.
    """
    with zipfile.ZipFile(path) as archive:
        # What is compressed can be a million times as large in memory.
        if any(m.compress_type != zipfile.ZIP_STORED for m in archive.infolist()):
            raise ValueError('it is compressed')
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    prefixes = by_prefix or {}
    for name, array in arrays.items():
        begun = [own for start, own in prefixes.items() if name.startswith(start)]
        known = kinds.get(name) or (begun[0] if begun else ())
        if array.dtype.kind not in known and array.dtype.str[1:] not in known:
            raise ValueError(f'{name!r} is of type {array.dtype}')
    return arrays
