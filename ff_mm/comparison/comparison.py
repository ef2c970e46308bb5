"""All that ``comparison.json`` says, from what models predict and what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan
from statistics import fmean
from typing import Any

from ff_mm.comparison.assessment import assess, assess_and_keep
from ff_mm.comparison.delong import delong_table
from ff_mm.comparison.method import Cost, Method, mean_cost
from ff_mm.comparison.model_predictions import VALIDATION
from ff_mm.comparison.recommendation import Choice, choose, in_words
from ff_mm.comparison.report.wording import set_title
from ff_mm.comparison.resamples import Resamples
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.predictions import Predictions

FORMAT = 1

# What an assessment says of the set itself.
_OF_A_SET = ('cases', 'groups', 'redrawn', 'may_lack', 'classes')


@dataclass(frozen=True)
class Run:
    """What a method made of one pool.

    Attributes:
        source: Where its ingredients came from, as the config says it.
        soup: ``'best'``, ``'uniform'``, ...; or ``'ensemble'``.
        recipe: Weight by the name of the ingredient; they sum to 1.
        pool_size: How many ingredients there were.
        file: The model's weights; None for an ensemble that has none.
        models: How many models there are at inference.
        generation: What the pool cost to train; None: not known.
        selection: What it cost to choose.
        predictions: By the name of the set.
    """

    source: Any
    soup: str
    recipe: Mapping[str, float | None]
    pool_size: int
    file: str | None
    models: int
    generation: Cost | None
    selection: Cost
    predictions: Mapping[str, Predictions]


@dataclass(frozen=True)
class Comparison:
    """Methods, what they made, and how that is judged.

    Attributes:
        title: What the comparison is of.
        methods: In the order of the tables.
        runs: Runs of each method by its name.
        metrics: Metrics of each set by its name; ``'val'`` is the one selected on.
        metric: The metric of selection, one of validation's.
        rule: ``'greater'`` or ``'less'``: which value of it is better.
        baseline: The name of the method to which differences are taken.
        bootstrap: ``resamples``, ``confidence`` and ``seed``.
        size: ``parameters`` and ``bytes`` of one model.
        rules: Of each metric that it is known of, which value is better.
        notify: Takes lines for the user, as resamples take their time.
    """

    title: str
    methods: Sequence[Method]
    runs: Mapping[str, Sequence[Run]]
    metrics: Mapping[str, PredictionMetrics]
    metric: str
    rule: str
    baseline: str
    bootstrap: Mapping[str, Any]
    size: Mapping[str, int]
    rules: Mapping[str, str] = field(default_factory=dict)
    notify: Callable[[str], None] = lambda text: None

    def describe(self) -> dict[str, Any]:
        """Computes everything.

        Returns:
            The content of ``comparison.json``, see docs/architecture.md, but for
            ``date``, ``data``, ``published``, ``environment`` and ``resampled``. What
            is not finite is None.

        Raises:
            FFMMError: Predictions that do not fit each other, or metrics that do not
                fit them.
        """
        found = {split: assessment for split, (assessment, _) in self._found.items()}
        rows = {method.name: self._row(method, found) for method in self.methods}
        described = dict(
            format=FORMAT,
            title=self.title,
            metric=self.metric,
            rule=self.rule,
            rules=dict(self.rules),
            confidence=self.bootstrap['confidence'],
            resamples=self.bootstrap['resamples'],
            baseline=self.baseline,
            sets={s: {key: f[key] for key in _OF_A_SET} for s, f in found.items()},
            methods=rows,
            delong={split: self._delong(split) for split in self._unseen},
            recommendation=self._recommend(rows),
        )
        text = json.dumps(described, default=lambda array: array.tolist())
        return json.loads(text, parse_constant=lambda _: None)

    def resamples(self) -> Resamples:
        """Gives what the intervals come from, of each run by itself.

        Raises:
            FFMMError: As :meth:`describe`.
        """
        return Resamples(
            self.bootstrap['seed'],
            {
                (split, method, metric): values
                for split, (_, resampled) in self._found.items()
                for method, metrics in resampled.items()
                for metric, values in metrics.items()
            },
        )

    @cached_property
    def _found(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """The assessment of each set and its resamples, made once."""
        return {split: self._assess(split) for split in self.metrics}

    @property
    def _unseen(self) -> list[str]:
        """The sets on which nothing was selected."""
        return [split for split in self.metrics if split != VALIDATION]

    def _predictions(self, split: str) -> dict[str, list[Predictions]]:
        return {
            name: [run.predictions[split] for run in runs]
            for name, runs in self.runs.items()
        }

    def _assess(self, split: str) -> tuple[dict[str, Any], dict[str, Any]]:
        self.notify(f'{set_title(split)}: {self.bootstrap["resamples"]} resamples')
        predictions, metrics = self._predictions(split), self.metrics[split]
        return assess_and_keep(predictions, metrics, self.baseline, **self.bootstrap)

    def _delong(self, split: str) -> list[dict[str, Any]]:
        meta, confidence = (
            self.metrics[split].dataset_meta,
            self.bootstrap['confidence'],
        )
        return delong_table(self._predictions(split), meta, self.baseline, confidence)

    def _row(self, method: Method, found: Mapping[str, Any]) -> dict[str, Any]:
        """All that is said of one method."""
        runs = self.runs[method.name]
        models = runs[0].models
        return dict(
            title=method.title,
            pool=method.pool,
            soup=runs[0].soup,
            models=models,
            runs=[
                dict(
                    pool_file=run.source,
                    file=run.file,
                    ingredients=[dict(name=n, weight=w) for n, w in run.recipe.items()],
                    pool_size=run.pool_size,
                    metrics={s: f['metrics'][method.name][i] for s, f in found.items()},
                )
                for i, run in enumerate(runs)
            ],
            results={s: f['results'][method.name] for s, f in found.items()},
            cost=dict(
                generation=mean_cost([run.generation for run in runs]),
                selection=mean_cost([run.selection for run in runs]),
                inference=dict(
                    models=models, **{k: models * n for k, n in self.size.items()}
                ),
            ),
        )

    def _recommend(self, rows: Mapping[str, Any]) -> dict[str, Any] | None:
        """Chooses on validation alone, then says what the other sets say of it."""
        scores = {
            name: [run['metrics'][VALIDATION][self.metric] for run in row['runs']]
            for name, row in rows.items()
            if row['soup'] != 'ensemble'
        }
        if not scores:
            return None
        chosen = choose(scores, self.rule)
        singles = {
            name: values
            for name, values in scores.items()
            if rows[name]['soup'] == 'best' and not any(map(isnan, values))
        }
        single = choose(singles, self.rule) if singles else None
        rival = None if chosen.method in singles else single
        results, differences = self._against(chosen, rival)
        recommendation = dict(
            method=chosen.method,
            title=rows[chosen.method]['title'],
            run=chosen.run,
            file=self.runs[chosen.method][chosen.run].file,
            val=chosen.score,
            runs=len(scores[chosen.method]),
            mean=fmean(scores[chosen.method]),
            candidates=len(scores),
            results=results,
            best_single=single and single.method,
            best_single_title=single and rows[single.method]['title'],
            differences=differences,
        )
        return dict(recommendation, text=in_words(recommendation, self.metric))

    def _against(
        self, chosen: Choice, rival: Choice | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values of one model on the sets that it was not chosen on, and differences.

        Where those sets have other metrics than validation there is nothing to say.
        """
        results, differences = {}, {}
        models = {'chosen': chosen, 'rival': rival}
        baseline = 'chosen' if rival is None else 'rival'
        for split in self._unseen:
            predictions = {
                name: [self.runs[choice.method][choice.run].predictions[split]]
                for name, choice in models.items()
                if choice is not None
            }
            metrics = self.metrics[split]
            found = assess(predictions, metrics, baseline, **self.bootstrap)['results']
            values = found['chosen'].get(self.metric)
            if values is None or isnan(values['value']):
                continue
            results[split] = {key: values[key] for key in ('value', 'low', 'high')}
            if rival is not None:
                differences[split] = values['difference']
        return results, differences
