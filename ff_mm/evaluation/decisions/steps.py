"""The steps of which a decision is made, as configs name them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ff_mm.config import read_options
from ff_mm.datasets.class_frequencies import log_priors
from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Decision, Outputs
from ff_mm.evaluation.decisions.folds import folds
from ff_mm.evaluation.decisions.optima import OBJECTIVES, best_cuts, best_scale
from ff_mm.evaluation.resampling import agreement

#: What is selected by: the better the larger.
Score = Callable[[Outputs], float]

#: What a fitted tau is chosen from: few, as a fine grid would follow chance.
TAUS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
FITTED = 'fitted'


class Step(ABC):
    """One step: fitted on cases, it gives a decision."""

    @abstractmethod
    def fit(self, outputs: Outputs, score: Score) -> tuple[Decision, dict[str, Any]]:
        """Fits it.

        Args:
            outputs: Of the cases to fit it on.
            score: What is selected by.

        Returns:
            The decision, and what a report says of it.
        """

    def check(self, multilabel: bool, number: int, key: str) -> None:
        """Checks that it goes with a head.

        Args:
            multilabel: Whether a case can have several labels.
            number: Of classes or labels.
            key: Where it stands in the config.

        Raises:
            ConfigError: It does not.
        """
        return


def loss_falls(before: Outputs, after: Outputs) -> float:
    """Returns in which part of resamples by group the loss of a model falls."""
    gain = before.costs - after.costs
    return agreement(before, lambda counts: counts @ gain)


@dataclass(frozen=True)
class Temperature(Step):
    """One scale for all logits, with the least loss.

    It is kept if the loss of cases that it was not fitted on falls in most resamples:
    a model that is calibrated already gets worse by a temperature from few cases.

    Attributes:
        accept: In which part of resamples by group, from 0 to 1.
    """

    accept: float = 0.9

    def __post_init__(self) -> None:
        if not (_is_number(self.accept) and 0 <= self.accept <= 1):
            raise ConfigError(f'accept={self.accept!r}: expected a number from 0 to 1')

    def fit(self, outputs: Outputs, score: Score) -> tuple[Decision, dict[str, Any]]:
        """Fits the scale, and sees whether it helps."""
        scale = best_scale(outputs)
        logits = outputs.logits.copy()
        for fold in folds(outputs):
            logits[fold] *= best_scale(outputs.take(~fold))
        after = Outputs(logits, outputs.truth, outputs.groups)
        share = loss_falls(outputs, after)
        kept = share >= self.accept
        facts = dict(temperature=1 / scale, agreement=share, kept=kept)
        return Decision(scale if kept else 1.0), facts


@dataclass(frozen=True)
class Prior(Step):
    """Logits minus tau times the log of how frequent the class is in training.

    Of labels, the log odds that it is present takes the place of the log frequency. tau
    = 1 aims at the mean recall of the classes, 0 leaves all as it is.

    Attributes:
        tau: A number, or ``'fitted'``: that of :data:`TAUS` with the best value of
            what is selected by; of several, the least.
        frequencies: Of each class, in any unit; or of each label, in which part of the
            images it is present. None: those of the training labels.
    """

    tau: float | str = FITTED
    frequencies: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.tau != FITTED and not _is_number(self.tau):
            raise ConfigError(
                f"tau={self.tau!r}: expected a number, such as 0.5, or '{FITTED}'"
            )
        given = self.frequencies
        if given is None:
            return
        listed = isinstance(given, (list, tuple))
        if not listed or not all(_is_number(f) and f > 0 for f in given):
            raise ConfigError(
                f'frequencies={given!r}: expected a list with a number above 0 for each'
                ' class'
            )

    def check(self, multilabel: bool, number: int, key: str) -> None:
        """Checks the frequencies."""
        given = self.frequencies
        if given is None:
            return
        if len(given) != number:
            raise ConfigError(
                f'{key}.frequencies has {len(given)} values, the head gives {number}: '
                'give one for each'
            )
        if multilabel and max(given) >= 1:
            raise ConfigError(
                f'{key}.frequencies={list(given)}: of labels, expected in which part '
                'of the images each is present, below 1'
            )

    def fit(self, outputs: Outputs, score: Score) -> tuple[Decision, dict[str, Any]]:
        """Chooses tau, where it is not given."""
        taus = TAUS if self.tau == FITTED else (float(self.tau),)
        decisions = [self._decision(tau, outputs.is_multilabel) for tau in taus]
        best = 0
        if len(taus) > 1:
            values = np.array([score(outputs.decided(d)) for d in decisions], float)
            best = int(np.where(np.isnan(values), -np.inf, values).argmax())
        return decisions[best], dict(
            tau=taus[best],
            fitted=self.tau == FITTED,
            frequencies=list(self.frequencies or ()),
        )

    def _decision(self, tau: float, multilabel: bool) -> Decision:
        assert self.frequencies is not None  # filled in by who fits
        bias = -tau * log_priors(list(self.frequencies), multilabel)
        return Decision(1.0, tuple(float(b) for b in bias))


@dataclass(frozen=True)
class Thresholds(Step):
    """A threshold for each label, moved to one half.

    Attributes:
        metric: Of which each label has the best value: ``'f1'``,
            ``'balanced_accuracy'`` or ``'accuracy'``.
    """

    metric: str = 'f1'

    def __post_init__(self) -> None:
        if self.metric not in OBJECTIVES:
            raise ConfigError(
                f'metric={self.metric!r}: expected one of {list(OBJECTIVES)}'
            )

    def check(self, multilabel: bool, number: int, key: str) -> None:
        """Refuses single-label data."""
        if not multilabel:
            raise ConfigError(
                f"{key}='thresholds' is of several labels, and this head gives one "
                "class: take 'prior'"
            )

    def fit(self, outputs: Outputs, score: Score) -> tuple[Decision, dict[str, Any]]:
        """Finds the thresholds."""
        cuts = best_cuts(outputs, self.metric)
        thresholds = 0.5 * (1 + np.tanh(cuts / 2))
        facts = dict(metric=self.metric, thresholds=thresholds.tolist())
        return Decision(1.0, tuple(float(-cut) for cut in cuts)), facts


STEPS: dict[str, Any] = dict(
    temperature=Temperature, prior=Prior, thresholds=Thresholds
)


def read_steps(value: Any, key: str) -> list[tuple[str, Step]]:
    """Reads what a config says.

    Args:
        value: A name of :data:`STEPS`; ``dict(type=name, ...)`` with options; or a list
            of these, each fitted on what the one before it gives. None: no step.
        key: Where it stands.

    Returns:
        Names and steps.

    Raises:
        ConfigError: Something else.
    """
    if value is None:
        return []
    several = value if isinstance(value, (list, tuple)) else [value]
    if not several:
        raise ConfigError(f'{key}={value!r}: expected a step, or None')
    return [_read_step(one, key) for one in several]


def _read_step(value: Any, key: str) -> tuple[str, Step]:
    options = dict(type=value) if isinstance(value, str) else value
    kind = options.get('type') if isinstance(options, Mapping) else None
    if not isinstance(kind, str) or kind not in STEPS:
        raise ConfigError(
            f'{key}={value!r}: expected one of {list(STEPS)}, or such as '
            "dict(type='prior', tau='fitted')"
        )
    given = {name: v for name, v in options.items() if name != 'type'}
    try:
        return kind, read_options(STEPS[kind], given, kind)
    except ConfigError as error:
        raise ConfigError(f'{key}: {error}') from None


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)
