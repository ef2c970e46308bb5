from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpretrain.models import LinearClsHead
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn import functional
from toys import OnlyInfos

from ff_mm.engine.hooks import LogitAdjustmentHook
from ff_mm.errors import ConfigError
from ff_mm.models.masked_multilabel_head import MaskedMultiLabelClsHead
from ff_mm.plain import MISSING

CLASSES = [0] * 6 + [1] * 3 + [2]
LABELS = [[1, 0, MISSING], [1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 0, 0]]


def adjusted(head, infos, tau=1.0):
    model = nn.Module()
    model.head = head
    dataset = OnlyInfos(infos)
    runner = SimpleNamespace(
        model=model, train_dataloader=SimpleNamespace(dataset=dataset)
    )
    LogitAdjustmentHook(tau).before_train(runner)
    return head


@pytest.fixture
def features():
    return (torch.randn(4, 5, generator=torch.Generator().manual_seed(0)),)


@pytest.mark.parametrize('tau', [1.0, 0.5])
def test_the_loss_is_that_of_the_logits_plus_the_log_frequencies(features, tau):
    infos = [dict(gt_label=label) for label in CLASSES]
    head = adjusted(LinearClsHead(num_classes=3, in_channels=5), infos, tau)
    truth = torch.tensor([0, 1, 2, 2])
    samples = [DataSample().set_gt_label(int(t)) for t in truth]
    found = head.loss(features, samples)['loss']
    logits = head(features)
    prior = tau * torch.tensor([0.6, 0.3, 0.1]).log()
    torch.testing.assert_close(found, functional.cross_entropy(logits + prior, truth))
    # What is evaluated are the network's own logits.
    scores = torch.stack([s.pred_score for s in head.predict(features)])
    torch.testing.assert_close(scores, logits.softmax(1))


def test_of_labels_it_is_the_log_odds_over_the_images_where_they_are_known(features):
    infos = [dict(gt_score=np.array(row, np.float32)) for row in LABELS]
    head = adjusted(MaskedMultiLabelClsHead(num_classes=3, in_channels=5), infos)
    truth = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]])
    samples = [DataSample().set_gt_score(row) for row in truth]
    found = head.loss(features, samples)['loss']
    odds = torch.tensor([4 / 1, 1 / 4, 1 / 3]).log()
    each = functional.binary_cross_entropy_with_logits(
        head(features) + odds, truth, reduction='none'
    )
    torch.testing.assert_close(found, each.sum(1).mean())


def test_a_checkpoint_is_that_of_the_plain_head():
    plain = LinearClsHead(num_classes=3, in_channels=5)
    before = list(plain.state_dict())
    head = adjusted(plain, [dict(gt_label=label) for label in CLASSES])
    assert list(head.state_dict()) == before


@pytest.mark.parametrize(
    ('head', 'infos', 'message'),
    [
        (nn.Linear(5, 3), [dict(gt_label=0)], 'no loss_module to adjust'),
        (LinearClsHead(3, 5), [dict(gt_label=0), {}], '1 of 2 training images have no'),
        (LinearClsHead(3, 5), [dict(gt_label=7)], '1 of 1 training images have no'),
    ],
    ids=['head', 'unlabelled', 'beyond'],
)
def test_what_cannot_be_adjusted_is_one_line(head, infos, message):
    with pytest.raises(ConfigError, match=f"class_balance='loss': .*{message}"):
        adjusted(head, infos)
