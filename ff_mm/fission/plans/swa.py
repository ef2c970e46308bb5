"""Stochastic weight averaging, from bases that were trained the ordinary way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmengine.registry import TASK_UTILS

from ff_mm.errors import ConfigError
from ff_mm.fission.plans.plan import (
    ALL,
    FineTuningPlan,
    Point,
    averaging,
)
from ff_mm.fission.plans.stages import SWAStage, build_stage
from ff_mm.fission.trial import Trial
from ff_mm.merging.averages import build_average


@TASK_UTILS.register_module()
class SWAPlan(FineTuningPlan):
    """Stochastic weight averaging: probe, bases, from each one run that is averaged.

    The run goes on from the best epoch of its base, with the state of its optimizer, at
    a constant or sawtooth learning rate. Its average, with batch norm re-estimated, is
    an ingredient beside the base.

    Args:
        lrs: Learning rates of the bases.
        swa: Values of :class:`ff_mm.fission.plans.stages.SWAStage`.
        **common: As :class:`FineTuningPlan` takes them.

    Raises:
        ConfigError: An unknown key, or a value that makes no plan.

    References:
        Izmailov et al., "Averaging weights leads to wider optima and better
        generalization", UAI 2018 (arXiv 1803.05407).
    """

    def __init__(
        self, lrs: Sequence[float], *, swa: Mapping[str, Any] = {}, **common: Any
    ) -> None:
        super().__init__(lrs, **common)
        self.swa = build_stage(SWAStage, swa, 'plan.swa')

    def trials(self) -> list[Trial]:
        """Returns probe, bases, averaged runs, in this order."""
        return super().trials() + [self._swa(point) for point in self.points]

    def _swa(self, point: Point) -> Trial:
        stage, suffix = self.swa, self.suffix(point)
        goes_by_validation = any(
            _average(values).needs is not None for values in stage.averaged
        )
        if goes_by_validation and self.on_all:
            raise ConfigError(
                f'plan.swa.averages with plan.folds={ALL!r}: swad goes by validation, '
                'of which none is left; give another average'
            )
        trial = Trial(
            id=f'swa_{suffix}',
            stage='swa',
            epochs=stage.epochs,
            hyper=point.hyper,
            parent=f'base_{suffix}',
            inherit_optimizer=True,
            recipe=self.recipe('swa', point),
            overrides={
                **self.overrides(stage.epochs, point),
                **_rate(stage, point.lr),
                **stage.overrides,
            },
            yields='snapshots',
            validates='every_epoch' if goes_by_validation else stage.validate,
        )
        hooks = averaging(stage.averaged, trial.id, trial.describe())
        return replace(trial, hooks=tuple(hooks))


def _average(values: Mapping[str, Any]) -> Any:
    return build_average(
        {k: v for k, v in values.items() if k not in ('name', 'bn_samples')}
    )


def _rate(stage: SWAStage, base: float) -> dict[str, Any]:
    lr = base if stage.lr is None else stage.lr
    if stage.min_lr is None:
        return {'optim_wrapper.optimizer.lr': lr, 'param_scheduler': []}
    sawtooth = dict(
        type='SawtoothLR',
        max_value=lr,
        min_value=stage.min_lr,
        cycle=stage.cycle,
        by_epoch=True,
        convert_to_iter_based=True,
    )
    return {'optim_wrapper.optimizer.lr': lr, 'param_scheduler': [sawtooth]}
