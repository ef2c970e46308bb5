"""``class_balance`` of a generation config: training that rare classes gain by.

It is the counterpart in training of a decision after it, see
:class:`ff_mm.evaluation.decisions.steps.Prior`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from ff_mm.config import read_options
from ff_mm.datasets.class_balanced_sampler import ClassBalancedSampler
from ff_mm.engine.hooks.logit_adjustment_hook import adjustment
from ff_mm.errors import ConfigError

KEY = 'class_balance'


@dataclass(frozen=True)
class Sampling:
    """Images are drawn by how rare their class is.

    Attributes:
        power: See :class:`ff_mm.datasets.class_balanced_sampler.ClassBalancedSampler`.
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        _check('power', self.power)

    @property
    def name(self) -> str:
        """What ingredients are said to be of."""
        return 'sampling' + ('' if self.power == 1 else f', power {self.power:g}')

    def check(self, dataset: Any, number: int) -> None:
        """Refuses labels that do not go with it, before any training."""
        ClassBalancedSampler(dataset, self.power, seed=0)

    def put_into(self, cfg: Config) -> None:
        """Puts it into the config of a trial."""
        sampler = dict(cfg.train_dataloader.get('sampler') or {})
        if sampler.get('type', 'DefaultSampler') != 'DefaultSampler':
            raise ConfigError(
                f"{KEY}='sampling' takes the place of DefaultSampler, and "
                f'train_dataloader.sampler is {sampler.get("type")!r}: leave the one '
                'or the other out'
            )
        kept = {k: sampler[k] for k in ('round_up', 'seed') if k in sampler}
        cfg.train_dataloader.sampler = dict(
            type='ClassBalancedSampler', power=float(self.power), **kept
        )


@dataclass(frozen=True)
class Loss:
    """The loss is of logits plus tau times the log class frequencies.

    Attributes:
        tau: See :class:`ff_mm.models.adjusted_loss.AdjustedLoss`.
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        _check('tau', self.tau)

    @property
    def name(self) -> str:
        """What ingredients are said to be of."""
        return 'loss' + ('' if self.tau == 1 else f', tau {self.tau:g}')

    def check(self, dataset: Any, number: int) -> None:
        """Refuses labels that do not go with it, before any training."""
        adjustment(dataset, number, self.tau)

    def put_into(self, cfg: Config) -> None:
        """Puts it into the config of a trial."""
        hook = dict(type='LogitAdjustmentHook', tau=float(self.tau))
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]


_KINDS: dict[str, type[Sampling] | type[Loss]] = dict(sampling=Sampling, loss=Loss)


def read_class_balance(value: Any) -> Sampling | Loss | None:
    """Reads what a config says.

    Args:
        value: ``'sampling'``, ``'loss'``, or ``dict(type=..., ...)`` with options;
            None or empty: classes come as they are.

    Raises:
        ConfigError: Something else.
    """
    if value is None or value == {}:
        return None
    options = dict(type=value) if isinstance(value, str) else value
    kind = options.get('type') if isinstance(options, Mapping) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConfigError(
            f"{KEY}={value!r}: expected None, 'sampling', 'loss', or such as "
            "dict(type='loss', tau=0.5)"
        )
    given = {name: v for name, v in options.items() if name != 'type'}
    return read_options(_KINDS[kind], given, KEY)


def _check(name: str, value: Any) -> None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (known and math.isfinite(value) and 0 < value <= 2):
        raise ConfigError(
            f'{KEY}: {name}={value!r}: expected a number above 0 and up to 2'
        )
