"""Python pickles of arrays read as data: nothing that stands in one is ever called."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from ff_mm.plain import check_tuples


class _Array:
    """Stands for ``numpy.ndarray`` and keeps what a pickle says of one.

    NumPy's own would do for honest files. It also takes the flags of a dtype from the
    pickle, and so can be made to see pointers to objects in plain bytes.
    """

    state: Any = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def to_numpy(self) -> np.ndarray:
        """Builds the array; raises an error of any kind if it is none of uint8."""
        _, shape, dtype, fortran, data = self.state
        if dtype.name not in ('u1', b'u1'):
            raise ValueError(f'an array of {dtype.name!r}, where uint8 was expected')
        values = np.frombuffer(data, dtype=np.uint8)
        return values.reshape(shape, order='F' if fortran else 'C')


class _Dtype:
    """Stands for ``numpy.dtype`` and keeps its name."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Byte order and fields do not matter for uint8."""


_STAND_INS = {
    # The one name is that of NumPy 2, the other that of all before.
    ('numpy._core.multiarray', '_reconstruct'): _Array,
    ('numpy.core.multiarray', '_reconstruct'): _Array,
    ('numpy', 'ndarray'): _Array,
    ('numpy', 'dtype'): _Dtype,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'it asks for {module}.{name}, which is no plain data'
            ) from None


def read_plain_pickle(data: bytes) -> dict[str, Any]:
    """Reads a pickled dict of numbers, strings, lists and arrays of uint8.

    Written by Python 2 or 3; whatever else the pickle asks for is refused, not called.

    Args:
        data: The pickle.

    Returns:
        The dict. Its keys are str, strings that Python 2 wrote are bytes, arrays are
        read-only.

    Raises:
        ValueError: It is cut short, or no pickle, or holds anything else.
    """
    try:
        check_tuples(data)
        content = _PlainUnpickler(io.BytesIO(data), encoding='bytes').load()
        return {
            key.decode() if isinstance(key, bytes) else key: (
                value.to_numpy() if isinstance(value, _Array) else value
            )
            for key, value in content.items()
        }
    # A pickle that was tampered with may raise anything.
    except Exception as error:
        raise ValueError(f'not a pickle of plain data: {error}') from error
