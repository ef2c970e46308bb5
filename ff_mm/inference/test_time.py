"""Test-time augmentation: images shown in several ways, and the mean of the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ff_mm.errors import ConfigError

View = Callable[[Tensor], Tensor]


def _turned(turns: int) -> View:
    return lambda images: torch.rot90(images, turns, (-2, -1))


#: Name -> ways to show images besides as they are, of (..., height, width).
VIEWS: dict[str, tuple[View, ...]] = dict(
    hflip=(lambda images: images.flip(-1),),
    vflip=(lambda images: images.flip(-2),),
    rotate=(_turned(1), _turned(2), _turned(3)),
)


def _as_it_is(images: Tensor) -> Tensor:
    return images


def views(names: Sequence[str]) -> list[View]:
    """Returns the ways in which images are shown, the first as they are.

    Args:
        names: Of :data:`VIEWS`, each adds its own.

    Raises:
        ConfigError: An unknown name.
    """
    for name in names:
        if name not in VIEWS:
            raise ConfigError(f'--tta {name}: expected some of {", ".join(VIEWS)}')
    return [_as_it_is, *(view for name in dict.fromkeys(names) for view in VIEWS[name])]
