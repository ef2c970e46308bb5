"""Weights with a decision in them against the decision applied outside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmpretrain.models import LinearClsHead
from mmpretrain.registry import MODELS
from torch import nn

import ff_mm  # noqa: F401 - registers its heads
from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Decision
from ff_mm.evaluation.decisions.folding import fold, is_multilabel, last_layers

DECISION = Decision(0.7, (0.5, -1.25, 3.0))
SIZES = dict(num_classes=3, in_channels=5)
CLS = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
DIST = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
HEADS = {
    'linear': (dict(type='LinearClsHead', **SIZES), CLS),
    'multi-label': (dict(type='MultiLabelLinearClsHead', **SIZES), CLS),
    'masked': (dict(type='MaskedMultiLabelClsHead', **SIZES), CLS),
    'vit': (dict(type='VisionTransformerClsHead', **SIZES), CLS),
    'vit hidden': (
        dict(type='VisionTransformerClsHead', hidden_dim=6, **SIZES),
        CLS,
    ),
    'deit': (dict(type='DeiTClsHead', **SIZES), [None, CLS, DIST]),
    'deit hidden': (dict(type='DeiTClsHead', hidden_dim=6, **SIZES), [CLS, DIST]),
}


class Classifier(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head


def classifier(config):
    model = Classifier(MODELS.build(config)).eval()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    return model


@pytest.mark.parametrize('name', HEADS)
def test_folded_weights_give_the_decided_logits(name):
    config, features = HEADS[name]
    model = classifier(config)
    before = model.head((features,)).detach().numpy()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold(DECISION, weights, last_layers(model))
    for key, value in model.state_dict().items():  # those given stay as they are
        assert torch.equal(value, weights[key])
        assert folded[key].dtype == value.dtype and folded[key].shape == value.shape
    model.load_state_dict(folded)
    after = model.head((features,)).detach().numpy()
    np.testing.assert_allclose(after, DECISION.apply(before), atol=1e-6, rtol=1e-6)
    assert is_multilabel(model) == (name in ('multi-label', 'masked'))


def test_nothing_decided_changes_nothing():
    model = classifier(HEADS['deit'][0])
    folded = fold(Decision(), model.state_dict(), last_layers(model))
    for key, value in model.state_dict().items():
        assert torch.equal(folded[key], value)


class Scaled(LinearClsHead):
    def forward(self, feats):
        return super().forward(feats) * 2


@pytest.mark.parametrize(
    'head',
    [
        Scaled(3, 5),
        MODELS.build(
            dict(type='StackedLinearClsHead', mid_channels=[4], **SIZES),
        ),
        None,
    ],
    ids=['own forward', 'stacked', 'none'],
)
def test_another_head_is_one_line(head):
    with pytest.raises(ConfigError, match='nothing can be folded into') as error:
        last_layers(Classifier(head))
    assert type(head).__name__ in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('option', [dict(thr=0.3), dict(topk=2)])
def test_a_head_with_another_threshold_is_one_line(option):
    model = classifier(dict(type='MultiLabelLinearClsHead', **option, **SIZES))
    with pytest.raises(ConfigError, match=r'model\.head\.(thr=0\.3|topk=2)'):
        is_multilabel(model)
