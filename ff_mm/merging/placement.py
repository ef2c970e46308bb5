"""Where models are added up: in main memory, or on the device of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ff_mm.merging.state_dict import StateDict

if TYPE_CHECKING:
    from ff_mm.merging.checkpoint_file import CheckpointFile


class Placement:
    """A device on which sums of models are made, and models that stay there.

    Sums are those of main memory, bit for bit: they are made of the same single
    operations in double precision, each of which is rounded as the standard says.

    Args:
        device: Where sums are made.
        keeps: Whether the models of files stay there, once they were read.
    """

    def __init__(self, device: torch.device, keeps: bool = False) -> None:
        self.device = device
        self.keeps = keeps
        self._kept: dict[CheckpointFile, StateDict] = {}

    def holds(self, checkpoint: CheckpointFile) -> bool:
        """Say whether the weights of a file need not be read any more."""
        return checkpoint in self._kept

    def of_file(self, checkpoint: CheckpointFile) -> Mapping[str, Tensor]:
        """Return the weights of a file, for adding them up.

        Raises:
            CheckpointError: If they cannot be read.
        """
        if not self.keeps:
            return self.moved(checkpoint.in_passing())
        if checkpoint not in self._kept:
            try:
                self._kept[checkpoint] = _copied(checkpoint.in_passing(), self.device)
            except torch.OutOfMemoryError:  # another process has taken what was free
                self.keeps = False
                self._kept.clear()
                return self.of_file(checkpoint)
        return self._kept[checkpoint]

    def moved(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return weights where sums are made; those that are there are not copied."""
        if self.device.type == 'cpu':
            return weights  # one after the other, if they are read in passing
        return {key: value.to(self.device) for key, value in weights.items()}


def _copied(weights: Mapping[str, Tensor], device: torch.device) -> StateDict:
    return {key: value.to(device, copy=True) for key, value in weights.items()}
