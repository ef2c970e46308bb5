from __future__ import annotations

import copy

import pytest
import torch
from mmengine.config import Config
from mmpretrain.apis import init_model
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from toys import TINY_RESNET, TINY_VIT

from ff_mm.fusion.deployment import (
    deployment_config,
    deployment_notes,
    note_other_size,
)
from ff_mm.merging import read_state_dict

PRETRAINED = dict(type='Pretrained', checkpoint='nowhere.pth')
RESNET = dict(TINY_RESNET, backbone=dict(TINY_RESNET['backbone'], init_cfg=PRETRAINED))
ARCH = dict(embed_dims=4, num_layers=1, num_heads=2, feedforward_channels=8)
VIT = dict(backbone=dict(TINY_VIT['backbone'], arch=ARCH))  # features: 4, too
LOSS = dict(type='MaskedBCELoss', label_weight='rarity', pos_weight=[1, 2, 3])
MASKED = dict(
    type='MaskedMultiLabelClsHead', num_classes=3, in_channels=4, thr=0.45, loss=LOSS
)
HEADS = {
    'masked': MASKED,
    'masked-default-loss': {k: v for k, v in MASKED.items() if k != 'loss'},
    'stock-head-masked-loss': dict(MASKED, type='MultiLabelLinearClsHead'),
}
IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255


def config(model):
    return Config(
        dict(
            default_scope='mmpretrain',
            model=copy.deepcopy(model),
            data_preprocessor=dict(num_classes=3, mean=[100] * 3, std=[50] * 3),
            test_dataloader=dict(
                batch_size=4, dataset=dict(type='X', pipeline=[dict(type='PackInputs')])
            ),
        )
    )


def types(value):
    if isinstance(value, dict):
        yield from [value['type']] if 'type' in value else []
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from types(item)


def build(cfg):
    """A model whose scores of the first image are near 1, near 0, and 0.475."""
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    torch.nn.init.normal_(model.head.fc.weight)
    torch.nn.init.zeros_(model.head.fc.bias)
    first = predictions(model)[0].pred_score
    with torch.no_grad():
        model.head.fc.bias.copy_(torch.tensor([5, -5, -0.1]) - first.logit())
    return model


def predictions(model):
    model.eval()
    data = dict(inputs=IMAGES, data_samples=[DataSample() for _ in IMAGES])
    with torch.no_grad():
        return model.test_step(data)


@pytest.mark.parametrize('head', HEADS.values(), ids=HEADS)
@pytest.mark.parametrize('body', [RESNET, VIT], ids=['resnet', 'vit'])
def test_a_multilabel_checkpoint_predicts_the_same_in_stock_mmpretrain(
    body, head, tmp_path
):
    cfg = config(dict(type='ImageClassifier', **body, head=head))
    ours = build(cfg)
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c')))
    torch.save(dict(state_dict=ours.state_dict(), meta=meta), tmp_path / 'soup.pth')

    deployed = deployment_config(cfg)
    for name in types(deployed.model.to_dict()):
        assert MODELS.get(name).__module__.startswith('mmpretrain.'), name
    deployed.dump(tmp_path / 'deploy.py')
    assert 'Masked' not in (tmp_path / 'deploy.py').read_text()
    stock = init_model(
        str(tmp_path / 'deploy.py'), str(tmp_path / 'soup.pth'), device='cpu'
    )
    stock.load_state_dict(read_state_dict(tmp_path / 'soup.pth'), strict=True)
    expected = predictions(ours)
    assert expected[0].pred_label.tolist() == [0, 2]
    for one, two in zip(expected, predictions(stock), strict=True):
        assert torch.equal(one.pred_score, two.pred_score)
        assert torch.equal(one.pred_label, two.pred_label)


def test_an_image_is_loaded_by_a_step_that_stock_mmpretrain_has():
    cfg = config(dict(type='ImageClassifier', **VIT))
    load = dict(type='LoadDICOM', to_float32=True)
    assert not deployment_notes(cfg)
    cfg.test_dataloader.dataset.pipeline = [load, dict(type='PackInputs')]
    pipeline = deployment_config(cfg).test_dataloader.dataset.pipeline
    assert pipeline[0] == dict(load, type='LoadImageFromFile')
    assert pipeline[1] == dict(type='PackInputs')
    assert 'reads no DICOM: turn' in deployment_notes(cfg)[0]


def test_bits_are_no_option_of_the_stock_step():
    cfg = config(dict(type='ImageClassifier', **VIT))
    load = dict(type='LoadDICOM', bits=12)
    cfg.test_dataloader.dataset.pipeline = [load, dict(type='PackInputs')]
    pipeline = deployment_config(cfg).test_dataloader.dataset.pipeline
    assert pipeline[0] == dict(type='LoadImageFromFile')
    assert 'reads no DICOM, and takes 12 bits for 16' in deployment_notes(cfg)[0]


def test_a_model_of_mmpretrains_is_left_as_it_is():
    head = dict(type='LinearClsHead', num_classes=3, in_channels=4, topk=(1,))
    model = dict(type='ImageClassifier', **VIT, head=head)
    assert deployment_config(config(model)).model.to_dict() == model


def test_the_config_itself_is_not_changed():
    cfg = config(dict(type='ImageClassifier', head=MASKED))
    before = copy.deepcopy(cfg.to_dict())
    deployed = deployment_config(cfg)
    assert cfg.to_dict() == before
    assert deployed.model.head.type == 'MultiLabelLinearClsHead'


def test_numbers_that_are_not_finite_are_written_as_what_is_read(tmp_path):
    inf, nan = float('inf'), float('nan')
    cfg = config(RESNET)
    cfg.data_preprocessor.update(pad_value=inf, mean=[-inf, (nan, 1.5)], extra={inf: 1})
    file = tmp_path / 'deploy.py'
    file.write_text(deployment_config(cfg).pretty_text)
    found = Config.fromfile(file).data_preprocessor
    assert found.pad_value == inf and found.extra == {inf: 1}
    assert found.mean[0] == -inf and str(found.mean[1]) == '(nan, 1.5)'


def test_another_image_size_than_a_soup_has_seen_is_a_note():
    def shown(size):
        cfg = config(RESNET)
        steps = [dict(type='Resize', scale=size), dict(type='PackInputs')]
        cfg.test_dataloader.dataset.pipeline = steps
        return cfg

    meta = dict(soup={}, cfg=deployment_config(shown(64)).pretty_text)
    assert note_other_size(shown(64), meta) is None
    note = note_other_size(shown(224), meta)
    assert note is not None
    assert note.startswith('its images had scale=64, in this config it is scale=224;')
    both = dict(meta, cfg=deployment_config(shown((64, 48))).pretty_text)
    note = note_other_size(shown(224), both)
    assert note is not None and 'had scale=(64, 48), in' in note
    # Of other files nothing is known, and nothing of them is run.
    assert note_other_size(shown(224), dict(cfg=meta['cfg'])) is None
    assert note_other_size(shown(224), dict(soup={}, cfg='raise SystemExit')) is None
