from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import DataLoader

from ff_mm.errors import ConfigError
from ff_mm.evaluation.batch_norm_reestimation import (
    KeptBatches,
    batch_norm_samples,
    reestimate_batch_norm,
)


class Network(BaseModel):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs, mode='tensor'):
        return self.layers(inputs)

    def train_step(self, data, optim_wrapper=None):
        return self(data)

    val_step = test_step = train_step


@pytest.fixture
def images():
    values = torch.randn(32, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    return 3 + 2 * values


def loader_of(images):
    return DataLoader([dict(inputs=image) for image in images], batch_size=8)


def test_the_statistics_are_those_of_the_data(images):
    network = Network(nn.BatchNorm2d(4), nn.Dropout(0.5))
    loader = loader_of(images)
    assert reestimate_batch_norm(network, loader, 32) == 32
    norm = network.layers[0]
    torch.testing.assert_close(norm.running_mean, images.mean((0, 2, 3)))
    torch.testing.assert_close(
        norm.running_var, images.var((0, 2, 3)), rtol=0.1, atol=0
    )
    assert not any(module.training for module in network.modules())


def test_who_holds_the_network_s_tensors_sees_the_new_statistics(images):
    network = Network(nn.BatchNorm2d(4))
    held = network.state_dict()
    reestimate_batch_norm(network, loader_of(images), 32)
    for key, value in network.state_dict().items():
        assert value.data_ptr() == held[key].data_ptr(), key
    assert (held['layers.0.running_mean'] > 2).all()


def test_without_batch_norm_nothing_is_read(images):
    network = Network(nn.Conv2d(4, 4, 1))
    assert reestimate_batch_norm(network, loader_of(images), 32) == 0


def test_fewer_images_than_a_batch_are_refused(images):
    with pytest.raises(ConfigError, match='num_samples=7 is less than one batch of 8'):
        reestimate_batch_norm(Network(nn.BatchNorm2d(4)), loader_of(images), 7)


def test_kept_batches_are_the_loader_s_first_ones(images):
    loader = loader_of(images)
    kept = KeptBatches(loader, 20)
    assert len(kept) == 2 and kept.batch_size == 8
    once, again, streamed = Network(), Network(), Network()
    for network, batches in ((once, kept), (again, kept), (streamed, loader)):
        network.layers.append(nn.BatchNorm2d(4))
        assert reestimate_batch_norm(network, batches, 20) == 16
    for key, value in streamed.state_dict().items():
        assert torch.equal(once.state_dict()[key], value)
        assert torch.equal(again.state_dict()[key], value)


def test_no_bar_is_left_on_the_console(images, capfd):
    reestimate_batch_norm(Network(nn.BatchNorm2d(4)), loader_of(images), 32)
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (5, r'soup\.bn: expected dict\(num_samples=2048\), got 5'),
        (dict(samples=5), 'expected dict'),
        (dict(num_samples=7), 'less than one batch of 8'),
    ],
)
def test_options_that_are_none(option, message):
    cfg = Config(dict(train_dataloader=dict(batch_size=8)))
    with pytest.raises(ConfigError, match=message):
        batch_norm_samples(option, cfg, 'soup.bn')


def test_options():
    cfg = Config(dict(train_dataloader=dict(batch_size=8)))
    assert batch_norm_samples(dict(num_samples=8), cfg, 'soup.bn') == 8
    assert batch_norm_samples(None, cfg, 'soup.bn') is None
    with pytest.raises(ConfigError, match='needs a train_dataloader'):
        batch_norm_samples(dict(num_samples=8), Config({}), 'soup.bn')
