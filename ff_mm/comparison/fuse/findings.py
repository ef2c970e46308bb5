"""What a fusion has come to, in numbers and in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ff_mm.comparison.assessment import assess
from ff_mm.comparison.fuse.nested import Nested
from ff_mm.comparison.report.wording import (
    SIGNIFICANT,
    metric_title,
    percent,
    set_title,
    signed,
)
from ff_mm.display.numbers import shown
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.predictions import Predictions

FORMAT = 1
VALIDATION = 'val'
EXPECTED, ENSEMBLE = 'expected', 'ensemble'
_KEPT = ('value', 'low', 'high', 'difference')


@dataclass(frozen=True)
class Fusion:
    """One fusion that was tried.

    Attributes:
        title: What it is called.
        file: Its weights.
        models: How many models it is at inference.
        passes: Over validation, that it took to make.
        decision: Steps of its decision, in words; '' without one.
        predictions: By the name of the set.
    """

    title: str
    file: str
    models: int
    passes: int
    decision: str
    predictions: Mapping[str, Predictions]


def findings(
    fusions: Mapping[str, Fusion],
    ensemble: Mapping[str, Predictions],
    nested: Nested,
    metrics: Mapping[str, PredictionMetrics],
    selection: Mapping[str, str],
    baseline: str,
    bootstrap: Mapping[str, Any],
) -> dict[str, Any]:
    """Judges the fusions on every set; nothing is chosen by it any more.

    Args:
        fusions: By name.
        ensemble: What all models of the pool say together; empty: it is not compared.
        nested: The choice, on validation.
        metrics: Of each set by its name.
        selection: What has chosen: ``metric`` and ``rule``.
        baseline: The name of the best single model.
        bootstrap: ``resamples``, ``confidence`` and ``seed``.

    Returns:
        ``sets``: by set and method ``value``, ``low``, ``high``, and ``difference`` to
        the best single model, of which the file is another or None. Sets without the
        metric are left out.
    """
    sets, metric = {}, selection['metric']
    for split, of_set in metrics.items():
        said = {name: [fusion.predictions[split]] for name, fusion in fusions.items()}
        if ensemble:
            said[ENSEMBLE] = [ensemble[split]]
        if split == VALIDATION:
            said[EXPECTED] = [nested.expected]
        found = assess(said, of_set, baseline, **bootstrap)
        results = {name: r.get(metric) for name, r in found['results'].items()}
        if results[baseline] is None:
            continue
        sets[split] = dict(
            cases=found['cases'],
            groups=found['groups'],
            results={n: {k: r[k] for k in _KEPT} for n, r in results.items() if r},
        )
    described = dict(
        chosen=nested.chosen,
        by_fold=list(nested.by_fold),
        baseline=baseline,
        metric=metric,
        rule=selection['rule'],
        confidence=bootstrap['confidence'],
        fusions={
            name: dict(
                title=fusion.title,
                file=fusion.file,
                models=fusion.models,
                passes=fusion.passes,
                decision=fusion.decision,
            )
            for name, fusion in fusions.items()
        },
        sets=sets,
    )
    # What is not finite is None, as in every report.
    return json.loads(json.dumps(described), parse_constant=lambda _: None)


def in_words(found: Mapping[str, Any]) -> list[str]:
    """Says in plain sentences what was done, and what it is worth.

    Args:
        found: What :func:`findings` returns.
    """
    return list(_sentences(found))


def _sentences(found: Mapping[str, Any]) -> Iterator[str]:
    chosen, metric = found['chosen'], metric_title(found['metric'])
    fusions = found['fusions']
    title, single = fusions[chosen]['title'], fusions[found['baseline']]['title']
    val = found['sets'][VALIDATION]
    tried = ', '.join(fusion['title'] for fusion in fusions.values())
    yield (
        f'{len(fusions)} fusions were tried ({tried}). {title} has the best {metric} '
        f'on validation: {_value(val["results"][chosen])}.'
    )
    folds = found['by_fold']
    same = sum(name == chosen for name in folds)
    yield (
        f'That is too good, as it was chosen by it. Chosen on {len(folds) - 1} of '
        f'{len(folds)} parts of the {_cases(val)} and judged on the other, it is '
        f'{_value(val["results"][EXPECTED])} ({percent(found["confidence"])} interval)'
        f': that much is expected. {same} of {len(folds)} parts choose the same.'
    )
    for split, of_set in found['sets'].items():
        results = of_set['results']
        if split != VALIDATION:
            yield f'On {set_title(split)} it has {_value(results[chosen])}.'
        for name, what in ((found['baseline'], single), (ENSEMBLE, 'all together')):
            if name in results and name != chosen:
                yield f'On {set_title(split)} {what} has {_value(results[name])}.'
    if fusions[chosen]['decision']:
        yield (
            'Its decision was fitted on validation and is part of the file: '
            f'{fusions[chosen]["decision"]}.'
        )


def closing(found: Mapping[str, Any], file: str) -> str:
    """Says in one sentence what to deploy, and whether it is better than a single one.

    Args:
        found: What :func:`findings` returns.
        file: What to deploy.
    """
    chosen, baseline = found['chosen'], found['baseline']
    title = found['fusions'][chosen]['title']
    deploy = f'Deploy {file} ({title}): '
    if chosen == baseline:
        return f'{deploy}it is the best single model, and no fusion did better.'
    split, difference = _deciding(found)
    where = f'{set_title(split)} ({_cases(found["sets"][split])})'
    told = f'{signed(difference["value"])} {_interval(difference, signed)}'
    p = difference['p']
    if p is None or not p < SIGNIFICANT:
        verdict = 'it cannot be told apart from the best single model'
    else:
        values = found['sets'][split]['results']
        name = EXPECTED if split == VALIDATION else chosen
        better = _is_better(values[name], values[baseline], found['rule'])
        verdict = f'it is {"better" if better else "worse"} than the best single model'
    metric = metric_title(found['metric'])
    return f'{deploy}on {where} {verdict} (difference in {metric} {told}).'


def _deciding(found: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Where the difference to the best single model is most to be believed."""
    chosen, sets = found['chosen'], found['sets']
    for split in ('test', *sets):
        if split in sets and split != VALIDATION:
            return split, sets[split]['results'][chosen]['difference']
    return VALIDATION, sets[VALIDATION]['results'][EXPECTED]['difference']


def _is_better(one: Mapping[str, Any], other: Mapping[str, Any], rule: str) -> bool:
    greater = one['value'] > other['value']
    return greater if rule == 'greater' else not greater


def _value(values: Mapping[str, Any]) -> str:
    return f'{shown(values["value"])} {_interval(values, shown)}'


def _interval(values: Mapping[str, Any], write: Any) -> str:
    return f'[{write(values["low"])}, {write(values["high"])}]'


def _cases(of_set: Mapping[str, Any]) -> str:
    groups = of_set['groups']
    cases = f'{of_set["cases"]} cases'
    return cases if groups is None else f'{cases} of {groups} patients or lesions'


def rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Returns a table of all fusions on all sets: its columns, and its rows."""
    sets: Sequence[str] = list(found['sets'])
    columns = ['fusion', *map(set_title, sets), 'models', 'passes']
    table = []
    named = {name: f['title'] for name, f in found['fusions'].items()}
    named |= {ENSEMBLE: 'logit ensemble of all', EXPECTED: 'expected of the chosen one'}
    for name, title in named.items():
        values = [found['sets'][s]['results'].get(name) for s in sets]
        if not any(values):
            continue
        fusion = found['fusions'].get(name, {})
        of_all = found['pool_size'] if name == ENSEMBLE else ''
        mark = ' (chosen)' if name == found['chosen'] else ''
        table.append(
            [
                f'{title}{mark}',
                *('-' if v is None else _value(v) for v in values),
                str(fusion.get('models', of_all)),
                str(fusion.get('passes', '')),
            ]
        )
    return columns, table
