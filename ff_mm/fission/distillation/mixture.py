"""Targets of labels and a teacher's probabilities, and losses that take them."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.runner import Runner
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.structures import DataSample, label_to_onehot
from torch import Tensor

from ff_mm.datasets.unlabelled import labelled_part
from ff_mm.engine.distributed import unwrapped_model
from ff_mm.engine.hooks.view_seed_hook import views_of
from ff_mm.errors import ConfigError
from ff_mm.plain import MISSING

#: What becomes of labels that are missing: they stay so, or the teacher's is taken.
MISSING_LABELS = ('ignore', 'teacher')


def mixture(
    labels: Tensor, teacher: Tensor, share: float, missing: str = 'ignore'
) -> Tensor:
    """Returns ``share`` of the teacher's probabilities and the rest labels.

    Under cross entropy, plain or of each label, that is the same as this mixture of
    the two losses.

    Args:
        labels: Of classes 1 for the true one, else 0; of several labels scores, -1
            where missing.
        teacher: Probabilities of the same shape.
        share: Of the teacher, from 0 to 1.
        missing: ``'ignore'``, a missing label stays missing; ``'teacher'``, it gets the
            teacher's probability.
    """
    mixed = (share * teacher + (1 - share) * labels).clamp(0, 1)
    of_missing = teacher if missing == 'teacher' else torch.full_like(labels, MISSING)
    return torch.where(labels == MISSING, of_missing, mixed)


def labels_of(sample: DataSample, number: int) -> Tensor:
    """Returns the labels of a data sample as scores of all classes.

    Args:
        sample: With ``gt_score`` or ``gt_label``.
        number: How many classes there are.
    """
    if 'gt_score' in sample:
        return sample.gt_score.float()
    return label_to_onehot(sample.gt_label, number).float()


def is_multilabel(model: Any) -> bool:
    """Whether a network says of each label by itself whether it is there."""
    return isinstance(getattr(model, 'head', None), MultiLabelClsHead)


def prepare_loss(runner: Runner) -> None:
    """Has the loss of a run take mixtures of labels and probabilities.

    It is tried on two images in evaluation mode: the loss of scores is to be that of
    labels, and the loss of a mixture the mixture of losses.

    Raises:
        ConfigError: It does not, or images are mixed so that no teacher sees them.
    """
    model = unwrapped_model(runner.model)
    if getattr(model.data_preprocessor, 'batch_augments', None) is not None:
        raise ConfigError(
            'model.train_cfg.augments: images are mixed after the teacher has seen '
            'them; leave batch augmentation out for distillation'
        )
    if getattr(getattr(model, 'head', None), 'cal_acc', False):
        model.head.cal_acc = False  # there is no accuracy with soft targets
    try:
        of_labels, of_scores, of_other, of_both = _tried_losses(runner, model)
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as e:
        raise _unfit(str(e).split('\n', 1)[0][:160]) from e
    if not math.isclose(of_labels, of_scores, rel_tol=1e-4, abs_tol=1e-6):
        raise _unfit(f'{of_scores:.6g} for scores, {of_labels:.6g} for the same labels')
    expected = (of_scores + of_other) / 2
    if not math.isclose(of_both, expected, rel_tol=1e-4, abs_tol=1e-6):
        raise _unfit(f'{of_both:.6g} for a mixture, expected {expected:.6g}')


def _tried_losses(runner: Runner, model: Any) -> tuple[float, float, float, float]:
    """Losses of labels as they are, as scores, of other scores, and half of both."""
    loader: Any = runner.train_dataloader
    views = views_of(runner)
    numbers = [0, min(1, len(labelled_part(loader.dataset)) - 1)]
    training = model.training
    model.eval()

    def batch() -> tuple[Any, list[DataSample]]:
        prepared = model.data_preprocessor(loader.collate_fn(views(numbers)), False)
        return prepared['inputs'], prepared['data_samples']

    def loss(targets: list[Tensor] | None) -> float:
        inputs, samples = batch()
        for sample, target in zip(samples, targets or [], strict=targets is not None):
            sample.set_gt_score(target)
        value, _ = model.parse_losses(model.loss(inputs, samples))
        return float(value)

    try:
        with torch.no_grad():
            inputs, samples = batch()
            said = model.predict(inputs, samples)
            number = said[0].pred_score.shape[0]
            scores = [labels_of(sample, number) for sample in batch()[1]]
            other = [torch.linspace(0.1, 0.9, number).to(s) for s in scores]
            if not is_multilabel(model):
                other = [o / o.sum() for o in other]
            pairs = list(zip(scores, other, strict=True))
            other = [torch.where(s == MISSING, s, o) for s, o in pairs]
            both = [torch.where(s == MISSING, s, (s + o) / 2) for s, o in pairs]
            return loss(None), loss(scores), loss(other), loss(both)
    finally:
        model.train(training)


def _unfit(reason: str) -> ConfigError:
    return ConfigError(
        f'model.head.loss: takes no mixture of labels and probabilities ({reason}); '
        'expected a cross entropy, such as CrossEntropyLoss, LabelSmoothLoss or '
        'MaskedBCELoss; plan.share=0 trains by labels alone'
    )
