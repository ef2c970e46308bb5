"""Ingredients that are averages of the weights of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import DistSamplerSeedHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.datasets.checks.truth import meta_of
from ff_mm.engine.distributed import unwrapped_model
from ff_mm.engine.hooks.epoch_seed_hook import EpochSeedHook
from ff_mm.engine.hooks.snapshot_hook import SnapshotValLoop, add_snapshot
from ff_mm.engine.ingredient_file import model_weights, write_ingredient
from ff_mm.engine.precision import float32
from ff_mm.errors import ConfigError
from ff_mm.evaluation.batch_norm_reestimation import (
    DEFAULT_SAMPLES,
    reestimate_batch_norm,
)
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.fission.run_weights import (
    copy_of_run,
    load_into_run,
    validation_of,
    weights_of_run,
)
from ff_mm.merging.averages import Average, build_average
from ff_mm.merging.state_dict import StateDict

_STATE = 'weight_averages'


@HOOKS.register_module()
class AveragingHook(Hook):
    """Writes averages of a run's weights as ingredients when the run ends.

    They are kept in the states from which a run goes on, so that an interrupted run
    yields the averages of an unbroken one, bit for bit. Each is validated as it is
    written: with batch norm re-estimated on training images, where that is wanted.

    Args:
        averages (Sequence[dict]): ``dict(type=..., name=..., bn_samples=...)`` and the
            options of :data:`ff_mm.merging.averages.AVERAGES`. ``name`` (its type) is
            added to that of the ingredient; ``bn_samples`` is how many training images
            batch norm is re-estimated on, 0: its statistics are averaged.
        out_dir (str): Where to write; relative to the run's work directory.
        name (str): Begins the names of the ingredients.
        meta (dict): What to write into each file's meta: hyper-parameters, parent.

    Raises:
        ConfigError: No such average, a wrong option, or two of one name.
    """

    # Before the state is made plain, and after other ranks' buffers are made equal.
    priority = 'LOW'

    def __init__(
        self,
        averages: Sequence[Mapping[str, Any]],
        out_dir: str = 'ingredients',
        name: str = 'average',
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self.out_dir = out_dir
        self.name = name
        self.meta = dict(meta or {})
        self.samples: dict[str, int] = {}
        self.averages = dict(self._read(values) for values in averages)
        if len(self.averages) < len(averages):
            raise ConfigError('averages: two have one name; give one name=...')

    def _read(self, values: Mapping[str, Any]) -> tuple[str, Average]:
        options = dict(values)
        name = str(options.pop('name', options.get('type')))
        samples = options.pop('bn_samples', None)
        average = build_average(options)
        if samples is None:
            samples = DEFAULT_SAMPLES if average.reestimates else 0
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 0:
            raise ConfigError(f'bn_samples={samples!r}: expected a number of images')
        self.samples[name] = samples
        return name, average

    def before_train(self, runner: Runner) -> None:
        """Has no epoch validated where that decides nothing."""
        needed = any(average.needs is not None for average in self.averages.values())
        if not needed and isinstance(runner.val_loop, SnapshotValLoop):
            runner.val_loop.epochs = []

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Shows the averages the weights after a step."""
        weights = weights_of_run(runner)
        for average in self.averages.values():
            average.after_step(weights)

    def after_train_epoch(self, runner: Runner) -> None:
        """Shows the averages the weights at the end of an epoch."""
        weights = weights_of_run(runner)
        for average in self.averages.values():
            # The epoch is over, and not yet counted.
            average.after_epoch(runner.epoch + 1, weights)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Shows the averages the validation metric that they need.

        Raises:
            ConfigError: It is not among those computed.
        """
        for name, average in self.averages.items():
            if average.needs is None:
                continue
            if metrics is None or average.needs not in metrics:
                raise ConfigError(
                    f'average {name!r} needs the validation metric {average.needs!r}, '
                    f'which is not among {sorted(metrics or {})}: add it to '
                    'val_evaluator'
                )
            average.after_validation(float(metrics[average.needs]))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Puts the averages into a state from which the run can go on."""
        if 'metrics' not in checkpoint['meta']:  # from the best epoch no run goes on
            checkpoint[_STATE] = {k: a.state() for k, a in self.averages.items()}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Takes the averages from a state."""
        weights = weights_of_run(runner)
        for name, state in checkpoint.get(_STATE, {}).items():
            self.averages[name].load_state(state, weights)

    def after_train(self, runner: Runner) -> None:
        """Validates the averages and writes them."""
        last = copy_of_run(runner)
        validation = validation_of(runner)
        for name, average in self.averages.items():
            weights = average.result(last)
            if weights is not None:
                self._write(runner, name, weights, validation)
        load_into_run(runner, last)

    def _write(
        self, runner: Runner, name: str, weights: StateDict, validation: EvaluationSet
    ) -> None:
        load_into_run(runner, weights)
        if samples := self.samples[name]:
            _draw_as_in_the_next_epoch(runner)
            loader = runner.train_dataloader
            # No more than there are, nor less than a batch.
            samples = max(samples, loader.batch_size)
            with float32():  # whatever training does
                reestimate_batch_norm(unwrapped_model(runner.model), loader, samples)
        metrics = validation.evaluate(runner.model)
        if not is_main_process():
            return
        full = f'{self.name}_{name}'
        hyper = dict(self.meta.get('hyper', {}), average=name)
        record = write_ingredient(
            Path(runner.work_dir) / self.out_dir / f'{full}.pth',
            model_weights(runner.model),
            dict(self.meta, hyper=hyper, name=full, cycle=None, epoch=runner.epoch),
            metrics,
            dataset_meta=meta_of(runner.train_dataloader.dataset),
        )
        add_snapshot(runner, record)


def _draw_as_in_the_next_epoch(runner: Runner) -> None:
    """Has the training images come in an order that no earlier epoch decides."""
    for hook in runner.hooks:
        if isinstance(hook, (EpochSeedHook, DistSamplerSeedHook)):
            hook.before_train_epoch(runner)
