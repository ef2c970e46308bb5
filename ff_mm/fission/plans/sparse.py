"""Sparse model soups: prune, retrain several copies under one mask, average, repeat."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import TASK_UTILS

from ff_mm.errors import ConfigError
from ff_mm.fission.plans.plan import FineTuningPlan, axis, common_overrides
from ff_mm.fission.plans.stages import RetrainStage, build_stage
from ff_mm.fission.trial import Trial
from ff_mm.merging.sparse import sparsity_after


@TASK_UTILS.register_module()
class SparseSoupPlan(FineTuningPlan):
    """Sparse model soups: probe, a dense base, and phases of pruning and retraining.

    In each phase the mean of the last phase's copies (at first the base) is pruned, and
    copies of it that differ in seed, rate or weight decay are retrained under that one
    mask. The copies of the last phase are the ingredients: their uniform soup is as
    sparse as they are.

    Args:
        lr: The learning rate of the base.
        sparsity: s, the fraction of prunable weights that are 0 in the end.
        phases: P. Each removes 1 - (1 - s) ** (1 / P) of the weights that are left.
        seeds: Seeds of the copies; probe and base take the first.
        augmentations: One, as :class:`FineTuningPlan` takes several.
        probe: As :class:`FineTuningPlan` takes it.
        base: Likewise.
        retrain: Values of :class:`ff_mm.fission.plans.stages.RetrainStage`.
        leave_out: What the names of weights begin with that are not pruned. A new
            classifier's weights are far smaller than pretrained ones, so that pruning
            by magnitude would take all of it; the paper's networks, trained as a whole,
            are pruned with theirs (``[]``).

    Raises:
        ConfigError: An unknown key, or a value that makes no plan.

    References:
        Zimmer, Spiegel, Pokutta, "Sparse model soups", ICLR 2024 (arXiv 2306.16788).
    """

    def __init__(
        self,
        lr: float,
        sparsity: float = 0.9,
        phases: int = 3,
        seeds: Sequence[int] = (0, 1, 2),
        augmentations: Sequence[str] | None = None,
        probe: Mapping[str, Any] | None = {},
        base: Mapping[str, Any] = {},
        retrain: Mapping[str, Any] = {},
        leave_out: Sequence[str] = ('head.',),
    ) -> None:
        self.copy_seeds = axis('seeds', seeds)
        super().__init__([lr], seeds[:1], augmentations, probe, base)
        if not isinstance(sparsity, float) or not 0 < sparsity < 1:
            raise ConfigError(f'plan.sparsity={sparsity!r}: expected between 0 and 1')
        if not isinstance(phases, int) or phases < 1:
            raise ConfigError(f'plan.phases={phases!r}: expected 1 or more')
        if len(self.augmentations) > 1:
            raise ConfigError('plan.augmentations: expected one, copies differ in seed')
        self.sparsity = sparsity
        self.phases = phases
        if isinstance(leave_out, str):
            raise ConfigError(f'plan.leave_out={leave_out!r}: expected a list')
        self.leave_out = list(leave_out)
        self.retrain = build_stage(RetrainStage, retrain, 'plan.retrain')

    def trials(self) -> list[Trial]:
        """Returns probe, base, and the copies of each phase, in this order."""
        probe = [] if self.probe is None else [self._probe(self.probe)]
        base = self._base(self.points[0], yields='nothing')
        trials = [*probe, base]
        last = [base]
        for phase in range(1, self.phases + 1):
            last = [
                self._copy(phase, [trial.id for trial in last], *choice)
                for choice in self._choices()
            ]
            trials += last
        return trials

    def _choices(self) -> list[tuple[int, float, float | None]]:
        """Seed, rate and weight decay of each copy."""
        rates = self.retrain.lrs or self.lrs
        decays = self.retrain.weight_decays or (None,)
        return list(itertools.product(self.copy_seeds, rates, decays))

    def _copy(
        self,
        phase: int,
        parents: list[str],
        seed: int,
        lr: float,
        weight_decay: float | None,
    ) -> Trial:
        stage = self.retrain
        hyper = dict(lr=lr, seed=seed, phase=phase)
        name = f'phase{phase}_lr{float(lr)!r}_seed{seed}'
        overrides = {
            **common_overrides(stage.epochs, seed, self.augmentations[0]),
            **stage.schedule(lr),
            **stage.overrides,
        }
        if weight_decay is not None:
            hyper['weight_decay'] = weight_decay
            name += f'_wd{float(weight_decay)!r}'
            overrides['optim_wrapper.optimizer.weight_decay'] = weight_decay
        return Trial(
            id=name,
            stage='retrain',
            epochs=stage.epochs,
            hyper=hyper,
            parent=parents[0],
            others=tuple(parents[1:]),
            start=dict(
                type='sparse',
                sparsity=sparsity_after(phase, self.phases, self.sparsity),
                leave_out=self.leave_out,
            ),
            overrides=overrides,
            hooks=(
                dict(type='PruningMaskHook'),
                # Its schedule ends at 0, so the last epoch is the one that is meant.
                dict(
                    type='BestCheckpointHook',
                    monitor=self.base.monitor,
                    rule=self.base.rule,
                    keep='last',
                ),
            ),
            yields='best' if phase == self.phases else 'nothing',
        )
