from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmpretrain.datasets.transforms import PackInputs
from mmpretrain.registry import MODELS
from torch.nn import functional as F
from toys import TINY_RESNET, TINY_VIT

from ff_mm.datasets import DatasetError
from ff_mm.errors import ConfigError

HEAD = dict(type='MaskedMultiLabelClsHead', num_classes=3, in_channels=4)
RESNET = dict(TINY_RESNET, head=HEAD)
VIT = dict(TINY_VIT, head=dict(HEAD, in_channels=8))
SCORES = np.array([[1, 0, -1], [-1, -1, -1], [0, 0.7, -1]], dtype=np.float32)


def build(cfg, probed=False, **changes):
    torch.manual_seed(0)
    cfg = copy.deepcopy(dict(cfg, type='ImageClassifier'))
    cfg['data_preprocessor'] = dict(
        type='ClsDataPreprocessor', num_classes=3, mean=[100] * 3, std=[50] * 3
    )
    cfg['head'].update(changes)
    if probed:
        cfg = dict(type='mmengine.LinearProbe', model=cfg)
    with MODELS.switch_scope_and_registry('mmpretrain'):
        model = MODELS.build(cfg)
    model.init_weights()
    return model


def batch(scores=SCORES):
    """What a data loader gives of data_infos with these gt_scores."""
    random = np.random.default_rng(0)
    packed = [
        PackInputs()(
            dict(
                img=random.integers(0, 255, (16, 16, 3), dtype=np.uint8),
                gt_score=score,
                img_path=f'{i}.png',
            )
        )
        for i, score in enumerate(scores)
    ]
    return dict(
        inputs=torch.stack([p['inputs'] for p in packed]),
        data_samples=[p['data_samples'] for p in packed],
    )


@pytest.mark.parametrize('probed', [False, True])
@pytest.mark.parametrize('cfg', [RESNET, VIT], ids=['resnet', 'vit'])
def test_only_what_is_known_is_learnt(cfg, probed):
    model = build(cfg, probed)
    model.train()
    data = model.data_preprocessor(batch(), training=True)
    loss = model(**data, mode='loss')['loss']
    loss.backward()
    with torch.no_grad():
        logits = model(data['inputs'])
    labels = torch.from_numpy(SCORES)
    first, second = (
        F.binary_cross_entropy_with_logits(logits[[0, 2], i], labels[[0, 2], i])
        for i in (0, 1)
    )
    assert loss.item() == pytest.approx((first + second).item())
    weight = model.head.fc.weight.grad
    assert weight[:2].any(dim=1).all()
    assert not weight[2].any()


@pytest.mark.parametrize('cfg', [RESNET, VIT], ids=['resnet', 'vit'])
def test_it_predicts_scores_and_the_labels_above_the_threshold(cfg):
    model = build(cfg, thr=0.4)
    model.eval()
    data = batch()
    with torch.no_grad():
        logits = model(model.data_preprocessor(data)['inputs'])
        model.head.fc.bias.copy_(torch.tensor([5.0, -5.0, -0.2]) - logits.mean(0))
        predicted = model.test_step(data)
        logits = model(model.data_preprocessor(data)['inputs'])
    for sample, logit, score in zip(predicted, logits, SCORES, strict=True):
        assert torch.equal(sample.pred_score, logit.sigmoid())
        assert sample.pred_score.dtype == torch.float32
        assert sample.pred_label.tolist() == [0, 2]
        assert np.array_equal(sample.gt_score.numpy(), score)


def test_predicting_needs_neither_labels_nor_weights():
    model = build(RESNET, loss=dict(type='MaskedBCELoss', label_weight='rarity'))
    model.eval()
    with torch.no_grad():
        (sample,) = model(torch.rand(1, 3, 16, 16), mode='predict')
    assert sample.pred_score.shape == (3,)


def test_mmpretrains_head_takes_the_loss_too():
    plain = dict(type='MultiLabelLinearClsHead', loss=dict(type='MaskedBCELoss'))
    one, two = build(RESNET), build(RESNET, **plain)
    assert type(one.head) is not type(two.head)
    data = one.data_preprocessor(batch())
    assert one(**data, mode='loss') == two(**data, mode='loss')
    assert list(one.state_dict()) == list(two.state_dict())


def test_an_image_with_a_label_that_is_none_is_named():
    scores = SCORES.copy()
    scores[1, 2] = np.nan
    model = build(RESNET)
    with pytest.raises(DatasetError, match=r'^1\.png: gt_score\[2\] is nan, expected'):
        model(**model.data_preprocessor(batch(scores)), mode='loss')


def test_mixed_labels_are_refused():
    torch.manual_seed(0)
    np.random.seed(0)
    model = build(RESNET)
    mixup = dict(type='Mixup', alpha=1.0)
    preprocessor = MODELS.build(
        dict(type='ClsDataPreprocessor', batch_augments=dict(augments=mixup))
    )
    data = preprocessor(batch(), training=True)
    with pytest.raises(DatasetError, match='remove batch_augments'):
        model(**data, mode='loss')


def test_a_loss_that_knows_no_missing_labels_is_refused():
    with pytest.raises(
        ConfigError, match=r'head\.loss is CrossEntropyLoss, which takes'
    ):
        build(RESNET, loss=dict(type='CrossEntropyLoss', use_sigmoid=True))


def test_a_head_of_another_number_of_labels_is_refused():
    model = build(RESNET, num_classes=5)
    with pytest.raises(ConfigError, match='set num_classes to the number of labels'):
        model(**model.data_preprocessor(batch()), mode='loss')
