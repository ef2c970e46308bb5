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
    interval,
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
#: The best single model as it was trained, where the fusions have a decision.
PLAIN = 'plain'
_KEPT = ('value', 'low', 'high', 'difference')
# What a decision for one metric may cost.
_BESIDE = ('accuracy', 'loss', 'auroc')


@dataclass(frozen=True)
class Fusion:
    """One fusion that was tried.

    Attributes:
        title: What it is called.
        file: Its weights.
        models: How many models it is at inference.
        passes: Over validation, that it took to make.
        decision: Steps of its decision, in words; '' without one.
        decided: What these change on validation, cross-fitted: ``before`` and ``after``
            of the metric that selects, and of accuracy.
        predictions: By the name of the set.
    """

    title: str
    file: str
    models: int
    passes: int
    decision: str
    decided: Mapping[str, Mapping[str, float]]
    predictions: Mapping[str, Predictions]


def findings(
    fusions: Mapping[str, Fusion],
    plain: Mapping[str, Predictions],
    ensemble: Mapping[str, Predictions],
    nested: Nested,
    metrics: Mapping[str, PredictionMetrics],
    selection: Mapping[str, str],
    baseline: str,
    bootstrap: Mapping[str, Any],
    pool_size: int,
) -> dict[str, Any]:
    """Judges the fusions on every set; nothing is chosen by it any more.

    Args:
        fusions: By name.
        plain: What the best single model says without its decision; empty: it has
            none.
        ensemble: What all models of the pool say together; empty: it is not compared.
        nested: The choice, on validation.
        metrics: Of each set by its name.
        selection: What has chosen: ``metric`` and ``rule``.
        baseline: The name of the best single model.
        bootstrap: ``resamples``, ``confidence`` and ``seed``.
        pool_size: How many models the pool has.

    Returns:
        ``sets``: by set and method ``value``, ``low``, ``high``, and ``difference`` to
        the best single model (as it was trained, without a decision), None of itself;
        and ``beside``: accuracy, loss and AUROC of the chosen one, the best single
        model and the ensemble. Sets without the metric are left out.
    """
    sets, metric = {}, selection['metric']
    compared = PLAIN if plain else baseline
    for split, of_set in metrics.items():
        said = {name: [fusion.predictions[split]] for name, fusion in fusions.items()}
        if plain:
            said[PLAIN] = [plain[split]]
        if ensemble:
            said[ENSEMBLE] = [ensemble[split]]
        if split == VALIDATION:
            said[EXPECTED] = [nested.expected]
        found = assess(said, of_set, compared, **bootstrap)
        results = {name: r.get(metric) for name, r in found['results'].items()}
        if results[compared] is None:
            continue
        sets[split] = dict(
            cases=found['cases'],
            groups=found['groups'],
            results={n: {k: r[k] for k in _KEPT} for n, r in results.items() if r},
            beside={
                name: _beside(found['results'][name], metric)
                for name in dict.fromkeys((nested.chosen, compared, ENSEMBLE))
                if name in said
            },
        )
    described = dict(
        chosen=nested.chosen,
        by_fold=list(nested.by_fold),
        baseline=compared,
        single=baseline,
        pool_size=pool_size,
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
                decided=fusion.decided,
            )
            for name, fusion in fusions.items()
        },
        sets=sets,
    )
    # What is not finite is None, as in every report.
    return json.loads(json.dumps(described), parse_constant=lambda _: None)


def _beside(results: Mapping[str, Any], metric: str) -> dict[str, float]:
    return {
        name: results[name]['value']
        for name in _BESIDE
        if name in results and name != metric
    }


def in_words(found: Mapping[str, Any]) -> list[str]:
    """Says in plain sentences what was done, and what it is worth.

    Args:
        found: What :func:`findings` returns.
    """
    return list(_sentences(found))


def _sentences(found: Mapping[str, Any]) -> Iterator[str]:
    chosen, metric = found['chosen'], metric_title(found['metric'])
    fusions = found['fusions']
    title = fusions[chosen]['title']
    val = found['sets'][VALIDATION]
    tried = ', '.join(fusion['title'] for fusion in fusions.values())
    yield (
        f'{len(fusions)} fusions were tried ({tried}). Of these {title} has the best '
        f'{metric} on validation: {_value(val["results"][chosen])}.'
    )
    folds = found['by_fold']
    same = sum(name == chosen for name in folds)
    yield (
        f'That is too good, as it was chosen by it. Chosen on {len(folds) - 1} of '
        f'{len(folds)} parts of the {_cases(val)} and judged on the other, it is '
        f'{_value(val["results"][EXPECTED])} ({percent(found["confidence"])} interval)'
        f': that much is expected. {same} of the {len(folds)} choices are {title}.'
    )
    for split in found['sets']:
        yield from _of_set(found, split)
    if fusions[chosen]['decision']:
        yield _of_decision(found)


def _of_set(found: Mapping[str, Any], split: str) -> Iterator[str]:
    """Compares the chosen one on a set; what it has on validation has been said."""
    chosen, results = found['chosen'], found['sets'][split]['results']
    named = {chosen: found['fusions'][chosen]['title'], **_references(found)}
    judged, values = EXPECTED if split == VALIDATION else chosen, []
    for name, what in named.items():
        if name not in results or (split == VALIDATION and name == chosen):
            continue
        told = f'{what} {_value(results[name])}'
        if name == found['baseline'] != chosen:
            difference = results[judged]['difference']
            more = 'what is expected differs by'
            if judged == chosen:
                more = 'a difference of'
            told += f' ({more} {_difference(difference)})'
        values.append(told)
    if values:
        title = metric_title(found['metric'])
        yield f'On {set_title(split)}, {title}: {"; ".join(values)}.'


def _of_decision(found: Mapping[str, Any]) -> str:
    """What a decision does, and that it does not help if that is so."""
    fusion, metric = found['fusions'][found['chosen']], found['metric']
    changes = ' and '.join(
        f'{metric_title(name)} from {shown(each["before"])} to {shown(each["after"])}'
        for name, each in fusion['decided'].items()
    )
    text = (
        'Its decision was fitted on validation and is part of the file: '
        f'{fusion["decision"]}. On validation, cross-fitted, it takes {changes}.'
    )
    before, after = (fusion['decided'][metric][when] for when in ('before', 'after'))
    if not _is_better(after, before, found['rule']):
        text += (
            ' So validation does not say that it helps; decision=None leaves it out.'
        )
    return text


def _references(found: Mapping[str, Any]) -> dict[str, str]:
    """What the chosen one is compared with, in words; without the chosen one."""
    decided = found['baseline'] == PLAIN
    single = 'the best single model' + ' as it was trained' * decided
    ensemble = f'the logit ensemble of all {found["pool_size"]}'
    named = {
        found['baseline']: single,
        ENSEMBLE: ensemble + ' without a decision' * decided,
    }
    return {name: what for name, what in named.items() if name != found['chosen']}


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
    if chosen == found.get('single'):
        deploy += 'on validation no other fusion did better; '
    split, difference = _deciding(found)
    where = f'{set_title(split)} ({_cases(found["sets"][split])})'
    single = _references(found)[baseline]
    p = difference['p']
    if p is None or not p < SIGNIFICANT:
        verdict = f'it cannot be told apart from {single}'
    else:
        values = found['sets'][split]['results']
        name = EXPECTED if split == VALIDATION else chosen
        one, other = values[name]['value'], values[baseline]['value']
        better = _is_better(one, other, found['rule'])
        verdict = f'it is {"better" if better else "worse"} than {single}'
    metric = metric_title(found['metric'])
    return (
        f'{deploy}on {where} {verdict} (difference in {metric} '
        f'{_difference(difference)}).'
    )


def _deciding(found: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Where the difference to the best single model is most to be believed."""
    chosen, sets = found['chosen'], found['sets']
    for split in ('test', *sets):
        if split in sets and split != VALIDATION:
            return split, sets[split]['results'][chosen]['difference']
    return VALIDATION, sets[VALIDATION]['results'][EXPECTED]['difference']


def _is_better(one: float | None, other: float | None, rule: str) -> bool:
    if one is None or other is None:
        return False
    return one > other if rule == 'greater' else one < other


def _value(values: Mapping[str, Any]) -> str:
    return f'{shown(values["value"])} {_interval(values, shown)}'


def _difference(values: Mapping[str, Any]) -> str:
    return f'{signed(values["value"])} {_interval(values, signed)}'


def _cell(values: Mapping[str, Any]) -> str:
    """Shorter than in a sentence, that a table of some sets fits the screen."""
    value = values['value']
    return f'{"-" if value is None else f"{value:.3f}"} {interval(values)}'.strip()


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
    named |= {
        PLAIN: 'best single, as it was trained',
        ENSEMBLE: f'logit ensemble of all {found["pool_size"]}',
        EXPECTED: 'expected of the chosen one',
    }
    for name, title in named.items():
        values = [found['sets'][s]['results'].get(name) for s in sets]
        if not any(values):
            continue
        fusion = found['fusions'].get(name, {})
        of_all = {ENSEMBLE: found['pool_size'], PLAIN: 1}.get(name, '')
        mark = ' (chosen)' if name == found['chosen'] else ''
        table.append(
            [
                f'{title}{mark}',
                *('-' if v is None else _cell(v) for v in values),
                str(fusion.get('models', of_all)),
                str(fusion.get('passes', '')),
            ]
        )
    return columns, table


def rows_beside(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Returns a table of what else the chosen one is, beside what it is compared with.

    Args:
        found: What :func:`findings` returns.

    Returns:
        Its columns, and its rows; none where no other metric is known.
    """
    of_sets = {split: of_set['beside'] for split, of_set in found['sets'].items()}
    known = {name for each in of_sets.values() for of in each.values() for name in of}
    metrics = [name for name in _BESIDE if name in known]
    chosen = found['chosen']
    named = {chosen: found['fusions'][chosen]['title'], **_references(found)}
    table = [
        [
            set_title(split),
            named[name],
            *(f'{of[m]:.3f}' if of.get(m) is not None else '-' for m in metrics),
        ]
        for split, each in of_sets.items()
        for name, of in each.items()
    ]
    columns = ['set', 'model', *map(metric_title, metrics)]
    return columns, table if metrics else []
