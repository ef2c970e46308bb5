"""The logit-adjusted loss, by the frequencies of the training labels."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ff_mm.datasets.class_frequencies import (
    class_frequencies,
    count_classes,
    log_priors,
)
from ff_mm.datasets.unlabelled import labelled_part
from ff_mm.display.console import log
from ff_mm.engine.distributed import unwrapped_model
from ff_mm.errors import ConfigError
from ff_mm.models.adjusted_loss import AdjustedLoss

_KEY = "class_balance='loss'"


def adjustment(dataset: Any, number: int, tau: float) -> Tensor:
    """Returns what is added to logits in training.

    Args:
        dataset: The training set; no image is read.
        number: Of classes or labels.
        tau: How much of the log frequencies, or of labels of the log odds.

    Raises:
        ConfigError: Labels that do not fit.
    """
    counts = count_classes(dataset, number)
    remedy = 'label them, or leave it out'
    frequencies = class_frequencies(counts, counts.multi_label, _KEY, remedy)
    priors = log_priors(frequencies, counts.multi_label)
    return tau * torch.from_numpy(priors).float()


@HOOKS.register_module()
class LogitAdjustmentHook(Hook):
    """Has the head learn from logits plus tau times the log class frequencies.

    Of several labels the log odds that each is present take their place. They are
    counted without the images, before training starts or goes on, so a run that is
    resumed has the same ones. Nothing of it is in a checkpoint, and evaluations are of
    the network's own logits.

    Args:
        tau (float): 1 aims at the mean recall of the classes.
    """

    def __init__(self, tau: float = 1.0) -> None:
        self.tau = tau

    def before_train(self, runner: Runner) -> None:
        """Adjusts the loss, and writes by how much into the log.

        Raises:
            ConfigError: A head without such a loss, or labels that do not fit it.
        """
        model = unwrapped_model(runner.model)
        head = getattr(model, 'head', None)
        loss = getattr(head, 'loss_module', None)
        if head is None or not isinstance(loss, nn.Module) or loss.state_dict():
            raise ConfigError(
                f"{_KEY}: the model's head has no loss_module to adjust, or one with a "
                "state of its own: take class_balance='sampling', or leave it out"
            )
        dataset = labelled_part(runner.train_dataloader.dataset)
        bias = adjustment(dataset, head.num_classes, self.tau)
        device = next(model.parameters()).device
        head.loss_module = AdjustedLoss(loss, bias.to(device))
        shown = ', '.join(f'{value:.3g}' for value in bias.tolist())
        log(f'{_KEY}: added to the logits in training: {shown}', logging.INFO)
