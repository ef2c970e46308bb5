"""MLflow: an experiment for each plan, with the trials as runs below the plan's."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.registry import VISBACKENDS

from ff_mm.display.escaping import csv_cell
from ff_mm.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The tag by which a run is found again.
_RUN = 'ff_mm.run'
# What MLflow allows in names of metrics besides letters and digits.
_ALLOWED = set('_-. /:')


@VISBACKENDS.register_module()
class MLflowTracker(Tracker):
    """Writes a run to MLflow, without MLflow's global state.

    Args:
        save_dir (str): Not used; where runs go is MLflow's matter.
        run (dict): See :class:`ff_mm.tracking.tracker.Tracker`.
        exp_name (str, optional): The experiment; the group by default.
        tracking_uri (str, optional): As ``MLFLOW_TRACKING_URI``, which holds by
            default; without either it is a file in the current folder, as for
            ``mlflow ui``.
        tags (dict, optional): Further ones, of all runs.
        params (dict, optional): Further ones, of all runs.
        artifact_location (str, optional): Of an experiment that is new.
    """

    title = 'MLflow'
    package = 'mlflow'

    def __init__(
        self,
        save_dir: str,
        run: Mapping[str, Any],
        exp_name: str | None = None,
        tracking_uri: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        artifact_location: str | None = None,
    ) -> None:
        super().__init__(save_dir, run)
        self._exp_name = exp_name or run['group']
        self._uri = tracking_uri
        self._tags = dict(tags or {})
        self._params = dict(params or {})
        self._artifact_location = artifact_location

    def where(self) -> str:
        """The experiment, and the address of its server or file."""
        import mlflow

        uri = self._uri or mlflow.get_tracking_uri()
        return f'experiment {self._exp_name} at {uri}'

    @property
    def _experiment(self) -> MlflowClient:
        return self._client

    def _open(self) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self._client = MlflowClient(self._uri)
        experiment = self._client.get_experiment_by_name(self._exp_name)
        if experiment is None:
            try:
                self._experiment_id = self._client.create_experiment(
                    self._exp_name, self._artifact_location
                )
            except MlflowException:  # another process was first
                experiment = self._client.get_experiment_by_name(self._exp_name)
                if experiment is None:
                    raise
        if experiment is not None:
            self._experiment_id = experiment.experiment_id
        self._run_id = self._find(self.run['name']) or self._begin()
        self._client.update_run(self._run_id, status='RUNNING')

    def _find(self, name: str) -> str | None:
        """The id of the run of that name of this command."""
        found = self._client.search_runs(
            [self._experiment_id], f"tags.`{_RUN}` = '{self.run['id']}/{name}'"
        )
        return found[0].info.run_id if found else None

    def _begin(self) -> str:
        own = {
            _RUN: f'{self.run["id"]}/{self.run["name"]}',
            'ff_mm.stage': self.run['stage'],
            'ff_mm.work_dir': self.run['folder'],
        }
        parent = self.run.get('parent')
        if parent and (parent_id := self._find(parent)):
            own['mlflow.parentRunId'] = parent_id
        tags = {key: str(value) for key, value in {**self._tags, **own}.items()}
        run = self._client.create_run(
            self._experiment_id, tags=tags, run_name=self.run['name']
        )
        params = {'stage': self.run['stage'], **self.run['hyper'], **self._params}
        for key, value in params.items():
            self._client.log_param(run.info.run_id, _name(key), value)
        return str(run.info.run_id)

    def log_config(self, text: str) -> None:
        """As ``config.py`` of the artifacts."""
        self._client.log_text(self._run_id, text, 'config.py')

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """As metrics."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(_name(name), value, now, step) for name, value in scalars.items()
        ]
        self._client.log_batch(self._run_id, metrics=metrics)

    def log_image(self, name: str, image: np.ndarray, step: int) -> None:
        """As a file of the artifacts."""
        self._client.log_image(self._run_id, image, f'{_name(name)}_{step}.png')

    def log_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """As CSV, which its page shows as a table."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(map(csv_cell, columns))
        writer.writerows([map(csv_cell, row) for row in rows])
        self._client.log_text(self._run_id, text.getvalue(), f'{name}.csv')

    def log_file(self, name: str, path: Path) -> None:
        """As an artifact, in the same folders."""
        folder = name.rpartition('/')[0] or None
        self._client.log_artifact(self._run_id, str(path), folder)

    def _close(self) -> None:
        status = 'FINISHED' if self.finished else 'FAILED'
        self._client.set_terminated(self._run_id, status)


def _name(name: str) -> str:
    """A name with what MLflow does not allow in one replaced."""
    return ''.join(c if c.isalnum() or c in _ALLOWED else '_' for c in name)
