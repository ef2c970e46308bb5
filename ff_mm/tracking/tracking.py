"""Which trackers a config asks for, and the runs of one command on them."""

from __future__ import annotations

import copy
import inspect
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS

from ff_mm.errors import ConfigError
from ff_mm.files import read_json, write_json
from ff_mm.tracking.mlflow_tracker import MLflowTracker
from ff_mm.tracking.tensorboard_tracker import TensorboardTracker
from ff_mm.tracking.tracked_run import TrackedRun
from ff_mm.tracking.tracker import Tracker
from ff_mm.tracking.wandb_tracker import WandbTracker
from ff_mm_commands.trackers import TRACKERS

KEY = 'visualizer.vis_backends'
#: The name of a command in the trackers, kept in its work directory.
TRACKING_FILE = 'tracking.json'
#: The run of a plan as a whole, to which those of its trials belong.
PLAN = 'plan'
# Backends of MMEngine -> what takes their place.
_KINDS: dict[str, type[Tracker]] = {
    TRACKERS['tensorboard']: TensorboardTracker,
    TRACKERS['mlflow']: MLflowTracker,
    TRACKERS['wandb']: WandbTracker,
}
# Options of MMEngine's backends that are of each run, and not of all.
_OF_EACH_RUN = ('name', 'id', 'group', 'resume', 'reinit')


def add_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Adds trackers to those that a config asks for.

    Args:
        cfg: The config, changed in place.
        names: Of :data:`ff_mm_commands.trackers.TRACKERS`.
    """
    there = [_type_of(backend) for backend in _backends(cfg)]
    new = [TRACKERS[name] for name in names if TRACKERS[name] not in there]
    if new:
        _set(cfg, [*_backends(cfg), *(dict(type=kind) for kind in new)])


def without_trackers(cfg: Config) -> None:
    """Takes the trackers out of a config, and leaves all other backends.

    Args:
        cfg: The config, changed in place.
    """
    backends = _backends(cfg)
    kept = [backend for backend in backends if _type_of(backend) not in _KINDS]
    if len(kept) < len(backends):
        _set(cfg, kept)


class Tracking:
    """The runs of one command, on the trackers that its config asks for.

    Args:
        cfg: The config, references resolved; ``visualizer.vis_backends`` names the
            trackers, as for MMEngine.
        group: What the runs belong to; the name of the work directory by default.

    Raises:
        ConfigError: A tracker that is not installed, or an option that it has not.
    """

    def __init__(self, cfg: Config, group: str | None = None) -> None:
        self._folder = Path(cfg.work_dir)
        self._group = group or self._folder.resolve().name
        self._backends = [
            dict(backend, type=_KINDS[kind])
            for backend in _backends(cfg)
            if (kind := _type_of(backend)) in _KINDS
        ]
        for backend in self._backends:
            _check(backend)

    def __bool__(self) -> bool:
        """Whether the config asks for any tracker."""
        return bool(self._backends)

    def run(self, name: str, stage: str) -> TrackedRun:
        """Returns a run of this command, which is not yet begun.

        Args:
            name: Its name, unique within the work directory.
            stage: What it is: ``'plan'``, ``'soup'``, ``'comparison'``.
        """
        return TrackedRun(list(map(VISBACKENDS.build, self._of_run(name, stage, {}))))

    def put_into(
        self, cfg: Config, name: str, stage: str, hyper: Mapping[str, Any]
    ) -> None:
        """Has a training run log to the trackers.

        Args:
            cfg: Of the run, without trackers; changed in place.
            name: The trial.
            stage: Its stage.
            hyper: Its hyper-parameters.
        """
        if self._backends:
            own = [
                dict(backend, type=backend['type'].__name__)
                for backend in self._of_run(name, stage, hyper, PLAN)
            ]
            _set(cfg, [*_backends(cfg), *own])

    def _of_run(
        self,
        name: str,
        stage: str,
        hyper: Mapping[str, Any],
        parent: str | None = None,
    ) -> list[dict[str, Any]]:
        if not self._backends:
            return []
        run = dict(
            folder=str(self._folder),
            group=self._group,
            name=name,
            stage=stage,
            id=self._id(),
            hyper=dict(hyper),
            parent=parent,
        )
        save_dir = str(self._folder / 'tracking')
        return [
            {'save_dir': save_dir, **copy.deepcopy(backend), 'run': run}
            for backend in self._backends
        ]

    def _id(self) -> str:
        """What tells this command from others of its name; a new one for a new folder.

        A tracker that is asked for it goes on with the runs of that id.
        """
        path = self._folder / TRACKING_FILE
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            return str(read_json(path)['id'])
        write_json(dict(id=secrets.token_hex(4)), path)
        return self._id()


def _check(backend: Mapping[str, Any]) -> None:
    kind: type[Tracker] = backend['type']
    kind.check()
    known = set(inspect.signature(kind).parameters) - {'run'}
    inner = backend.get('init_kwargs') or {}
    given = [key for key in backend if key != 'type']
    wrong = [key for key in given if key not in known]
    wrong += [f'init_kwargs.{key}' for key in _OF_EACH_RUN if key in inner]
    if wrong:
        raise ConfigError(
            f'{KEY}: {kind.title} takes no {wrong[0]} in ff_mm, which names its runs '
            f'itself; leave it out, it takes {", ".join(sorted(known))}'
        )


def _backends(cfg: Config) -> list[Any]:
    if not cfg.get('visualizer'):
        return [dict(type='LocalVisBackend')]  # that MMEngine then has
    found = cfg.visualizer.get('vis_backends') or []
    return [found] if isinstance(found, Mapping) else list(found)


def _type_of(backend: Any) -> str:
    kind = backend.get('type') if isinstance(backend, Mapping) else None
    return kind if isinstance(kind, str) else getattr(kind, '__name__', '')


def _set(cfg: Config, backends: Sequence[Any]) -> None:
    visualizer = cfg.get('visualizer') or dict(type='Visualizer')
    cfg.visualizer = dict(visualizer, vis_backends=[dict(each) for each in backends])
