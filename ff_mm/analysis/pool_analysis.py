"""What analyses of a pool have in common: its config, its data, its evaluations."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mmengine.config import Config

from ff_mm.config import read_options
from ff_mm.config_loaders import ood_dataloaders
from ff_mm.errors import ConfigError
from ff_mm.evaluation.batch_norm_reestimation import Which, batch_norm_samples
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.early_exit import Selection
from ff_mm.evaluation.memo import MEMO
from ff_mm.evaluation.metrics.dry_run import DryRun
from ff_mm.fusion.fusion_runner import FusionRunner
from ff_mm.fusion.pool_notes import check_view
from ff_mm.fusion.session import EvaluationSetup, FusionSession
from ff_mm.merging import Ingredient
from ff_mm.merging.pool import Pool
from ff_mm.weight_space.connectivity import Rule

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar('Options', bound='DataclassInstance')


class PoolAnalysis(FusionRunner, Generic[Options]):
    """Looks at the ingredients of a fusion config, and leaves figures and numbers.

    Any config of ``tools/soup.py`` will do; the analysis has a key of its own in it,
    see ``configs/_base_/analyses.py``. Results lie in ``<work_dir>/<name>/``, and
    evaluations in the ``evaluations.jsonl`` of the work directory, which the soups of
    the config share.

    Args:
        cfg: The config, references not yet resolved.

    Raises:
        ConfigError: A key that is missing or unknown, or a set that there is not.

    Attributes:
        name: The key of the options in the config, and the folder of the results.
        options_type: The dataclass of the options.
        pool: What is looked at; as all that follows, once :meth:`run` was called.
        setup: The network and the sets.
        points: Evaluates.
        ingredients: Those of the pool by name.
    """

    stage = 'analysis'
    name: ClassVar[str]
    options_type: type[Options]

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.folder = self.work_dir / self.name
        self.options: Options = read_options(
            self.options_type, cfg.get(self.name), self.name
        )
        self.bn_samples = batch_norm_samples(
            self.batch_norm_option(),
            self.cfg,
            f'{self.name}.bn_reestimation',
            candidates=self.reestimated != 'all',
        )
        self.cfg = _with_sets(self.cfg, self.splits(), self.name)
        if not self.needs_training_data():
            self.cfg.train_dataloader = None

    def splits(self) -> Sequence[str]:
        """Returns the sets that are evaluated; others are left out of the config.

        An out-of-distribution set is described by what it shares with test.
        """
        return ('val',)

    def batch_norm_option(self) -> Any:
        """Returns how batch norm is re-estimated; None: it is not."""
        return getattr(self.options, 'bn_reestimation', None)

    @property
    def reestimated(self) -> Which:
        """Of which models batch norm is re-estimated, if it is."""
        return 'all'

    def needs_training_data(self) -> bool:
        """Returns whether the training set is looked at; else it is not even read."""
        return self.bn_samples is not None

    @property
    def run_name(self) -> str:
        """Apart from the soup, which has the same work directory."""
        return f'{super().run_name}_{self.name}'

    def track(self, found: Any) -> None:
        """Tells the trackers of the figures."""
        self.tracked.files(self.folder, '**/*.png')

    @abstractmethod
    def analyse(self) -> Any:
        """Computes everything, and lets the first process write it.

        With several processes all of them call it, and do the same evaluations.
        """

    def carry_out(self, session: FusionSession) -> Any:
        """Prepares what is evaluated with, and analyses."""
        self._prepare(session)
        self.begin_tracking()
        return self.analyse()

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.session.is_first

    def rule(self, metric: str) -> Rule:
        """Says whether a ``'greater'`` or a ``'less'`` value of a metric is better.

        Metrics are those of ``val_evaluator``, or else of ``test_evaluator``.

        Raises:
            ConfigError: There is no such metric, or it is no number.
        """
        known = self.setup.dry_run
        if known is None or metric in known.perfect:
            return self.setup.rule(metric, self.cfg.selection)
        others = self._dry_run_of_test
        return (others if others and metric in others.perfect else known).rule(metric)

    @cached_property
    def _dry_run_of_test(self) -> DryRun | None:
        """What the metrics of other sets than validation give."""
        others = [name for name in self.setup.evaluator.sets if name != 'val']
        return self.setup.evaluator.dry_run(others[0]) if others else None

    def metrics(self, asked: Sequence[str] | None) -> list[str]:
        """Returns the metrics to look at: those asked for, or the usual ones.

        These are the one that selects, and the loss if there is one.

        Raises:
            ConfigError: There is no such metric, or it is no number.
        """
        if asked is None:
            asked = [self.metric, *(['loss'] if self.setup.has_loss else [])]
        for metric in asked:
            self.rule(metric)
        return list(dict.fromkeys(asked))

    @property
    def _looked_at(self) -> Sequence[str]:
        """The sets of which results are shown."""
        split = getattr(self.options, 'split', None)
        return self.splits() if split is None else (split,)

    def _prepare(self, session: FusionSession) -> None:
        self.pool: Pool = session.pool(
            self.cfg.ingredients,
            self.cfg.get('origin'),
            folds='val' not in self._looked_at,
        )
        self.setup: EvaluationSetup = session.setup(self.cfg, self.line)
        evaluator = self.setup.evaluator
        validation = evaluator.validation
        placement = session.placement(self.pool, self.line)
        self.ingredients: dict[str, Ingredient] = {
            entry.name: entry.ingredient(self.metric, validation, placement)
            for entry in self.pool.entries
        }
        check_view(self.pool, evaluator)
        first = next(iter(self.ingredients.values()))
        evaluator.check(first.load(), first.file or first.name)
        self.points = CandidateEvaluator(
            evaluator,
            session.memo(self.work_dir / MEMO, self.line, bool(self.bn_samples)),
            session.digests(self.pool),
            Selection(self.metric, self.cfg.selection['rule']),
            self.setup.team,
            bn_samples=self.bn_samples,
            reestimated=self.reestimated if self.bn_samples else 'needed',
            console=self.console,
        )
        for name, metrics in self.setup.recorded(self.pool).items():
            self.points.take_over(name, metrics)
        self.line(f'{self.name}: {len(self.ingredients)} ingredients')


def _with_sets(cfg: Config, splits: Sequence[str], key: str) -> Config:
    """Returns the config with no other sets than validation and those asked for.

    Raises:
        ConfigError: There is no such set.
    """
    ood = {f'ood/{name}': loader for name, loader in ood_dataloaders(cfg).items()}
    known = ['val', *(['test'] if cfg.get('test_dataloader') else []), *ood]
    for split in splits:
        if split not in known:
            raise ConfigError(f'{key}: there is no set {split!r}, there are {known}')
    cfg = copy.deepcopy(cfg)
    if 'ood_dataloaders' in cfg:
        for name in ood:
            if name not in splits:
                cfg.ood_dataloaders.pop(name[4:])
    if 'test' not in splits and not any(split in ood for split in splits):
        cfg.test_dataloader = None
    return cfg
