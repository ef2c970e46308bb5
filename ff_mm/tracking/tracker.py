"""What all experiment trackers have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.visualization import BaseVisBackend

from ff_mm.display.console import make_console, say
from ff_mm.engine.worker_failures import what_it_says
from ff_mm.errors import ConfigError

#: What begins the names of numbers that a model has which is kept: a snapshot, the best
#: epoch, a soup. So all of them can be sorted by one column.
MODEL = 'model'


class Tracker(BaseVisBackend):
    """A visualization backend of MMEngine that writes one run, and goes on with it.

    MMEngine's own begins a new run whenever it is built, of which nothing says to what
    plan it belongs; some cannot go on at all. Here a run has a name, and whoever opens
    it again goes on where it was.

    A tracker shows copies of what stands in files. So one that fails while work goes on
    is said once and left alone: hours of training do not end since a server is gone.

    Args:
        save_dir (str): Where the tracker may write.
        run (dict): Which run it is: ``folder`` (the work directory of the command),
            ``group``, ``name``, ``stage``, ``id`` (of the command, kept in its work
            directory) and ``hyper`` (hyper-parameters).

    Attributes:
        finished: Whether the run has ended as it should; said when it is closed.
    """

    #: As people call it.
    title: ClassVar[str]
    #: What must be installed, and the extra of ff_mm that brings it.
    package: ClassVar[str]

    def __init__(self, save_dir: str, run: Mapping[str, Any]) -> None:
        super().__init__(save_dir)
        self.run = dict(run)
        self.finished = False
        self._is_open = False
        self._failed = False

    @classmethod
    def check(cls) -> None:
        """Refuses, before any work, a tracker that is not installed.

        Raises:
            ConfigError: Says what to install.
        """
        if find_spec(cls.package) is None:
            raise ConfigError(
                f'visualizer.vis_backends: {cls.title} needs {cls.package}: '
                f"pip install 'ff_mm[{cls.package}]'"
            )

    def open(self) -> None:
        """Begins the run, or goes on with it.

        Raises:
            ConfigError: It cannot be, and why.
        """
        if self._is_open:
            return
        try:
            self._open()
        except Exception as error:
            self._failed = True
            raise ConfigError(
                f'{self.title} ({self.where()}) cannot be used: {what_it_says(error)}; '
                'mend that, or leave it out of visualizer.vis_backends'
            ) from error
        self._is_open = True

    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Keeps the config as text."""
        self._safely(lambda: self.log_config(config.pretty_text))

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Adds a number."""
        self.add_scalars({name: value}, step)

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Adds numbers of one step; what is none is left out."""
        numbers = {
            name: float(value)
            for name, value in scalar_dict.items()
            if np.ndim(value) == 0 and not isinstance(value, (str, bool, type(None)))
        }
        self._safely(lambda: self.log_scalars(numbers, step))

    def add_image(
        self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any
    ) -> None:
        """Adds an image, RGB."""
        self._safely(lambda: self.log_image(name, image, step))

    def add_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Adds a table, in the place of an earlier one of that name.

        Args:
            name: What it is, fit for the name of a file.
            columns: Their headers.
            rows: Texts, numbers and None, as many as there are columns.
        """
        self._safely(lambda: self.log_table(name, columns, rows))

    def add_file(self, name: str, path: Path) -> None:
        """Adds a file: a plot (``.png``), a report (``.md``, ``.html``).

        Args:
            name: What it is, perhaps in folders (``val/paths_loss``), without suffix.
            path: The file.
        """
        self._safely(lambda: self.log_file(name, path))

    def add_begin(self, step: int) -> None:
        """Says that from this step on all is told anew, after an interruption."""
        self._safely(lambda: self.log_begin(step))

    def close(self) -> None:
        """Ends the run; it can be opened again."""
        if self._is_open:
            self._safely(self._close)
            self._is_open = False

    @property
    def experiment(self) -> Any:
        """What the tracker's own package offers for this run."""
        self.open()
        return self._experiment

    def _init_env(self) -> None:
        self.open()

    def _safely(self, work: Callable[[], None]) -> None:
        """Does something with the tracker, until that fails for the first time."""
        if self._failed:
            return
        try:
            self.open()
            work()
        except Exception as error:
            self._failed = True
            said = what_it_says(error)
            if not isinstance(error, ConfigError):
                said = f'{self.title} ({self.where()}): {said}'
            note = f'note: {self.run["name"]} is logged no further, the work goes on'
            say(f'{note}: {said}', make_console())

    @abstractmethod
    def where(self) -> str:
        """Says where one looks at it, in a few words."""

    @property
    @abstractmethod
    def _experiment(self) -> Any:
        """See :attr:`experiment`; the run is open."""

    @abstractmethod
    def _open(self) -> None:
        """Begins the run, or goes on with it."""

    @abstractmethod
    def log_config(self, text: str) -> None:
        """See :meth:`add_config`; as all that follow it may raise anything."""

    @abstractmethod
    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """See :meth:`add_scalars`."""

    @abstractmethod
    def log_image(self, name: str, image: np.ndarray, step: int) -> None:
        """See :meth:`add_image`."""

    @abstractmethod
    def log_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """See :meth:`add_table`."""

    @abstractmethod
    def log_file(self, name: str, path: Path) -> None:
        """See :meth:`add_file`."""

    def log_begin(self, step: int) -> None:
        """See :meth:`add_begin`; most trackers replace what is told again."""

    @abstractmethod
    def _close(self) -> None:
        """Ends the run, as :attr:`finished` or not."""


def read_image(path: Path) -> np.ndarray:
    """Reads a plot as RGB."""
    return np.asarray(mmcv.imread(str(path), channel_order='rgb'))
