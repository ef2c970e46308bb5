from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ff_mm.evaluation.batch_norm_folding import BatchNormFolding


def randomised(model):
    """Statistics and affine maps that are not those of a new network."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -1, 1)
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 1)
        self.norm2 = nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.norm1(self.conv1(x)).relu()
        return x + self.norm2(self.conv2(x))


class UsesTheConvolutionElsewhere(Block):
    def forward(self, x):
        y = self.conv1(x)
        return self.norm1(y) + y


class NormalisesTwice(Block):
    def forward(self, x):
        return self.norm1(self.norm1(self.conv1(x)))


class NormFirst(Block):
    def forward(self, x):
        return self.norm2(self.conv1(x).relu())


def networks():
    timm = pytest.importorskip('timm')
    lite = timm.create_model('tf_efficientnet_lite0', num_classes=3)
    return dict(block=Block(), resnet=timm.create_model('resnet18'), lite=lite)


@pytest.mark.parametrize('name', ['block', 'resnet', 'lite'])
def test_outputs_stay_and_fewer_layers_remain(name):
    model = randomised(networks()[name])
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected = model(images)
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        BatchNormFolding(model, lambda: model(images))
        got = model(images)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    assert norms > 0
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


@torch.inference_mode()
def test_other_weights_are_loaded_into_the_same_tensors_and_folded():
    model, other = randomised(Block()), randomised(Block())
    for parameter in other.parameters():
        parameter.add_(0.1)
    weights, images = model.state_dict(), torch.rand(2, 3, 8, 8)
    folding = BatchNormFolding(model, lambda: model(images))
    for source in (other, randomised(Block()), other):
        folding.unfold()
        assert set(model.state_dict()) == set(weights)
        for key, value in source.state_dict().items():
            weights[key].copy_(value)
        torch.testing.assert_close(model(images), source(images))
        folding.fold()
        folding.fold()
        torch.testing.assert_close(model(images), source(images))


@pytest.mark.parametrize(
    'cls', [UsesTheConvolutionElsewhere, NormalisesTwice, NormFirst]
)
@torch.inference_mode()
def test_what_cannot_be_folded_stays_as_it_is(cls):
    model = randomised(cls())
    before = copy.deepcopy(model.state_dict())
    images = torch.rand(2, 3, 8, 8)
    folding = BatchNormFolding(model, lambda: model(images))
    folding.fold()
    after = model.state_dict()
    assert set(after) == set(before)
    for key, value in before.items():
        assert torch.equal(after[key], value)


@torch.inference_mode()
def test_a_network_without_batch_norm_is_left_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    folding = BatchNormFolding(model, lambda: model(torch.rand(1, 3, 8, 8)))
    folding.fold()
    folding.unfold()
    assert len(model) == 2


def test_a_network_whose_outputs_are_nan_stays_as_it_is():
    model = randomised(Block())
    model.norm1.running_var.fill_(-1)
    folding = BatchNormFolding(model, lambda: model(torch.ones(1, 3, 5, 5)))
    folding.fold()
    assert isinstance(model.norm1, nn.BatchNorm2d)
