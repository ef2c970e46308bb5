"""Comparison: every method on every set, with intervals, cost and a recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.comparison.comparison import Comparison, Run
from ff_mm.comparison.comparison_tracking import group_of, log_comparison
from ff_mm.comparison.method import Method, read_methods, read_pools, selection_cost
from ff_mm.comparison.method_models import MethodModel, check_method, make_model
from ff_mm.comparison.model_predictions import ModelPredictions
from ff_mm.comparison.report import published, write_comparison_report
from ff_mm.comparison.resamples import RESAMPLES_FILE
from ff_mm.config import resolve
from ff_mm.datasets.checks.truth import meta_of
from ff_mm.display.console import make_console, say
from ff_mm.display.numbers import overall
from ff_mm.errors import ConfigError
from ff_mm.evaluation.metrics.dry_run import DryRun
from ff_mm.evaluation.metrics.offline import build_metrics
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.predictions import Predictions
from ff_mm.files import sha256
from ff_mm.fission.ledger import describe_environment
from ff_mm.fusion.session import EvaluationSetup, FusionSession, check_data
from ff_mm.parallel.claim import only_one
from ff_mm.tasks import task_of
from ff_mm.tracking import TrackedRun, Tracking
from ff_mm_commands.table import called

_BOOTSTRAP = dict(resamples=2000, confidence=0.95, seed=0)


@RUNNERS.register_module()
class ComparisonRunner:
    """Compares methods on validation, test and every out-of-distribution set.

    It goes beyond the paper, which gives single numbers. Three steps, each of which
    goes on where it was interrupted:

    1. Selection: the soup runners of the methods make their models, with a config in
       which there is neither a test set nor an out-of-distribution one.
    2. Prediction: what each model says on each set is computed once and kept.
    3. Statistics, cost and recommendation, from the predictions.

    Built by ``RUNNERS.build(cfg)``. Config keys besides those of a soup:

    - ``pools``, ``methods``: see :mod:`ff_mm.comparison.method`. A method may choose
      by a ``selection`` of its own; all are judged by the config's.
    - ``baseline``: the method to which differences are taken.
    - ``bootstrap``: ``resamples``, ``confidence``, ``seed``.
    - ``published``: empty, or ``dict(backbone=..., dataset=...)`` of the paper, whose
      results then stand beside those of methods of the same name.

    Args:
        cfg: The config, references not yet resolved.

    Raises:
        ConfigError: A key that is missing or unknown.
    """

    def __init__(self, cfg: Config) -> None:
        self.cfg = resolve(cfg)
        self.work_dir = Path(cfg.work_dir)
        for key in ('pools', 'methods', 'baseline', 'selection', 'val_dataloader'):
            if not self.cfg.get(key):
                raise ConfigError(f'{cfg.filename}: {key!r} is missing')
        tree = self.cfg.to_dict()
        self.pools = read_pools(tree['pools'])
        self.methods = read_methods(tree['methods'], self.pools)
        names = [method.name for method in self.methods]
        if self.cfg.baseline not in names:
            raise ConfigError(
                f'baseline={self.cfg.baseline!r} is not among the methods that have a '
                f'pool: {names}; choose one of them, such as baseline={names[0]}'
            )
        self.bootstrap = read_bootstrap(tree.get('bootstrap'))
        self.left_out = [name for name in tree['methods'] if name not in names]
        for method in self.methods:
            check_method(self.cfg, method, self.pools[method.pool][0])
        self.published = _read_published(tree.get('published'))
        self.console = make_console()
        self.tracking = Tracking(self.cfg, group_of(self.pools))

    @classmethod
    def from_cfg(cls, cfg: Config) -> ComparisonRunner:
        """Builds the runner, as MMEngine's registry asks for."""
        return cls(cfg)

    def run(self) -> dict[str, Any]:
        """Makes all models, evaluates them, and writes the comparison.

        Returns:
            The comparison, as written to ``comparison.json``.

        Raises:
            DatasetError: All that is wrong with the data, before anything is computed.
            CheckpointError: All that is wrong with the ingredients.
            InUseError: Another command is at work in the work directory.
        """
        with only_one(self.work_dir, '.comparison', notify=self._line):
            with self.tracking.run(self.work_dir.resolve().name, 'comparison') as run:
                comparison = self._compare(run)
                log_comparison(run, comparison, self.work_dir)
            return comparison

    def check(self, session: FusionSession) -> None:
        """Checks all that can be before any model is made, and writes nothing.

        Args:
            session: Of which the pools and the networks are.
        """
        self._check_files()
        if self.left_out:
            self._line(f'without a pool, or None: {", ".join(self.left_out)}')
        for name, sources in self.pools.items():
            if len(sources) > 1:
                self._line(f'pools.{name}: {len(sources)} repetitions of one plan')
        self._check_metrics(check_data(self.cfg))
        if self.cfg.get('test_evaluator'):
            build_metrics(self.cfg.test_evaluator, None, 'test_evaluator')
        for source in (s for sources in self.pools.values() for s in sources):
            # All of them, before the first soup is made.
            session.pool(source, self.cfg.get('origin'))
        self._check_kept(session)

    def _compare(self, run: TrackedRun) -> dict[str, Any]:
        with FusionSession() as session:
            self.check(session)
            run.begin(self.cfg, self._line)
            models = {m.name: self._models(session, m) for m in self.methods}
            setup = session.setup(self.cfg, self._line)
            said = ModelPredictions(
                self.work_dir / 'predictions', setup.evaluator, self._line
            )
            runs: dict[str, list[Run]] = {}
            for method in self.methods:
                self._line(f'{method.title}: predictions')
                runs[method.name] = [
                    self._run(method, m, said.of(m, session.digests(m.pool)))
                    for m in models[method.name]
                ]
            comparison = self._comparison(setup, runs)
            described = comparison.describe()
        # Before the report, which says of which content they are.
        resamples = self.work_dir / RESAMPLES_FILE
        comparison.resamples().save(resamples)
        described.update(
            date=date.today().isoformat(),
            data=_name_of(self.cfg.val_dataloader['dataset']['type']),
            published=self.published,
            environment=describe_environment(),
            resampled=sha256(resamples),
        )
        write_comparison_report(described, self.work_dir)
        return described

    def _check_files(self) -> None:
        """Says which pools have not been trained yet."""
        for name, sources in self.pools.items():
            missing = [
                s for s in sources if isinstance(s, str) and not Path(s).exists()
            ]
            if not missing or Path(missing[0]).suffix != '.json':
                continue
            others = [method.name for method in self.methods if method.pool != name]
            leave_out = f'pools.{name}=None'
            if others and self.cfg.baseline not in others:
                leave_out += f' baseline={others[0]}'
            raise ConfigError(
                f'pools.{name}={missing[0]!r}: no such file; train this pool first '
                f'({called("train")}), say where it is'
                + (f', or compare without it: {leave_out}' if others else '')
            )

    def _check_metrics(self, dry_run: DryRun | None) -> None:
        """Refuses metrics that models cannot be chosen by, before any is."""
        choosing = [method for method in self.methods if not method.is_ensemble]
        if dry_run is None or not choosing:
            return
        dry_run.check(**self.cfg.selection, where='selection.metric')
        for method in choosing:
            if method.selection:
                where = f'methods.{method.name}.selection.metric'
                dry_run.check(**method.selection, where=where)

    def _check_kept(self, session: FusionSession) -> None:
        """Refuses metrics that keep nothing to compare by, before any model is made."""
        task = task_of(self.cfg)
        if task.has_scores:
            return
        for method in self.methods:
            if method.is_ensemble:
                task.require_scores(f'methods.{method.name}')
        evaluator = session.setup(self.cfg, self._line).evaluator
        for name in evaluator.sets:
            evaluator.results(name, batches=1)

    def _models(self, session: FusionSession, method: Method) -> list[MethodModel]:
        return [
            make_model(session, self.cfg, method, source, folder, self._line)
            for source, folder in self.places_of(method)
        ]

    def places_of(self, method: Method) -> list[tuple[Any, Path]]:
        """Returns each pool of a method, and where the model of it goes."""
        folder = self.work_dir / method.name
        sources = enumerate(self.pools[method.pool])
        return [(source, folder / f'run{run}') for run, source in sources]

    def _run(
        self,
        method: Method,
        model: MethodModel,
        predictions: Mapping[str, Predictions],
    ) -> Run:
        """What a model predicts and what it took, once its predictions are there."""
        for name, of_set in predictions.items():
            if np.isnan(of_set.scores).any():
                self._line(f'note: {method.title} predicts NaN on {name}')
        return Run(
            source=model.source,
            soup='ensemble' if model.report is None else model.report['method'],
            recipe=model.recipe,
            pool_size=len(model.pool.entries),
            file=None if model.file is None else str(model.file),
            models=model.models,
            generation=model.pool.cost,
            selection=selection_cost(model.report),
            predictions=predictions,
        )

    def _comparison(
        self, setup: EvaluationSetup, runs: Mapping[str, list[Run]]
    ) -> Comparison:
        evaluator = setup.evaluator
        parameters = sum(p.numel() for p in evaluator.model.parameters())
        size = sum(tensor.nbytes for tensor in evaluator.weights.values())
        return Comparison(
            title=self.work_dir.name.removeprefix('compare_'),
            methods=self.methods,
            runs=runs,
            metrics={
                name: PredictionMetrics(evaluator.metrics(name), meta_of(s.dataset))
                for name, s in evaluator.sets.items()
            },
            metric=self.cfg.selection['metric'],
            rule=self.cfg.selection['rule'],
            baseline=self.cfg.baseline,
            bootstrap=self.bootstrap,
            size=dict(parameters=parameters, bytes=size),
            rules=_rules(setup, self.cfg.selection),
            notify=self._line,
        )

    def _line(self, text: str) -> None:
        say(text, self.console)


def _rules(setup: EvaluationSetup, selection: Mapping[str, str]) -> dict[str, str]:
    """Which value is better, of each validation metric that tells models apart."""
    dry_run = setup.dry_run
    rules = {selection['metric']: selection['rule']}
    for name in () if dry_run is None else overall(dry_run.perfect):
        with suppress(ConfigError):  # no number, or NaN whatever is predicted
            rules[name] = setup.rule(name, selection)
    return rules


def _name_of(kind: Any) -> str:
    """The name of a class, which a config has as text or as the class."""
    return kind if isinstance(kind, str) else kind.__name__


def _read_published(given: Any) -> dict[str, str] | None:
    if not given:
        return None
    if not isinstance(given, Mapping) or set(given) != {'backbone', 'dataset'}:
        raise ConfigError(
            "published: expected dict(backbone='ResNet50', dataset='HAM10000'), got "
            f'{given!r}'
        )
    published(**given)  # refuses here what the report would refuse at the end
    return dict(given)


def read_bootstrap(given: Any) -> dict[str, Any]:
    """Reads a config's ``bootstrap``; what it does not say has its default.

    Args:
        given: The option.

    Raises:
        ConfigError: An unknown key, or a value out of range.
    """
    if given and not isinstance(given, Mapping):
        raise ConfigError(f'bootstrap={given!r}: expected dict(resamples=2000)')
    values = {**_BOOTSTRAP, **(given or {})}
    if unknown := sorted(set(values) - set(_BOOTSTRAP)):
        raise ConfigError(
            f'bootstrap: unknown key {unknown[0]!r}, there are {sorted(_BOOTSTRAP)}'
        )
    resamples, confidence = values['resamples'], values['confidence']
    if not isinstance(resamples, int) or resamples < 100:
        raise ConfigError(f'bootstrap.resamples={resamples!r}: expected 100 or more')
    if not isinstance(confidence, float) or not 0 < confidence < 1:
        raise ConfigError(
            f'bootstrap.confidence={confidence!r}: expected a fraction, such as 0.95'
        )
    if not isinstance(values['seed'], int) or values['seed'] < 0:
        raise ConfigError(f'bootstrap.seed={values["seed"]!r}: expected 0 or more')
    return values
