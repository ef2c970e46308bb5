from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from toys import TINY_RESNET

from ff_mm.datasets import DatasetError
from ff_mm.engine.hooks.resume_state_hook import find_state
from ff_mm.errors import ConfigError
from ff_mm.models.label_weights import rarity_weights

# Positives 3, 2, 1 of 4, 5, 2 known: mean 2, largest 3 - 1 + 2 = 4.
SCORES = [
    [1, 1, -1],
    [1, 0, -1],
    [1, 1, 1],
    [0, 0, -1],
    [-1, -1, -1],
    [-1, -1, 0],
    [-1, 0, -1],
    [-1, -1, -1],
]
LABEL_WEIGHT = [2 / 4, 3 / 4, 1]
POS_WEIGHT = [1 / 3, 3 / 2, 1]


@DATASETS.register_module()
class ToyMultiLabel(BaseDataset):
    """Noise with three labels, some of them missing; images are drawn when asked."""

    METAINFO = dict(classes=('edema', 'fracture', 'nodule'))

    def __init__(self, scores=SCORES, with_scores=True, **kwargs):
        self.scores = scores
        self.with_scores = with_scores
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self):
        scores = [np.array(row, dtype=np.float32) for row in self.scores]
        if not self.with_scores:
            return [dict(img_path=f'{i}.png') for i in range(len(scores))]
        return [dict(img_path=f'{i}.png', gt_score=s) for i, s in enumerate(scores)]

    def prepare_data(self, index):
        info = self.get_data_info(index)
        random = np.random.default_rng(index)
        info['img'] = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        return self.pipeline(info)


class Watch(Hook):
    """Keeps what the loss is given and what it gives."""

    def __init__(self):
        self.labels, self.losses = [], []

    def before_train(self, runner):
        loss = runner.model.head.loss_module
        loss.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, module, inputs, kwargs, output):
        self.labels.append(inputs[1].tolist())
        self.losses.append(output.item())


MODEL = dict(
    type='mmpretrain.ImageClassifier',
    **TINY_RESNET,
    head=dict(
        type='MaskedMultiLabelClsHead',
        num_classes=3,
        in_channels=4,
        loss=dict(type='MaskedBCELoss', label_weight='rarity', pos_weight='balanced'),
    ),
)


@pytest.fixture
def multilabel_runner(toy_runner):
    """A function that builds a real run over the toy data set, two batches an epoch."""

    def build(dataset=None, model=MODEL, hooks=('LabelWeightsHook',), **changes):
        dataset = dataset or dict(type='ToyMultiLabel')
        innermost = dataset.get('dataset', dataset)
        innermost['pipeline'] = [dict(type='PackInputs')]
        loader = dict(
            batch_size=4,
            num_workers=0,
            dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        )
        config = dict(
            model=model,
            data_preprocessor=dict(
                type='mmpretrain.ClsDataPreprocessor', num_classes=3
            ),
            train_dataloader=loader,
            val_dataloader=loader,
            epochs=1,
            custom_hooks=[dict(type=hook) for hook in hooks],
            default_scope='mmpretrain',
        )
        return toy_runner(**(config | changes))

    return build


def weights(runner):
    loss = runner.model.head.loss_module
    return loss.weights('label_weight'), loss.weights('pos_weight')


def test_a_run_trains_on_the_known_labels_with_the_weights(multilabel_runner):
    runner = multilabel_runner()
    before = {k: v.clone() for k, v in runner.model.named_parameters()}
    watch = Watch()
    runner.register_hook(watch)
    runner.train()
    label_weight, pos_weight = weights(runner)
    assert label_weight == pytest.approx(LABEL_WEIGHT)
    assert pos_weight == pytest.approx(POS_WEIGHT)
    assert watch.labels == [SCORES[:4], SCORES[4:]]
    assert all(np.isfinite(loss) and loss > 0 for loss in watch.losses)
    after = dict(runner.model.named_parameters())
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert 'head.fc.weight' in moved and 'backbone.conv1.weight' in moved
    assert not any(
        'weight' in key and 'loss' in key for key in runner.model.state_dict()
    )


def test_the_log_says_what_was_counted(multilabel_runner):
    runner = multilabel_runner()
    runner.train()
    (log,) = Path(runner.work_dir).rglob('*.log')
    text = log.read_text()
    assert 'labels of 8 training images:' in text
    line = 'fracture: 2 positive, 3 negative, label_weight 0.75, pos_weight 1.5'
    assert line in text


def test_a_run_that_is_resumed_goes_on_with_the_same_weights(
    multilabel_runner, interrupt
):
    hooks = ['LabelWeightsHook', 'EpochSeedHook', 'SafeCheckpointHook']
    hooks += ['ResumeStateHook', 'Interrupt']
    whole = multilabel_runner(hooks=hooks, epochs=3, name='whole')
    whole.train()
    broken = multilabel_runner(hooks=hooks, epochs=3)
    interrupt.moment = ('toy', 2, 'validated')
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    state = find_state(broken.work_dir)
    broken.release()
    resumed = multilabel_runner(
        hooks=hooks, epochs=3, resume=True, load_from=str(state)
    )
    resumed.train()
    assert weights(resumed) == weights(whole)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value), key


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(type='RepeatDataset', times=2),
        dict(type='KFoldDataset', num_splits=2, fold=0),
    ],
)
def test_a_wrapped_data_set_counts_as_it_is_shown(multilabel_runner, wrapper):
    runner = multilabel_runner(dict(wrapper, dataset=dict(type='ToyMultiLabel')))
    dataset = runner.train_dataloader.dataset
    assert len(dataset) == (16 if 'times' in wrapper else 4)
    shown = [dataset[i]['data_samples'].gt_score for i in range(len(dataset))]
    runner.train()
    expected = rarity_weights(torch.stack(shown))
    assert weights(runner)[0] == pytest.approx(expected.tolist())


def test_no_image_is_loaded_for_it(multilabel_runner, monkeypatch):
    runner = multilabel_runner()
    monkeypatch.setattr(ToyMultiLabel, 'prepare_data', None)
    assert len(runner.train_loop.dataloader) == 2
    runner.call_hook('before_train')
    assert weights(runner)[0] == pytest.approx(LABEL_WEIGHT)


def test_without_the_hook_training_says_what_is_missing(multilabel_runner):
    with pytest.raises(ConfigError, match=r"add dict\(type='LabelWeightsHook'\)"):
        multilabel_runner(hooks=()).train()


def test_a_model_without_the_loss_is_an_error(toy_runner):
    runner = toy_runner(custom_hooks=[dict(type='LabelWeightsHook')])
    with pytest.raises(ConfigError, match='the model has no MaskedBCELoss'):
        runner.train()


def test_an_image_without_labels_is_named(multilabel_runner):
    runner = multilabel_runner(dict(type='ToyMultiLabel', with_scores=False))
    with pytest.raises(DatasetError, match=r'^0\.png: has no gt_score'):
        runner.train()


def test_an_image_with_a_label_that_is_none_is_named_before_training(
    multilabel_runner,
):
    scores = [*SCORES[:6], [1, 0, 3], SCORES[7]]
    runner = multilabel_runner(dict(type='ToyMultiLabel', scores=scores))
    assert len(runner.train_loop.dataloader) == 2
    with pytest.raises(DatasetError, match=r'^6\.png: gt_score\[2\] is 3, expected'):
        runner.call_hook('before_train')
