"""Exports of networks of other kinds: transformers, several labels, ensembles."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from toys import TINY_RESNET, TINY_VIT

from ff_mm.exporting.onnx_file import OnnxModel
from ff_mm.files import read_json
from ff_mm.fusion.ensemble_file import ensemble_config
from ff_mm.inference.loading import with_loading
from ff_mm.inference.predictor import Predictor
from ff_mm.inference.trained_model import find_model, load_model
from ff_mm.merging import write_checkpoint
from ff_mm_commands import run

LINEAR = dict(type='LinearClsHead', num_classes=3, in_channels=4)
LABELS = dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=4)
MASKED = dict(type='MaskedMultiLabelClsHead', num_classes=3, in_channels=4)
VIT = dict(type='VisionTransformerClsHead', num_classes=3, in_channels=8)
NETWORKS = dict(
    resnet=dict(TINY_RESNET, head=LINEAR),
    labels=dict(TINY_RESNET, head=LABELS),
    masked=dict(TINY_RESNET, head=MASKED),
    vit=dict(TINY_VIT, head=VIT),
)


def written(folder, model, to_rgb=True, pipeline=None):
    """A config and a checkpoint with random weights, as a command line has them."""
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=dict(copy.deepcopy(model)),
            data_preprocessor=dict(
                num_classes=3, mean=[100, 110, 120], std=[50, 55, 60], to_rgb=to_rgb
            ),
            test_dataloader=dict(
                batch_size=4,
                dataset=dict(
                    type='CustomDataset',
                    classes=['a', 'b', 'c'],
                    pipeline=pipeline
                    or [dict(type='Resize', scale=16), dict(type='PackInputs')],
                ),
            ),
        )
    )
    cfg.model.setdefault('type', 'ImageClassifier')
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    network = MODELS.build(copy.deepcopy(cfg.model))
    for name, value in network.state_dict().items():
        if name.startswith('head') and name.endswith('weight'):
            value.normal_()  # MMPretrain's are so small that no image counts
    write_checkpoint(dict(state_dict=network.state_dict()), folder / 'a.pth')
    cfg.dump(folder / 'a.py')
    return [str(folder / 'a.py'), str(folder / 'a.pth')]


@pytest.mark.parametrize('to_rgb', [True, False])
@pytest.mark.parametrize('kind', NETWORKS)
def test_onnx_says_what_torch_says(tmp_path, kind, to_rgb):
    given = written(tmp_path, NETWORKS[kind], to_rgb)
    run('export', [*given, '--to', 'onnx', '--out', str(tmp_path / 'out')])
    network = OnnxModel(tmp_path / 'out' / 'onnx' / 'model.onnx', threads=1)
    model = load_model(find_model(given)[0])
    drawn = torch.Generator().manual_seed(1)
    images = torch.randint(256, (5, 3, 16, 16), generator=drawn, dtype=torch.uint8)
    found = network.probabilities(images)
    np.testing.assert_allclose(found, Predictor(model).scores(images), atol=1e-5)
    # Colours count, so that their order is seen.
    assert np.abs(found - network.probabilities(images.flip(1))).max() > 1e-4
    if kind in ('labels', 'masked'):
        assert network.metadata['predicts'] == 'several labels (sigmoid)'


def test_an_ensemble_comes_in_again(tmp_path):
    single = Config(dict(model=dict(NETWORKS['resnet'], type='ImageClassifier')))
    ensemble = ensemble_config(single, [1.0, 2.0], 'probabilities').model
    given = written(tmp_path, ensemble.to_dict())
    out = tmp_path / 'out'
    run('export', [*given, '--to', 'safetensors', 'onnx', '--out', str(out)])
    assert read_json(out / 'onnx' / 'agreement.json')['largest'] < 1e-5
    images = torch.full((1, 3, 16, 16), 77, dtype=torch.uint8)
    one = Predictor(load_model(find_model(given)[0])).scores(images)
    two = Predictor(load_model(find_model([str(out / 'safetensors')])[0]))
    np.testing.assert_array_equal(one, two.scores(images))


def test_how_deep_images_are_loaded_goes_along(tmp_path):
    steps = [dict(type='LoadDICOM', bits=12)]
    steps += [dict(type='Resize', scale=16), dict(type='PackInputs')]
    given = written(tmp_path, NETWORKS['resnet'], pipeline=steps)
    run('export', [*given, '--to', 'safetensors', '--out', str(tmp_path / 'out')])
    model = load_model(find_model([str(tmp_path / 'out' / 'safetensors')])[0])
    assert dict(model.cfg.pipeline[0]) == dict(type='LoadDICOM', bits=12)


def test_images_of_several_sizes_are_refused(tmp_path, capsys):
    steps = [dict(type='ResizeEdge', scale=16), dict(type='PackInputs')]
    given = written(tmp_path, NETWORKS['resnet'], pipeline=steps)
    with pytest.raises(SystemExit):
        run('export', [*given, '--to', 'onnx', '--out', str(tmp_path / 'out')])
    assert 'gives images of several sizes' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('pipeline', 'loading', 'first'),
    [
        ([dict(type='Resize')], None, dict(type='LoadDICOM')),
        (
            [dict(type='LoadImageFromFile', imdecode_backend='pillow')],
            None,
            dict(type='LoadDICOM', imdecode_backend='pillow'),
        ),
        (
            [dict(type='LoadImageFromFile')],
            dict(type='LoadDICOM', bits=12),
            dict(type='LoadDICOM', bits=12),
        ),
    ],
)
def test_a_pipeline_begins_with_reading_a_file(pipeline, loading, first):
    found = with_loading(pipeline, loading)
    assert found[0] == first
    assert [step['type'] for step in found].count('Resize') == len(found) - 1
