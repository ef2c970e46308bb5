"""What a decision is: one scale for all logits, and a bias for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ff_mm.evaluation.metrics.validation_loss import cross_entropies
from ff_mm.plain import MISSING


@dataclass(frozen=True)
class Decision:
    """Logits z become scale * z + bias, which a linear head can take over.

    Attributes:
        scale: Above 0; it is 1 / temperature.
        bias: A number a class or label; () is 0 for all.
    """

    scale: float = 1.0
    bias: tuple[float, ...] = ()

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Returns the decided logits.

        Args:
            logits: Of shape (cases, classes or labels).
        """
        return self.scale * logits + (np.array(self.bias) if self.bias else 0)

    def undo(self, logits: np.ndarray) -> np.ndarray:
        """Returns the logits that were decided.

        Args:
            logits: As :meth:`apply` gives them.
        """
        return (logits - (np.array(self.bias) if self.bias else 0)) / self.scale

    def then(self, other: Decision) -> Decision:
        """Returns this decision and another one after it, as one."""
        if not self.bias:
            bias = other.bias
        else:
            bias = tuple(float(b) for b in other.apply(np.array(self.bias)))
        return Decision(self.scale * other.scale, bias)


def probabilities(logits: np.ndarray, multilabel: bool) -> np.ndarray:
    """Returns what MMPretrain's heads make of logits, float32.

    Args:
        logits: Of shape (cases, classes or labels).
        multilabel: Whether a case can have several labels.
    """
    single = torch.from_numpy(logits).float()
    return (single.sigmoid() if multilabel else single.softmax(dim=1)).numpy()


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model says of the cases of a set, and what they are.

    Attributes:
        logits: Of shape (cases, classes or labels).
        truth: Class numbers of shape (cases,); or of multi-label data of the shape of
            the logits: 1 present, 0 absent, -1 missing.
        groups: Number of the patient or lesion of each case; None: cases are
            independent.
    """

    logits: np.ndarray
    truth: np.ndarray
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'logits', np.asarray(self.logits, np.float64))

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def is_multilabel(self) -> bool:
        """Whether a case can have several labels."""
        return self.truth.ndim == 2

    @cached_property
    def scores(self) -> np.ndarray:
        """The probabilities that MMPretrain's heads make of the logits, float32."""
        return probabilities(self.logits, self.is_multilabel)

    @cached_property
    def group_of(self) -> np.ndarray:
        """The group of each case, numbered from 0 without gaps."""
        if self.groups is None:
            return np.arange(len(self))
        return np.unique(self.groups, return_inverse=True)[1].reshape(-1)

    @property
    def costs(self) -> np.ndarray:
        """The cross entropy of each case, over its known labels the sum."""
        scores = self.scores.astype(np.float64)
        return cross_entropies(self.truth, scores).sum(axis=1)

    @property
    def accuracy(self) -> float:
        """The fraction of cases, or of known labels, that are predicted right."""
        if not self.is_multilabel:
            return float((self.logits.argmax(axis=1) == self.truth).mean())
        known = self.truth != MISSING
        right = ((self.scores >= 0.5) == (self.truth == 1))[known]
        return float(right.mean()) if right.size else float('nan')

    def take(self, cases: np.ndarray) -> Outputs:
        """Returns some of the cases.

        Args:
            cases: A mask, or indices.
        """
        groups = None if self.groups is None else self.groups[cases]
        return Outputs(self.logits[cases], self.truth[cases], groups)

    def decided(self, decision: Decision) -> Outputs:
        """Returns what the model would say with a decision."""
        return Outputs(decision.apply(self.logits), self.truth, self.groups)
