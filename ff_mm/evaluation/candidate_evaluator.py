"""Evaluates candidates of one pool, and remembers what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from mmengine.dist import all_gather_object

from ff_mm.errors import ConfigError
from ff_mm.evaluation.early_exit import Selection
from ff_mm.evaluation.memo import EvaluationMemo, by_content, evaluation_key
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.merging import Candidate, NoBetterThan
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import in_turn, together
from ff_mm.plain import plain_metrics

Hopeless = Callable[[float], bool]

# Candidates a process that are given out at a time. Passes that end early take
# unequal times, which many even out.
_AHEAD = 4


class CandidateEvaluator:
    """Makes the passes that are needed, each once, and counts them.

    With a team every process goes through the same calls; each makes a share of the
    passes, and all get all outcomes.

    Args:
        evaluator: The network and the sets; others may use them too.
        memo: What is known already, the same in all processes.
        digests: SHA-256 of the ingredients' files by the names in recipes.
        selection: The metric and the rule by which candidates are chosen.
        team: Processes of which each has all cases; None: there are no others, or the
            passes themselves are split over them.

    Attributes:
        at_once: How many candidates it is good to give at a time.
    """

    def __init__(
        self,
        evaluator: ModelEvaluator,
        memo: EvaluationMemo,
        digests: Mapping[str, str],
        selection: Selection,
        team: Team | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.selection = selection
        self.remembered = 0
        self._memo = memo
        self._digests = digests
        self._team = team or Team.alone()
        self.at_once = 1 if self._team.size == 1 else _AHEAD * self._team.size
        self._before = {name: vars(s.count).copy() for name, s in _sets(evaluator)}
        self._scored: set[str] = set()

    def score(
        self, candidates: Sequence[Candidate], hopeless: Hopeless | None
    ) -> list[float | NoBetterThan]:
        """Returns scores on validation, as far as they matter.

        Each process takes the next candidate as soon as it is free, until one has won.

        Args:
            candidates: What to evaluate, the first of which is needed for sure.
            hopeless: Says of a bound whether it settles the matter; None: the full
                scores are needed.

        Returns:
            The scores, or bounds that settle it, of the first one or more: no others
            than the winner's predecessors are needed, and if the first is known
            already, nothing is evaluated.

        Raises:
            ConfigError: There is no such metric.
            AnotherFailed: Another process has.
        """
        keys = [self._key('val', candidate.recipe) for candidate in candidates]
        if known := self._recalled_first(keys, hopeless):
            self.remembered += len(known)
            return known
        unknown: dict[str, Candidate] = {}
        for key, candidate in zip(keys, candidates, strict=True):
            recalled = self._recalled(key, hopeless)
            if recalled is None:
                unknown[key] = candidate
            elif _wins(recalled, hopeless):
                break
        in_turn(
            self._team,
            'score',
            list(unknown),
            lambda key: self._pass(unknown[key], hopeless),
            self._note,
            lambda outcome: _wins(self._outcome(outcome), hopeless),
        )
        found = self._recalled_first(keys, hopeless)
        self.remembered += sum(key not in unknown for key in keys[: len(found)])
        return found

    def recall(self, name: str, metrics: Mapping[str, Any]) -> None:
        """Takes over metrics of an ingredient that were recorded at training."""
        self._memo.share(self._key('val', {name: 1.0}), metrics)

    def evaluate_all(self, candidate: Candidate) -> dict[str, Any]:
        """Evaluates a candidate on every set on which it has not been evaluated.

        Each process takes the next set as soon as it is free.

        Returns:
            As :meth:`ModelEvaluator.evaluate_all`.
        """
        keys = {name: self._key(name, candidate.recipe) for name in self.evaluator.sets}
        unknown = [n for n, key in keys.items() if self._memo.metrics(key) is None]
        loaded = False

        def evaluate(name: str) -> dict[str, Any]:
            nonlocal loaded
            if not loaded:
                self.evaluator.load_from(candidate.load)
            loaded = True
            return plain_metrics(self.evaluator.evaluate(name))

        in_turn(
            self._team,
            'evaluate',
            unknown,
            evaluate,
            lambda name, metrics: self._memo.add_metrics(keys[name], metrics),
        )
        return self.evaluator.evaluate_all(
            lambda name: dict(self._memo.metrics(keys[name]))
        )

    def cost(self, in_vain: Iterable[Mapping[str, float]] = ()) -> dict[str, Any]:
        """What all processes have spent since this was built.

        Args:
            in_vain: Recipes of candidates that no decision has needed.

        Returns:
            Passes by set; ``selection``, those over validation that chose;
            ``in_vain``, those of them that no decision has needed; ``stopped``, those
            that were cut short; ``remembered``, evaluations that were known from
            before; ``images`` by set.
        """
        spent = {
            name: {k: v - self._before[name][k] for k, v in vars(s.count).items()}
            for name, s in _sets(self.evaluator)
        }
        # Split over a process group, a pass is one, but each rank has its own images.
        ranks = all_gather_object({n: count['images'] for n, count in spent.items()})
        for name, count in spent.items():
            count['images'] = sum(rank[name] for rank in ranks)
        total: dict[str, Counter] = {name: Counter() for name in spent}
        for of_process in together(self._team, 'cost', lambda: spent):
            for name, count in of_process.items():
                total[name].update(count)
        return dict(
            {name: count['passes'] for name, count in total.items()},
            selection=len(self._scored),
            in_vain=len(self._scored & {self._key('val', r) for r in in_vain}),
            stopped=total['val']['stopped'],
            remembered=self.remembered,
            images={name: count['images'] for name, count in total.items()},
        )

    def _note(self, key: str, outcome: dict[str, Any] | float) -> None:
        """Keeps what a pass has found."""
        self._scored.add(key)
        if isinstance(outcome, dict):
            self._memo.add_metrics(key, outcome)
        else:
            metric, rule = self.selection.metric, self.selection.rule
            self._memo.add_bound(key, metric, rule, NoBetterThan(outcome))

    def _outcome(self, outcome: dict[str, Any] | float) -> float | NoBetterThan:
        if isinstance(outcome, dict):
            return self._value(outcome)
        return NoBetterThan(outcome)

    def _recalled_first(
        self, keys: Sequence[str], hopeless: Hopeless | None
    ) -> list[float | NoBetterThan]:
        """What is known of the first ones, as far as nothing is unknown."""
        recalled = (self._recalled(key, hopeless) for key in keys)
        return list(takewhile(lambda known: known is not None, recalled))

    def _recalled(
        self, key: str, hopeless: Hopeless | None
    ) -> float | NoBetterThan | None:
        """What is known of a candidate and enough to go on; else None."""
        metrics = self._memo.metrics(key)
        if metrics is not None:
            return self._value(metrics)
        bound = self._memo.bound(key, self.selection.metric, self.selection.rule)
        if bound is not None and hopeless is not None and hopeless(bound.value):
            return bound
        return None

    def _pass(
        self, candidate: Candidate, hopeless: Hopeless | None
    ) -> dict[str, Any] | float:
        """Makes one pass; the metrics, or a bound where it was cut short."""
        self.evaluator.load_from(candidate.load)
        selection = Selection(self.selection.metric, self.selection.rule, hopeless)
        outcome = self.evaluator.score(selection)
        if isinstance(outcome, NoBetterThan):
            return float(outcome.value)
        return plain_metrics(outcome)

    def _key(self, split: str, recipe: Mapping[str, float]) -> str:
        parts = by_content(recipe, self._digests)
        return evaluation_key(self.evaluator.keys[split], parts)

    def _value(self, metrics: Mapping[str, Any]) -> float:
        if self.selection.metric not in metrics:
            raise ConfigError(
                f'selection.metric={self.selection.metric!r} is not among the '
                f'validation metrics {sorted(metrics)}: change it, or add it to '
                'val_evaluator'
            )
        return metrics[self.selection.metric]


def _wins(outcome: float | NoBetterThan, hopeless: Hopeless | None) -> bool:
    if isinstance(outcome, NoBetterThan) or hopeless is None:
        return False
    return not hopeless(outcome)


def _sets(evaluator: ModelEvaluator) -> Any:
    return evaluator.sets.items()
