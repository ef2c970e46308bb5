"""One progress display over a whole plan."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ff_mm.display.console import duration, make_console, say
from ff_mm.display.numbers import overall, shown
from ff_mm.display.progress import Description
from ff_mm.parallel.team import Team, TeamError

# Seconds, in a log, after which an epoch that goes on is heard of.
_SILENCE = 60.0


class PlanProgress:
    """Shows how far a plan is, what runs, and the time left.

    On a terminal it is one bar with a line per finished trial; elsewhere (a log file)
    one line per epoch, and one for every minute of an epoch that takes long.

    Several processes that share out a plan each show their own lines, with the numbers
    of all.

    Args:
        entries: The ledger's entries as the plan goes on; epochs of trials that have
            ended count as done.
        console: Where to draw; standard output by default.
        team: The processes that carry out the plan; None: this one alone.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        console: Console | None = None,
        team: Team | None = None,
    ) -> None:
        self.console = console or make_console()
        self._team = team or Team.alone()
        ended = [entry for entry in entries if entry['state'] in ('done', 'failed')]
        self._planned = sum(entry['planned_epochs'] for entry in entries)
        self._began_at = sum(entry['planned_epochs'] for entry in ended)
        self._trials = len(entries)
        self._trials_ended = len(ended)
        self._began = time.perf_counter()
        self._trial, self._epoch, self._epochs = '', 0, 0
        one_of_many = self._team.size > 1 or not is_main_process()
        self._bar = Progress(
            Description(),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('epochs, left:'),
            TimeRemainingColumn(),
            console=self.console,
            disable=one_of_many or not self.console.is_terminal,
        )
        self._task = self._bar.add_task(
            'fission', total=self._planned, completed=self._began_at
        )

    def __enter__(self) -> PlanProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start_trial(self, trial_id: str, epoch: int, epochs: int) -> None:
        """A trial begins, or goes on after ``epoch`` epochs."""
        self._trial, self._epoch, self._epochs = trial_id, epoch, epochs
        self._last = ''
        self._at, self._heard = self._done, time.perf_counter()
        # Epochs of an earlier session say nothing about the speed of this one.
        self._add('epochs before', epoch)
        ended = self._trials_ended + self._add('trials', 0)
        number = f'trial {ended + 1}/{self._trials} {trial_id}'
        self._bar.update(self._task, description=number, completed=self._done)
        if epoch:
            self._line(f'{trial_id}: going on after epoch {epoch}')

    def within_epoch(self, part: float) -> None:
        """Training of the epoch after the last one goes on.

        Args:
            part: How much of it is done, from 0 to 1.
        """
        if not self._bar.disable:
            self._bar.update(self._task, completed=self._at + part)
        elif time.perf_counter() - self._heard >= _SILENCE:
            self._heard = time.perf_counter()
            now = f'{self._trial} epoch {self._epoch + 1}/{self._epochs}'
            self._line(f'[{self._done}/{self._total} epochs] {now}: {part:.0%} trained')

    def end_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """An epoch has been trained, and validated unless ``metrics`` is empty."""
        self._add('epochs', epoch - self._epoch)
        self._epoch = epoch
        self._at, self._heard = self._done, time.perf_counter()
        text = '  '.join(f'{k} {shown(metrics[k])}' for k in overall(metrics))
        self._last = text or self._last
        self._bar.update(self._task, completed=self._at)
        if self._bar.disable:
            self._line(
                f'[{self._at}/{self._total} epochs, {self._left()} left] '
                f'{self._trial} epoch {epoch}/{self._epochs}' + (text and f': {text}')
            )

    def end_trial(self) -> None:
        """A trial is over; what early stopping saved is no longer to come."""
        if not self._bar.disable:
            last = self._last and f', the last: {self._last}'
            self._line(f'{self._trial}: {self._epoch} epochs{last}')
        self._give_up()

    def fail_trial(self, trial_id: str, why: str) -> None:
        """A trial has failed, perhaps before it began."""
        if self._trial == trial_id:
            self._give_up()
        self._line(f'{trial_id} has failed ({why}) and is left out')

    def give_up_trial(self) -> None:
        """The trial that runs here is in other hands."""
        if self._trial:
            self._give_up()

    def note(self, text: str) -> None:
        """Says what the user should know, in a line."""
        self._line(f'note: {text}')

    def _give_up(self) -> None:
        self._add('epochs saved', self._epochs - self._epoch)
        self._add('trials', 1)
        self._trial = ''
        self._bar.update(self._task, total=self._total)

    @property
    def _done(self) -> int:
        here = self._add('epochs', 0) + self._add('epochs before', 0)
        return self._began_at + here

    @property
    def _total(self) -> int:
        return self._planned - self._add('epochs saved', 0)

    def _add(self, what: str, amount: int) -> int:
        try:
            return self._team.add(f'progress/{what}', amount)
        except TeamError:  # no reason to stop training: from here on count alone
            self._team = Team.alone()
            return self._add(what, amount)

    def _left(self) -> str:
        done = self._add('epochs', 0)
        if done < 1:
            return '?'
        pace = (time.perf_counter() - self._began) / done
        return duration(pace * (self._total - self._done))

    def _line(self, text: str) -> None:
        say(text, self.console)
