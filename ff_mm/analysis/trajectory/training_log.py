"""What trials of a generation went through: metrics and learning rate over epochs.

The ledger says which trials there were and what came out of them, the logs that
MMEngine leaves in ``trials/<id>/<timestamp>/vis_data/scalars.json`` what was between.
Logs may be deleted; metrics of what was kept are in the ledger, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ff_mm.analysis.trajectory.trial_records import numbers, read_entries, read_logs
from ff_mm.display.titles import hyper_titles
from ff_mm.engine.schedulers.cycle import Cycle
from ff_mm.errors import LedgerError
from ff_mm.fission.ledger import LEDGER
from ff_mm.fission.record import trial_folder
from ff_mm.records import (
    NUMBER,
    Is,
    Optional,
    RecordError,
    Table,
)

# Steps of an epoch that the cycle is computed with; values do not depend on it.
_STEPS = 1000
# A forged number would be counted through for days.
_MOST_CYCLES = 10**4
# Points of a curve between two of its corners: on a logarithmic axis straight lines
# are curved.
_BETWEEN = 40

_CYCLICAL = Table(
    type=Is("'CyclicalLR'", lambda value: value == 'CyclicalLR'),
    max_value=NUMBER,
    min_value=NUMBER,
    cycle=Is('a positive number', lambda value: NUMBER.fits(value) and value > 0),
    phase=Optional(NUMBER),
)

#: Epochs from the start of a trial, and the learning rate at each.
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class TrialLog:
    """One finished trial.

    Attributes:
        id: Its id in the plan.
        stage: ``'probe'``, ``'base'`` or ``'fission'``.
        parent: The trial it started from, from its best epoch; None: from no other.
        hyper: Its hyper-parameters.
        epochs: How many it was trained.
        best_epoch: The one that was kept, from 1; None of a fission.
        snapshots: Number of the cycle by the epoch at whose end it was saved.
        metrics: Validation metrics by epoch, from 1; epochs that were not validated, or
            of which nobody knows, are not there.
        rates: Learning rate by epoch and step of the whole trial, both from 1, as
            logged: the one with which this step was made.
        schedule: The cyclical schedule of a fission, in epochs; None: it has none that
            is known.
        ingredients: SHA-256 of the ingredients that came out of it.
        logged: Whether there are logs of its training.
    """

    id: str
    stage: str
    parent: str | None
    hyper: Mapping[str, Any]
    epochs: int
    best_epoch: int | None
    snapshots: Mapping[int, int]
    metrics: Mapping[int, Mapping[str, float]]
    rates: Mapping[tuple[int, int], float]
    schedule: Cycle | None
    ingredients: tuple[str, ...]
    logged: bool

    def metric(self, name: str) -> dict[int, float]:
        """Returns a metric by epoch, where it is known."""
        known = {e: m[name] for e, m in sorted(self.metrics.items()) if name in m}
        return {epoch: value for epoch, value in known.items() if math.isfinite(value)}

    def learning_rate(self) -> Curve:
        """Returns the learning rate over the trial, as a curve.

        A cyclical one is in closed form, exact at each step and between; others are as
        logged, constant from a logged step back to the one before.
        """
        if self.schedule is None:
            return self._logged_rate()
        period = self.schedule.length / _STEPS
        corners = _corners(self.schedule.phase, period, self.epochs)
        at = np.unique(np.concatenate([_dense(corners), [self.epochs]]))
        return at, np.array([self.schedule.value_at(x * _STEPS) for x in at])

    def rate_of_epoch(self, epoch: int) -> float | None:
        """Returns the learning rate that was last logged in an epoch."""
        steps = [step for e, step in self.rates if e == epoch]
        return self.rates[epoch, max(steps)] if steps else None

    def _logged_rate(self) -> Curve:
        if not self.rates:
            return np.zeros(0), np.zeros(0)
        steps = np.array([step for _, step in sorted(self.rates)], float)
        values = np.array([self.rates[key] for key in sorted(self.rates)])
        ends = steps / _steps_an_epoch(self.rates)
        starts = np.concatenate([[0.0], ends[:-1]])
        return np.stack([starts, ends], 1).ravel(), np.repeat(values, 2)


@dataclass(frozen=True)
class Chain:
    """A base, and the fission that goes on from its best epoch.

    Attributes:
        generation: A name for the generation that it is of.
        base: The base; None: it has not been finished.
        fission: The fission; None: there is none, as after a grid search.
    """

    generation: str
    base: TrialLog | None
    fission: TrialLog | None

    @property
    def trials(self) -> list[TrialLog]:
        """The trials that there are."""
        return [trial for trial in (self.base, self.fission) if trial is not None]

    @property
    def hyper(self) -> Mapping[str, Any]:
        """The hyper-parameters of both."""
        return self.trials[-1].hyper

    def start(self, trial: TrialLog) -> int:
        """Returns how many epochs of the chain lie before a trial."""
        if self.base is None or trial is not self.fission:
            return 0
        return self.base.epochs


def read_trials(folder: str | Path) -> list[TrialLog]:
    """Reads the finished trials of a generation.

    Args:
        folder: Its work directory.

    Returns:
        In the order of the plan.

    Raises:
        LedgerError: There is no ledger, or it is damaged.
    """
    entries = read_entries(folder)
    try:
        return [_trial(e, Path(folder)) for e in entries if e['state'] == 'done']
    except RecordError as error:
        path = Path(folder) / LEDGER
        raise LedgerError(f'{path}: is not a ledger of ff_mm: {error}') from error


def chains(trials: Sequence[TrialLog], generation: str = '') -> list[Chain]:
    """Puts each base and the fission that started from it together.

    Args:
        trials: Of one generation.
        generation: A name for it.

    Returns:
        In the order of the plan.
    """
    bases = {trial.id: trial for trial in trials if trial.stage == 'base'}
    fissions = [trial for trial in trials if trial.stage == 'fission']
    continued = {fission.parent: fission for fission in fissions}
    found = [Chain(generation, b, continued.get(name)) for name, b in bases.items()]
    alone = [f for f in fissions if f.parent not in bases]
    return found + [Chain(generation, None, fission) for fission in alone]


def chain_titles(of: Sequence[Chain]) -> list[str]:
    """Tells chains apart by hyper-parameters, else also by their generation.

    Args:
        of: The chains, of one generation or several.
    """
    titles = hyper_titles([chain.hyper for chain in of])
    if len(set(titles)) == len(titles) > 1:
        return titles
    if len({chain.generation for chain in of}) == 1:
        return [chain.trials[-1].id for chain in of]
    return [f'{c.generation}: {title}' for c, title in zip(of, titles, strict=True)]


def epoch_rows(of: Sequence[Chain]) -> Iterator[dict[str, Any]]:
    """Lists what is known of each epoch of each trial, for a csv file.

    Args:
        of: The chains.

    Yields:
        ``generation``, ``trial``, ``stage``, ``epoch`` (of the trial), ``chain_epoch``
        (with those of the base before), ``lr`` (of the last step that was logged in the
        epoch), ``snapshot`` (number of the cycle that ends with it), ``chosen`` (1: the
        base's best epoch, from which the fission starts), and the metrics.
    """
    for chain in of:
        for trial in chain.trials:
            for epoch in range(1, trial.epochs + 1):
                yield dict(
                    generation=chain.generation,
                    trial=trial.id,
                    stage=trial.stage,
                    epoch=epoch,
                    chain_epoch=chain.start(trial) + epoch,
                    lr=trial.rate_of_epoch(epoch),
                    snapshot=trial.snapshots.get(epoch),
                    chosen=1 if epoch == trial.best_epoch else None,
                    **trial.metrics.get(epoch, {}),
                )


def root(trial: TrialLog, trials: Iterable[TrialLog]) -> TrialLog:
    """Returns the trial in which a chain of parents begins.

    Args:
        trial: Where to go back from.
        trials: Of its generation.
    """
    by_id = {each.id: each for each in trials}
    seen: set[str] = set()
    while trial.parent in by_id and trial.id not in seen:
        seen.add(trial.id)
        trial = by_id[trial.parent]
    return trial


def _trial(entry: Mapping[str, Any], folder: Path) -> TrialLog:
    epochs = entry['epochs']
    metrics, rates = read_logs(trial_folder(folder, entry['id']), epochs)
    kept = entry['ingredients']
    recorded = {r['epoch']: r['metrics'] for r in kept}
    if entry.get('best_epoch') is not None:
        recorded[entry['best_epoch']] = entry['metrics']
    for epoch, values in recorded.items():
        metrics.setdefault(epoch, numbers(values))
    return TrialLog(
        id=entry['id'],
        stage=entry['stage'],
        parent=entry.get('parent'),
        hyper=dict(entry['hyper']),
        epochs=epochs,
        best_epoch=entry.get('best_epoch'),
        snapshots={r['epoch']: r['cycle'] for r in kept if r.get('cycle') is not None},
        metrics=metrics,
        rates=rates,
        schedule=_schedule(entry['overrides'], epochs),
        ingredients=tuple(record['sha256'] for record in kept),
        logged=bool(rates),
    )


def _schedule(overrides: Mapping[str, Any], epochs: int) -> Cycle | None:
    """The cycle, if the learning rate is the plan's cyclical one and nothing else."""
    schedulers = overrides.get('param_scheduler')
    if not isinstance(schedulers, list) or len(schedulers) != 1:
        return None
    try:
        values = _CYCLICAL.read(schedulers[0])
    except RecordError:
        return None
    if epochs > _MOST_CYCLES * values['cycle']:
        raise RecordError(f'cycle {values["cycle"]} is too short for {epochs} epochs')
    in_epochs = values.get('by_epoch', True) and values.get('convert_to_iter_based')
    if not in_epochs or {'begin', 'end'} & set(values):
        return None
    if epochs > _MOST_CYCLES * float(values['cycle']):
        raise ValueError(f'cycle {values["cycle"]} is too short for {epochs} epochs')
    return Cycle(
        float(values['max_value']),
        float(values['min_value']),
        float(values['cycle']) * _STEPS,
        0.25 if values.get('phase') is None else float(values['phase']),
    )


def _corners(phase: float, period: float, epochs: int) -> np.ndarray:
    """Where the cycle turns, from 0 to the last epoch."""
    halves = np.arange(0, 2 * (epochs / period + 2))
    at = (halves / 2 - phase) * period
    return np.concatenate([[0.0], at[(at > 0) & (at < epochs)], [float(epochs)]])


def _dense(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([np.linspace(a, b, _BETWEEN) for a, b in pairwise(corners)])


def _steps_an_epoch(rates: Mapping[tuple[int, int], float]) -> float:
    """Steps of an epoch, as far as the logs tell.

    MMEngine leaves out the last steps of an epoch that are fewer than its interval, but
    in each epoch the same.
    """
    last = {epoch: step for epoch, step in sorted(rates)}
    (first, start), (end, step) = min(last.items()), max(last.items())
    steps = (step - start) / (end - first) if end > first else step / end
    return steps if steps > 0 else 1.0  # as where each epoch says the same step
