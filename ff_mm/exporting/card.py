"""``README.md`` of a model: what it is, what it reaches, and what it is not for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ff_mm.display.escaping import markdown
from ff_mm.display.numbers import by_class, shown
from ff_mm.errors import ConfigError
from ff_mm.exporting.measurement import CONFIDENCE, RESAMPLES, Measurement
from ff_mm.fusion.decision import describe_step
from ff_mm.inference.trained_model import TrainedModel
from ff_mm.version import __version__
from ff_mm_commands.export import UNKNOWN

CARD_FILE = 'README.md'
_TEMPLATE = 'card.md.j2'
_TAGS = ('image-classification', 'model-soup', 'fissionfusion', 'mmpretrain')
# Ours -> what the hub calls it.
_HUB = dict(
    accuracy='accuracy',
    macro_f1='f1',
    macro_recall='recall',
    macro_precision='precision',
    auroc='roc_auc',
)
# Fewer cases of a class than this say little of it.
_FEW = 30


@dataclass(frozen=True)
class About:
    """What only people know of a model.

    Attributes:
        title: Its name.
        licence: Of the weights, as the hub abbreviates it.
        data: On the data: where they come from, who may use them.
        intended_use: What it is for.
        limits: What it is not for, and where it fails.
        dataset: What the data set is called; '': the class that reads it.
        tags: For the hub, besides those of every soup.
    """

    title: str
    licence: str = UNKNOWN
    data: str = ''
    intended_use: str = ''
    limits: str = ''
    dataset: str = ''
    tags: Sequence[str] = ()


def model_card(
    model: TrainedModel, about: About, measurement: Measurement, files: Sequence[str]
) -> str:
    """Writes a card in Markdown, with the header that the hub reads.

    Args:
        model: The model.
        about: What people say of it.
        measurement: What it reaches.
        files: Names of the files beside the card.

    Raises:
        ConfigError: huggingface_hub is not installed.
    """
    soup = model.soup
    dataset = about.dataset or measurement.dataset
    body = (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            about=about,
            model=model,
            soup=soup,
            ensemble=soup.get('ensemble'),
            decision=_decision(soup),
            ingredients=_ingredients(soup),
            shown_as=_shown_as(model),
            dataset=dataset,
            sets=_sets(measurement),
            columns=_columns(measurement),
            has_intervals=any(s['cases'] for s in measurement.sets.values()),
            class_tables=_class_tables(measurement),
            rare=_rare(measurement),
            resamples=f'{RESAMPLES:,}',
            confidence=f'{CONFIDENCE:.0%}',
            files=files,
            unknown=UNKNOWN,
            version=__version__,
        )
    )
    return f'---\n{_header(about, measurement, dataset)}\n---\n\n{body}'


def _header(about: About, measurement: Measurement, dataset: str) -> str:
    try:
        from huggingface_hub import EvalResult, ModelCardData
    except ImportError as error:
        raise ConfigError(
            "--to huggingface needs huggingface_hub: pip install 'ff_mm[hub]'"
        ) from error
    results, metrics = [], []
    for name, found in measurement.sets.items():
        for metric, value in found['values'].items():
            if value['value'] is None or math.isnan(value['value']):
                continue
            kind = _HUB.get(metric, metric)
            metrics.append(kind)
            results.append(
                EvalResult(
                    task_type='image-classification',
                    dataset_type=_slug(dataset or 'own'),
                    dataset_name=dataset or 'own data',
                    dataset_split=name,
                    metric_type=kind,
                    metric_name=metric.replace('_', ' '),
                    metric_value=round(value['value'], 4),
                )
            )
    data = ModelCardData(
        license=about.licence,
        library_name='mmpretrain',
        pipeline_tag='image-classification',
        tags=list(dict.fromkeys([*_TAGS, *about.tags])),
        metrics=list(dict.fromkeys(metrics)) or None,
        model_name=about.title if results else None,
        eval_results=results or None,
    )
    return data.to_yaml(line_break='\n').strip()


def _slug(text: str) -> str:
    return ''.join(c if c.isalnum() or c in '-_' else '-' for c in text.lower())


def _ingredients(soup: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (item['name'], '' if item['weight'] is None else f'{item["weight"]:.4f}')
        for item in soup.get('ingredients', ())
    ]


def _decision(soup: Mapping[str, Any]) -> str:
    steps = (soup.get('decision') or {}).get('steps', ())
    return '; '.join(map(describe_step, steps))


def _shown_as(model: TrainedModel) -> list[str]:
    """The steps by which an image reaches the network, in words."""
    steps = []
    for step in model.cfg.pipeline:
        kind = str(step['type']).rpartition('.')[2]
        if kind not in ('LoadDICOM', 'LoadImageFromFile', 'PackInputs'):
            options = [f'{k}={v}' for k, v in step.items() if k != 'type']
            steps.append(f'{kind}({", ".join(options)})')
    before = model.network.data_preprocessor
    mean, std = (getattr(before, key, None) for key in ('mean', 'std'))
    steps.append('channels as ' + ('RGB' if before.to_rgb else 'BGR') + ', 0 to 255')
    if mean is not None and std is not None:
        means, stds = ([round(float(v), 4) for v in t.flatten()] for t in (mean, std))
        steps.append(f'less the mean {means}, divided by {stds}')
    return steps


def _columns(measurement: Measurement) -> list[str]:
    names = [name for s in measurement.sets.values() for name in s['values']]
    return list(dict.fromkeys(names))


def _sets(measurement: Measurement) -> list[dict[str, Any]]:
    rows = []
    for name, found in measurement.sets.items():
        cells = {
            metric: _with_interval(value) for metric, value in found['values'].items()
        }
        groups = found['groups']
        rows.append(
            dict(
                name=name,
                cells=cells,
                cases=found['cases'],
                groups=None if groups == found['cases'] else groups,
                classes=found['classes'],
            )
        )
    return rows


def _with_interval(value: Mapping[str, Any]) -> str:
    low, high = value['low'], value['high']
    if low is None or high is None or math.isnan(low):
        return shown(value['value'])
    return f'{shown(value["value"])} [{low:.3f}, {high:.3f}]'


def _class_tables(measurement: Measurement) -> list[dict[str, Any]]:
    """A table for each metric of single classes: a row a class, a column a set."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for name, one in measurement.sets.items():
        for label, metrics in by_class(one['metrics']).items():
            for metric in metrics:
                kind = metric.split('/', 1)[0]
                cell = shown(one['metrics'][metric])
                found.setdefault(kind, {}).setdefault(label, {})[name] = cell
    return [dict(metric=kind, rows=rows) for kind, rows in found.items()]


def _rare(measurement: Measurement) -> list[str]:
    """Classes of which there are few cases in the test set."""
    name = 'test' if 'test' in measurement.sets else 'val'
    classes = measurement.sets.get(name, {}).get('classes', {})
    return [f'{label} ({count})' for label, count in classes.items() if count < _FEW]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters['code'] = _code
    return environment


class _Code(str):
    """A text that stands in code, where Markdown knows no escape."""


def _code(text: str) -> _Code:
    return _Code(text.replace('`', "'").replace('\n', ' '))


def _escaped(value: Any) -> Any:
    """Everything that comes into the template is text of others, and means itself."""
    return markdown(value) if type(value) is str else value
