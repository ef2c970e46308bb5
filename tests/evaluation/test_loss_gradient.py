"""Gradients of the validation loss of real small networks, against plain autograd."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn
from torch.func import functional_call
from toys import TINY_RESNET, TINY_VIT

import ff_mm.models  # noqa: F401
from ff_mm.errors import ConfigError
from ff_mm.evaluation.loss_gradient import entry_names, loss_gradient
from ff_mm.merging.ingredient import Ingredient
from ff_mm.merging.validation import inner_products

CLASSES = dict(type='LinearClsHead', num_classes=3, in_channels=4)
LABELS = dict(type='MaskedMultiLabelClsHead', num_classes=3, in_channels=4)
NETWORKS = {
    'classes': (TINY_RESNET, CLASSES),
    'smoothed': (
        TINY_RESNET,
        dict(CLASSES, loss=dict(type='LabelSmoothLoss', label_smooth_val=0.2)),
    ),
    'labels, some missing': (TINY_RESNET, LABELS),
    'a transformer': (
        TINY_VIT,
        dict(type='VisionTransformerClsHead', num_classes=3, in_channels=8),
    ),
}


class Cases:
    """Nine cases in uneven batches, as an evaluation set gives them."""

    def __init__(self, several, size=4):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(9, 3, 16, 16, generator=generator).double()
        self.samples = [
            DataSample().set_gt_score(torch.tensor([i % 2, (i % 3) - 1, 1.0]))
            if several
            else DataSample().set_gt_label(i % 3)
            for i in range(9)
        ]
        self.dataset = self.samples
        self.size = size

    def precision(self, model):
        return nullcontext()

    def batches(self, model):
        for start in range(0, 9, self.size):
            chosen = slice(start, start + self.size)
            yield self.images[chosen], self.samples[chosen]


def network(name, seed=0):
    backbone, head = NETWORKS[name]
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(type='ImageClassifier', **backbone, head=head))
    for value in model.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand_like(value)  # statistics that are not 0 and 1
    return model.double().eval()


def plain_batch_norm(x, mean, var, weight, bias, training, momentum, eps):
    """Torch's own has no derivative with regard to statistics."""
    shape = (1, -1, *[1] * (x.ndim - 2))
    mean, var = mean.reshape(shape), var.reshape(shape)
    x = (x - mean) / (var + eps).sqrt()
    if weight is None:
        return x
    return x * weight.reshape(shape) + bias.reshape(shape)


def plain_loss(model, weights, cases, rows, scale=1.0):
    """The loss of the head of all chosen cases in one batch."""
    logits = functional_call(model, weights, (cases.images[rows],))
    samples = [cases.samples[row] for row in rows]
    return model.head._get_loss(logits * scale, samples)['loss']


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('held', [[], [1, 4, 8]], ids=['all', 'some held out'])
def test_it_is_the_gradient_of_the_loss_of_all_cases_as_one_batch(
    name, held, monkeypatch
):
    model = network(name)
    cases = Cases('labels' in name)
    flags = np.isin(np.arange(9), held) if held else None
    found = loss_gradient(cases, model, 1.3, flags)
    monkeypatch.setattr(nn.functional, 'batch_norm', plain_batch_norm)
    weights = {
        k: v.detach().clone().requires_grad_(v.is_floating_point())
        for k, v in model.state_dict().items()
    }
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    rows = [row for row in range(9) if row not in held]
    loss = plain_loss(model, weights, cases, rows, scale)
    loss.backward()
    close = dict(rel=1e-4, abs=1e-6)
    assert found.loss == pytest.approx(loss.item(), **close)
    assert found.scale == pytest.approx(scale.grad.item(), **close)
    if held:
        other = plain_loss(model, weights, cases, held, scale).item()
        assert found.held_out == pytest.approx(other, **close)
    else:
        assert found.held_out is None
    assert list(found.entries) == entry_names(model)
    assert any('running_var' in n for n in found.entries) is ('transf' not in name)
    for key, slope in found.entries.items():
        torch.testing.assert_close(slope, weights[key].grad, rtol=1e-4, atol=1e-6)
    # The network is as before.
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_slopes_are_those_of_the_loss_of_the_mixture(monkeypatch):
    """Through softmax and the mean of all tensors, statistics included, by autograd."""
    models = [network('classes', seed).state_dict() for seed in range(3)]
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    alpha = logits.softmax(0)
    mixture = {
        key: sum(a * m[key] for a, m in zip(alpha, models, strict=True))
        if value.is_floating_point()
        else value
        for key, value in models[0].items()
    }
    model = network('classes')
    model.load_state_dict({k: v.detach() for k, v in mixture.items()})
    cases = Cases(False)
    entries = loss_gradient(cases, model).entries
    members = [Ingredient(str(i), lambda m=m: dict(m)) for i, m in enumerate(models)]
    inner = inner_products(entries, members)[:, 0]
    weights = alpha.detach()
    step = weights * (inner - (weights * inner).sum())
    monkeypatch.setattr(nn.functional, 'batch_norm', plain_batch_norm)
    plain_loss(model, mixture, cases, range(9)).backward()
    torch.testing.assert_close(step, logits.grad, rtol=1e-6, atol=1e-8)
    by_tensor = inner_products(entries, members, by_tensor=True)
    torch.testing.assert_close(by_tensor.sum(1), inner)


def test_frozen_weights_and_batch_norm_without_weights(monkeypatch):
    model = network('classes')
    layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer in layers[::2]:
        layer.weight = layer.bias = None
    frozen = next(model.parameters()).requires_grad_(False)
    cases = Cases(False)
    found = loss_gradient(cases, model)
    assert not frozen.requires_grad
    monkeypatch.setattr(nn.functional, 'batch_norm', plain_batch_norm)
    weights = {
        k: v.detach().clone().requires_grad_(v.is_floating_point())
        for k, v in model.state_dict().items()
    }
    plain_loss(model, weights, cases, range(9)).backward()
    assert found.entries.keys() == {k for k in weights if 'num_batches' not in k}
    for key, slope in found.entries.items():
        torch.testing.assert_close(slope, weights[key].grad, rtol=1e-6, atol=1e-9)


def test_a_network_without_such_a_head_is_refused_in_a_line():
    model = network('classes')
    model.head = nn.Identity()
    with pytest.raises(ConfigError, match='Identity gives no logits') as error:
        loss_gradient(Cases(False), model)
    assert '\n' not in str(error.value)
