from __future__ import annotations

import pytest
import torch
from torch import nn

from ff_mm.engine.ingredient_file import (
    in_default_layout,
    model_weights,
    write_ingredient,
)
from ff_mm.files import sha256


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, groups=4)]
    return nn.Sequential(*layers, nn.BatchNorm2d(4))


def test_the_file_does_not_show_in_which_order_the_model_computes(tmp_path):
    digests = set()
    for name, model in {
        'plain': network(),
        'converted': network().to(memory_format=torch.channels_last),
    }.items():
        path = tmp_path / f'{name}.pth'
        record = write_ingredient(path, model_weights(model), dict(name='a'), {}, {})
        assert record['sha256'] == sha256(path)
        digests.add(record['sha256'])
    assert len(digests) == 1


def test_weights_are_those_of_the_model_and_not_copied_without_need():
    model = network()
    for key, value in model_weights(model).items():
        assert value.data_ptr() == model.state_dict()[key].data_ptr()
    model = model.to(memory_format=torch.channels_last)
    for key, value in model_weights(model).items():
        assert torch.equal(value, model.state_dict()[key])
        assert value.is_contiguous()
    assert not model[0].weight.is_contiguous()


@pytest.mark.parametrize(
    'shape', [(), (0,), (3,), (2, 3), (1, 4, 1, 1), (4, 1, 3, 3), (5, 4, 1, 1)]
)
def test_any_shape_gets_the_strides_of_a_new_tensor(shape):
    tensor = torch.rand(shape)
    turned = tensor.permute(tuple(reversed(range(tensor.dim()))))
    layouts = [tensor, turned]
    if tensor.dim() == 4:
        layouts.append(tensor.to(memory_format=torch.channels_last))
    for given in layouts:
        plain = in_default_layout(given)
        assert plain.stride() == torch.empty(given.shape).stride()
        assert torch.equal(plain, given)


def test_a_sparse_tensor_is_left_as_it_is():
    sparse = torch.eye(3).to_sparse()
    assert in_default_layout(sparse) is sparse
