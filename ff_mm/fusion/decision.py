"""The decision of a soup: fitted on validation, folded into its head, reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mmengine.config import Config

from ff_mm.display.numbers import shown
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.decisions.decision import Decision, Outputs
from ff_mm.evaluation.decisions.fitting import (
    cross_fitted,
    decided_by_others,
    fit,
    undecided,
)
from ff_mm.evaluation.decisions.folding import fold, is_multilabel, last_layers
from ff_mm.evaluation.decisions.outputs import read_outputs, training_frequencies
from ff_mm.evaluation.decisions.steps import FITTED, Prior, Step, read_steps
from ff_mm.evaluation.metrics.offline import silence
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.fission.class_balance import KEY as BALANCE
from ff_mm.merging import StateDict
from ff_mm.merging.pool import Pool
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone
from ff_mm.plain import plain_metrics

KEY = 'soup.decision'
ACCURACY = 'accuracy'


@dataclass(frozen=True)
class SoupDecision:
    """What a config's ``soup.decision`` asks for.

    Attributes:
        steps: Names and steps, see :func:`ff_mm.evaluation.decisions.steps.read_steps`.
        metric: The one that selects.
        rule: Whether a ``'greater'`` or a ``'less'`` value of it is better.
    """

    steps: tuple[tuple[str, Step], ...]
    metric: str
    rule: str

    @classmethod
    def read(cls, value: Any, cfg: Config) -> SoupDecision | None:
        """Reads it, before anything is computed.

        Args:
            value: The option; None: there is no decision.
            cfg: The config, resolved.

        Raises:
            ConfigError: It is no step, or needs training labels of which there are
                none.
        """
        if value is None:
            return None
        steps = tuple(read_steps(value, KEY))
        decision = cls(steps, cfg.selection['metric'], cfg.selection['rule'])
        if decision.needs_labels and not cfg.get('train_dataloader'):
            raise ConfigError(
                f'{KEY}: there is no train_dataloader from whose labels to count the '
                "classes: give dict(type='prior', frequencies=[...])"
            )
        return decision

    @property
    def needs_labels(self) -> bool:
        """Whether training labels have to be counted."""
        steps = (step for _, step in self.steps)
        return any(isinstance(s, Prior) and s.frequencies is None for s in steps)

    def check_balance(self, pool: Pool, notify: Callable[[str], None]) -> None:
        """Sees to it that class frequencies are not made up for twice.

        Ingredients of a plan with ``class_balance`` no longer have those of the labels.

        Args:
            pool: The ingredients.
            notify: Takes a line where tau is fitted, and so may be 0.

        Raises:
            ConfigError: A tau that is given, of frequencies that are counted.
        """
        how = {e.hyper[BALANCE]: e.name for e in pool.entries if BALANCE in e.hyper}
        if not how or not self.needs_labels:
            return
        (kind, name), *_ = how.items()
        trained = f'{name} was trained with {BALANCE}={kind!r}'
        counted = [s for _, s in self.steps if isinstance(s, Prior)]
        if any(s.tau != FITTED for s in counted if s.frequencies is None):
            raise ConfigError(
                f"{KEY}='prior': {trained}, so the class frequencies of the labels are "
                'made up for already, and would be twice: leave it out, take '
                "tau='fitted', or give frequencies"
            )
        notify(
            f'note: {trained}, so a prior correction by the frequencies of the labels '
            'comes on top; a fitted tau of 0 would be no surprise'
        )

    def prepared(self, evaluator: ModelEvaluator, team: Team) -> SoupDecision:
        """Returns it with class frequencies, before any pass; all processes call it.

        Raises:
            ConfigError: It does not go with the head or the training labels.
        """
        model = evaluator.model
        layer = model.get_submodule(last_layers(model)[0])
        number = int(layer.out_features)  # type: ignore[arg-type]
        multilabel = is_multilabel(model)
        steps = self.steps
        if self.needs_labels:
            dataset = evaluator.cfg.train_dataloader.dataset
            frequencies = first_alone(
                team,
                'class frequencies',
                lambda: training_frequencies(dataset, multilabel, number),
            )
            steps = tuple(
                (name, replace(step, frequencies=frequencies))
                if isinstance(step, Prior) and step.frequencies is None
                else (name, step)
                for name, step in steps
            )
        for name, step in steps:
            step.check(multilabel, number, f'{KEY}={name!r}')
        return replace(self, steps=steps)

    def decide(
        self,
        evaluator: ModelEvaluator,
        team: Team,
        state_dict: StateDict,
        before: Mapping[str, Any],
    ) -> tuple[dict[str, Any], StateDict, dict[str, Any]]:
        """Fits the decision on validation, and evaluates what comes of it.

        Args:
            evaluator: The network and the sets.
            team: Processes of which each has all cases; all call it.
            state_dict: The soup's weights.
            before: Its metrics by set, as :meth:`ModelEvaluator.evaluate_all` gives
                them.

        Returns:
            The metrics with the decision: on validation those of cross-fitting. The
            weights with the decision in them. What a report says of it.

        Raises:
            ConfigError: It cannot be fitted.
        """

        def work() -> dict[str, Any]:
            return self._decide(evaluator, state_dict, before)

        done = first_alone(team, 'decision', work)
        folded = fold(
            _decision(done['facts']), state_dict, last_layers(evaluator.model)
        )
        return done['after'], folded, done['facts']

    def line(self, facts: Mapping[str, Any], after: Mapping[str, Any]) -> str:
        """Says in a line what the decision does on validation."""
        steps = '; '.join(describe_step(step) for step in facts['steps'])
        accuracy = facts['accuracy']['val']
        values = [
            (self.metric, facts['before']['val'].get(self.metric), after['val']),
            (ACCURACY, accuracy['before'], {ACCURACY: accuracy['after']}),
        ]
        changes = ', '.join(
            f'{name} {shown(old)} to {shown(new.get(name))}'
            for name, old, new in dict((v[0], v) for v in values).values()
        )
        return f'decision: {steps}; on validation, cross-fitted: {changes}'

    def _decide(
        self,
        evaluator: ModelEvaluator,
        state_dict: StateDict,
        before: Mapping[str, Any],
    ) -> dict[str, Any]:
        evaluator.load(state_dict)
        outputs = read_outputs(evaluator, 'val')
        if self.metric not in before['val']:
            raise ConfigError(
                f'{KEY}: selection.metric={self.metric!r} is not among the validation '
                f'metrics {sorted(before["val"])}'
            )
        plain = by_set(before)
        # Accuracy stands beside whatever is selected by, on every set.
        lacking = [n for n in plain if n != 'val' and ACCURACY not in plain[n]]
        others = {name: read_outputs(evaluator, name) for name in lacking}
        metrics = PredictionMetrics(evaluator.metrics('val'), evaluator.dataset_meta)
        sign = 1 if self.rule == 'greater' else -1

        def score(tried: Outputs) -> float:
            return sign * float(metrics.evaluate(tried)[self.metric])

        with silence():
            fitted = fit(outputs, self.steps, score)
            crossed = cross_fitted(outputs, self.steps, score)
            cross_metrics = plain_metrics(metrics.evaluate(crossed.outputs))
        decision = fitted.decision
        evaluator.load(fold(decision, state_dict, last_layers(evaluator.model)))
        of_file = evaluator.evaluate_all(lambda s: plain_metrics(evaluator.evaluate(s)))
        decided = by_set(of_file)
        accuracy = {
            name: dict(before=plain[name].get(ACCURACY), after=found.get(ACCURACY))
            for name, found in decided.items()
        }
        accuracy['val'] = dict(before=outputs.accuracy, after=crossed.outputs.accuracy)
        for name, other in others.items():
            after = other.decided(decision).accuracy
            accuracy[name] = dict(before=other.accuracy, after=after)
        facts = dict(
            steps=fitted.steps,
            scale=decision.scale,
            bias=list(decision.bias),
            before=dict(before),
            cross_fitting=dict(
                decisions=[
                    dict(scale=each.scale, bias=list(each.bias))
                    for each in crossed.decisions
                ],
                fold=crossed.fold_of.tolist(),
            ),
            # The file's own: fitted on these very cases, so too good.
            val_as_fitted=of_file['val'],
            accuracy=accuracy,
        )
        return dict(facts=facts, after=dict(of_file, val=cross_metrics))


def scores_by_others(
    facts: Mapping[str, Any], scores: np.ndarray, multilabel: bool
) -> np.ndarray:
    """Returns the validation scores of cross-fitting, from those of the file.

    The file's own are too good to compare it with others by.

    Args:
        facts: What the report says of its decision.
        scores: Of the file, of all validation cases.
        multilabel: Whether a case can have several labels.

    Raises:
        FFMMError: The report is of other cases.
    """
    fold_of = np.array(facts['cross_fitting']['fold'])
    if len(fold_of) != len(scores):
        raise FFMMError(
            f'the report of a decision is of {len(fold_of)} validation cases, there are'
            f' {len(scores)}: delete made.json to have the soup made anew'
        )
    decisions = map(_decision, facts['cross_fitting']['decisions'])
    return decided_by_others(
        scores, multilabel, _decision(facts), list(decisions), fold_of
    )


def scores_without(
    facts: Mapping[str, Any], scores: np.ndarray, multilabel: bool
) -> np.ndarray:
    """Returns scores without a decision, from those of a file with it.

    Args:
        facts: What the report says of its decision.
        scores: Of the file.
        multilabel: Whether a case can have several labels.
    """
    return undecided(scores, multilabel, _decision(facts))


def _decision(facts: Mapping[str, Any]) -> Decision:
    return Decision(facts['scale'], tuple(facts['bias']))


def describe_step(step: Mapping[str, Any]) -> str:
    """Says in a few words what a step of a report has come to."""
    if step['type'] == 'temperature':
        share = f'the loss falls in {step["agreement"]:.0%} of resamples'
        verdict = 'kept' if step['kept'] else 'not kept'
        return f'temperature {step["temperature"]:.3g} {verdict} ({share})'
    if step['type'] == 'prior':
        return f'prior correction, tau {step["tau"]:g}' + ' (fitted)' * step['fitted']
    return f'thresholds of the best {step["metric"]} a label'


def by_set(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the metrics of a report by the name of the set."""
    sets = {'val': results['val'], 'test': results['test']}
    sets |= {f'ood/{name}': metrics for name, metrics in results['ood'].items()}
    return {name: metrics for name, metrics in sets.items() if metrics is not None}
