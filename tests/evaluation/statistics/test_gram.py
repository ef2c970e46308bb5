"""Gram matrices of layers against their definition."""

from __future__ import annotations

import pytest
import torch
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from torch import nn

from ff_mm.evaluation.statistics.gram import gram_matrices


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def outputs_say(layer, gram, batch, groups=1):
    """Checks a Gram matrix by what it is for: the sizes of the layer's outputs.

    The sum over positions of (w . x)^2 is w G w, for each output and any weights.
    """
    with torch.no_grad():
        if layer.bias is not None:
            layer.bias.zero_()
        found = layer(batch)
    axes = [axis for axis in range(found.ndim) if axis != 1]
    sizes = found.square().sum(axes) / len(batch)
    rows = layer.weight.reshape(groups, len(layer.weight) // groups, -1)
    expected = torch.einsum('goi,gij,goj->go', rows, gram, rows).flatten()
    torch.testing.assert_close(sizes, expected, rtol=1e-4, atol=1e-4)


LAYERS = {
    'linear': (nn.Linear(5, 3), (7, 5), 1),
    'plain': (nn.Conv2d(4, 6, 3), (2, 4, 8, 7), 1),
    'strided': (nn.Conv2d(4, 6, (3, 2), stride=2, padding=1), (2, 4, 8, 7), 1),
    'dilated': (nn.Conv2d(4, 6, 3, dilation=2, padding='same'), (2, 4, 8, 7), 1),
    'even': (nn.Conv2d(4, 6, (2, 4), padding='same', bias=False), (2, 4, 8, 7), 1),
    'circular': (
        nn.Conv2d(4, 6, 3, padding=1, padding_mode='circular'),
        (2, 4, 8, 7),
        1,
    ),
    'grouped': (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 8, 7), 2),
    'depthwise': (nn.Conv2d(4, 8, 3, groups=4, padding=1), (2, 4, 8, 7), 4),
    'adaptive': (Conv2dAdaptivePadding(4, 6, 3, stride=2), (2, 4, 9, 7), 1),
}


@pytest.mark.parametrize('kind', LAYERS)
def test_outputs_have_the_sizes_that_the_matrices_say(kind):
    layer, shape, groups = LAYERS[kind]
    batch = images(*shape)
    (gram,) = gram_matrices(layer, [batch]).values()
    assert len(gram) == groups
    outputs_say(layer, gram, batch, groups)


def test_tokens_count_each_and_the_sum_is_over_batches():
    layer, batch = nn.Linear(5, 3), images(20, 4, 5)
    done = []
    found = gram_matrices(layer, [batch[:3], batch[3:]], done.append)
    rows = batch.flatten(0, 1)
    torch.testing.assert_close(found['weight'], (rows.T @ rows / 20)[None])
    assert sum(done) == 20


def test_only_weights_of_the_network_count_under_all_their_names():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.off = (nn.Linear(3, 3) for _ in range(3))
            self.two.weight = self.one.weight

        def forward(self, x):
            normal = nn.functional.linear(x, self.off.weight * 2)
            return self.two(self.one(normal))

    found = gram_matrices(Net(), [images(4, 3)])
    assert sorted(found) == ['one.weight', 'two.weight']
    assert torch.equal(found['one.weight'], found['two.weight'])


def test_batch_norm_and_dropout_are_those_of_evaluation():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    batch = images(6, 3)
    found = gram_matrices(net, [batch])
    torch.testing.assert_close(
        found['2.weight'][0], batch.T @ batch / 6, rtol=1e-4, atol=1e-4
    )
