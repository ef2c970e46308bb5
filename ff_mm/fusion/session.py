"""What the fusions of one command have in common, done once."""

from __future__ import annotations

import copy
import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_distributed, is_main_process
from mmengine.registry import init_default_scope

from ff_mm.config import ANALYSES
from ff_mm.config_loaders import ood_dataloaders
from ff_mm.datasets.checks.check import check_datasets
from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.sharing import (
    build_dataset,
    forget_datasets,
    keep_dataset,
)
from ff_mm.errors import ConfigError
from ff_mm.evaluation.memo import EvaluationMemo
from ff_mm.evaluation.metrics.dry_run import DryRun, dry_run
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.options import EvaluationOptions
from ff_mm.files import sha256
from ff_mm.fusion.pool_placement import place
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.folds import refuse_folds
from ff_mm.merging.methods import Supply
from ff_mm.merging.placement import Placement
from ff_mm.merging.pool import Origin, Pool, PoolEntry, read_pool
from ff_mm.merging.scorer import Rule
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone, together
from ff_mm.tasks import scope_of, task_of

# Key of a fusion config's validation sets of single folds.
FOLD_LOADERS = 'fold_dataloaders'
# Keys of a fusion config that evaluations do not depend on.
_OF_ONE_SOUP = (
    'runner_type',
    'soup',
    'selection',
    'ingredients',
    'origin',
    'work_dir',
    *ANALYSES,
)


@dataclass(frozen=True)
class EvaluationSetup:
    """Where candidates are evaluated.

    Attributes:
        evaluator: The network and the sets.
        dry_run: What the validation metrics give, if that can be known beforehand.
        team: The processes that share out candidates; this one alone where there are
            no others, or where passes are split over them.
    """

    evaluator: ModelEvaluator
    dry_run: DryRun | None
    team: Team

    def rule(self, metric: str, selection: Mapping[str, str]) -> Rule:
        """Says whether a ``'greater'`` or a ``'less'`` value of a metric is better.

        Args:
            metric: The metric.
            selection: That of the config: ``metric`` and ``rule``.

        Raises:
            ConfigError: There is no such metric, or it is no number.
        """
        if self.dry_run is not None:
            return self.dry_run.rule(metric)
        if metric == selection['metric']:
            return 'less' if selection['rule'] == 'less' else 'greater'
        return usual_rule(metric)

    def recorded(self, pool: Pool) -> dict[str, Mapping[str, Any]]:
        """Returns validation metrics of ingredients that need not be taken again.

        They were recorded at training, on these images with this pipeline, and none of
        the config's is missing. In another precision the same model has other ones.

        Args:
            pool: The ingredients.
        """
        if self.dry_run is None or self.evaluator.options.dtype is not None:
            return {}
        return {
            entry.name: entry.metrics
            for entry in pool.entries
            if entry.is_validated_on(self.evaluator.validation)
            and self.dry_run.has_such(entry.metrics)
        }

    @property
    def has_loss(self) -> bool:
        """Whether validation gives a loss."""
        return self.dry_run is not None and 'loss' in self.dry_run.perfect


def usual_rule(metric: str) -> Rule:
    """Says which value of a metric is better, by its name alone."""
    return 'less' if 'loss' in metric else 'greater'


class FusionSession:
    """Pools read, data checked, networks built and passes made, each but once.

    Use it as a context, so that what is global in MMEngine is released.

    Args:
        team: The processes of the command, which all do the same calls; None: this one
            has no others. Files are read and checked by the first of them, then by the
            others: what it unpacks or downloads, they find.
        scratch: Where logs go and nothing else is written; for who only wants to know
            what there is to do. None: work directories are written to.
    """

    def __init__(self, team: Team | None = None, scratch: Path | None = None) -> None:
        self.team = team or Team.alone()
        self._scratch = scratch
        self._pools: dict[str, Pool] = {}
        self._setup: EvaluationSetup | None = None
        self._setup_of = ''
        self._known: dict[str, Any] = {}
        self._unchecked: set[str] = set()
        #: Files of statistics of models, by what they are of.
        self.statistics: dict[str, Path] = {}
        self._digests: dict[Path, str] = {}
        self._placement: tuple[list[CheckpointFile], Placement] | None = None

    def __enter__(self) -> FusionSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.team.is_first and is_main_process()

    def pool(self, source: Any, origin: Origin = None, folds: bool = False) -> Pool:
        """Reads a pool and checks that its files are whole and fit each other.

        Args:
            source: Its ingredients, as the config has them.
            origin: What their training began with, if the config says it.
            folds: Whether nothing is going to be validated on images that some of the
                ingredients were trained on.

        Raises:
            ConfigError: A source that is none, or one of a plan with folds.
            CheckpointError: All that is wrong with the files.
        """
        key = json.dumps([source, origin], default=str)

        def check() -> None:
            pool = read_pool(source, origin)
            pool.check()
            self._pools[key] = pool

        if key not in self._pools:
            first_alone(self.team, 'pool', check)
        if key not in self._pools:
            self._pools[key] = read_pool(source, origin)
        pool = self._pools[key]
        refuse_folds([] if folds else [e.name for e in pool.entries if e.seen])
        return pool

    def without_copies(self, pool: Pool) -> Pool:
        """Returns a pool in which no model is twice; all processes leave out the same.

        Args:
            pool: One of :meth:`pool`.
        """
        copies = first_alone(self.team, 'copies', pool.find_copies)
        return pool.without_copies(copies) if copies else pool

    def digests(self, pool: Pool) -> dict[str, str]:
        """What names the weights of a pool by content, by the names of its entries."""
        files = dict.fromkeys(e.file for e in pool.entries if e.digest is None)
        unknown = [file for file in files if file not in self._digests]
        found = first_alone(self.team, 'sha256', lambda: list(map(sha256, unknown)))
        self._digests.update(zip(unknown, found, strict=True))
        return {
            e.name: e.digest or e.checkpoint.named(self._digests[e.file])
            for e in pool.entries
        }

    def supplies(self, pool: Pool) -> dict[str, Supply]:
        """Returns what merging methods can have besides the ingredients of a pool."""
        if pool.origin is None:
            return {}
        origin = pool.origin.ingredient('', None)
        return dict(origin=Supply(origin, self._digest(pool.origin)))

    def _digest(self, entry: PoolEntry) -> str:
        if entry.digest is not None:
            return entry.digest
        if entry.file not in self._digests:
            found = first_alone(self.team, 'sha256', lambda: sha256(entry.file))
            self._digests[entry.file] = found
        return self._digests[entry.file]

    def setup(self, cfg: Config, notify: Callable[[str], None]) -> EvaluationSetup:
        """Checks the data of a config, and builds what evaluates.

        Args:
            cfg: A resolved fusion config.
            notify: Takes lines for the user.

        Raises:
            DatasetError: All that is wrong with the data.
            ConfigError: A head that does not fit it; candidates are to be shared out
                after passes of another config have been split, or by processes that
                see different data.
            AnotherFailed: Another process has.
        """
        tree = {k: v for k, v in cfg.to_dict().items() if k not in _OF_ONE_SOUP}
        key = json.dumps(tree, sort_keys=True, default=str)
        if self._setup is None or key != self._setup_of:
            self._clear()
            dry_run = self._check_data(cfg)
            team = self._sharing(cfg)
            if team.size > 1:
                cfg = _of_one_process(cfg, team)
            if self._scratch is not None:
                cfg = copy.deepcopy(cfg)
                cfg.work_dir = str(self._scratch)
            self._setup = EvaluationSetup(ModelEvaluator(cfg, notify), dry_run, team)
            self._setup_of = key
            _require_equal_sets(self._setup)
            evaluator = self._setup.evaluator
            # Times of files can differ between machines, and what is known of models
            # must not.
            evaluator.images = first_alone(
                self.team, 'images on disk', lambda: evaluator.images
            )
            forget_datasets()  # the evaluator has its own hold of what it needs
        return self._setup

    def placement(self, pool: Pool, notify: Callable[[str], None]) -> Placement:
        """Says where models of a pool are added up, see :func:`place`.

        It is the same for all of its soups; one pool is kept at a time.

        Args:
            pool: One of :meth:`pool`.
            notify: Takes a line where it stays.
        """
        assert self._setup is not None
        models = [entry.checkpoint for entry in pool.entries]
        if self._placement is None or self._placement[0] != models:
            self._placement = None  # before another takes its room
            placement = place(self._setup.evaluator, len(models), notify)
            self._placement = models, placement
        return self._placement[1]

    @property
    def sharing(self) -> Team:
        """The processes that share out models; once :meth:`setup` was called."""
        return self.team if self._setup is None else self._setup.team

    def memo(
        self, path: Path, notify: Callable[[str], None], trains: bool = False
    ) -> EvaluationMemo:
        """Opens the memo of one soup; all know what each of them does.

        Args:
            path: Its file.
            notify: Takes a line where evaluations are of other images than these.
            trains: Whether training images go into evaluations, as where batch norm is
                re-estimated.
        """
        assert self._setup is not None
        evaluator = self._setup.evaluator
        images = dict(evaluator.images)
        if trains:
            images['train'] = evaluator.training_images
        memo = EvaluationMemo(self._known, self.team, self._unchecked, images)
        memo.open(path, goes_on=self._scratch is None)
        for note in memo.notes:
            notify(f'note: {note}')
        return memo

    def _check_data(self, cfg: Config) -> DryRun | None:
        found: list[DryRun | None] = []

        def check() -> None:
            if not found:
                found.append(check_data(cfg))

        first_alone(self.team, 'data of the first', check)
        together(self.team, 'data', check)
        return found[0]

    def _sharing(self, cfg: Config) -> Team:
        """The team, if its processes share out candidates; else this process alone."""
        if self.team.size == 1:
            return self.team
        options = EvaluationOptions.from_config(cfg.get('evaluation'))
        parallel = options.parallel
        if is_distributed():
            if parallel == 'candidates':
                raise ConfigError(
                    f"{cfg.filename}: evaluation.parallel='candidates' in a command "
                    'that has split passes of another config over the images; give the '
                    'two in two commands'
                )
            parallel = 'images'
        if parallel == 'auto':
            hosts = together(self.team, 'host', socket.gethostname)
            kept = _kept_bytes(cfg) * max(Counter(hosts).values())
            fits = first_alone(self.team, 'fits', lambda: kept <= options.cache_memory)
            parallel = 'candidates' if fits else 'images'
        return self.team if parallel == 'candidates' else Team.alone()

    def _clear(self) -> None:
        if self._setup is not None:
            self._setup.evaluator.close()
        # Before the next is built: its images and network need the memory.
        self._setup = self._placement = None


def _kept_bytes(cfg: Config) -> int:
    """What the validation images take once they are decoded."""
    dataset = build_dataset(cfg.val_dataloader.dataset)
    return len(dataset) * dataset[0]['inputs'].nbytes


def _require_equal_sets(setup: EvaluationSetup) -> None:
    """Refuses machines with other copies of the data, which would decide otherwise."""
    first, *others = together(setup.team, 'sets', lambda: setup.evaluator.keys)
    for rank, keys in enumerate(others, 1):
        if other := [name for name in first if keys.get(name) != first[name]]:
            raise ConfigError(
                f'process {rank} has other images or labels than the first one in '
                f'{", ".join(other)}: give all machines the same data'
            )


def _of_one_process(cfg: Config, team: Team) -> Config:
    """The config as if there were no other processes, of which MMEngine sees none."""
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'none'
    if not team.is_first:  # two must not write one log
        cfg.work_dir = str(Path(cfg.work_dir) / 'log' / f'process{team.rank}')
    return cfg


def check_data(cfg: Config) -> DryRun | None:
    """Checks all data sets of a fusion, and tries its metrics on the labels."""
    task = task_of(cfg)
    init_default_scope(scope_of(cfg))
    loaders = {name: cfg.get(f'{name}_dataloader') for name in ('train', 'val', 'test')}
    ood = ood_dataloaders(cfg)
    loaders.update(ood)
    try:
        configs = {name: v['dataset'] for name, v in loaders.items() if v}
        # Of folds, each model has seen some; what scores it is the one that it has not.
        datasets = check_datasets(configs, ['val'] if cfg.get(FOLD_LOADERS) else [])
    except DatasetError as error:
        raise _with_hint(error, ood) from None
    for name, dataset in datasets.items():
        if name != 'train':
            keep_dataset(configs[name], dataset)
    task.check(cfg, datasets)
    return dry_run(cfg.val_evaluator, datasets['val'], task, cfg.model)


def _with_hint(error: DatasetError, ood: Mapping[str, Any]) -> DatasetError:
    """Adds to what is wrong with data sets how to go on without the optional ones."""
    absent = [
        f'ood_dataloaders.{name}=None'
        for name in ood
        if any(
            name in problem.split(' in ')[0].split(', ') for problem in error.problems
        )
    ]
    if not absent:
        return error
    hint = f'To do without: --cfg-options {" ".join(absent)}'
    return DatasetError(error.subject, (*error.problems, hint))
