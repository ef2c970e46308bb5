"""The diagonal Fisher information against loops over images and classes."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn
from toys import TINY_RESNET, TINY_VIT

from ff_mm.errors import ConfigError
from ff_mm.evaluation.statistics import fisher as fisher_module
from ff_mm.evaluation.statistics.fisher import Fisher


class Linear(nn.Module):
    """A linear softmax without a bias."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, images):
        return images @ self.weight.T


def network(outputs=4, **last):
    """Convolutions of several kinds with batch norm, whose statistics are not 0, 1."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, groups=4, padding=1),
        nn.BatchNorm2d(8),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, outputs),
    )
    with torch.no_grad():
        net(4 * torch.randn(20, 3, 6, 6))  # in training mode
        net[-1].weight.mul_(6)
    return net.double()


def images(count=5):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 6, 6, generator=generator, dtype=torch.float64)


def by_hand(net, batch, log_likelihoods):
    """The definition: for each image and each y, p(y) times the squared gradient."""
    net.eval()
    parameters = dict(net.named_parameters())
    total = {key: torch.zeros_like(p) for key, p in parameters.items()}
    for image in batch:
        for p, log_p in log_likelihoods(net(image[None])[0]):
            grads = torch.autograd.grad(
                log_p, list(parameters.values()), retain_graph=True
            )
            for key, grad in zip(parameters, grads, strict=True):
                total[key] += p.detach() * grad**2 / len(batch)
    return total


def of_classes(outputs):
    log_p = outputs.log_softmax(-1)
    return [(one.exp(), one) for one in log_p]


def of_labels(outputs):
    """Each label is there or not, by itself."""
    found = []
    for z in outputs:
        for sign in (1, -1):
            log_p = nn.functional.logsigmoid(sign * z)
            found.append((log_p.exp(), log_p))
    return found


def close(one, other, **tolerance):
    assert list(one) == list(other)
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], **tolerance)


@pytest.mark.parametrize(
    ('weight', 'rows'),
    [
        ([[0.0, 0.0]] * 3, [(2 / 9, 8 / 9)] * 3),
        # Logits 0, ln 2, ln 5 for the image (1, 2).
        (
            [[0.0, 0.0], [math.log(2), 0.0], [math.log(5), 0.0]],
            [(0.109375, 0.4375), (0.1875, 0.75), (0.234375, 0.9375)],
        ),
    ],
    ids=['uniform', 'not uniform'],
)
def test_a_linear_softmax_by_hand(weight, rows):
    found, passes = Fisher(False).estimate(Linear(weight), [torch.tensor([[1.0, 2.0]])])
    torch.testing.assert_close(found['weight'], torch.tensor(rows))
    assert passes == 2


@pytest.mark.parametrize('at_once', [1, 2, 16])
@pytest.mark.parametrize(
    ('multilabel', 'log_likelihoods'),
    [(False, of_classes), (True, of_labels)],
    ids=['classes', 'labels'],
)
def test_all_parameters_of_a_network_with_batch_norm(
    multilabel, log_likelihoods, at_once, monkeypatch
):
    monkeypatch.setattr(fisher_module, '_AT_ONCE', at_once)
    net, batch = network(), images()
    done = []
    found, passes = Fisher(multilabel).estimate(
        net, [batch[:3], batch[3:]], done.append
    )
    close(found, by_hand(net, batch, log_likelihoods))
    assert sum(done) == 5 and passes == 5 * (4 if multilabel else 3)
    assert not any(module.training for module in net.modules())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize('multilabel', [False, True], ids=['classes', 'labels'])
def test_sampled_labels_are_right_in_the_mean_and_the_same_each_time(multilabel):
    net, batch = network(), images(2).repeat(600, 1, 1, 1)
    exact, _ = Fisher(multilabel).estimate(net, [batch[:2]])
    sampled, passes = Fisher(multilabel, 'sampled').estimate(net, [batch])
    assert passes == len(batch)
    for key, value in exact.items():
        total = value.sum()
        assert abs(sampled[key].sum() - total) < 0.2 * total, key
    again, _ = Fisher(multilabel, 'sampled').estimate(net, [batch])
    close(again, sampled, rtol=0, atol=0)


def test_a_certain_model_has_next_to_none_but_not_of_another_sign():
    directions = Fisher(False).directions(
        torch.tensor([[50.0, 0.0, -1.0]]), torch.Generator()
    )
    covariance = torch.einsum('cbi,cbj->bij', directions, directions)[0].double()
    p = torch.tensor([[50.0, 0.0, -1.0]]).double().softmax(-1)[0]
    expected = torch.diag(torch.stack([p[1] + p[2], p[1], p[2]]))
    expected[0, 1:] = expected[1:, 0] = -p[1:]
    torch.testing.assert_close(covariance, expected, rtol=1e-5, atol=0)


class Picky(nn.Module):
    """Looks at its values, which many images at once do not have."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, batch):
        return self.inner(batch if float(batch.sum()) > 0 else -batch)


def test_a_network_that_cannot_take_many_at_once_is_given_one_after_the_other():
    net, batch = Picky(network()), images()
    found, _ = Fisher(False).estimate(net, [batch])
    close(found, by_hand(net, batch, of_classes))


def test_tied_and_unused_parameters():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    net[1].weight = net[0].weight
    net.register_parameter('unused', nn.Parameter(torch.ones(2)))
    found, _ = Fisher(False).estimate(net, [torch.randn(4, 3)])
    assert set(found) == set(net.state_dict())
    assert torch.equal(found['0.weight'], found['1.weight'])
    assert found['0.weight'].sum() > 0 and found['unused'].tolist() == [0, 0]


def test_a_head_without_logits_is_named():
    class Pair(nn.Linear):
        def forward(self, x):
            return [super().forward(x)] * 2

    with pytest.raises(ConfigError, match='Pair gives no logits of shape'):
        Fisher(False).estimate(Pair(2, 2), [torch.ones(3, 2)])


class Tokens(nn.Module):
    """Begins as vision transformers do: two parameters with one gradient."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.token = nn.Parameter(torch.randn(1, 1, 2))
        self.position = nn.Parameter(torch.randn(1, 4, 2))
        self.last = nn.Linear(2, 3)

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.last(x.tanh().mean(1))


def test_gradients_that_share_their_memory():
    net = Tokens().double()
    batch = torch.randn(5, 3, 2, dtype=torch.float64)
    found, _ = Fisher(False).estimate(net, [batch])
    close(found, by_hand(net, batch, of_classes))


SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)
HEADS = {
    'classes': (dict(type='LinearClsHead'), of_classes),
    'masked labels': (dict(type='MaskedMultiLabelClsHead'), of_labels),
    'labels': (dict(type='MultiLabelLinearClsHead'), of_labels),
    'attention': (
        dict(type='CSRAClsHead', num_heads=1, lam=0.1, loss=SIGMOID),
        of_labels,
    ),
}


@pytest.mark.parametrize('kind', HEADS)
def test_heads_of_mmpretrain_say_what_they_predict(kind):
    init_default_scope('mmpretrain')
    head, log_likelihoods = HEADS[kind]
    head = dict(head, num_classes=3, in_channels=4)
    network = dict(TINY_RESNET, type='ImageClassifier', head=head)
    if kind == 'attention':
        network['neck'] = None
    torch.manual_seed(0)
    net = MODELS.build(network).double()
    batch = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    found, _ = Fisher.of(net, 'exact').estimate(net, [batch])
    close(found, by_hand(net, batch, log_likelihoods))


def test_a_vision_transformer():
    init_default_scope('mmpretrain')
    head = dict(type='VisionTransformerClsHead', num_classes=3, in_channels=8)
    torch.manual_seed(0)
    net = MODELS.build(dict(TINY_VIT, type='ImageClassifier', head=head)).double()
    with torch.no_grad():
        net.head.layers.head.weight.normal_()
    batch = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    found, _ = Fisher.of(net, 'exact').estimate(net, [batch])
    close(found, by_hand(net, batch, of_classes))
