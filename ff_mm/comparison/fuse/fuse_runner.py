"""One command from a pool to the one file to deploy."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope

from ff_mm.comparison.comparison_runner import read_bootstrap
from ff_mm.comparison.fuse.distilling import (
    STUDENT,
    check_budget,
    check_unlabelled_of,
    distil,
    fit_monitor,
)
from ff_mm.comparison.fuse.findings import (
    ENSEMBLE,
    EXPECTED,
    FORMAT,
    PLAIN,
    VALIDATION,
    Fusion,
    closing,
    findings,
    in_words,
)
from ff_mm.comparison.fuse.fuse_tracking import log_fusion
from ff_mm.comparison.fuse.nested import Nested, choose_nested
from ff_mm.comparison.fuse.soft_score import SOFT, with_soft_score
from ff_mm.comparison.fuse.writing import write_fuse_report
from ff_mm.comparison.method import Method, read_methods, selection_cost
from ff_mm.comparison.method_models import (
    HIDDEN,
    OF_COMPARISON,
    MethodModel,
    check_method,
    make_model,
    selection_config,
)
from ff_mm.comparison.model_predictions import ModelPredictions
from ff_mm.config import resolve
from ff_mm.datasets.checks.truth import meta_of
from ff_mm.display.console import make_console, say
from ff_mm.errors import ConfigError
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.predictions import Predictions
from ff_mm.files import atomic_write, sha256
from ff_mm.fusion.decision import ACCURACY, describe_step
from ff_mm.fusion.session import FusionSession, check_data
from ff_mm.fusion.soup_file import DEPLOY_FILE, FUSED_FILE
from ff_mm.fusion.soup_tracking import pool_group
from ff_mm.parallel.claim import only_one
from ff_mm.tasks import scope_of, task_of
from ff_mm.tracking import TrackedRun, Tracking

_POOL = 'pool'


@dataclass(frozen=True)
class _Made:
    """A method, what it made, and the digests of what it made it of."""

    method: Method
    model: MethodModel
    digests: Mapping[str, str]


@RUNNERS.register_module()
class FuseRunner:
    """Tries a few fusions of a pool, and leaves the best one as a file to deploy.

    Fusions are the methods of a comparison: their soup runners make them, where no test
    set can be seen, and what is made stays (``made.json``). Validation chooses between
    them, cross-fitted where a decision was fitted; what the chosen one is expected to
    be worth comes of choosing on parts of validation. Test and out-of-distribution sets
    are looked at in the end, and choose nothing.

    Config keys besides those of a soup:

    - ``pool``: where the ingredients come from, as ``ingredients`` of a soup.
    - ``fusions``: name and ``dict(title=..., runner_type=..., soup=...,
      selection=...)``; None leaves one out. ``selection=dict(metric='soft')`` is the
      soft score of the metric that selects. What needs several models at inference is
      judged and not chosen.
    - ``baseline``: the name of the best single model among them.
    - ``decision``: of each fusion that says none of its own, see
      :mod:`ff_mm.evaluation.decisions.steps`.
    - ``budget``: epochs for distillation by ``plan``; 0: none.
    - ``ensemble``: whether the logit ensemble of all stands beside; as many passes over
      each set as there are models.
    - ``bootstrap``: ``resamples``, ``confidence``, ``seed``.

    Args:
        cfg: The config, references not yet resolved.

    Raises:
        ConfigError: A key that is missing or unknown.
    """

    def __init__(self, cfg: Config) -> None:
        self.cfg = resolve(cfg)
        self.work_dir = Path(cfg.work_dir)
        task_of(self.cfg).require_scores('tools/fuse.py')
        # Metrics are built below, and this process may have had another task before.
        init_default_scope(scope_of(self.cfg))
        for key in (_POOL, 'fusions', 'baseline', 'selection', 'val_dataloader'):
            if not self.cfg.get(key):
                raise ConfigError(f'{cfg.filename}: {key!r} is missing')
        given = self.cfg.fusions
        asked = isinstance(given, Mapping) and any(map(_is_soft, given.values()))
        # It takes a pass of each ingredient: recorded metrics do not have it.
        self.soft = with_soft_score(self.cfg) if asked else None
        tree = self.cfg.to_dict()
        self.source = tree[_POOL]
        self.methods = self._read_fusions(tree['fusions'], tree.get('decision'))
        names = [method.name for method in self.methods]
        if self.cfg.baseline not in names:
            raise ConfigError(
                f'baseline={self.cfg.baseline!r} is not among the fusions {names}'
            )
        for method in self.methods:
            check_method(self.cfg, method, self.source, 'fusions')
        self.bootstrap = read_bootstrap(tree.get('bootstrap'))
        # How students are trained says nothing of the other fusions.
        self.choosing = copy.deepcopy(self.cfg)
        self.choosing.pop('plan', None)
        self.single = next(m for m in self.methods if m.name == self.cfg.baseline)
        fit_monitor(self.cfg, decided=bool(self.single.soup.get('decision')))
        self.budget = check_budget(
            tree.get('budget'), self.cfg, _NOT_OF_TRAINING, self.source
        )
        self.console = make_console()
        self.tracking = Tracking(self.cfg, pool_group(self.source))

    @classmethod
    def from_cfg(cls, cfg: Config) -> FuseRunner:
        """Builds the runner, as MMEngine's registry asks for."""
        return cls(cfg)

    @property
    def file(self) -> Path:
        """The file to deploy, once it was made."""
        return self.work_dir / FUSED_FILE

    def run(self) -> dict[str, Any]:
        """Makes and chooses the one model.

        Returns:
            What was found, as written to ``report.json``.

        Raises:
            DatasetError: All that is wrong with the data, before anything is computed.
            CheckpointError: All that is wrong with the ingredients.
            InUseError: Another command is at work in the work directory.
        """
        with only_one(self.work_dir, '.fuse', notify=self._line):
            with self.tracking.run(self.work_dir.resolve().name, 'fusion') as run:
                found = self._fuse(run)
                log_fusion(run, found, self.work_dir)
            return found

    def _read_fusions(self, given: Any, decision: Any) -> list[Method]:
        if not isinstance(given, Mapping):
            raise ConfigError(f'fusions={given!r}: expected names and their fusions')
        methods: dict[str, Any] = {}
        self.left_out: list[str] = []
        for name, values in given.items():
            if values is None:
                continue
            if name in (ENSEMBLE, EXPECTED, PLAIN, STUDENT):
                raise ConfigError(f'fusions.{name}: the name is taken, give another')
            if not isinstance(values, Mapping) or not values.get('runner_type'):
                raise ConfigError(
                    f"fusions.{name}: expected such as dict(title='greedy', "
                    f"runner_type='GreedySoupRunner'), got {values!r}"
                )
            chosen = values.get('selection')
            if _is_soft(values):
                if self.soft in (None, self.cfg.selection['metric']):
                    self.left_out.append(name)
                    continue
                chosen = dict(metric=self.soft)
            soup = dict(values.get('soup') or {})
            soup.setdefault('decision', decision)
            methods[name] = dict(values, pool=_POOL, soup=soup, selection=chosen)
        return read_methods(methods, {_POOL: [self.source]}, 'fusions')

    def check(self) -> None:
        """Checks the data, before anything is made."""
        check_data(self.cfg)
        if self.budget:
            check_unlabelled_of(self.cfg, self.console)
        for name in self.left_out:
            metric = self.cfg.selection['metric']
            self._line(f'fusions.{name}: left out, {metric} has no other soft score')

    def _fuse(self, run: TrackedRun) -> dict[str, Any]:
        self.check()
        run.begin(self.cfg, self._line)
        with FusionSession() as session:
            made = [self._make(session, method, self.source) for method in self.methods]
            nested = self._choose(session, made)
            if self.budget:
                made.append(self._distilled(session, made, nested))
                nested = self._choose(session, made)
            found = self._judge(session, made, nested)
        self._keep(next(m.model for m in made if m.method.name == nested.chosen))
        found['closing'] = closing(found, str(self.file))
        write_fuse_report(found, self.work_dir)
        return found

    def _make(self, session: FusionSession, method: Method, source: Any) -> _Made:
        self._line(f'{method.title}:')
        folder = self.folder_of(method)
        model = make_model(session, self.choosing, method, source, folder, self._line)
        return _Made(method, model, session.digests(model.pool))

    @property
    def judges_ensemble(self) -> bool:
        """Whether the logit ensemble of all is looked at."""
        return bool(self.cfg.get(ENSEMBLE, True))

    def folder_of(self, method: Method) -> Path:
        """Returns where a method makes its model."""
        return self.work_dir / method.name / 'run0'

    def _choose(self, session: FusionSession, made: list[_Made]) -> Nested:
        """Chooses where there is no set but validation."""
        cfg = self.choosing
        cfg = selection_config(cfg, self.methods[0], self.source, self.work_dir)
        evaluator = session.setup(cfg, self._line).evaluator
        said = self._said(evaluator)
        of_val = {
            one.method.name: said.of(one.model, one.digests)[VALIDATION]
            for one in made
            if not (one.model.report or {}).get('ensemble')
        }
        metric, rule = self.cfg.selection['metric'], self.cfg.selection['rule']
        nested = choose_nested(of_val, _metrics(evaluator)[VALIDATION], metric, rule)
        title = next(m.method.title for m in made if m.method.name == nested.chosen)
        self._line(f'chosen on validation: {title}')
        return nested

    def _distilled(
        self, session: FusionSession, made: list[_Made], nested: Nested
    ) -> _Made:
        """Distils the pool, from the chosen fusion on."""
        monitor = (self.cfg.plan.get('student') or {}).get('monitor', 'loss')
        self._line(f'distillation: {self.budget} epochs, the best one by {monitor}')
        one = next(m for m in made if m.method.name == nested.chosen)
        if (one.model.report or {}).get('decision'):
            # A head with a decision in it is no place to train from.
            plain = replace(
                one.method,
                name=f'{one.method.name}_undecided',
                soup={**one.method.soup, 'decision': None},
            )
            one = self._make(session, plain, self.source)
        assert one.model.file is not None
        start = nested.chosen, one.model.file
        pool = distil(self.cfg, _NOT_OF_TRAINING, self.source, start, self.budget)
        method = Method(
            name=STUDENT,
            title='distilled',
            pool=_POOL,
            runner_type='BestIngredientRunner',
            soup=dict(decision=self.single.soup.get('decision')),
        )
        return self._make(session, method, pool)

    def _judge(
        self, session: FusionSession, made: list[_Made], nested: Nested
    ) -> dict[str, Any]:
        """Looks at all sets; the choice stands."""
        evaluator = session.setup(self.cfg, self._line).evaluator
        said = self._said(evaluator)
        metric = self.cfg.selection['metric']
        fusions = {one.method.name: _fusion(one, said, metric) for one in made}
        single = next(one for one in made if one.method.name == self.cfg.baseline)
        pool = session.pool(self.source, self.cfg.get('origin'))
        ensemble: Mapping[str, Predictions] = {}
        if self.judges_ensemble:
            self._line('logit ensemble of all:')
            model = MethodModel(self.source, pool)
            ensemble = said.of(model, session.digests(pool))
        found = findings(
            fusions,
            said.undecided(single.model, single.digests),
            ensemble,
            nested,
            _metrics(evaluator),
            self.cfg.selection,
            self.cfg.baseline,
            self.bootstrap,
            len(pool.entries),
        )
        words = in_words(found)
        return dict(
            format=FORMAT,
            **found,
            budget=self.budget,
            text=words,
        )

    def _said(self, evaluator: ModelEvaluator) -> ModelPredictions:
        return ModelPredictions(self.work_dir / 'predictions', evaluator, self._line)

    def _keep(self, model: MethodModel) -> None:
        """Puts the chosen files where they are looked for, if they are not there."""
        assert model.file is not None
        deploy = model.file.parent / DEPLOY_FILE
        for file, kept in (
            (model.file, self.file),
            (deploy, self.work_dir / DEPLOY_FILE),
        ):
            if kept.is_file() and sha256(kept) == sha256(file):
                continue
            with open(file, 'rb') as source, atomic_write(kept) as target:
                shutil.copyfileobj(source, target)

    def _line(self, text: str) -> None:
        say(text, self.console)


_NOT_OF_TRAINING = (*(key for key in OF_COMPARISON if key != 'plan'), *HIDDEN)


def _is_soft(fusion: Any) -> bool:
    """Whether a fusion goes by the soft score of the metric that selects."""
    selection = fusion.get('selection') if isinstance(fusion, Mapping) else None
    return isinstance(selection, Mapping) and selection.get('metric') == SOFT


def _metrics(evaluator: ModelEvaluator) -> dict[str, PredictionMetrics]:
    return {
        name: PredictionMetrics(evaluator.metrics(name), meta_of(s.dataset))
        for name, s in evaluator.sets.items()
    }


def _fusion(made: _Made, said: ModelPredictions, metric: str) -> Fusion:
    report = made.model.report or {}
    decision = report.get('decision') or {}
    steps = decision.get('steps') or ()
    decided = {}
    if decision:
        before, after = decision['before'][VALIDATION], report[VALIDATION]
        decided[metric] = dict(before=before[metric], after=after[metric])
        decided.setdefault(ACCURACY, decision[ACCURACY][VALIDATION])
    return Fusion(
        title=' + '.join([made.method.title, *(step['type'] for step in steps)]),
        file=str(made.model.file),
        models=made.model.models,
        passes=int(selection_cost(report)['passes']),
        decision='; '.join(describe_step(step) for step in steps),
        decided=decided,
        predictions=said.of(made.model, made.digests),
    )
