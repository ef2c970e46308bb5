"""The stages of fast geometric generation, and their published values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from ff_mm.engine.schedulers.cycle import Cycle
from ff_mm.errors import ConfigError
from ff_mm.fission.averaging_hook import AveragingHook

# Steps of an epoch, to look at a schedule before the data set's size is known.
_STEPS = 1000


@dataclass(frozen=True)
class Stage:
    """What all stages have: their length, and config overrides of their own."""

    epochs: int
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self, 'epochs', int, at_least=1)
        _check(self, 'overrides', Mapping)


@dataclass(frozen=True)
class _MonitoredStage(Stage):
    """A stage of which the best epoch is kept."""

    monitor: str = 'loss'
    rule: str = 'less'

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, 'monitor', str)
        if self.rule not in ('less', 'greater'):
            raise ConfigError(f"rule={self.rule!r}: expected 'less' or 'greater'")


@dataclass(frozen=True)
class ProbeStage(_MonitoredStage):
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

    def __post_init__(self) -> None:
        super().__post_init__()
        check_learning_rate('lr', self.lr)
        _check(self, 'freeze', bool)
        _check(self, 'norm_eval', bool)


@dataclass(frozen=True)
class BaseStage(_MonitoredStage):
    """Full fine-tuning at one learning rate; the best epoch is the base model.

    ``patience`` (epochs) and ``min_delta`` are those of early stopping on ``monitor``;
    ``patience=None`` trains all epochs.

    ``averages`` of its weights become ingredients beside it, each as
    :class:`ff_mm.fission.averaging_hook.AveragingHook` takes it, such as
    ``[dict(type='ema', decay=0.99), dict(type='lawa', last=5)]``.

    ``freeze_batch_norm`` leaves batch norm's running statistics as they were at the
    start, and uses them, so that all models have the same (DiWA, Rame et al. 2022).

    ``keep='last'`` makes the last epoch the base model instead of the best.
    """

    epochs: int = 50
    patience: int | None = 8
    min_delta: float = 1e-3
    averages: Sequence[Mapping[str, Any]] = ()
    freeze_batch_norm: bool = False
    keep: str = 'best'

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience is not None:
            _check(self, 'patience', int, at_least=1)
        _check(self, 'min_delta', (int, float), at_least=0)
        _check(self, 'freeze_batch_norm', bool)
        if self.keep not in ('best', 'last'):
            raise ConfigError(f"keep={self.keep!r}: expected 'best' or 'last'")
        _check_averages(self.averages)


@dataclass(frozen=True)
class StudentStage(BaseStage):
    """Fine-tuning of a student, by its teacher and by labels; as a base, but short."""

    epochs: int = 10
    patience: int | None = None


@dataclass(frozen=True)
class FissionStage(Stage):
    """Cyclical training from a base; a snapshot at each minimum.

    ``cycle`` is in epochs, ``phase`` a fraction of a cycle (see
    :class:`ff_mm.engine.schedulers.cycle.Cycle`); ``max_lr`` and ``min_lr`` are α1
    and α2, the same for every base.

    ``validate='snapshots'`` validates the epochs with a snapshot, the only ones whose
    metrics decide anything; ``'every_epoch'`` all of them, to look at the trajectory.
    The snapshots are the same, bit for bit.
    """

    epochs: int = 17
    cycle: float = 4
    phase: float = 0.25
    max_lr: float = 1e-5
    min_lr: float = 1e-8
    validate: str = 'snapshots'

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_validate(self.validate)
        _check(self, 'cycle', (int, float), at_least=1)
        for name in ('phase', 'max_lr', 'min_lr'):
            _check(self, name, (int, float), at_least=0)
        cycle = Cycle(self.max_lr, self.min_lr, self.cycle * _STEPS, self.phase)
        if not cycle.minima_up_to(self.epochs * _STEPS):
            raise ConfigError(
                f'no minimum of a cycle of {self.cycle} epochs, from phase '
                f'{self.phase}, falls within epochs={self.epochs}: lengthen the stage'
            )


@dataclass(frozen=True)
class SWAStage(Stage):
    """Training on from a base, of which an average is the ingredient.

    ``lr`` is constant (None: that of the base), or with ``min_lr`` falls to that within
    each ``cycle`` (in epochs) and jumps back. The weights at the ends of cycles are
    averaged; ``averages`` says otherwise, such as ``[dict(type='swad')]``.

    ``validate`` is as in :class:`FissionStage`: the average alone decides something,
    unless it goes by validation.
    """

    epochs: int = 10
    lr: float | None = None
    min_lr: float | None = None
    cycle: int = 1
    averages: Sequence[Mapping[str, Any]] | None = None
    validate: str = 'snapshots'

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, 'cycle', int, at_least=1)
        _check_validate(self.validate)
        for name in ('lr', 'min_lr'):
            if getattr(self, name) is not None:
                check_learning_rate(name, getattr(self, name))
        if self.cycle > self.epochs:
            raise ConfigError(f'cycle={self.cycle} does not end within {self.epochs}')
        _check_averages(self.averaged)

    @property
    def averaged(self) -> Sequence[Mapping[str, Any]]:
        """What is averaged."""
        if self.averages is None:
            return (dict(type='swa', begin=self.cycle, every=self.cycle),)
        return self.averages


@dataclass(frozen=True)
class RetrainStage(Stage):
    """Retraining of a pruned network, once for each copy.

    The rate rises from 0 in the first tenth (of whole epochs, so there are 10 at
    least), and falls linearly to 0 (LLR). ``lrs``
    (None: that of the base) and ``weight_decays`` (None: that of the config) are those
    of copies, each with each seed.
    """

    epochs: int = 10
    lrs: Sequence[float] | None = None
    weight_decays: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ('lrs', 'weight_decays'):
            values = getattr(self, name)
            if values is None:
                continue
            if (
                isinstance(values, str)
                or not isinstance(values, Sequence)
                or not values
            ):
                raise ConfigError(f'{name}={values!r}: expected a list of numbers')
            for value in values:
                if value != 0 or name == 'lrs':
                    check_learning_rate(name, value)

    def schedule(self, lr: float) -> dict[str, Any]:
        """Returns the overrides that set the rate."""
        warm_up = self.epochs // 10
        common = dict(type='LinearLR', by_epoch=True, convert_to_iter_based=True)
        # From nearly nothing, as MMEngine's factor must be above 0.
        up = dict(common, start_factor=1e-3, begin=0, end=warm_up)
        down = dict(common, start_factor=1.0, end_factor=0.0, begin=warm_up)
        down['end'] = self.epochs
        return {
            'optim_wrapper.optimizer.lr': lr,
            'param_scheduler': [up, down] if warm_up else [down],
        }


T = TypeVar('T', bound=Stage)


def build_stage(cls: type[T], values: Mapping[str, Any] | None, where: str) -> T:
    """Builds a stage from the values of a config.

    Args:
        cls: The stage.
        values: Some of its fields.
        where: The config key, for the error.

    Raises:
        ConfigError: An unknown key, or a value of the wrong type or range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f'{where}={values!r}: expected a dict, such as dict(epochs=8)'
        )
    known = [f.name for f in fields(cls)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f'{where}: unknown key {unknown[0]!r}, there are {known}')
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from None


def check_learning_rate(name: str, value: Any) -> None:
    """Refuses what is no positive number, such as ``'1e-3'`` in quotes."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigError(f'{name}={value!r}: expected a number above 0')


def _check_validate(value: Any) -> None:
    if value not in ('snapshots', 'every_epoch'):
        raise ConfigError(f"validate={value!r}: expected 'snapshots' or 'every_epoch'")


def _check_averages(values: Any) -> None:
    if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
        raise ConfigError(
            f"averages={values!r}: expected a list, such as [dict(type='ema')]"
        )
    try:
        AveragingHook(values)
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(f'averages: {error}') from None


def _check(
    stage: Stage, name: str, kind: type | tuple, at_least: float | None = None
) -> None:
    value = getattr(stage, name)
    wrong_kind = not isinstance(value, kind) or (
        isinstance(value, bool) and kind is not bool
    )
    if wrong_kind or (at_least is not None and not value >= at_least):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = ' or '.join(k.__name__ for k in kinds)
        bound = '' if at_least is None else f' of at least {at_least}'
        raise ConfigError(f'{name}={value!r}: expected {expected}{bound}')
