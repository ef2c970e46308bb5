"""What a model reaches on the sets of a config, with intervals, for its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ff_mm.comparison.assessment import assess
from ff_mm.inference.measuring import MeasuredModel

RESAMPLES, CONFIDENCE = 2000, 0.95
_MODEL = 'model'


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        sets: Name -> ``cases``, ``groups``, ``classes`` (name -> number of cases),
            ``values`` (overall metric -> ``value``, ``low``, ``high``; both None where
            no interval is known) and ``metrics`` (all of them).
        dataset: What the data set is called.
    """

    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dataset: str = ''


def measure(measured: MeasuredModel) -> Measurement:
    """Makes one pass over each set.

    Intervals are those of a comparison: 95 %, of 2,000 resamples by patient or lesion.

    Args:
        measured: The model and the sets.
    """
    sets = {}
    for name in measured.names:
        predictions = measured.predictions(name)
        found = assess(
            {_MODEL: [predictions]},
            measured.metrics(name),
            _MODEL,
            RESAMPLES,
            CONFIDENCE,
        )
        sets[name] = dict(
            cases=found['cases'],
            groups=found['groups'],
            classes=found['classes'],
            values=found['results'][_MODEL],
            metrics=found['metrics'][_MODEL][0],
        )
    kind = type(measured.evaluator.val_dataset)
    return Measurement(sets, kind.__name__)


def as_reported(report: Mapping[str, Any]) -> Measurement:
    """Takes over what the report of a fusion says, which has no intervals.

    Args:
        report: Of ``report.json``.
    """
    said = {'val': report.get('val'), 'test': report.get('test')}
    said |= {f'ood/{name}': m for name, m in (report.get('ood') or {}).items()}
    sets = {}
    for name, metrics in said.items():
        if not metrics:
            continue
        values = {
            key: dict(value=value, low=None, high=None)
            for key, value in metrics.items()
            if isinstance(value, float) and '/' not in key
        }
        sets[name] = dict(
            cases=None, groups=None, classes={}, values=values, metrics=metrics
        )
    return Measurement(sets)
