"""How passes over evaluation sets are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ff_mm.config import read_options
from ff_mm.engine.precision import FLOAT32, TF32, float32
from ff_mm.errors import ConfigError

_DTYPES = {
    None: None,
    FLOAT32: None,
    TF32: TF32,
    'bfloat16': torch.bfloat16,
    'float16': torch.float16,
}


_PARALLEL = ('auto', 'candidates', 'images')


@dataclass(frozen=True)
class EvaluationOptions:
    """The values of a config's ``evaluation``. Only ``dtype`` can change a decision.

    Attributes:
        batch_size: Images that go through the network at a time. None: on a CPU 32, of
            which few fit into its caches; on a GPU 256, fewer of more than 224 x 224.
        cache_memory: Bytes of main memory for the images of one set that several models
            pass over. What is more is kept in a file. A GPU that has room for them has
            them in its own memory.
        early_exit: Whether a pass ends once its candidate can no longer win.
        fold_batch_norm: Whether batch norm becomes part of the convolutions before it
            while candidates are compared; outputs are the same to rounding.
        dtype: ``'tf32'`` for float32 whose products are TF32 on GPUs that have it;
            ``'bfloat16'`` or ``'float16'`` for automatic mixed precision; None is
            float32, on GPUs too.
        channels_last: The memory format of images. None: that which is faster, which is
            channels last on a CPU, and on a GPU in mixed precision.
        keep_pool: Whether the models of a pool stay where they are added up, which is
            where the network is. None: on a GPU, if they take no more than a third of
            what is free; on a CPU they are read anew each time, in the memory of two.
        parallel: What several processes (``tools/dist_soup.sh``) share out.
            ``'candidates'``: each evaluates another one of the next candidates, on the
            whole validation set, and stops as soon as it has lost. ``'images'``: all
            evaluate the same candidate, each on its part of the images, and every pass
            is complete. ``'auto'``: candidates, unless the images that the processes of
            one machine would keep, each the whole set, take more than
            ``cache_memory``. (Stopping early saves most of a selection's time, and
            memory is what it costs.)
        other_view: Whether images may be shown in another way than the models were
            trained with, such as at another size; False: that is an error.
    """

    batch_size: int | None = None
    cache_memory: int = 4 * 10**9
    early_exit: bool = True
    fold_batch_norm: bool = True
    dtype: Any = None
    channels_last: bool | None = None
    keep_pool: bool | None = None
    parallel: str = 'auto'
    other_view: bool = False

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            _check('batch_size', self.batch_size, at_least=1)
        _check('cache_memory', self.cache_memory, at_least=0)
        if self.dtype not in _DTYPES:
            raise ConfigError(
                f'evaluation.dtype={self.dtype!r}: expected one of {list(_DTYPES)}'
            )
        object.__setattr__(self, 'dtype', _DTYPES[self.dtype])
        if self.keep_pool not in (None, True, False):
            raise ConfigError(
                f'evaluation.keep_pool={self.keep_pool!r}: expected True, False or None'
            )
        if self.parallel not in _PARALLEL:
            raise ConfigError(
                f'evaluation.parallel={self.parallel!r}: expected one of '
                f'{list(_PARALLEL)}'
            )
        if self.channels_last is None:
            faster = not torch.cuda.is_available() or self.dtype is not None
            object.__setattr__(self, 'channels_last', faster)

    @property
    def tf32(self) -> bool:
        """Whether products of float32 may be TF32."""
        return self.dtype == TF32

    @contextmanager
    def precision(self, device: torch.device, mixed: bool = True) -> Iterator[None]:
        """The context in which a network is called to evaluate it.

        Args:
            device: Where it is.
            mixed: Whether in automatic mixed precision, if ``dtype`` asks for it.
        """
        dtype = self.dtype if mixed and not self.tf32 else None
        autocast = torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)
        with float32(self.tf32), autocast:
            yield

    @classmethod
    def from_config(cls, values: Mapping[str, Any] | None) -> EvaluationOptions:
        """Reads a config's ``evaluation``.

        Raises:
            ConfigError: An unknown key, or a value out of its range.
        """
        return read_options(cls, values, 'evaluation')


def _check(name: str, value: Any, at_least: int) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and value >= at_least and value == int(value)):
        raise ConfigError(
            f'evaluation.{name}={value!r}: expected a whole number of at least '
            f'{at_least}'
        )
