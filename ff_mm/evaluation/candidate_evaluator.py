"""Evaluates models that are made of a pool, and remembers what came out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from mmengine.dist import all_gather_object, get_world_size
from rich.console import Console

from ff_mm.display.progress import CountProgress
from ff_mm.errors import ConfigError
from ff_mm.evaluation.batch_norm_reestimation import Which, no_images_for_batch_norm
from ff_mm.evaluation.early_exit import CannotWin, Selection
from ff_mm.evaluation.evaluation_set import Count
from ff_mm.evaluation.memo import EvaluationMemo
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.merging import Candidate, NoBetterThan
from ff_mm.merging.recipe import (
    Recipe,
    by_content,
    is_single,
    key_of,
    needs_batch_norm,
)
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone, in_turn, together
from ff_mm.plain import plain_metrics

Outcome = float | NoBetterThan

# Candidates a process that are given out at a time. Passes that end early take
# unequal times, which many even out.
_AHEAD = 4


class CandidateEvaluator:
    """Makes the passes that are needed, each once, and counts them.

    What has been evaluated stands in a memo, so that the same command goes on where it
    was interrupted. With a team every process goes through the same calls; each makes a
    share of the passes, and all get all outcomes.

    It is the memory of a :class:`ff_mm.merging.Scorer`, too: what is known of a model
    stands in the memo, and nowhere else.

    Args:
        evaluator: The network and the sets; others may use them too.
        memo: What is known already, the same in all processes.
        digests: SHA-256 of the ingredients' files by the names in recipes.
        selection: The metric and the rule by which candidates are chosen.
        team: Processes of which each has all cases; None: there are no others, or the
            passes themselves are split over them.
        bn_samples: Training images on which batch norm is re-estimated where that must
            be, as of merges that are no mean; None: there are none of these.
        reestimated: Of which models it is: where it is ``'needed'``, of all that are
            ``'merged'`` of several, or of ``'all'``.
        console: Where progress is shown.

    Attributes:
        team: The processes.
        memo: As given.
        others: Passes over validation that chose, besides those that scored a
            candidate: ``made``, or ``remembered``; and how many ``gradients`` were
            taken.
        at_once: How many candidates it is good to give at a time.
    """

    def __init__(
        self,
        evaluator: ModelEvaluator,
        memo: EvaluationMemo,
        digests: Mapping[str, str],
        selection: Selection,
        team: Team | None = None,
        bn_samples: int | None = None,
        reestimated: Which = 'needed',
        console: Console | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.selection = selection
        self.digests = dict(digests)
        self.memo = memo
        self.team = team or Team.alone()
        self._bn_samples = bn_samples
        self._reestimated = reestimated
        self._console = console or Console(quiet=True)
        self.at_once = 1 if self.team.size == 1 else _AHEAD * self.team.size
        self._before = {name: vars(count).copy() for name, count in self._counts()}
        self._scored: set[str] = set()
        self.others: Counter[str] = Counter()
        self._given: dict[str, Outcome] = {}

    def score(
        self, candidates: Sequence[Candidate], cannot_win: CannotWin | None
    ) -> list[Outcome]:
        """Returns scores on validation, as far as they matter.

        Each process takes the next candidate as soon as it is free, until one has won.

        Args:
            candidates: What to evaluate, the first of which is needed for sure.
            cannot_win: Says of the best score that a candidate can still reach whether
                that is of no use; None: the full scores are needed.

        Returns:
            The scores, or bounds that settle it, of the first one or more: no others
            than the winner's predecessors are needed.

        Raises:
            ConfigError: There is no such metric.
            AnotherFailed: Another process has.
        """

        def outcome(found: dict[str, Any] | float) -> Outcome:
            return self.value(found) if isinstance(found, dict) else NoBetterThan(found)

        by_key = {self._key('val', c.recipe): c for c in candidates}
        self._prepare_folding()
        in_turn(
            self.team,
            'score',
            list(by_key),
            lambda key: self._score(by_key[key], cannot_win),
            lambda key, found: self._note(key, found, by_key[key].recipe),
            lambda found: _wins(outcome(found), cannot_win),
        )
        outcomes: list[Outcome] = []
        for candidate in candidates:
            known = self.recall(candidate.recipe)
            if known is None:
                break
            outcomes.append(known)
        return outcomes

    def recall(self, recipe: Recipe) -> Outcome | None:
        """Returns what is known of a model on validation; None: nothing."""
        key = self._key('val', recipe)
        metrics = self._known('val', key)
        if metrics is not None:
            return self.value(metrics)
        if key in self._given:
            return self._given[key]
        return self.memo.bound(key, self.selection.metric, self.selection.rule)

    def keep(self, recipe: Recipe, outcome: Outcome) -> None:
        """Takes note of a score that came with an ingredient.

        Passes stand in the memo already.
        """
        self._given[self._key('val', recipe)] = outcome

    def take_over(self, name: str, metrics: Mapping[str, Any]) -> None:
        """Takes over an ingredient's validation metrics recorded at training."""
        if self._reestimated != 'all':
            self.memo.share(self._key('val', {name: 1.0}), metrics)

    def evaluate(
        self,
        points: Sequence[Candidate],
        split: str = 'val',
        title: str = 'points',
        needed: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Evaluates models on a set, whatever their scores.

        Args:
            points: With recipes of parts that have digests.
            split: ``'val'``, ``'test'`` or ``'ood/<name>'``.
            title: What they are, for the progress display.
            needed: Metrics that are going to be looked at.

        Returns:
            The metrics of each on all cases.

        Raises:
            ConfigError: A metric that is needed is not among them; said after the
                first point.
            AnotherFailed: Another process has.
        """
        keys = [self._key(split, point.recipe) for point in points]
        sets = [self.sets_of(split, point.recipe) for point in points]
        sets_of = dict(zip(keys, sets, strict=True))
        unknown = {
            key: point
            for key, point in zip(keys, points, strict=True)
            if self._known(split, key) is None
        }
        if unknown:
            self._prepare_folding()
        with CountProgress(title, len(unknown), self._console, 'points') as progress:

            def note(key: str, metrics: dict[str, Any]) -> None:
                self.memo.add_metrics(key, metrics, sets_of[key])
                _require(needed, metrics, split)
                progress.advance()

            def make(key: str) -> dict[str, Any]:
                self.load(unknown[key])
                if self.evaluator.options.fold_batch_norm:
                    self.evaluator.fold_batch_norm()
                return plain_metrics(self.evaluator.evaluate(split))

            in_turn(self.team, 'points', list(unknown), make, note)
        found = [dict(self._known(split, key) or {}) for key in keys]
        for metrics in found:
            _require(needed, metrics, split)
        return found

    def evaluate_all(self, candidate: Candidate) -> dict[str, Any]:
        """Evaluates a candidate on every set on which it has not been evaluated.

        Each process takes the next set as soon as it is free.

        Returns:
            As :meth:`ModelEvaluator.evaluate_all`.
        """
        names = self.evaluator.set_names
        keys = {name: self._key(name, candidate.recipe) for name in names}
        unknown = [name for name, key in keys.items() if not self._known(name, key)]
        loaded = False

        def evaluate(name: str) -> dict[str, Any]:
            nonlocal loaded
            if not loaded:
                self.load(candidate)
            loaded = True
            return plain_metrics(self.evaluator.evaluate(name))

        in_turn(
            self.team,
            'evaluate',
            unknown,
            evaluate,
            lambda name, metrics: self.memo.add_metrics(
                keys[name], metrics, self.sets_of(name, candidate.recipe)
            ),
        )
        return self.evaluator.evaluate_all(
            lambda name: dict(self._known(name, keys[name]) or {})
        )

    def cost(
        self, in_vain: Iterable[Recipe] = (), remembered: int = 0
    ) -> dict[str, Any]:
        """What all processes have spent since this was built.

        Args:
            in_vain: Recipes of candidates that no decision has needed.
            remembered: How many evaluations were needed that were known from before.

        Returns:
            Passes by set, those over training images included that re-estimated batch
            norm; ``selection``, those over validation that chose;
            ``in_vain``, those of them that no decision has needed; ``stopped``, those
            that were cut short; ``gradients``, how many were taken of the loss;
            ``remembered``; ``images`` by set.
        """
        spent = {
            name: {k: v - self._before[name][k] for k, v in vars(count).items()}
            for name, count in self._counts()
        }
        # Split over a process group, a pass is one, but each rank has its own images.
        ranks = all_gather_object({n: count['images'] for n, count in spent.items()})
        for name, count in spent.items():
            count['images'] = sum(rank[name] for rank in ranks)
        total: dict[str, Counter] = {name: Counter() for name in spent}
        for of_process in together(self.team, 'cost', lambda: spent):
            for name, count in of_process.items():
                total[name].update(count)
        return dict(
            {name: count['passes'] for name, count in total.items()},
            selection=len(self._scored) + self.others['made'],
            in_vain=len(self._scored & {self._key('val', r) for r in in_vain}),
            gradients=self.others['gradients'],
            stopped=total['val']['stopped'],
            remembered=remembered + self.others['remembered'],
            images={name: count['images'] for name, count in total.items()},
        )

    def _prepare_folding(self) -> None:
        """Has one process find out what all of them fold."""
        if self.evaluator.options.fold_batch_norm:
            self.evaluator.prepare_folding(partial(first_alone, self.team, 'folding'))

    def _counts(self) -> list[tuple[str, Count]]:
        """What passes over each set have cost so far, for whatever reason."""
        counts = [(name, s.count) for name, s in self.evaluator.sets.items()]
        train = [('train', self.evaluator.training)] if self._bn_samples else []
        return counts + train

    def _score(
        self, candidate: Candidate, cannot_win: CannotWin | None
    ) -> dict[str, Any] | float:
        """Makes one pass; the metrics, or a bound where it was cut short."""
        self.load(candidate)
        selection = Selection(self.selection.metric, self.selection.rule, cannot_win)
        outcome = self.evaluator.score(selection)
        if isinstance(outcome, NoBetterThan):
            return float(outcome.value)
        return plain_metrics(outcome)

    def _note(self, key: str, outcome: dict[str, Any] | float, recipe: Recipe) -> None:
        """Keeps what a pass has found."""
        self._scored.add(key)
        sets = self.sets_of('val', recipe)
        if isinstance(outcome, dict):
            self.memo.add_metrics(key, outcome, sets)
        else:
            metric, rule = self.selection.metric, self.selection.rule
            self.memo.add_bound(key, metric, rule, NoBetterThan(outcome), sets)

    def load(self, candidate: Candidate) -> None:
        """Loads a model into the network; batch norm is re-estimated if need be."""
        self.evaluator.load_from(candidate.load)
        if samples := self._reestimated_on(candidate.recipe):
            self.evaluator.reestimate_batch_norm(samples, keep=True)

    def _reestimated_on(self, recipe: Recipe) -> int | None:
        """On how many images batch norm of a model is re-estimated; None: it is not."""
        must = needs_batch_norm(recipe) and self.evaluator.has_batch_norm
        if must and not self._bn_samples:
            raise no_images_for_batch_norm()
        merged = self._reestimated == 'merged' and not is_single(recipe)
        asked = merged and self.evaluator.has_batch_norm
        return self._bn_samples if must or asked or self._reestimated == 'all' else None

    def _known(self, split: str, key: str) -> dict[str, Any] | None:
        """The metrics of a model on a set, if they are in the memo."""

        def fit(metrics: Mapping[str, Any]) -> bool:
            selecting = split == 'val'
            score = metrics.get(self.selection.metric) if selecting else None
            of_no_use = selecting and not isinstance(score, int | float)
            return not of_no_use and self.evaluator.may_give(split, metrics)

        return self.memo.metrics(key, fit)

    def reestimates(self, recipe: Recipe) -> bool:
        """Says whether batch norm of a model is re-estimated."""
        return self._reestimated_on(recipe) is not None

    def content(self, recipe: Recipe) -> dict[str, float]:
        """Returns what identifies a model as it is evaluated, by content."""
        parts = by_content(recipe, self.digests)
        if samples := self._reestimated_on(recipe):
            parts[f'batch norm of {self._training_data()}'] = float(samples)
        return parts

    def _key(self, split: str, recipe: Recipe) -> str:
        return key_of(self.evaluator.keys[split], self.content(recipe))

    def sets_of(self, split: str, recipe: Recipe) -> list[str]:
        """Of which sets images go into the metrics of a model on one."""
        return [split, *(['train'] if self._reestimated_on(recipe) else [])]

    def _training_data(self) -> str:
        """What the images consist of on which batch norm is re-estimated."""
        cfg = self.evaluator.cfg
        # Ranks that split the data see other batches.
        parts = [
            cfg.train_dataloader,
            cfg.get('data_preprocessor'),
            get_world_size(),
        ]
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def value(self, metrics: Mapping[str, Any]) -> float:
        """Returns the metric that selects; raises ConfigError if it is not there."""
        if self.selection.metric not in metrics:
            raise ConfigError(
                f'selection.metric={self.selection.metric!r} is not among the '
                f'validation metrics {sorted(metrics)}: change it, or add it to '
                'val_evaluator'
            )
        return metrics[self.selection.metric]


def _wins(outcome: Outcome, cannot_win: CannotWin | None) -> bool:
    if isinstance(outcome, NoBetterThan) or cannot_win is None:
        return False
    return not cannot_win(outcome)


def _require(needed: Sequence[str], metrics: Mapping[str, Any], split: str) -> None:
    for name in needed:
        if name not in metrics:
            where = 'val_evaluator' if split == 'val' else 'test_evaluator'
            raise ConfigError(
                f'{name!r} is not among the metrics of {split} {sorted(metrics)}: look '
                f'at another one, or add it to {where}'
            )
