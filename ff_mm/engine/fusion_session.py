"""What the fusions of one command have in common, done once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ff_mm.config import ood_dataloaders
from ff_mm.datasets.checks.check import check_datasets
from ff_mm.datasets.errors import DatasetError
from ff_mm.engine.model_evaluator import ModelEvaluator
from ff_mm.engine.passes.memo import EvaluationMemo
from ff_mm.engine.shared_datasets import forget_datasets, keep_dataset
from ff_mm.evaluation.rehearsal import Rehearsal, rehearse
from ff_mm.files import sha256
from ff_mm.merging import check_ingredients
from ff_mm.merging.pool import Pool, read_pool
from ff_mm.models.head_check import check_head

# Keys of a fusion config that evaluations do not depend on.
_OF_ONE_SOUP = ('runner_type', 'soup', 'selection', 'ingredients', 'work_dir')


@dataclass(frozen=True)
class Bench:
    """Where candidates are evaluated.

    Attributes:
        evaluator: The network and the sets.
        rehearsal: What the validation metrics give, if that can be known beforehand.
    """

    evaluator: ModelEvaluator
    rehearsal: Rehearsal | None


class FusionSession:
    """Pools read, data checked, networks built and passes made, each but once.

    Use it as a context, so that what is global in MMEngine is released.
    """

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}
        self._bench: Bench | None = None
        self._bench_of = ''
        self._known: dict[str, Any] = {}
        self._digests: dict[Path, str] = {}

    def __enter__(self) -> FusionSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def pool(self, source: Any) -> Pool:
        """Reads a pool and checks that its files are whole and fit each other.

        Raises:
            ConfigError: A source that is none.
            CheckpointError: All that is wrong with the files.
        """
        key = json.dumps(source, default=str)
        if key not in self._pools:
            pool = read_pool(source)
            pool.check_files()
            check_ingredients([entry.ingredient('', None) for entry in pool.entries])
            self._pools[key] = pool
        return self._pools[key]

    def digests(self, pool: Pool) -> dict[str, str]:
        """SHA-256 of the files of a pool by the names of its entries."""
        unknown = [e.file for e in pool.entries if e.digest is None]
        for file in unknown:
            if file not in self._digests:
                self._digests[file] = sha256(file)
        return {e.name: e.digest or self._digests[e.file] for e in pool.entries}

    def bench(self, cfg: Config, notify: Callable[[str], None]) -> Bench:
        """Checks the data of a config, and builds what evaluates.

        Args:
            cfg: A resolved fusion config.
            notify: Takes lines for the user.

        Raises:
            DatasetError: All that is wrong with the data.
            ConfigError: A head that does not fit it.
        """
        tree = {k: v for k, v in cfg.to_dict().items() if k not in _OF_ONE_SOUP}
        key = json.dumps(tree, sort_keys=True, default=str)
        if self._bench is None or key != self._bench_of:
            self._clear()
            rehearsal = check_data(cfg)
            self._bench = Bench(ModelEvaluator(cfg, notify), rehearsal)
            self._bench_of = key
            forget_datasets()  # the evaluator has its own hold of what it needs
        return self._bench

    def memo(self, path: Path) -> EvaluationMemo:
        """Opens the memo of one soup; all know what each of them does."""
        memo = EvaluationMemo(self._known)
        memo.open(path)
        return memo

    def _clear(self) -> None:
        if self._bench is not None:
            self._bench.evaluator.close()
        # Before the next is built: its images and network need the memory.
        self._bench = None


def check_data(cfg: Config) -> Rehearsal | None:
    """Checks all data sets of a fusion, and tries its metrics on the labels."""
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    loaders = {name: cfg.get(f'{name}_dataloader') for name in ('train', 'val', 'test')}
    ood = ood_dataloaders(cfg)
    loaders.update(ood)
    try:
        configs = {name: v['dataset'] for name, v in loaders.items() if v}
        datasets = check_datasets(configs)
    except DatasetError as error:
        raise _with_hint(error, ood) from None
    for name, dataset in datasets.items():
        if name != 'train':
            keep_dataset(configs[name], dataset)
    head = cfg.model.get('head') or {}
    check_head(head, datasets['val'])
    return rehearse(cfg.val_evaluator, datasets['val'], head.get('num_classes'))


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
