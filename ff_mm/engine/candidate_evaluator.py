"""Evaluates candidates of one pool, and remembers what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ff_mm.engine.model_evaluator import ModelEvaluator
from ff_mm.engine.passes.early_exit import Selection
from ff_mm.engine.passes.memo import EvaluationMemo, evaluation_key
from ff_mm.errors import ConfigError
from ff_mm.merging import Candidate, NoBetterThan


class CandidateEvaluator:
    """Makes the passes that are needed, each once, and counts them.

    Args:
        evaluator: The network and the sets; others may use them too.
        memo: What is known already.
        digests: SHA-256 of the ingredients' files by the names in recipes.
        selection: The metric and the rule by which candidates are chosen.
    """

    def __init__(
        self,
        evaluator: ModelEvaluator,
        memo: EvaluationMemo,
        digests: Mapping[str, str],
        selection: Selection,
    ) -> None:
        self.evaluator = evaluator
        self.selection = selection
        self.remembered = 0
        self._memo = memo
        self._digests = digests
        self._before = {name: vars(s.count).copy() for name, s in _sets(evaluator)}
        self._scored = 0

    def score(
        self, candidate: Candidate, hopeless: Callable[[float], bool] | None
    ) -> float | NoBetterThan:
        """Returns a candidate's score on validation, as far as it matters.

        Args:
            candidate: What to evaluate.
            hopeless: Says of a bound whether it settles the matter; None: the full
                score is needed.

        Raises:
            ConfigError: There is no such metric.
        """
        metric, rule = self.selection.metric, self.selection.rule
        key = self._key('val', candidate.recipe)
        known = self._memo.metrics(key)
        if known is not None:
            self.remembered += 1
            return self._value(known)
        bound = self._memo.bound(key, metric, rule)
        if bound is not None and hopeless is not None and hopeless(bound.value):
            self.remembered += 1
            return bound
        self.evaluator.load_from(candidate.load)
        self._scored += 1
        outcome = self.evaluator.score(Selection(metric, rule, hopeless))
        if isinstance(outcome, NoBetterThan):
            self._memo.add_bound(key, metric, rule, outcome)
            return outcome
        self._memo.add_metrics(key, outcome)
        return self._value(outcome)

    def recall(self, name: str, metrics: Mapping[str, Any]) -> None:
        """Takes over metrics of an ingredient that were recorded at training."""
        self._memo.share(self._key('val', {name: 1.0}), metrics)

    def evaluate_all(self, candidate: Candidate) -> dict[str, Any]:
        """Evaluates a candidate on every set on which it has not been evaluated.

        Returns:
            As :meth:`ModelEvaluator.evaluate_all`.
        """
        loaded = False

        def evaluate(split: str) -> dict[str, Any]:
            nonlocal loaded
            key = self._key(split, candidate.recipe)
            metrics = self._memo.metrics(key)
            if metrics is None:
                if not loaded:
                    self.evaluator.load_from(candidate.load)
                loaded = True
                metrics = self.evaluator.evaluate(split)
                self._memo.add_metrics(key, metrics)
            return dict(metrics)

        return self.evaluator.evaluate_all(evaluate)

    def cost(self) -> dict[str, Any]:
        """What has been spent since this was built.

        Returns:
            Passes by set; ``selection``, those over validation that chose;
            ``stopped``, those of them that were cut short; ``remembered``, evaluations
            that were known from before; ``images`` by set.
        """
        spent = {
            name: {k: v - self._before[name][k] for k, v in vars(s.count).items()}
            for name, s in _sets(self.evaluator)
        }
        return dict(
            {name: count['passes'] for name, count in spent.items()},
            selection=self._scored,
            stopped=spent['val']['stopped'],
            remembered=self.remembered,
            images={name: count['images'] for name, count in spent.items()},
        )

    def _key(self, split: str, recipe: Mapping[str, float]) -> str:
        by_content: dict[str, float] = {}
        for name, weight in recipe.items():
            digest = self._digests[name]
            by_content[digest] = by_content.get(digest, 0.0) + weight
        return evaluation_key(self.evaluator.keys[split], by_content)

    def _value(self, metrics: Mapping[str, Any]) -> float:
        if self.selection.metric not in metrics:
            raise ConfigError(
                f'selection.metric={self.selection.metric!r} is not among the '
                f'validation metrics {sorted(metrics)}: change it, or add it to '
                'val_evaluator'
            )
        return metrics[self.selection.metric]


def _sets(evaluator: ModelEvaluator) -> Any:
    return evaluator.sets.items()
