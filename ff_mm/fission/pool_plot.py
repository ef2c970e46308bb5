"""The models that a plan has trained, as rows and as a plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ff_mm.display.figures import COLOURS, COLUMN, RC
from ff_mm.display.numbers import overall
from ff_mm.errors import ConfigError


def pool_rows(manifest: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Gives a row a model: name, stage, settings, cycle, epoch, metrics, file.

    Args:
        manifest: The content of ``ingredients.json``.
        folder: Where that lies.
    """
    return [
        dict(
            name=entry['name'],
            stage=entry['stage'],
            **entry['hyper'],
            cycle=entry['cycle'],
            epoch=entry['epoch'],
            **{name: entry['metrics'][name] for name in overall(entry['metrics'])},
            file=str(folder / entry['file']),
        )
        for entry in manifest['ingredients']
    ]


def pool_plot(
    rows: Sequence[Mapping[str, Any]],
    metric: str | None,
    title: Callable[[str], str] = str,
) -> Figure:
    """Draws a metric of all models of a pool over their learning rates.

    Args:
        rows: As of :func:`pool_rows`.
        metric: Which; None: the first.
        title: How a metric is written.

    Raises:
        ConfigError: No model has that metric, or any, or there is no model.
    """
    if not rows:
        raise ConfigError('the pool has no model, there is nothing to draw')
    last = list(rows[0])
    names = last[last.index('epoch') + 1 : last.index('file')]
    if not names:
        raise ConfigError('the models have no metric in common, as those of folds')
    metric = metric or names[0]
    if metric not in names:
        raise ConfigError(f'metric={metric!r}: the models have {", ".join(names)}')
    with rc_context(RC):
        figure = Figure(figsize=(COLUMN, 2.6), layout='constrained')
        axes = figure.subplots()
        stages = list(dict.fromkeys(row['stage'] for row in rows))
        for number, stage in enumerate(stages):
            points = [
                (row['lr'], row[metric])
                for row in rows
                if row['stage'] == stage and 'lr' in row and row.get(metric) is not None
            ]
            axes.plot(
                [lr for lr, _ in points],
                [value for _, value in points],
                'os^DPX'[number % 6],
                color=COLOURS[number % len(COLOURS)],
                markersize=4.5,
                label=stage,
            )
        axes.set_xscale('log')
        rates = sorted({row['lr'] for row in rows if 'lr' in row})
        axes.set_xticks(rates, [f'{rate:g}' for rate in rates])
        axes.minorticks_off()
        axes.set_xlabel('learning rate')
        axes.set_ylabel(f'{title(metric)}, val')
        if len(stages) > 1:
            axes.legend(frameon=False)
    return figure
