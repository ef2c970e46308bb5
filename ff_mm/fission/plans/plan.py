"""Plans: all trials of a generation, and who starts from whom."""

from __future__ import annotations

import inspect
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from mmengine.registry import TASK_UTILS

from ff_mm.datasets.folds import read_folds
from ff_mm.datasets.tables.table_file import with_nearest
from ff_mm.errors import ConfigError
from ff_mm.fission.plans.stages import (
    BaseStage,
    ProbeStage,
    build_stage,
    check_learning_rate,
)
from ff_mm.fission.trial import FOLDS, PROBE, Trial

T = TypeVar('T')
#: In the place of a number of folds: one chain that trains on all of them.
ALL = 'all'


class Plan(ABC):
    """All trials of a generation. Subclasses register in MMEngine's TASK_UTILS."""

    #: Whether it is about probabilities of classes, see :class:`ff_mm.tasks.Task`.
    needs_scores = False

    @abstractmethod
    def trials(self) -> list[Trial]:
        """Returns the trials in the order of training, parents before children."""

    def check(self, notify: Callable[[str], None]) -> None:  # noqa: B027
        """Checks, before a plan is begun, what it needs besides its config: nothing.

        Args:
            notify: Takes lines for the user.
        """


def build_plan(values: Mapping[str, Any]) -> Plan:
    """Builds the plan of a config.

    Args:
        values: What the config says under ``plan``.

    Raises:
        ConfigError: No such plan, an unknown key, or one that is missing or wrong.
    """
    try:
        kind = values.get('type')
        plan = TASK_UTILS.get(kind) if isinstance(kind, str) else kind
        known = _arguments(plan) if isinstance(plan, type) else {}
        unknown = [key for key in values if key not in ('type', *known)]
        if known and unknown:
            raise ConfigError(
                f'plan: unknown key {with_nearest(unknown[0], known)}, there are '
                f'{list(known)}'
            )
        return TASK_UTILS.build(dict(values))
    except (KeyError, TypeError) as error:  # no such plan, or an argument is missing
        raise ConfigError(f'plan: {error}') from error


def _arguments(plan: type) -> dict[str, None]:
    """Names of all that a plan takes, those that it hands on to its base as well."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: None
        for each in plan.__mro__
        if '__init__' in vars(each)
        for name, parameter in inspect.signature(each).parameters.items()
        if parameter.kind in named
    }


class Point(NamedTuple):
    """One combination of hyper-parameters; None: those of the config."""

    lr: float
    seed: int
    augmentation: str | None
    domain: str | None = None
    fold: int | str | None = None

    @property
    def hyper(self) -> dict[str, Any]:
        """The hyper-parameters by which its ingredients can be grouped."""
        return {key: v for key, v in self._asdict().items() if v is not None}


class FineTuningPlan(Plan):
    """A probe, and a base fine-tuned from it at each combination of hyper-parameters.

    Args:
        lrs: Learning rates of the bases.
        seeds: Seeds of the bases; the probe takes the first.
        augmentations: Names in the config's ``augmentations``, likewise; by default the
            one that the config's ``augmentation`` names.
        probe: Values of :class:`ff_mm.fission.plans.stages.ProbeStage`; None: no linear
            probing, bases start from the model's own weights.
        base: Values of :class:`ff_mm.fission.plans.stages.BaseStage`.
        domains: Parts of the training data, such as hospitals, each of which has bases
            of its own: config overrides by name, such as
            ``dict(north={'train_dataloader.dataset.sources': ['north']})``. The probe,
            and validation unless an override says otherwise, are those of the config.
        folds: How many there are, or ``dict(number=5, seed=0)``: training and
            validation images together are cut by group, and each fold has a chain of
            its own, probe included, that trains on the others and validates on it. As
            all chains begin with the same weights, heads too, they can be averaged.
            ``'all'``: one chain that trains on all of these images, to train once more
            what folds have chosen; nothing is left by which to choose an epoch, so
            bases have ``keep='last'`` and ``patience=None``.

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
        domains: Mapping[str, Mapping[str, Any]] | None = None,
        folds: int | str | Mapping[str, int] | None = None,
    ) -> None:
        self.lrs = axis('lrs', lrs)
        self.seeds = axis('seeds', seeds)
        self.augmentations = (
            (None,) if augmentations is None else axis('augmentations', augmentations)
        )
        for lr in self.lrs:
            check_learning_rate('plan.lrs', lr)
        self.probe = (
            None if probe is None else build_stage(ProbeStage, probe, 'plan.probe')
        )
        self.base = build_stage(BaseStage, base, 'plan.base')
        self.domains: dict[str | None, dict[str, Any]] = {None: {}}
        if domains is not None:
            self.domains = read_domains(domains, 'plan.domains')
        self.on_all = folds == ALL
        self.folds = (
            None if folds is None or self.on_all else read_folds(folds, 'plan.folds')
        )
        by_validation = (
            self.base.keep != 'last'
            or self.base.patience is not None
            or any(each.get('type') == 'swad' for each in self.base.averages)
        )
        if self.on_all and by_validation:
            raise ConfigError(
                f'plan.folds={ALL!r}: all images train and none is left to choose an '
                "epoch by; give plan.base.keep='last', plan.base.patience=None, "
                'plan.base.epochs, such as the best epochs of the folds, and no swad'
            )
        if folds is not None and domains is not None:
            raise ConfigError(
                'plan.folds and plan.domains: each part would have a validation set of '
                'its own; train each part as a plan of its own, or without folds'
            )

    @property
    def points(self) -> list[Point]:
        """All combinations, the learning rate varying slowest."""
        axes = (
            self.lrs,
            self.seeds,
            self.augmentations,
            self.domains,
            self.fold_numbers,
        )
        return list(itertools.starmap(Point, itertools.product(*axes)))

    @property
    def fold_numbers(self) -> tuple[int | str | None, ...]:
        """The folds; one that is None, where there are none."""
        if self.on_all:
            return (ALL,)
        return (None,) if self.folds is None else tuple(range(self.folds['number']))

    def overrides(self, epochs: int, point: Point) -> dict[str, Any]:
        """Returns what every trial of a point sets."""
        return {
            **common_overrides(epochs, point.seed, point.augmentation),
            **self.domains[point.domain],
            **self._cut(point.fold),
        }

    def _cut(self, fold: int | str | None) -> dict[str, Any]:
        if self.on_all:
            return {FOLDS: dict(number=2, seed=0, index=None)}
        return {} if fold is None else {FOLDS: dict(self.folds or {}, index=fold)}

    def trials(self) -> list[Trial]:
        """Returns the probe, or one a fold, then the bases."""
        probes = [] if self.probe is None else self.fold_numbers
        return [
            *(self._probe(self.probe, fold) for fold in probes if self.probe),
            *(self._base(point) for point in self.points),
        ]

    def suffix(self, point: Point) -> str:
        """Tells a point from the plan's others: the axes along which they differ."""
        parts = [f'lr{float(point.lr)!r}']  # exact: one folder per learning rate
        parts += [f'seed{point.seed}'] if len(self.seeds) > 1 else []
        parts += [str(point.augmentation)] if len(self.augmentations) > 1 else []
        parts += [] if point.domain is None else [point.domain]
        return '_'.join(parts) + _of_fold(point.fold)

    def recipe(self, name: str, point: Point) -> str | None:
        """What a trial has in common with those of other folds, if there are any."""
        if self.folds is None:
            return None
        return f'{name}_{self.suffix(point._replace(fold=None))}'

    def _probe(self, stage: ProbeStage, fold: int | str | None = None) -> Trial:
        frozen = {PROBE: dict(norm_eval=stage.norm_eval)}
        hyper = dict(lr=stage.lr, seed=self.seeds[0])
        return Trial(
            id=f'probe{_of_fold(fold)}',
            stage='probe',
            epochs=stage.epochs,
            hyper=hyper if fold is None else dict(hyper, fold=fold),
            overrides={
                **common_overrides(stage.epochs, self.seeds[0], self.augmentations[0]),
                **self._cut(fold),
                **_cosine(stage.lr),
                **(frozen if stage.freeze else {}),
                **stage.overrides,
            },
            hooks=({**_best(stage), **(dict(keep='last') if self.on_all else {})},),
            yields='start',
        )

    def _base(
        self,
        point: Point,
        yields: str = 'best',
        name: str = 'base',
        parent: str | None = 'probe',
    ) -> Trial:
        stage, trial_id = self.base, f'{name}_{self.suffix(point)}'
        if parent == 'probe':
            of_fold = f'probe{_of_fold(point.fold)}'
            parent = None if self.probe is None else of_fold
        # Of other seeds their heads begin with other weights.
        begin_alike = parent is None and len(self.seeds) == 1
        start = dict(type='StartHook', out_dir='../../origin', name=trial_id)
        description = dict(stage=name, hyper=point.hyper, parent=parent)
        return Trial(
            id=trial_id,
            stage=name,
            epochs=stage.epochs,
            hyper=point.hyper,
            parent=parent,
            yields=yields,
            recipe=self.recipe(name, point),
            overrides={
                **self.overrides(stage.epochs, point),
                **_cosine(point.lr),
                **stage.overrides,
            },
            hooks=(
                _best(stage),
                *_early_stopping(stage),
                *([start] if begin_alike else []),
                *([dict(type='FrozenBatchNormHook')] * stage.freeze_batch_norm),
                *averaging(stage.averages, trial_id, description),
            ),
        )


def _of_fold(fold: int | str | None) -> str:
    """What tells a trial from those of other folds."""
    return '' if fold is None else f'_fold{fold}'


def common_overrides(
    epochs: int, seed: int, augmentation: str | None
) -> dict[str, Any]:
    """Returns what every trial of a plan sets."""
    overrides: dict[str, Any] = {
        'train_cfg.max_epochs': epochs,
        'randomness.seed': seed,
    }
    if augmentation is not None:
        overrides['augmentation'] = augmentation
    return overrides


def _cosine(lr: float) -> dict[str, Any]:
    """Cosine annealing to 0 over the stage; MMEngine sets its end to the last epoch."""
    return {
        'optim_wrapper.optimizer.lr': lr,
        'param_scheduler': [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True)],
    }


def averaging(
    averages: Sequence[Mapping[str, Any]], name: str, description: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the hook that writes averages of a trial's weights, if there are any."""
    if not averages:
        return []
    hook = dict(
        type='AveragingHook',
        averages=[dict(values) for values in averages],
        out_dir='../../ingredients',
        name=name,
        meta=dict(description),
    )
    return [hook]


def _best(stage: ProbeStage | BaseStage) -> dict[str, Any]:
    hook = dict(type='BestCheckpointHook', monitor=stage.monitor, rule=stage.rule)
    if isinstance(stage, BaseStage) and stage.keep != 'best':
        hook['keep'] = stage.keep
    return hook


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


def read_domains(domains: Any, key: str) -> dict[str | None, dict[str, Any]]:
    """Reads the parts of the training data, such as hospitals.

    Args:
        domains: Config overrides by name.
        key: Where they stand in the config.

    Raises:
        ConfigError: They are not as expected.
    """
    example = "{'train_dataloader.dataset.sources': ['north']}"
    if not isinstance(domains, Mapping) or not domains:
        raise ConfigError(
            f'{key}={domains!r}: expected config overrides by name, such as '
            f'dict(north={example})'
        )
    for name, overrides in domains.items():
        # It becomes part of the names of folders and files.
        if not isinstance(name, str) or not re.fullmatch(r'\w[\w.-]*', name):
            raise ConfigError(
                f'{key}: {name!r}: a name has letters, digits, _, - and .'
            )
        if not isinstance(overrides, Mapping) or not overrides:
            raise ConfigError(
                f'{key}.{name}={overrides!r}: expected config overrides, such as '
                f'{example}'
            )
    return {name: dict(overrides) for name, overrides in domains.items()}


def axis(name: str, values: Sequence[T]) -> tuple[T, ...]:
    """Checks one axis of the plan: a list, not empty, each value once."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigError(f'plan.{name}={values!r}: expected a list')
    if not values or len(set(values)) < len(values):
        raise ConfigError(f'plan.{name}={list(values)}: expected each value once')
    return tuple(values)
