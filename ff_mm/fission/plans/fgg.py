"""Fast geometric generation, the fission of FissionFusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmengine.registry import TASK_UTILS

from ff_mm.fission.plans.plan import FineTuningPlan, Point
from ff_mm.fission.plans.stages import FissionStage, build_stage
from ff_mm.fission.trial import Trial


@TASK_UTILS.register_module()
class FGGPlan(FineTuningPlan):
    """Fast geometric generation: probe, one base per learning rate, one fission each.

    With the defaults of all stages and 8 learning rates it is the published plan:
    10 + 8·50 + 8·17 epochs, 8 bases and 40 snapshots (FissionFusion, section 3.1).
    Going further than the paper, several seeds and augmentations may be given: there
    is then a base and a fission for every combination; the probe remains one.

    Args:
        lrs: Learning rates of the bases.
        fission: Values of :class:`ff_mm.fission.plans.stages.FissionStage`; None: bases
            only.
        **common: As :class:`FineTuningPlan` takes them.

    Raises:
        ConfigError: An unknown key, or a value that makes no plan.
    """

    def __init__(
        self,
        lrs: Sequence[float],
        *,
        fission: Mapping[str, Any] | None = {},
        **common: Any,
    ) -> None:
        super().__init__(lrs, **common)
        self.fission = (
            None
            if fission is None
            else build_stage(FissionStage, fission, 'plan.fission')
        )

    def trials(self) -> list[Trial]:
        """Returns probe, bases, fissions, in this order."""
        trials = super().trials()
        if self.fission is not None:
            trials += [self._fission(self.fission, point) for point in self.points]
        return trials

    def _fission(self, stage: FissionStage, point: Point) -> Trial:
        suffix = self.suffix(point)
        trial = Trial(
            id=f'fission_{suffix}',
            stage='fission',
            epochs=stage.epochs,
            hyper=point.hyper,
            parent=f'base_{suffix}',
            inherit_optimizer=True,
            recipe=self.recipe('fission', point),
            overrides={
                **self.overrides(stage.epochs, point),
                **_cyclical(stage),
                **stage.overrides,
            },
            yields='snapshots',
            validates=stage.validate,
        )
        hook = dict(
            type='SnapshotHook',
            out_dir='../../ingredients',
            name=trial.id,
            meta=trial.describe(),
        )
        return replace(trial, hooks=(hook,))


def _cyclical(stage: FissionStage) -> dict[str, Any]:
    return {
        'optim_wrapper.optimizer.lr': stage.max_lr,
        'param_scheduler': [
            dict(
                type='CyclicalLR',
                max_value=stage.max_lr,
                min_value=stage.min_lr,
                cycle=stage.cycle,
                phase=stage.phase,
                by_epoch=True,
                convert_to_iter_based=True,
            )
        ],
    }
