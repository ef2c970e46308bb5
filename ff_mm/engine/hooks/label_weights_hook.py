"""Weights of a multi-label loss, computed once from the training labels."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.unlabelled import labelled_part
from ff_mm.display.console import log
from ff_mm.errors import ConfigError
from ff_mm.models.label_weights import check_scores, count_labels
from ff_mm.models.masked_bce_loss import MaskedBCELoss


@HOOKS.register_module()
class LabelWeightsHook(Hook):
    """Gives :class:`MaskedBCELoss` the weights that its config names.

    ``label_weight='rarity'`` and ``pos_weight='balanced'`` depend on how often each
    label occurs in the training set. The labels are read without the images, before
    training starts or goes on: a run that is resumed has the same weights.
    """

    def before_train(self, runner: Runner) -> None:
        """Computes the weights and writes them, with the counts, into the log.

        Raises:
            ConfigError: The model has no such loss.
            DatasetError: A training image without ``gt_score``, or with values in it
                that are neither labels nor missing.
        """
        losses = [m for m in runner.model.modules() if isinstance(m, MaskedBCELoss)]
        if not losses:
            raise ConfigError(
                'LabelWeightsHook: the model has no MaskedBCELoss; use it as the loss '
                'of the head, or leave the hook out'
            )
        dataset = labelled_part(runner.train_dataloader.dataset)
        scores = read_scores(dataset)
        for loss in losses:
            loss.fit_weights(scores)
            for line in _describe(loss, scores, dataset):
                log(line, logging.INFO)


def read_scores(dataset: Any) -> Tensor:
    """Reads the labels of a data set without loading an image.

    Args:
        dataset: A multi-label data set, or a wrapper of one (``RepeatDataset``,
            ``ConcatDataset``, ``ClassBalancedDataset``, ``KFoldDataset``).

    Returns:
        ``gt_score`` of all images, float32 of shape (images, labels).

    Raises:
        DatasetError: An image without labels, or with values that are none.
    """
    rows, names = [], []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        name = info.get('img_path') or f'training image {index}'
        if 'gt_score' not in info:
            raise DatasetError(
                f'{name}: has no gt_score, from which LabelWeightsHook computes weights'
            )
        rows.append(torch.as_tensor(info['gt_score'], dtype=torch.float32))
        names.append(name)
    scores = torch.stack(rows)
    check_scores(scores, names)
    return scores


def _describe(loss: MaskedBCELoss, scores: Tensor, dataset: Any) -> list[str]:
    positives, negatives = count_labels(scores)
    classes = dataset.metainfo.get('classes') or range(scores.shape[1])
    lines = [f'labels of {len(scores)} training images:']
    for i, name in enumerate(classes):
        weights = [
            f'{key} {values[i]:.4g}'
            for key in ('label_weight', 'pos_weight')
            if (values := loss.weights(key)) is not None
        ]
        counts = f'{positives[i]:g} positive, {negatives[i]:g} negative'
        lines.append(', '.join([f'  {name}: {counts}', *weights]))
    return lines
