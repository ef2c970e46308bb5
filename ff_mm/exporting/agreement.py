"""Whether an exported model says what the model itself says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ff_mm.exporting.onnx_file import ExportError

Probabilities = Callable[[Tensor], np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """How far two models are from each other.

    Attributes:
        images: How many were looked at, and which.
        of: In words.
        largest: The largest difference of a probability.
        mean: The mean difference.
        other_class: Of how many images the most probable class (label: whether it is
            one half or more) differs.
        tolerance: The largest difference that is let pass.
    """

    images: int
    of: str
    largest: float
    mean: float
    other_class: int
    tolerance: float

    def check(self, name: str) -> None:
        """Refuses a difference above the tolerance.

        Raises:
            ExportError: There is one.
        """
        # Not the other way round: NaN is no agreement.
        if not self.largest <= self.tolerance:
            raise ExportError(
                f'{name}: probabilities differ from those of torch by up to '
                f'{self.largest:.3g} on {self.images} {self.of}, more than --tolerance '
                f'{self.tolerance:g}: it was not written'
            )

    def line(self, name: str) -> str:
        """Says it in a line."""
        return (
            f'{name}: largest difference of a probability from torch '
            f'{self.largest:.3g}, mean {self.mean:.3g}, another class in '
            f'{self.other_class} of {self.images} {self.of}'
        )

    def describe(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


def compare(
    one: Probabilities,
    other: Probabilities,
    batches: Iterable[Tensor],
    of: str,
    tolerance: float,
    most: int | None = None,
    multilabel: bool = False,
) -> Agreement:
    """Shows images to two models.

    Args:
        one: Gives probabilities of a batch.
        other: Likewise.
        batches: Of images, uint8 of shape (images, 3, height, width).
        of: What images they are.
        tolerance: The largest difference that will be let pass.
        most: Of how many images at most; None: of all.
        multilabel: Whether an image can have several labels.
    """
    seen, differences, others = 0, [], 0
    for batch in batches:
        if most is not None:
            batch = batch[: most - seen]
        if not len(batch):
            break
        left, right = one(batch), other(batch)
        seen += len(batch)
        differences.append(np.abs(left.astype(np.float64) - right))
        differ = _said(left, multilabel) != _said(right, multilabel)
        others += int(differ.any(axis=1).sum())
    every = np.concatenate(differences)
    largest = float(every.max()) if not np.isnan(every).any() else float('nan')
    return Agreement(seen, of, largest, float(every.mean()), others, tolerance)


def _said(scores: np.ndarray, multilabel: bool) -> np.ndarray:
    return scores >= 0.5 if multilabel else scores.argmax(axis=1)[:, None]


def random_images(size: tuple[int, int], number: int = 64) -> Iterable[Tensor]:
    """Yields images of noise, and smooth ones, which are more like photographs.

    Args:
        size: Height and width.
        number: How many.
    """
    drawn = torch.Generator().manual_seed(0)
    noise = torch.rand((number // 2, 3, *size), generator=drawn)
    coarse = torch.rand((number - number // 2, 3, 4, 4), generator=drawn)
    smooth = torch.nn.functional.interpolate(coarse, size, mode='bicubic').clamp(0, 1)
    for images in (noise, smooth):
        yield from (images * 255).to(torch.uint8).split(7)  # an odd number, too
