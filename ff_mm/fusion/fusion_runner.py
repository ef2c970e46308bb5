"""What all runners on a fusion config have in common: soups, and analyses of pools."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from mmengine.config import Config
from rich.console import Console

from ff_mm.config import check_selection, resolve
from ff_mm.display.console import make_console, say
from ff_mm.errors import ConfigError
from ff_mm.fusion.session import FusionSession
from ff_mm.fusion.soup_tracking import pool_group
from ff_mm.parallel.claim import only_one
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone
from ff_mm.tracking import TrackedRun, Tracking


class FusionRunner(ABC):
    """Works on the ingredients of a config, in one process or several.

    Built by ``RUNNERS.build(cfg)``. Config keys:

    - ``ingredients``: see :func:`ff_mm.merging.pool.read_pool`.
    - ``origin``: a file of the weights that their training began with, for merging
      methods that need them, or ``dict(file=..., check=False)`` if it lies far from
      the ingredients for good reasons; None: what ``ingredients.json`` says.
    - ``selection``: ``metric`` and ``rule`` (``'greater'`` or ``'less'``), which rank
      and select on the validation set.
    - ``model``, ``val_dataloader``, ``val_evaluator``, ``test_*``,
      ``ood_dataloaders``, ``evaluation``: see
      :class:`ff_mm.evaluation.model_evaluator.ModelEvaluator`.

    Args:
        cfg: The config, references not yet resolved.

    Raises:
        ConfigError: A key that is missing or unknown.

    Attributes:
        cfg: The config, resolved.
        work_dir: Where results go.
        metric: The one that selects.
        console: Where lines go.
        tracking: The trackers that the config asks for.
        tracked: The run in them; once :meth:`run` was called.
        session: What several runners of one command share; once :meth:`run` was called.
        stage: What the run is, as trackers have it.
    """

    stage: ClassVar[str]

    def __init__(self, cfg: Config) -> None:
        for key in ('ingredients', 'selection', 'model', 'val_dataloader'):
            if not cfg.get(key):
                raise ConfigError(f'{cfg.filename}: {key!r} is missing')
        check_selection(cfg)
        self.cfg = resolve(cfg)
        self.work_dir = Path(cfg.work_dir)
        self.metric = self.cfg.selection['metric']
        self.console = make_console()
        self.tracking = Tracking(self.cfg, pool_group(self.cfg.ingredients))

    @classmethod
    def from_cfg(cls, cfg: Config) -> FusionRunner:
        """Builds the runner, as MMEngine's registry asks for."""
        return cls(cfg)

    def run(self, session: FusionSession | None = None) -> Any:
        """Does the work.

        Passes that an interrupted run has made are not made again: they stand in
        ``evaluations.jsonl`` of the work directory. With several processes all of them
        call this; the first one writes and prints.

        Args:
            session: What several runners share; None: this is the only one, of the
                processes that ``cfg.launcher`` has started.

        Returns:
            Of a soup the report, as written to ``report.json``; of an analysis what it
            has found.

        Raises:
            DatasetError: All that is wrong with the data.
            CheckpointError: All that is wrong with the ingredients.
            InUseError: Another command is at work in the work directory.
            AnotherFailed: Another process has.
        """
        if session is None:
            team = Team.of_launcher(self.cfg.get('launcher', 'none'))
            with FusionSession(team) as session:
                return self.run(session)
        if not session.team.is_first:
            self.console = Console(quiet=True)
        self.session = session
        with ExitStack() as stack:
            first_alone(session.team, 'work_dir', lambda: self.take_work_dir(stack))
            run = TrackedRun(())
            if session.is_first:
                run = self.tracking.run(self.run_name, self.stage)
            self.tracked = stack.enter_context(run)
            found = self.carry_out(session)
            self.track(found)
            return found

    @property
    def run_name(self) -> str:
        """What the run is called in the trackers."""
        return self.work_dir.resolve().name

    def begin_tracking(self) -> None:
        """Begins the run in the trackers; all processes call it, once all is checked.

        Raises:
            ConfigError: A tracker cannot be used.
            AnotherFailed: For the first process one cannot.
        """
        first_alone(
            self.session.team,
            'trackers',
            lambda: self.tracked.begin(self.cfg, self.line),
        )

    @abstractmethod
    def carry_out(self, session: FusionSession) -> Any:
        """Does the work, with the work directory to itself.

        Once all is checked it calls :meth:`begin_tracking`.
        """

    @abstractmethod
    def track(self, found: Any) -> None:
        """Tells the trackers what was found.

        Args:
            found: What :meth:`carry_out` has returned.
        """

    def take_work_dir(self, stack: ExitStack) -> None:
        """Keeps other commands off the work directory; the first process calls it."""
        stack.enter_context(only_one(self.work_dir, '.fusion', notify=self.line))

    def line(self, text: str) -> None:
        """Prints a line for the user."""
        say(text, self.console)
