"""Fusion: makes one model of a pool of ingredients, and reports on it."""

from __future__ import annotations

import shutil
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ff_mm.errors import ConfigError
from ff_mm.evaluation.batch_norm_reestimation import (
    DEFAULT_SAMPLES,
    batch_norm_samples,
    no_images_for_batch_norm,
    of_candidates,
)
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.early_exit import CannotWin, Selection
from ff_mm.evaluation.memo import MEMO
from ff_mm.evaluation.out_of_fold import Judge
from ff_mm.evaluation.validation_ensembles import PREDICTIONS, ValidationEnsembles
from ff_mm.evaluation.validation_losses import ValidationLosses
from ff_mm.evaluation.validation_margins import ValidationMargins
from ff_mm.files import remove_unfinished
from ff_mm.fusion.best_single import best_single
from ff_mm.fusion.collapse import collapse_note
from ff_mm.fusion.decision import SoupDecision
from ff_mm.fusion.fusion_runner import FusionRunner
from ff_mm.fusion.groups import Groups
from ff_mm.fusion.needs import require_scores_for
from ff_mm.fusion.pool_notes import check_view, notes_on_set
from ff_mm.fusion.report import write_report
from ff_mm.fusion.session import FusionSession
from ff_mm.fusion.soup_file import DEPLOY_FILE, SOUP_FILE, write_soup
from ff_mm.fusion.soup_tracking import log_soup
from ff_mm.fusion.statistics import SoupStatistics
from ff_mm.merging import (
    Candidate,
    Ingredient,
    Level,
    NoBetterThan,
    Scorer,
    StateDict,
    Step,
    hierarchical,
    tree,
)
from ff_mm.merging.methods import Supply
from ff_mm.merging.pool import Pool
from ff_mm.merging.recipe import Recipe, leaf_weights
from ff_mm.merging.state_dict import copy_weights, has_batch_norm
from ff_mm.parallel.together import first_alone
from ff_mm.plain import to_plain

# Keys of ``soup`` that all soups have.
_OF_ALL = ('accept_ties', 'bn_reestimation', 'decision', 'keep_copies', 'statistics')
# Begins the names of folders for the soups below the top.
_STORE = '.soups'


class SoupRunner(FusionRunner):
    """Makes a soup of a config's ``ingredients`` and evaluates it.

    Config keys besides those of all fusions:

    - ``soup``: ``accept_ties`` (False), ``bn_reestimation`` (None, or
      ``dict(num_samples=...)``: of the soup; with ``candidates=True`` of all that is
      merged of several, before it is evaluated), ``decision`` (None, or what is fitted
      on validation and folded into the head, see
      :mod:`ff_mm.evaluation.decisions.steps`), ``keep_copies`` (False: of
      ingredients with the same weights the first counts),
      ``statistics`` (of training images, for merges that need them:
      ``dict(num_samples=256, labels='exact')``), and what the subclass takes, such as
      ``merge``; with groups also ``basins``, see
      :class:`ff_mm.fusion.basins.BasinOptions`, by which levels can then group
      (``group_by='basin'``); ``group_by='run'`` is what :mod:`ff_mm.merging.runs` says.

    Args:
        cfg: The config, references not yet resolved.

    Raises:
        ConfigError: A key that is missing or unknown.
    """

    stage = 'soup'
    method = ''
    title = ''
    soup_keys: tuple[str, ...] = ()
    #: What the model is written to, in the work directory.
    file_name = SOUP_FILE
    #: Whether it knows which images each ingredient has seen.
    is_of_folds = False
    #: Whether ingredients with the same weights all count, asked for or not.
    keeps_copies = False

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        options = cfg.get('soup') or {}
        if not isinstance(options, Mapping):
            raise ConfigError(f'soup={options!r}: expected a map, such as dict(...)')
        self.options = dict(options)
        self._check_keys()
        self.levels = self.build_levels()
        require_scores_for(self.cfg, self.levels, self.options)
        self.bn_samples = self._read_batch_norm()
        self.bn_candidates = of_candidates(self.options.get('bn_reestimation'))
        self.statistics = SoupStatistics(self.cfg, (level.how for level in self.levels))
        self.groups = Groups.read(self.options.get('basins'), self.levels)
        self.decision = SoupDecision.read(self.options.get('decision'), self.cfg)
        self.steps: list[Step] = []

    @property
    def file(self) -> Path:
        """Where the model is, once it was made."""
        return self.work_dir / self.file_name

    @abstractmethod
    def build_levels(self) -> list[Level]:
        """Returns the levels of the soup, from the bottom to the top."""

    def take_work_dir(self, stack: ExitStack) -> None:
        """Keeps other commands off, and removes what killed ones have left."""
        super().take_work_dir(stack)
        for folder in self.work_dir.glob(f'{_STORE}*'):
            shutil.rmtree(folder, ignore_errors=True)
        for name in (self.file_name, DEPLOY_FILE, 'report'):
            remove_unfinished(self.work_dir, name)

    def carry_out(self, session: FusionSession) -> dict[str, Any]:
        """Makes the soup, writes it and its report."""
        start = time.perf_counter()
        ingredients = self.prepare(session)
        pool, setup = self.pool, self.setup
        self.begin_tracking()
        self.statistics.start(session, self.candidates, self.work_dir, self.console)
        basins = self.groups.basins_of(
            ingredients, self.candidates, setup, self.cfg.selection, self.line
        )
        if basins is not None:
            ingredients = basins.ingredients
        with tempfile.TemporaryDirectory(dir=self.work_dir, prefix=_STORE) as store:
            made = self._make(ingredients, Path(store))
            single = None
            if not self.is_of_folds:  # of which each has a validation set of its own
                single = best_single(ingredients, self.candidates)
            report = self._finish(made)
        report.update(
            best_single=single,
            basins=None if basins is None else basins.describe(),
            evaluations=dict(
                report['evaluations'],
                basins=0 if basins is None else basins.passes,
                decision=int(report['decision'] is not None),
            ),
            pool_size=len(ingredients),
            copies=[dict(name=copied, of=original) for copied, original in pool.copies],
            failed=[dict(trial=trial, reason=why) for trial, why in pool.failed],
            generation_cost=pool.cost,
            seconds=round(time.perf_counter() - start, 2),
        )
        greater = self.cfg.selection['rule'] == 'greater'
        note = collapse_note(
            report, self.metric, greater, ingredients, self.evaluator.has_batch_norm
        )
        if note:
            self.line(note)
        if session.is_first:
            write_report(report, self.work_dir)
        return report

    def track(self, found: dict[str, Any]) -> None:
        """Tells the trackers of the soup, and of each decision."""
        log_soup(self.tracked, found, self.steps, self.work_dir)

    def prepare(self, session: FusionSession) -> list[Ingredient]:
        """Checks all that can be before any pass, and writes nothing.

        Args:
            session: Of which the pool, the network and the sets are.

        Returns:
            The ingredients, of which there are levels.
        """
        self.session = session
        pool = session.pool(
            self.cfg.ingredients, self.cfg.get('origin'), self.is_of_folds
        )
        self._check_merges(session, pool)
        if self.decision is not None:
            self.decision.check_balance(pool, self.line)
        setup = session.setup(self.cfg, self.line)
        self.setup, self.evaluator = setup, setup.evaluator
        if setup.dry_run is not None:
            rule = self.cfg.selection['rule']
            setup.dry_run.check(self.metric, rule, 'selection.metric')
            if any(level.has_margin for level in self.levels):
                setup.dry_run.check_overall(self.metric, 'soup.accept')
        first = pool.entries[0]
        check_view(pool, self.evaluator)
        # By which no weights are read that are not of the model.
        self.evaluator.check(first.checkpoint.weights(), str(first.file))
        if self.decision is not None:
            self.decision = self.decision.prepared(self.evaluator, setup.team)
        if not (self.keeps_copies or self.options.get('keep_copies')):
            pool = session.without_copies(pool)
        self.pool = pool
        self.candidates = CandidateEvaluator(
            self.evaluator,
            session.memo(self.work_dir / MEMO, self.line, self.bn_samples is not None),
            session.digests(pool),
            Selection(self.metric, self.cfg.selection['rule']),
            setup.team,
            bn_samples=self.bn_samples,
            reestimated='merged' if self.bn_candidates else 'needed',
            console=self.console,
        )
        return self.groups.runs_of(self._ingredients(pool), pool, self.line)

    def _check_merges(self, session: FusionSession, pool: Pool) -> None:
        """Says before any pass what merging lacks."""
        first = pool.entries[0].checkpoint
        entries = first.outline()
        for level in self.levels:
            level.how.supplied(session.supplies(pool) | self.statistics.supplies)
            level.how.check(entries, str(first.path))
        must = any(level.how.needs_batch_norm for level in self.levels)
        if must and self.bn_samples is None and has_batch_norm(entries):
            raise no_images_for_batch_norm()

    def _check_keys(self) -> None:
        known = {*_OF_ALL, *self.soup_keys}
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise ConfigError(
                f'soup: unknown key {unknown[0]!r} for {type(self).__name__}, there '
                f'are {sorted(known)}'
            )

    def _read_batch_norm(self) -> int | None:
        """On how many images batch norm is re-estimated, if it is."""
        option = self.options.get('bn_reestimation')
        if not option and any(level.how.needs_batch_norm for level in self.levels):
            # The statistics of such merges mean nothing, if the network has any.
            if not self.cfg.get('train_dataloader'):
                return None
            option = dict(num_samples=DEFAULT_SAMPLES)
        key = 'soup.bn_reestimation'
        return batch_norm_samples(option, self.cfg, key, candidates=True)

    def _ingredients(self, pool: Pool) -> list[Ingredient]:
        """The pool's ingredients, with the metrics that can be relied on."""
        validation = self.evaluator.validation
        placement = self.session.placement(pool, self.line)
        ingredients = [
            e.ingredient(self.metric, validation, placement) for e in pool.entries
        ]
        notes = list(notes_on_set(pool, self.evaluator))
        for name, metrics in self.setup.recorded(pool).items():
            self.candidates.take_over(name, metrics)
        recorded = sum(ingredient.score is not None for ingredient in ingredients)
        self.line(
            f'{self.title}: {len(ingredients)} ingredients, {self.metric} of {recorded}'
            f' recorded at training on this validation set'
        )
        for note in notes:
            self.line(note)
        return ingredients

    def judge(self) -> Judge:
        """Returns what scores models, and remembers."""
        return self.candidates

    def _make(self, ingredients: Sequence[Ingredient], store: Path) -> Any:
        """Makes the soup; its weights are computed again when they are loaded."""

        def score(
            candidates: Sequence[Candidate], to_beat: float | None
        ) -> Sequence[float | NoBetterThan]:
            return judge.score(candidates, _cannot_win(self.scorer, to_beat))

        judge = self.judge()
        at_once = self.candidates.at_once
        ensembles = ValidationEnsembles(
            self.candidates, self.work_dir / PREDICTIONS, self.line
        )
        self.scorer = Scorer(
            lambda candidate, to_beat: score([candidate], to_beat)[0],
            rule=self.cfg.selection['rule'],
            accept_ties=self.options.get('accept_ties', False),
            on_step=self._show,
            score_many=score if at_once > 1 else None,
            at_once=at_once,
            memory=judge,
            ensembles=ensembles,
            margins=ValidationMargins(self.candidates, ensembles),
            losses=ValidationLosses(self.candidates),
        )
        return self._combine(ingredients, store)

    def _combine(self, ingredients: Sequence[Ingredient], store: Path) -> Any:
        """Makes the soup of scored levels, and says which it is."""
        return hierarchical(
            ingredients,
            self.levels,
            self.scorer,
            name=self.method,
            store=store,
            supplies=self._supplies,
        )

    @property
    def _supplies(self) -> dict[str, Supply]:
        return self.session.supplies(self.pool) | self.statistics.supplies

    def _weights(self, soup: Any) -> StateDict:
        """The weights of what was made."""
        return soup.load()

    def _tree(self, soup: Any) -> dict[str, Any]:
        """What was made as a report has it."""
        return tree(soup)

    def _finish(self, soup: Any) -> dict[str, Any]:
        """Evaluates the finished soup, writes it, and gathers the report."""
        state_dict = self._weights(soup)
        results = self.candidates.evaluate_all(
            Candidate(soup.name, soup.recipe, partial(_copy, state_dict))
        )
        results, state_dict, bn = self._reestimate(soup.recipe, results, state_dict)
        decision = None
        if self.decision is not None:
            results, state_dict, decision = self.decision.decide(
                self.evaluator, self.setup.team, state_dict, results
            )
            self.line(self.decision.line(decision, results))
        contents = self._contents(soup)
        if decision is not None:
            contents['decision'] = {k: decision[k] for k in ('steps', 'scale', 'bias')}
        self._write_soup(state_dict, contents)
        return dict(
            contents,
            **results,
            levels=[level.describe() for level in self.levels],
            tree=self._tree(soup),
            bn_reestimation=bn,
            statistics=self.statistics.describe(),
            evaluations=self._cost(),
            decision=decision,
            **self._margin(),
        )

    def _cost(self) -> dict[str, Any]:
        """What passes were made for it."""
        return self.candidates.cost(self.scorer.in_vain, self.scorer.remembered)

    def _leaves(self, soup: Any) -> dict[str, float | None]:
        """How much of each ingredient is in it."""
        return leaf_weights(soup.recipe)

    def _contents(self, soup: Any) -> dict[str, Any]:
        """What the file and the report say of what was made."""
        weights = self._leaves(soup)
        return dict(
            method=self.method,
            title=self.title,
            metric=self.metric,
            rule=self.cfg.selection['rule'],
            ingredients=[dict(name=n, weight=weight) for n, weight in weights.items()],
        )

    def _margin(self) -> dict[str, Any]:
        """What a margin has done, where a level has one."""
        if not any(level.has_margin for level in self.levels):
            return {}
        asked, refused = self.scorer.margin_asked, self.scorer.margin_refused
        return dict(margin=dict(asked=asked, refused=refused))

    def _reestimate(
        self, recipe: Recipe, results: dict[str, Any], state_dict: StateDict
    ) -> tuple[dict[str, Any], StateDict, dict[str, Any] | None]:
        """Re-estimates batch norm if that must be, or is asked for.

        What was before goes into the report, where it means anything.
        """
        samples = self.bn_samples
        if samples is None:
            return results, state_dict, None
        as_scored = self.candidates.reestimates(recipe)
        if not (as_scored or self.reestimates_at_the_end):
            return results, state_dict, None
        self.evaluator.load(state_dict)

        def reestimate() -> dict[str, Any]:
            used = self.evaluator.reestimate_batch_norm(samples, keep=as_scored)
            after = results if as_scored else to_plain(self.evaluator.evaluate_all())
            return dict(used=used, after=after)

        # It is one pass over training data, and few over the sets: the first does it.
        done = first_alone(self.setup.team, 'batch norm', reestimate)
        state_dict = {
            key: value.detach().cpu().clone()
            for key, value in self.evaluator.weights.items()
        }
        before = None if as_scored else results
        described = dict(num_samples=done['used'], before=before)
        return done['after'], state_dict, described

    @property
    def reestimates_at_the_end(self) -> bool:
        """Whether batch norm of the soup is re-estimated once it is made."""
        return bool(self.options.get('bn_reestimation')) and not self.bn_candidates

    @property
    def deployed(self) -> Config:
        """The config of which the one for deployment is made."""
        return self.evaluator.cfg

    def _write_soup(self, state_dict: StateDict, contents: Mapping[str, Any]) -> None:
        if not self.session.is_first:
            return
        meta, folder = self.evaluator.dataset_meta, self.work_dir
        cfg, name = self.deployed, self.file_name
        if note := write_soup(cfg, meta, state_dict, contents, folder, name):
            self.line(note)

    def _show(self, step: Step) -> None:
        self.steps.append(step)
        score = '' if step.score is None else f' {self.metric} {step.score:.4f}'
        if step.bound is not None:
            limit = 'at most' if self.cfg.selection['rule'] == 'greater' else 'at least'
            score = f' {self.metric} {limit} {step.bound:.4f}'
        verdict = 'kept' if step.accepted else 'left out'
        self.line(f'  {step.candidate}:{score} {verdict} ({step.reason})')


def _cannot_win(scorer: Scorer, to_beat: float | None) -> CannotWin | None:
    """Says of the best attainable score whether it would not be good enough."""
    if to_beat is None:
        return None
    return lambda bound: not scorer.improves(bound, to_beat)


def _copy(state_dict: StateDict, out: StateDict) -> StateDict:
    return copy_weights(state_dict, out, 'soup')
