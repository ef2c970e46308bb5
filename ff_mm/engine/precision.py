"""Whether products of float32 are float32, or TF32."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

#: Values of ``evaluation.dtype``: float32, and such whose products are TF32.
FLOAT32, TF32 = 'float32', 'tf32'

# What multiplies, as torch 2.9 and later name it. Others set by the user are the CPU's.
_PLACES = (
    'cudnn.conv',
    'cudnn.rnn',
    'cuda.matmul',
    'mkldnn.conv',
    'mkldnn.rnn',
    'mkldnn.matmul',
)


@contextmanager
def float32(tf32: bool = False) -> Iterator[None]:
    """Multiplies float32 in float32, or on GPUs that can in TF32, which has 11 bits.

    torch lets convolutions be TF32 unless it is told otherwise, and matrix products if
    it is told so; probabilities then move by a thousandth. All that evaluates is in
    here, so that nothing else decides. The settings are those of the whole process; on
    the way out they are as they were.

    Args:
        tf32: Whether products may be TF32, of convolutions and of matrices.
    """
    before = _Settings.now()
    _Settings.of(tf32).set()
    try:
        yield
    finally:
        before.set()


def has_tf32(device: torch.device) -> bool:
    """Says whether a device has TF32, so that it matters what is asked for."""
    if device.type != 'cuda' or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


@dataclass(frozen=True)
class _Settings:
    """All that torch has for it.

    Until torch 2.8 there are two: a flag for cuDNN, and the precision of matrix
    products. Later versions have a setting for each of ``_PLACES`` too, which count;
    the older ones are mirrored, and torch raises an error where the two do not agree
    (as while compiling). So the older ones are set first, then the newer.
    """

    cudnn: bool
    matmul: str
    places: dict[str, str]

    @classmethod
    def of(cls, tf32: bool) -> _Settings:
        places = {
            name: TF32 if tf32 and not name.startswith('mkldnn') else 'ieee'
            for name in _there()
        }
        return cls(tf32, 'high' if tf32 else 'highest', places)

    @classmethod
    def now(cls) -> _Settings:
        places = {name: _place(name).fp32_precision for name in _there()}
        # Where someone has used the newer ones alone, the older ones cannot be read.
        cudnn = places.get('cudnn.conv') == places.get('cudnn.rnn') == TF32
        matmul = 'high' if places.get('cuda.matmul') == TF32 else 'highest'
        with warnings.catch_warnings(), suppress(RuntimeError):
            warnings.simplefilter('ignore')
            cudnn = torch.backends.cudnn.allow_tf32
        with warnings.catch_warnings(), suppress(RuntimeError):
            warnings.simplefilter('ignore')
            matmul = torch.get_float32_matmul_precision()
        return cls(cudnn, matmul, places)

    def set(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that the older ones will go one day
            torch.backends.cudnn.allow_tf32 = self.cudnn
            torch.set_float32_matmul_precision(self.matmul)
        for name, precision in self.places.items():
            _place(name).fp32_precision = precision


@cache
def _there() -> list[str]:
    """Those of ``_PLACES`` that this version of torch has."""
    return [name for name in _PLACES if hasattr(_place(name), 'fp32_precision')]


def _place(name: str) -> Any:
    backend, _, what = name.partition('.')
    return getattr(getattr(torch.backends, backend), what, None)
