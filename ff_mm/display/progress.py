"""A bar over many things of one kind, such as images or evaluations."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ff_mm.display.console import duration, say, words

# Between two lines in a log file.
_SECONDS_BETWEEN_LINES = 5


class CountProgress:
    """Shows how many of many things are done, how fast, and the time left.

    On a terminal it is a bar that goes when it is done, elsewhere (a log file) a line
    for each tenth, unless it comes at once after the last one.

    Args:
        title: What is being done.
        total: How many there are.
        console: Where to draw.
        unit: What they are.
    """

    def __init__(
        self, title: str, total: int, console: Console, unit: str = 'images'
    ) -> None:
        self.title, self.total, self.console = title, total, console
        self.unit = unit
        self._done = 0
        self._began = self._said = time.perf_counter()
        self._bar = Progress(
            Description(),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(unit),
            TextColumn('left:'),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> CountProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        self._bar.advance(self._task)
        tenth = self._done * 10 // self.total
        if self._bar.disable and tenth != (self._done - 1) * 10 // self.total:
            self._say()

    def _say(self) -> None:
        now = time.perf_counter()
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return
        self._said = now
        left = (now - self._began) / self._done * (self.total - self._done)
        count = f'{self._done}/{self.total} {self.unit}'
        say(f'[{count}, {duration(left)} left] {self.title}', self.console)


class Description(ProgressColumn):
    """What is being done, which may have names of anyone in it."""

    def render(self, task: Task) -> Text:
        """Gives the task's description."""
        return words(task.description)


class _Speed(ProgressColumn):
    """How many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Gives the speed, or nothing before there is one."""
        speed = task.finished_speed or task.speed
        return Text(f'{speed:.3g} {self._unit}/s' if speed else '')
