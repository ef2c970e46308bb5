"""Plans: all trials of a generation, and who starts from whom."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mmengine.registry import TASK_UTILS

from ff_mm.errors import ConfigError
from ff_mm.generation.stages import (
    BaseStage,
    FissionStage,
    ProbeStage,
    build_stage,
    check_learning_rate,
)
from ff_mm.generation.trial import Trial

T = TypeVar('T')


class Plan(ABC):
    """All trials of a generation. Subclasses register in MMEngine's TASK_UTILS."""

    @abstractmethod
    def trials(self) -> list[Trial]:
        """Returns the trials in the order of training, parents before children."""


@TASK_UTILS.register_module()
class FGGPlan(Plan):
    """Fast geometric generation: probe, one base per learning rate, one fission each.

    With the defaults of all stages and 8 learning rates it is the published plan:
    10 + 8·50 + 8·17 epochs, 8 bases and 40 snapshots (FissionFusion, section 3.1).
    Going further than the paper, several seeds and augmentations may be given: there
    is then a base and a fission for every combination; the probe remains one.

    Args:
        lrs: Learning rates of the bases.
        seeds: Seeds of the bases; the probe takes the first.
        augmentations: Names in the config's ``augmentations``; by default the one that
            the config's ``augmentation`` names.
        probe: Values of :class:`ProbeStage`; None: no linear probing, bases start from
            the model's own weights.
        base: Values of :class:`BaseStage`.
        fission: Values of :class:`FissionStage`; None: bases only.

    Raises:
        ConfigError: An unknown key, or a value that makes no plan.
    """

    def __init__(
        self,
        lrs: Sequence[float],
        seeds: Sequence[int] = (0,),
        augmentations: Sequence[str] | None = None,
        probe: Mapping[str, Any] | None = {},
        base: Mapping[str, Any] = {},
        fission: Mapping[str, Any] | None = {},
    ) -> None:
        self.lrs = _axis('lrs', lrs)
        self.seeds = _axis('seeds', seeds)
        self.augmentations = (
            (None,) if augmentations is None else _axis('augmentations', augmentations)
        )
        for lr in self.lrs:
            check_learning_rate('plan.lrs', lr)
        self.probe = (
            None if probe is None else build_stage(ProbeStage, probe, 'plan.probe')
        )
        self.base = build_stage(BaseStage, base, 'plan.base')
        self.fission = (
            None
            if fission is None
            else build_stage(FissionStage, fission, 'plan.fission')
        )

    def trials(self) -> list[Trial]:
        """Returns probe, bases, fissions, in this order."""
        points = list(itertools.product(self.lrs, self.seeds, self.augmentations))
        trials = [] if self.probe is None else [self._probe()]
        trials += [self._base(*point) for point in points]
        if self.fission is not None:
            trials += [self._fission(*point) for point in points]
        return trials

    def _probe(self) -> Trial:
        stage = self.probe
        frozen = {
            'model.type': 'LinearProbingClassifier',
            'model.norm_eval': stage.norm_eval,
        }
        return Trial(
            id='probe',
            stage='probe',
            epochs=stage.epochs,
            hyper=dict(lr=stage.lr, seed=self.seeds[0]),
            overrides={
                **_common(stage.epochs, self.seeds[0], self.augmentations[0]),
                **_cosine(stage.lr),
                **(frozen if stage.freeze else {}),
                **stage.overrides,
            },
            hooks=(_best(stage),),
            yields='start',
        )

    def _base(self, lr: float, seed: int, augmentation: str | None) -> Trial:
        stage = self.base
        return Trial(
            id=f'base_{self._suffix(lr, seed, augmentation)}',
            stage='base',
            epochs=stage.epochs,
            hyper=_hyper(lr, seed, augmentation),
            parent=None if self.probe is None else 'probe',
            overrides={
                **_common(stage.epochs, seed, augmentation),
                **_cosine(lr),
                **stage.overrides,
            },
            hooks=(_best(stage), *_early_stopping(stage)),
        )

    def _fission(self, lr: float, seed: int, augmentation: str | None) -> Trial:
        stage = self.fission
        suffix = self._suffix(lr, seed, augmentation)
        trial = Trial(
            id=f'fission_{suffix}',
            stage='fission',
            epochs=stage.epochs,
            hyper=_hyper(lr, seed, augmentation),
            parent=f'base_{suffix}',
            inherit_optimizer=True,
            overrides={
                **_common(stage.epochs, seed, augmentation),
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

    def _suffix(self, lr: float, seed: int, augmentation: str | None) -> str:
        parts = [f'lr{float(lr)!r}']  # exact: one folder per learning rate
        parts += [f'seed{seed}'] if len(self.seeds) > 1 else []
        parts += [augmentation] if len(self.augmentations) > 1 else []
        return '_'.join(parts)


def _common(epochs: int, seed: int, augmentation: str | None) -> dict[str, Any]:
    overrides = {'train_cfg.max_epochs': epochs, 'randomness.seed': seed}
    if augmentation is not None:
        overrides['augmentation'] = augmentation
    return overrides


def _cosine(lr: float) -> dict[str, Any]:
    """Cosine annealing to 0 over the stage; MMEngine sets its end to the last epoch."""
    return {
        'optim_wrapper.optimizer.lr': lr,
        'param_scheduler': [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True)],
    }


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


def _hyper(lr: float, seed: int, augmentation: str | None) -> dict[str, Any]:
    hyper = dict(lr=lr, seed=seed)
    return hyper if augmentation is None else dict(hyper, augmentation=augmentation)


def _best(stage: ProbeStage | BaseStage) -> dict[str, Any]:
    return dict(type='BestCheckpointHook', monitor=stage.monitor, rule=stage.rule)


def _early_stopping(stage: BaseStage) -> list[dict[str, Any]]:
    if stage.patience is None:
        return []
    return [
        dict(
            type='ResumableEarlyStoppingHook',
            monitor=stage.monitor,
            rule=stage.rule,
            patience=stage.patience,
            min_delta=stage.min_delta,
        )
    ]


def _axis(name: str, values: Sequence[T]) -> tuple[T, ...]:
    """Checks one axis of the plan: a list, not empty, each value once."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigError(f'plan.{name}={values!r}: expected a list')
    if not values or len(set(values)) < len(values):
        raise ConfigError(f'plan.{name}={list(values)}: expected each value once')
    return tuple(values)
