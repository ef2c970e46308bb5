"""A head's loss of logits to which the log of class frequencies is added."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class AdjustedLoss(nn.Module):
    """The logit-adjusted loss (Menon et al. 2021, arXiv 2007.07314).

    The network learns what is left when tau times the log frequencies are added to its
    logits, so its own aim at classes that are equally frequent. With the cross entropy
    and tau = 1 it is the balanced softmax (Ren et al. 2020, arXiv 2007.10740). It has
    no state: checkpoints are those of the loss that it is made of.

    Args:
        loss: Any loss that is called with logits first.
        bias: What is added to the logits, of shape (classes or labels,).
    """

    bias: Tensor

    def __init__(self, loss: nn.Module, bias: Tensor) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer('bias', bias, persistent=False)

    def forward(self, cls_score: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Returns the loss of the adjusted logits."""
        return self.loss(cls_score + self.bias, *args, **kwargs)
