"""Files of arrays, read as what a stranger may have written."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ff_mm.errors import FFMMError
from ff_mm.files import PathLike

#: What to do about a damaged file that ff_mm makes by itself.
MADE_ANEW = '; delete it to have it computed anew'


@contextmanager
def damaged_as(
    error: type[FFMMError], path: PathLike, what: str, remedy: str = ''
) -> Iterator[None]:
    """Turns whatever reading a file of arrays raises into one error.

    Args:
        error: Its type.
        path: The file.
        what: What it should hold, such as ``'predictions'``.
        remedy: What to do about a file that is damaged.
    """
    try:
        yield
    except FileNotFoundError:
        raise error(f'{path}: no such file of {what}') from None
    # NumPy raises whatever a damaged header makes it stumble over.
    except Exception as problem:
        reason = str(problem).split('\n', 1)[0][:160]
        raise error(
            f'{path}: damaged, or no {what} of ff_mm: {reason}{remedy}'
        ) from problem


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
        Exception: Of any kind, see :func:`damaged_as`.
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
