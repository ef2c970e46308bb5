"""Mixtures of labels and probabilities, and temperatures, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ff_mm.fission.distillation.mixture import mixture
from ff_mm.fission.distillation.passes import _softened


@pytest.mark.parametrize('share', [0.0, 0.3, 1.0])
def test_its_cross_entropy_is_the_mixture_of_both(share):
    logits, teacher = torch.randn(5, 3).double(), torch.randn(5, 3).softmax(1).double()
    labels = torch.tensor([0, 2, 1, 1, 0])
    mixed = mixture(F.one_hot(labels, 3).double(), teacher, share)
    by_label = F.cross_entropy(logits, labels)
    by_teacher = F.cross_entropy(logits, teacher)
    expected = share * by_teacher + (1 - share) * by_label
    assert torch.allclose(F.cross_entropy(logits, mixed), expected)


def test_a_missing_label_stays_missing_or_gets_the_teachers():
    labels, teacher = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0.2, 0.4, 0.6])
    assert mixture(labels, teacher, 0.5).tolist() == pytest.approx([0.6, 0.2, -1])
    filled = mixture(labels, teacher, 0.5, 'teacher')
    assert filled.tolist() == pytest.approx([0.6, 0.2, 0.6])


def test_a_temperature_divides_the_logits():
    logits = torch.tensor([[2.0, 0.0, -3.0]])
    softened = _softened(logits.softmax(1).numpy(), 4.0, several=False)
    assert np.allclose(softened, (logits / 4).softmax(1), atol=1e-6)
    softened = _softened(logits.sigmoid().numpy(), 4.0, several=True)
    assert np.allclose(softened, (logits / 4).sigmoid(), atol=1e-6)
