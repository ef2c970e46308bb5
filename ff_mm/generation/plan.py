"""Plans: all trials of a generation, and who starts from whom."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from mmengine.registry import TASK_UTILS

from ff_mm.errors import ConfigError
from ff_mm.generation.trial import Trial

T = TypeVar('T')


class Plan(ABC):
    """All trials of a generation. Subclasses register in MMEngine's TASK_UTILS."""

    @abstractmethod
    def trials(self) -> list[Trial]:
        """Returns the trials in the order of training, parents before children."""


@dataclass(frozen=True)
class _Stage:
    epochs: int
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.epochs, int) or self.epochs < 1:
            raise ConfigError(f'epochs={self.epochs!r}: expected a whole number >= 1')


@dataclass(frozen=True)
class ProbeStage(_Stage):
    """Linear probing from the pretrained weights, common to all bases (LP-FT).

    ``freeze=False`` trains the whole network instead. That is for networks without
    pretrained weights, whose random features are not worth probing: what keeps bases
    of different learning rates in one basin is a stretch of training in common
    (Frankle et al. 2020, linear mode connectivity). Not in the paper.
    """

    epochs: int = 10
    lr: float = 1e-3
    freeze: bool = True
    norm_eval: bool = False
    monitor: str = 'loss'
    rule: str = 'less'


@dataclass(frozen=True)
class BaseStage(_Stage):
    """Full fine-tuning at one learning rate; the best epoch is the base model.

    ``patience`` (epochs) and ``min_delta`` are those of early stopping on ``monitor``;
    ``patience=None`` trains all epochs.
    """

    epochs: int = 50
    monitor: str = 'loss'
    rule: str = 'less'
    patience: int | None = 8
    min_delta: float = 1e-3


@dataclass(frozen=True)
class FissionStage(_Stage):
    """Cyclical training from a base; a snapshot at each minimum.

    ``cycle`` is in epochs, ``phase`` a fraction of a cycle (see
    :class:`ff_mm.engine.CyclicalParamScheduler`); ``max_lr`` and ``min_lr`` are α1
    and α2, the same for every base.
    """

    epochs: int = 17
    cycle: float = 4
    phase: float = 0.25
    max_lr: float = 1e-5
    min_lr: float = 1e-8


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
        self.probe = _stage(ProbeStage, probe, 'plan.probe')
        self.base = _stage(BaseStage, base, 'plan.base')
        self.fission = _stage(FissionStage, fission, 'plan.fission')

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
        )
        hook = dict(
            type='SnapshotHook',
            out_dir='../../ingredients',
            name=trial.id,
            meta=trial.describe(),
        )
        return replace(trial, hooks=(hook,))

    def _suffix(self, lr: float, seed: int, augmentation: str | None) -> str:
        parts = [f'lr{lr:g}']
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


def _stage(cls: type[T], values: Mapping[str, Any] | None, where: str) -> T | None:
    if values is None:
        return None
    known = [f.name for f in fields(cls)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f'{where}: unknown key {unknown[0]!r}, there are {known}')
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from None
