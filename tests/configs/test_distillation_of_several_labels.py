"""A student of several labels, of which some are missing, of some images all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from miniatures import WRITERS, write_models
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, RUNNERS

from ff_mm.config import load_config
from ff_mm.fission.distillation.targets import TARGETS, Targets

CONFIG = Path(__file__).parents[2] / 'configs/multilabel_table'
TINY = {
    'image_size': 32,
    'starting_weights': None,
    'model.backbone.stem_channels': 4,
    'model.backbone.base_channels': 4,
    'model.head.in_channels': 128,
    'train_dataloader.batch_size': 4,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
}


@HOOKS.register_module()
class LabelTargetsSeen(Hook):
    """Notes the labels of what a student is trained on, and what becomes of them."""

    priority = 'HIGH'
    seen: dict[int, tuple] = {}
    labels: dict[int, torch.Tensor] = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for sample in data_batch['data_samples']:
            self.labels[sample.view_index] = sample.gt_score.clone()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        for sample in data_batch['data_samples']:
            target = sample.gt_score.clone()
            self.seen[sample.view_index] = self.labels[sample.view_index], target


@pytest.mark.parametrize('missing', ['ignore', 'teacher'])
def test_targets_of_labels(missing, tmp_path):
    options = {'data_root': str(tmp_path), **WRITERS['multilabel_table'](tmp_path)}
    file = CONFIG / 'fgg_multilabel_table_resnet50.py'
    cfg = load_config(file, {**options, **TINY})
    cfg.work_dir = str(tmp_path / 'out')
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='LabelTargetsSeen')]
    cfg.plan = dict(
        type='DistillationPlan',
        pool=write_models(cfg, tmp_path, 2),
        start='m1',
        share=0.25,
        temperature=2.0,
        missing=missing,
        student=dict(epochs=1),
        unlabelled=str(tmp_path / 'unlabelled'),
    )
    (tmp_path / 'unlabelled').mkdir()
    for value in range(3):
        image = np.full((40, 40, 3), 50 * value, np.uint8)
        cv2.imwrite(str(tmp_path / 'unlabelled' / f'{value}.png'), image)
    LabelTargetsSeen.seen.clear()
    manifest = RUNNERS.build(cfg).train()
    assert manifest['made_of']['cost'] is None
    assert manifest['made_of']['teacher'] == dict(m0=0.5, m1=0.5)
    file = tmp_path / 'out' / 'trials' / 'teacher' / TARGETS
    teacher = torch.from_numpy(Targets.read(file).probabilities[0])
    labels, targets = (
        torch.stack([LabelTargetsSeen.seen[index][i] for index in range(len(teacher))])
        for i in (0, 1)
    )
    # Of what has no label at all the teacher alone says what is to be learned.
    assert (labels[-3:] == -1).all() and torch.equal(targets[-3:], teacher[-3:])
    labels, targets, teacher = labels[:-3], targets[:-3], teacher[:-3]
    known = labels != -1
    assert known.any() and not known.all()
    mixed = 0.25 * teacher + 0.75 * labels
    assert torch.allclose(targets[known], mixed[known])
    expected = teacher[~known] if missing == 'teacher' else torch.tensor(-1.0)
    assert torch.allclose(targets[~known], expected)
