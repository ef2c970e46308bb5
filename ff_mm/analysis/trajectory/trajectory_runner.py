"""Trajectories of a generation, and where its ingredients ended up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.registry import RUNNERS
from torch import Tensor

from ff_mm.analysis.pool_analysis import PoolAnalysis
from ff_mm.analysis.trajectory.diversity import diversity
from ff_mm.analysis.trajectory.pair_relations import PairRelations, relations_table
from ff_mm.analysis.trajectory.training_log import (
    Chain,
    TrialLog,
    chain_titles,
    chains,
    epoch_rows,
    read_trials,
    root,
)
from ff_mm.analysis.trajectory.trajectory_plot import trajectory_plot
from ff_mm.config import check_names
from ff_mm.display.csv_file import write_csv
from ff_mm.display.figures import save_figure
from ff_mm.display.progress import CountProgress
from ff_mm.engine.hooks.best_checkpoint_hook import BEST_FILE
from ff_mm.errors import ConfigError, LedgerError
from ff_mm.evaluation.prediction_store import PredictionStore
from ff_mm.evaluation.predictions import Predictions
from ff_mm.fission.record import trial_folder
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.pool import PoolEntry
from ff_mm.parallel.together import first_alone, in_turn
from ff_mm.weight_space.geometry import Geometry, weight_geometry, weight_names

PREDICTIONS = 'predictions'
_PROBE = 'probe'


@dataclass(frozen=True)
class TrajectoryOptions:
    """The values of a config's ``trajectory``.

    Attributes:
        split: On which ingredients predict: ``'val'``, ``'test'`` or ``'ood/<name>'``.
        trials: Ids of bases and fissions whose chains to draw; None: all.
        origin: From where directions are seen in which models were moved: ``'probe'``,
            the probe that each was trained from, if the generation has one and its
            ``best.pth`` is still there; a checkpoint file; or None, 0.
        metrics: Names of metrics to draw; None: the one that selects, and the loss.
    """

    split: str = 'val'
    trials: Sequence[str] | None = None
    origin: str | None = _PROBE
    metrics: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_names('trajectory.trials', self.trials)
        check_names('trajectory.metrics', self.metrics)
        if not _is_text(self.split):
            raise ConfigError(f"trajectory.split={self.split!r}: expected 'val'")
        if self.origin is not None and not _is_text(self.origin):
            raise ConfigError(
                f"trajectory.origin={self.origin!r}: expected 'probe', a checkpoint "
                'file, or None'
            )


@RUNNERS.register_module()
class TrajectoryRunner(PoolAnalysis[TrajectoryOptions]):
    """Shows how ingredients came about, how far apart they are, and how different.

    Metrics and learning rate over epochs for pools that are an ``ingredients.json``;
    distances and directions in weight space, and disagreement of predictions against
    them, for any pool of two or more. What is known of a set stays if another is asked
    for.

    Config key ``trajectory``: see :class:`TrajectoryOptions`. What is left in
    ``<work_dir>/trajectory/``: ``trajectory`` (png, svg) and ``epochs.csv``
    (:func:`ff_mm.analysis.trajectory.training_log.epoch_rows`), the files of
    :meth:`ff_mm.analysis.trajectory.pair_relations.PairRelations.write`, and
    ``predictions/``, of which none is made again.
    """

    name = 'trajectory'
    options_type = TrajectoryOptions

    def splits(self) -> Sequence[str]:
        """Returns the set on which ingredients predict."""
        return ('val', self.options.split)

    def analyse(self) -> PairRelations | None:
        """Predicts, and lets the first process compute and write all else.

        Returns:
            The figures of all pairs, in the first process; None in the others, and for
            a pool of one.

        Raises:
            ConfigError: There is no such trial, or passes are split over processes.
            CheckpointError: The origin cannot be read or is of another network.
        """
        trials = self._trials()
        drawn = self._chains(trials)
        self._draw_chains(drawn)
        if len(self.ingredients) < 2:
            self.line('one ingredient: there are no pairs to look at')
            return None
        task = self.setup.evaluator.task
        if not task.has_scores:
            self.line(
                'no pairs: their disagreement needs the class that a model predicts, '
                f'which task {type(task).__name__!r} does not have'
            )
            return None
        self._predict_all()
        found: list[PairRelations] = []
        first_alone(
            self.session.team, 'relations', lambda: found.append(self._relate(trials))
        )
        return found[0] if found else None

    def _trials(self) -> dict[Path, list[TrialLog]]:
        """Trials of the pool's generations, as far as ledgers tell, by folder."""
        found: dict[Path, list[TrialLog]] = {}
        folders = list(dict.fromkeys(_generations(self.cfg.ingredients)))
        if not folders:
            self.line('no trajectory: the pool is of checkpoints, of no generation')
        for folder in folders:
            try:
                found[folder] = read_trials(folder)
            except LedgerError as error:
                self.line(f'no trajectory: {error}')
                continue
            if silent := [trial.id for trial in found[folder] if not trial.logged]:
                self.line(
                    f'{folder}: no training log of {", ".join(silent)}; only the '
                    'metrics of what was kept are drawn'
                )
        return found

    def _chains(self, trials: Mapping[Path, Sequence[TrialLog]]) -> list[Chain]:
        asked = self.options.trials
        found = [
            chain
            for folder, of_folder in trials.items()
            for chain in chains(of_folder, _short(folder, trials))
        ]
        if asked is None:
            return found
        known = [trial.id for chain in found for trial in chain.trials]
        if unknown := [each for each in asked if each not in known]:
            raise ConfigError(
                f'trajectory.trials: there is no trial {unknown[0]!r}; finished bases '
                f'and fissions of the pool: {", ".join(known) or "none"}'
            )
        return [c for c in found if {trial.id for trial in c.trials} & set(asked)]

    def _draw_chains(self, drawn: Sequence[Chain]) -> None:
        """Writes the trajectories; before predictions, as it takes no time."""
        metrics = {m: self.rule(m) for m in self.metrics(self.options.metrics)}
        trials = [trial for chain in drawn for trial in chain.trials]
        unknown = [m for m in metrics if not any(t.metric(m) for t in trials)]
        if trials and unknown:
            self.line(f'no trajectory of {", ".join(unknown)}: it was not recorded')
        metrics = {m: rule for m, rule in metrics.items() if m not in unknown}

        def write() -> None:
            write_csv(self.folder / 'epochs.csv', epoch_rows(drawn))
            figure = trajectory_plot(drawn, chain_titles(drawn), metrics)
            save_figure(figure, self.folder / self.name)
            self.line(f'{self.folder / self.name}.png')

        if metrics and drawn:
            first_alone(self.session.team, 'trajectories', write)

    def _predict_all(self) -> None:
        """Has each ingredient predict, unless it has; processes share them out."""
        if self.setup.team.size < self.session.team.size:
            raise ConfigError(
                'trajectory: models predict in passes of one process each; give '
                '--cfg-options evaluation.parallel=candidates, or start one process'
            )
        # What all processes do at the same time, and so not within a task of one.
        self._digests = self.session.digests(self.pool)
        self._store = PredictionStore(
            self.folder / PREDICTIONS, self.setup.evaluator, self.line
        )
        number = len(self.ingredients)

        def predict(name: str) -> None:
            self._predictions(name)

        with CountProgress('predictions', number, self.console, 'models') as progress:
            in_turn(
                self.setup.team,
                PREDICTIONS,
                list(self.ingredients),
                predict,
                lambda *_: progress.advance(),
            )

    def _predictions(self, name: str) -> Predictions:
        """What an ingredient predicts, from the store if it is there."""
        recipe, split = {self._digests[name]: 1.0}, self.options.split
        found = self._store.get(recipe, self.ingredients[name].load, [split])
        return found[split]

    def _relate(self, trials: Mapping[Path, Sequence[TrialLog]]) -> PairRelations:
        origins, directions = self._origins(trials)
        found = PairRelations(
            hypers={entry.name: entry.hyper for entry in self.pool.entries},
            geometry=self._geometry(origins),
            diversity=diversity(
                {name: self._predictions(name) for name in self.ingredients}
            ),
            split=self.options.split,
            directions=directions,
        )
        for file in found.write(self.folder):
            self.line(str(file))
        relations_table(found.by_difference(), found.split, self.console)
        return found

    def _geometry(self, origins: Sequence[Mapping[str, Tensor]] | None) -> Geometry:
        models = [ingredient.in_passing() for ingredient in self.ingredients.values()]
        total = len(weight_names(models[0]))
        with CountProgress('weights', total, self.console, 'tensors') as progress:
            return weight_geometry(models, origins, progress.advance)

    def _origins(
        self, trials: Mapping[Path, Sequence[TrialLog]]
    ) -> tuple[list[Mapping[str, Tensor]] | None, str]:
        """Where each ingredient comes from, and what directions then are called."""
        asked = self.options.origin
        if asked is None:
            return None, 'weights'
        if asked != _PROBE:
            start = self._read_origin(Path(asked))
            return [start] * len(self.ingredients), f'displacements from {asked}'
        found = [_probe_file(entry, trials) for entry in self.pool.entries]
        files = [file for file in found if file is not None and file.is_file()]
        if len(files) < len(found):
            missing = (f'no {file}' for file in found if file and file not in files)
            where = next(missing, 'no probe')
            self.line(
                f'{where}: cosines are of the weights themselves; trajectory.origin '
                'takes another checkpoint to start from'
            )
            return None, 'weights'
        starts = {file: self._read_origin(file) for file in dict.fromkeys(files)}
        return [starts[file] for file in files], 'displacements from the probe'

    def _read_origin(self, file: Path) -> Mapping[str, Tensor]:
        checkpoint = CheckpointFile(file)
        self.setup.evaluator.check(checkpoint.weights(), str(file))
        return checkpoint.in_passing()


def _generations(source: Any) -> Iterator[Path]:
    """The folders of the generations among the sources of a pool."""
    for each in source if isinstance(source, list | tuple) else [source]:
        if isinstance(each, str) and each.endswith('.json'):
            yield Path(each).parent


def _short(folder: Path, all_folders: Mapping[Path, Any]) -> str:
    """The folder's name, or its path if others have the same name."""
    same = [other for other in all_folders if other.name == folder.name]
    return folder.name if len(same) == 1 else str(folder)


def _probe_file(
    entry: PoolEntry, trials: Mapping[Path, Sequence[TrialLog]]
) -> Path | None:
    """The probe's best checkpoint, which an ingredient's training began from."""
    for folder, of_folder in trials.items():
        # Copies of a generation have ingredients of the same digests.
        if not entry.file.is_relative_to(folder):
            continue
        for trial in of_folder:
            if entry.digest in trial.ingredients:
                first = root(trial, of_folder)
                is_probe = first.stage == _PROBE
                return trial_folder(folder, first.id) / BEST_FILE if is_probe else None
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
