"""A learned soup where labels are missing, and weighed by those of training."""

from __future__ import annotations

from pathlib import Path

import pytest
from miniatures import WRITERS, write_models
from mmengine.registry import RUNNERS

from ff_mm.config import load_config
from ff_mm.errors import ConfigError
from ff_mm.evaluation import validation_losses

CONFIG = Path(__file__).parents[2] / 'configs/multilabel_table'
TINY = {
    'image_size': 32,
    'model.backbone.stem_channels': 4,
    'model.backbone.base_channels': 4,
    'model.head.in_channels': 128,
}


@pytest.fixture
def cfg(tmp_path):
    """A config of a soup of three networks with random weights."""
    options = {'data_root': str(tmp_path), **WRITERS['multilabel_table'](tmp_path)}
    cfg = load_config(CONFIG / 'gog_multilabel_table_resnet50.py', {**options, **TINY})
    cfg.ingredients = write_models(cfg, tmp_path, 3)
    cfg.work_dir = str(tmp_path / 'out')
    cfg.runner_type = 'LearnedSoupRunner'
    return cfg


@pytest.mark.parametrize('folds', [None, 2])
def test_a_learned_soup_where_labels_are_missing(cfg, folds, monkeypatch):
    seen = []
    real = validation_losses.loss_gradient

    def note(cases, model, *args):
        seen.append(model.head.loss_module.weights('label_weight'))
        return real(cases, model, *args)

    monkeypatch.setattr(validation_losses, 'loss_gradient', note)
    cfg.soup = dict(steps=2, folds=folds)
    report = RUNNERS.build(cfg).run()
    details = report['tree']['details']
    assert 0 < details['loss'] <= details['loss_of_equal']
    assert len(seen) == 3 * (folds or 1) and all(len(w) == 2 for w in seen)


def test_without_training_data_the_weights_of_labels_are_asked_for(cfg):
    cfg.pop('train_dataloader')
    cfg.soup = dict(steps=2)
    with pytest.raises(ConfigError, match='no train_dataloader: add it, or give'):
        RUNNERS.build(cfg).run()
