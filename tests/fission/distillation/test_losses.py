"""Losses that take a mixture of labels and probabilities, tried as a run tries them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from toys import TINY_RESNET

from ff_mm.engine.hooks import ViewSeedHook
from ff_mm.errors import ConfigError
from ff_mm.fission.distillation.mixture import prepare_loss

SEVERAL = dict(type='MultiLabelLinearClsHead')


class Images:
    """Two images, of classes or of labels, of which one may be missing."""

    def __init__(self, scores):
        self.scores = scores

    def __len__(self):
        return 2

    def __getitem__(self, index):
        image = torch.full((3, 16, 16), 40 + 50 * index, dtype=torch.uint8)
        sample = DataSample()
        if self.scores is None:
            sample.set_gt_label(2 * index)
        else:
            sample.set_gt_score(torch.tensor(self.scores[index]))
        return dict(inputs=image, data_samples=sample)


def collate(items):
    inputs = torch.stack([item['inputs'] for item in items])
    return dict(inputs=inputs, data_samples=[item['data_samples'] for item in items])


def run(loss, scores=None, head=None, **model):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    head = dict(head or dict(type='LinearClsHead'), num_classes=3, in_channels=4)
    network = MODELS.build(
        dict(
            type='ImageClassifier',
            **TINY_RESNET,
            head=dict(head, loss=loss),
            data_preprocessor=dict(mean=[64.0] * 3, std=[64.0] * 3, num_classes=3),
            **model,
        )
    )
    loader = SimpleNamespace(dataset=Images(scores), collate_fn=collate)
    hook = ViewSeedHook(seed=0)
    runner = SimpleNamespace(model=network, train_dataloader=loader, hooks=[hook])
    hook.before_train(runner)
    return runner


KNOWN, PARTLY = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]]
MASKED = dict(type='MaskedMultiLabelClsHead')


@pytest.mark.parametrize(
    'options',
    [
        dict(loss=dict(type='CrossEntropyLoss', loss_weight=0.5)),
        dict(loss=dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 0.5])),
        dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)),
        dict(
            loss=dict(type='CrossEntropyLoss'),
            head=dict(type='LinearClsHead', cal_acc=True),
        ),
        dict(
            loss=dict(type='CrossEntropyLoss', use_sigmoid=True),
            scores=KNOWN,
            head=SEVERAL,
        ),
        dict(loss=dict(type='MaskedBCELoss'), scores=PARTLY, head=MASKED),
    ],
)
def test_losses_that_do(options):
    runner = run(**options)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.model.train()
    prepare_loss(runner)
    assert runner.model.training and not getattr(runner.model.head, 'cal_acc', False)
    after = runner.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(loss=dict(type='FocalLoss')), 'takes no mixture'),
        (
            dict(loss=dict(type='AsymmetricLoss'), scores=KNOWN, head=SEVERAL),
            'takes no mixture',
        ),
        (
            dict(
                loss=dict(type='CrossEntropyLoss'),
                train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)),
            ),
            'leave batch augmentation out',
        ),
    ],
)
def test_losses_that_do_not(options, words):
    with pytest.raises(ConfigError, match=words):
        prepare_loss(run(**options))


def test_a_run_without_views_is_told():
    runner = run(dict(type='CrossEntropyLoss'))
    runner.hooks = [Hook()]
    with pytest.raises(ConfigError, match='ViewSeedHook'):
        prepare_loss(runner)
