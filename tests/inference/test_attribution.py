"""Maps of networks of which is known where they look."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from ff_mm.errors import ConfigError
from ff_mm.evaluation.options import EvaluationOptions
from ff_mm.inference.attribution import Attribution

SIZE = 32


class Averaging(torch.nn.Module):
    """A feature map of one channel: the mean of each square of 4 x 4 pixels."""

    def forward(self, inputs):
        return (torch.nn.functional.avg_pool2d(inputs, 4).mean(dim=1, keepdim=True),)


def model(maps=True):
    """Class 1 is that there is light anywhere, class 0 that there is none."""
    network = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='ResNet', depth=18),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=2, in_channels=1),
            data_preprocessor=dict(mean=[0] * 3, std=[255] * 3, num_classes=2),
        )
    ).eval()
    network.backbone = Averaging()
    if not maps:
        network.backbone = torch.nn.Sequential(
            Averaging(), Lambda(lambda maps: (maps[0].mean(dim=(2, 3)),))
        )
        network.neck = None
    with torch.no_grad():
        network.head.fc.weight.copy_(torch.tensor([[-20.0], [20.0]]))
        network.head.fc.bias.zero_()
    return SimpleNamespace(
        network=network,
        is_multilabel=False,
        device=torch.device('cpu'),
        options=EvaluationOptions(),
    )


class Lambda(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, inputs):
        return self.function(inputs)


def light_at_the_top_left():
    inputs = torch.zeros((3, SIZE, SIZE), dtype=torch.uint8)
    inputs[:, :8, :8] = 255
    return inputs


@pytest.mark.parametrize('method', ['gradcam', 'occlusion'])
def test_maps_are_where_the_light_is(method):
    found = Attribution(model(), method).map(light_at_the_top_left(), 1)
    assert found.shape == (SIZE, SIZE) and found.max() == 1
    assert found[:8, :8].mean() > 0.5
    assert found[16:, 16:].max() < 0.05


def test_what_speaks_for_no_class_is_all_zero():
    found = Attribution(model(), 'gradcam').map(light_at_the_top_left(), 0)
    np.testing.assert_array_equal(found, 0)


def test_a_model_without_feature_maps_takes_occlusion():
    attribution = Attribution(model(maps=False), 'auto')
    found = attribution.map(light_at_the_top_left(), 1)
    assert attribution.method == 'occlusion' and found[:8, :8].mean() > 0.5
    with pytest.raises(ConfigError, match='take occlusion'):
        Attribution(model(maps=False), 'gradcam').map(light_at_the_top_left(), 1)
