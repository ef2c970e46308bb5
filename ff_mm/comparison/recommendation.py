"""Which model to deploy, and how sure one can be that it is the better one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from ff_mm.comparison.report.wording import (
    SIGNIFICANT,
    metric_title,
    set_title,
    signed,
)
from ff_mm.display.numbers import shown
from ff_mm.errors import FFMMError


@dataclass(frozen=True)
class Choice:
    """One model: what a method made of one of its pools.

    Attributes:
        method: The name of the method.
        run: Which of its runs, from 0.
        score: The model's validation metric.
    """

    method: str
    run: int
    score: float


def choose(scores: Mapping[str, Sequence[float]], rule: str) -> Choice:
    """Chooses a model by validation alone.

    The method is that whose runs have the best mean, so that many repetitions of one
    method are no advantage; the model is the best of its runs. Of equal ones the first
    is taken.

    Args:
        scores: Validation metric of each run by the name of the method.
        rule: ``'greater'`` or ``'less'``: which is better.

    Raises:
        FFMMError: No method has a score in all of its runs.
    """
    sign = 1 if rule == 'greater' else -1
    means = {name: sum(runs) / len(runs) for name, runs in scores.items()}
    known = [name for name, value in means.items() if not isnan(value)]
    if not known:
        raise FFMMError(f'the validation metric of every method is NaN: {list(scores)}')
    method = max(known, key=lambda name: sign * means[name])
    runs = scores[method]
    run = max(range(len(runs)), key=lambda i: sign * runs[i])
    return Choice(method, run, runs[run])


def in_words(recommendation: Mapping[str, Any], metric: str) -> list[str]:
    """Says in plain sentences what a recommendation comes to.

    Args:
        recommendation: As in ``comparison.json``; ``candidates`` is how many methods
            there were.
        metric: The metric of selection.
    """
    return list(_sentences(recommendation, metric))


def _sentences(it: Mapping[str, Any], metric: str) -> Iterator[str]:
    yield from _verdicts(it)
    yield (
        f'{it["title"]} has the best {metric_title(metric)} on validation, '
        f'{shown(it["mean"])}, of {it["candidates"]} methods that leave one model.'
    )
    if it['runs'] > 1:
        yield (
            f'That is the mean of {it["runs"]} runs; run {it["run"]} is the best of '
            f'them with {shown(it["val"])}.'
        )
    for name, result in it['results'].items():
        yield f'On {set_title(name)} it has {_interval(result, shown)}.'
    if it['method'] == it['best_single']:
        yield (
            'It is made of one model of its pool, not of several: nothing that '
            'averages did better on validation.'
        )
    elif it['differences']:
        yield (
            f'{it["best_single_title"]} is, on validation, the best of what is made of '
            'one model of its pool.'
        )


def _verdicts(it: Mapping[str, Any]) -> Iterator[str]:
    for name, difference in it['differences'].items():
        sure = (nan if difference['p'] is None else difference['p']) < SIGNIFICANT
        verdict = 'differs from' if sure else 'cannot be told apart from'
        yield (
            f'On {set_title(name)} {it["title"]} {verdict} {it["best_single_title"]}'
            f'{" by more than chance" if sure else " with these cases"}: '
            f'the difference is {_interval(difference, signed)}, '
            f'p = {shown(difference["p"])}.'
        )


def _interval(values: Mapping[str, Any], write: Any) -> str:
    low, high = write(values['low']), write(values['high'])
    return f'{write(values["value"])} [{low}, {high}]'
