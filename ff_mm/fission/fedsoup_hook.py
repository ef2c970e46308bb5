"""What a client of FedSoup does after its local training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.engine.distributed import unwrapped_model
from ff_mm.engine.hooks.best_checkpoint_hook import save_best
from ff_mm.errors import ConfigError
from ff_mm.fission.run_weights import (
    copy_of_run,
    load_into_run,
    validation_of,
)
from ff_mm.fission.starts import IMAGES, START_FILE
from ff_mm.merging.averages import MovingAverage
from ff_mm.merging.state_dict import StateDict, read_checkpoint, read_state_dict

_POOL = 'pool'


@HOOKS.register_module()
class FedSoupHook(Hook):
    """Temporal model selection and model patching (FedSoup, Chen et al. 2023).

    With l the weights after local training, G those that the round began with, and the
    mean ḡ of n global models pooled so far, the client's model becomes
    A = (l + nḡ) / (n + 1), or, where that is better on its own validation,
    B = (l + nḡ + G) / (n + 2); then G joins the pool. Of a tie A is taken. Parameters
    are averaged; batch-norm statistics are those of local training.

    Args:
        monitor (str): The validation metric that decides.
        rule (str): ``'greater'`` or ``'less'``: which value is better.
        patch (bool): Whether this is done in this round; else l is the client's model.
        previous (str | None): The client's checkpoint of the last round, with its pool;
            relative to the run's work directory. None: there is none.
    """

    # Before what makes checkpoints plain.
    priority = 'LOW'

    def __init__(
        self, monitor: str, rule: str, patch: bool, previous: str | None = None
    ) -> None:
        self.monitor = monitor
        self.rule = rule
        self.patch = patch
        self.previous = previous
        self._pool = MovingAverage()

    def after_train(self, runner: Runner) -> None:
        """Makes the client's model and saves it."""
        validation = validation_of(runner)
        if self.previous is not None:
            self._read_pool(Path(runner.work_dir) / self.previous, runner)
        metrics = self._patch(runner, validation) if self.patch else None
        if metrics is None:
            metrics = validation.evaluate(runner.model)
        self._value(metrics)
        images = len(runner.train_dataloader.dataset)
        save_best(runner, metrics, **{IMAGES: images})

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Puts the pool of global models into the client's checkpoint."""
        if IMAGES in checkpoint['meta'] and self._pool.values:
            checkpoint[_POOL] = self._pool.state()

    def _patch(self, runner: Runner, validation: Any) -> dict[str, Any]:
        local = copy_of_run(runner)
        start = read_state_dict(Path(runner.work_dir) / START_FILE)
        without = self._mixed(runner, local)
        with_start = self._mixed(runner, local, start)
        load_into_run(runner, with_start)
        better = validation.evaluate(runner.model)
        load_into_run(runner, without)
        metrics = validation.evaluate(runner.model)
        if not self._is_better(self._value(better), self._value(metrics)):
            return metrics
        self._pool.add(_parameters(runner, start))
        load_into_run(runner, with_start)
        return better

    def _mixed(self, runner: Runner, *models: StateDict) -> StateDict:
        """The mean of models and of all that is pooled; statistics of the first."""
        mean = MovingAverage()
        for model in models:
            mean.add(_parameters(runner, model))
        if self._pool.values:
            mean.add(self._pool.values, count=self._pool.count)
        return {**models[0], **mean.result(models[0])}

    def _read_pool(self, file: Path, runner: Runner) -> None:
        state = read_checkpoint(file).get(_POOL)
        if state is not None:
            self._pool.load_state(state, unwrapped_model(runner.model).state_dict())

    def _value(self, metrics: dict[str, Any]) -> float:
        if self.monitor not in metrics:
            raise ConfigError(
                f'monitor={self.monitor!r} is not among the validation metrics '
                f'{sorted(metrics)}: change monitor, or add it to val_evaluator'
            )
        return float(metrics[self.monitor])

    def _is_better(self, new: float, old: float) -> bool:
        if math.isnan(new) or math.isnan(old):
            return not math.isnan(new)
        return new > old if self.rule == 'greater' else new < old


def _parameters(runner: Runner, weights: StateDict) -> StateDict:
    """What is trained, and travels between clients."""
    names = [name for name, _ in unwrapped_model(runner.model).named_parameters()]
    return {name: weights[name] for name in names}
