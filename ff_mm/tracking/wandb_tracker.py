"""Weights & Biases: a group for each plan, with the trials as its runs."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.registry import VISBACKENDS

from ff_mm.tracking.tracker import MODEL, Tracker, read_image

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

_PROJECT = 'ff_mm'
# What numbers are drawn over, by the prefix of their names.
_AXES = {'train': 'iter', 'val': 'epoch', MODEL: 'epoch'}


@VISBACKENDS.register_module()
class WandbTracker(Tracker):
    """Writes a run to Weights & Biases.

    Args:
        save_dir (str): Where it keeps files until they are uploaded.
        run (dict): See :class:`ff_mm.tracking.tracker.Tracker`.
        init_kwargs (dict, optional): Of ``wandb.init``, such as ``project`` (default:
            ``'ff_mm'``), ``entity``, ``tags``, ``mode='offline'``.
        define_metric_cfg (dict or list[dict], optional): As MMEngine's backend has it:
            a summary by metric, or arguments of ``define_metric``.
    """

    title = 'Weights & Biases'
    package = 'wandb'

    def __init__(
        self,
        save_dir: str,
        run: Mapping[str, Any],
        init_kwargs: Mapping[str, Any] | None = None,
        define_metric_cfg: Mapping[str, str] | Sequence[Mapping] | None = None,
    ) -> None:
        super().__init__(save_dir, run)
        self._init_kwargs = dict(init_kwargs or {})
        self._define_metric_cfg = define_metric_cfg or ()

    def where(self) -> str:
        """The project and the group."""
        project = self._init_kwargs.get('project', _PROJECT)
        return f'project {project}, group {self.run["group"]}'

    @property
    def _experiment(self) -> Run:
        return self._run

    def _open(self) -> None:
        import wandb

        # What it prints would go through the progress bar of the plan.
        quiet = wandb.Settings(console='off', silent=True)
        defaults = dict(
            project=_PROJECT,
            group=self.run['group'],
            job_type=self.run['stage'],
            dir=self._save_dir,
            settings=quiet,
        )
        self._wandb = wandb
        Path(self._save_dir).mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            **{**defaults, **self._init_kwargs},
            name=self.run['name'],
            id=f'{self.run["id"]}-{self.run["name"]}',
            config=dict(self.run['hyper'], stage=self.run['stage']),
            resume='allow',
            reinit='create_new',
        )
        for prefix, axis in _AXES.items():
            self._run.define_metric(f'{prefix}/*', step_metric=axis)
        given = self._define_metric_cfg
        if isinstance(given, Mapping):
            given = [dict(name=name, summary=how) for name, how in given.items()]
        for arguments in given:
            self._run.define_metric(**arguments)

    def log_config(self, text: str) -> None:
        """As a value of the run's config."""
        self._run.config.update(dict(config=text), allow_val_change=True)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Over iterations or epochs, as the names say."""
        prefix = next(iter(scalars), '').partition('/')[0]
        self._run.log({**scalars, _AXES.get(prefix, 'epoch'): step})

    def log_image(self, name: str, image: np.ndarray, step: int) -> None:
        """As media."""
        self._run.log({name: self._wandb.Image(image)})

    def log_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """As a table."""
        data = [list(row) for row in rows]
        table = self._wandb.Table(columns=list(columns), data=data, allow_mixed_types=1)
        self._run.log({name: table})

    def log_file(self, name: str, path: Path) -> None:
        """As media; a report as it is typed."""
        if path.suffix == '.png':
            self.log_image(name, read_image(path), 0)
            return
        text = path.read_text(encoding='utf-8')
        if path.suffix != '.html':
            text = f'<pre>{html.escape(text)}</pre>'
        self._run.log({name: self._wandb.Html(text)})

    def _close(self) -> None:
        self._run.finish(exit_code=0 if self.finished else 1)
