"""Loss surfaces: a metric on planes and along directions in weight space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import isfinite
from typing import Any

import numpy as np
from mmengine.registry import RUNNERS

from ff_mm.analysis.loss_surface.result import LossSurface
from ff_mm.analysis.loss_surface.surface_plot import Mark
from ff_mm.analysis.pool_analysis import PoolAnalysis
from ff_mm.config import check_names
from ff_mm.errors import ConfigError
from ff_mm.files import sha256
from ff_mm.fusion.soup_file import SOUP_FILE
from ff_mm.merging import Candidate, Ingredient, check_ingredients
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.ingredient import hashable
from ff_mm.parallel.together import first_alone
from ff_mm.weight_space.affine import point
from ff_mm.weight_space.direction import FilterNormalizedDirection, step
from ff_mm.weight_space.geometry import weight_geometry
from ff_mm.weight_space.plane import Plane

# Of the middle of the three models, which is their uniform soup.
_MIDDLE = 'uniform soup of the three'


@dataclass(frozen=True)
class LossSurfaceOptions:
    """The values of a config's ``loss_surface``.

    Attributes:
        models: Names of the three ingredients that the plane goes through; None: the
            best one of each of the three best learning rates, or the three best. With
            ``directions``, the name of the one at the centre; None: the best.
        soups: Files of soups to be marked; None: ``soup.pth`` of the work directory, if
            it has been made.
        points: Along each axis.
        margin: How far the grid goes beyond the models on each side, as a share of the
            extent that they have.
        directions: 0: a plane through models. 1 or 2: that many random
            filter-normalized directions from one model.
        span: How far along directions, to both sides; 1 is as far as the weights of the
            model's filters are long.
        seed: Of the directions.
        split: ``'val'``, ``'test'`` or ``'ood/<name>'``.
        metrics: Names of metrics; None: the one that selects, and the loss.
        bn_reestimation: ``dict(num_samples=2048)``: batch-norm statistics of each point
            are those of training images; None: on a plane they are combined like
            weights, along directions they stay.
    """

    models: Sequence[str] | None = None
    soups: Sequence[str] | None = None
    points: int = 21
    margin: float = 0.25
    directions: int = 0
    span: float = 0.2
    seed: int = 0
    split: str = 'val'
    metrics: Sequence[str] | None = None
    bn_reestimation: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        _require(self.points, 'points', 'a whole number from 3', int, 3)
        _require(self.margin, 'margin', '0 or more', (int, float), 0)
        _require(self.span, 'span', 'more than 0', (int, float), 1e-9)
        if self.directions not in (0, 1, 2):
            raise ConfigError(
                f'loss_surface.directions={self.directions!r}: expected 0, 1 or 2'
            )
        for key in ('models', 'soups', 'metrics'):
            check_names(f'loss_surface.{key}', getattr(self, key))
        wanted = 1 if self.directions else 3
        if self.models is not None and len(set(self.models)) != wanted:
            raise ConfigError(
                f'loss_surface.models={list(self.models)}: expected {wanted} names of '
                'ingredients, all different'
            )


@dataclass(frozen=True)
class _Grid:
    """What is to be evaluated, and where that is."""

    xs: np.ndarray
    ys: np.ndarray | None
    points: list[Candidate]
    marks: list[Mark] = field(default_factory=list)
    marked: list[Candidate] = field(default_factory=list)
    axes: str = 'distance in weight space'
    kind: str = 'plane'


@RUNNERS.register_module()
class LossSurfaceRunner(PoolAnalysis[LossSurfaceOptions]):
    """Evaluates a grid on the plane through three ingredients, or around one.

    The plane is that of Garipov et al. 2018 (FissionFusion, Figure 1), see
    :class:`ff_mm.weight_space.plane.Plane`; the directions are those of Li et al.
    2018, see :class:`ff_mm.weight_space.direction.FilterNormalizedDirection`.

    Config key ``loss_surface``: see :class:`LossSurfaceOptions`. What is left in
    ``<work_dir>/loss_surface/<split>/``: see
    :class:`ff_mm.analysis.loss_surface.result.LossSurface`.
    """

    name = 'loss_surface'
    options_type = LossSurfaceOptions

    def splits(self) -> Sequence[str]:
        """Returns the set that the surface is of."""
        return ('val', self.options.split)

    def analyse(self) -> LossSurface:
        """Evaluates the grid, and writes what came out."""
        options = self.options
        metrics = self.metrics(options.metrics)
        names = self._models()
        grid = self._around(names[0]) if options.directions else self._plane(names)
        self.line(f'loss_surface: {", ".join(names)}; {len(grid.points)} points')
        title = f'surface on {options.split}'
        # The models first, so that the soups and the paths of other analyses have them.
        marked = self.points.evaluate(
            grid.marked, options.split, f'marks of {title}', metrics
        )
        found = LossSurface(
            xs=grid.xs,
            ys=grid.ys,
            metrics=self.points.evaluate(grid.points, options.split, title),
            rules={metric: self.rule(metric) for metric in metrics},
            split=options.split,
            marks=grid.marks,
            mark_metrics=marked,
            axes=grid.axes,
            kind=grid.kind,
        )
        if self.is_first:
            for file in found.write(self.folder / options.split):
                self.line(str(file))
            found.print_summary(self.console)
        return found

    def _models(self) -> list[str]:
        """The ingredients that are asked for, or the best ones."""
        wanted = 1 if self.options.directions else 3
        if self.options.models is not None:
            for name in self.options.models:
                if name not in self.ingredients:
                    raise ConfigError(
                        f'loss_surface.models: there is no ingredient {name!r}, there '
                        f'are {", ".join(self.ingredients)}'
                    )
            return list(self.options.models)
        ranked = self._ranked()
        if len(ranked) < wanted:
            hint = '' if wanted == 1 else '; loss_surface.directions=2 takes one'
            raise ConfigError(
                f'loss_surface: {wanted} ingredients with a {self.metric} are needed, '
                f'the pool has {len(ranked)}{hint}'
            )
        best: dict[Any, str] = {}
        for name in ranked:  # of each learning rate the first
            rate = self.ingredients[name].hyper.get('lr')
            best.setdefault(None if rate is None else hashable(rate), name)
        of_rates = list(best.values())
        return (of_rates if len(of_rates) >= wanted else ranked)[:wanted]

    def _ranked(self) -> list[str]:
        """Names of the ingredients, those with the best validation metric first."""
        alone = [
            point(self.ingredients, {name: 1.0}, name) for name in self.ingredients
        ]
        sign = -1 if self.cfg.selection['rule'] == 'greater' else 1
        found = self.points.evaluate(alone, 'val', 'ingredients on val', [self.metric])
        scores = {
            name: sign * metrics[self.metric]
            for name, metrics in zip(self.ingredients, found, strict=True)
            if metrics[self.metric] is not None and isfinite(metrics[self.metric])
        }
        return sorted(scores, key=scores.__getitem__)

    def _plane(self, names: Sequence[str]) -> _Grid:
        soups = self._soups()
        models = [self.ingredients[name] for name in names]
        every = [*models, *soups]
        check_ingredients(every)
        # By one process: those of others might round the last bit otherwise.
        distances = np.array(
            first_alone(self.session.team, 'distances', lambda: _distances(every))
        )
        try:
            plane = Plane.through(distances, names)
        except ValueError as error:
            raise ConfigError(f'loss_surface.models: {error}') from None
        xs, ys = plane.grid(self.options.points, self.options.margin)
        marks = [
            Mark(name, x, y, 'model')
            for name, (x, y) in zip(names, plane.models, strict=True)
        ]
        x, y = np.mean(plane.models, axis=0).tolist()
        marks.append(Mark(_MIDDLE, x, y, 'soup'))
        for soup, row in zip(soups, distances[3:], strict=True):
            x, y, off = plane.project(row[:3])
            marks.append(Mark(soup.name, x, y, 'soup', off))
        return _Grid(
            xs,
            ys,
            [self._on(plane, names, x, y) for y in ys.tolist() for x in xs.tolist()],
            marks,
            self._marked(names, soups),
        )

    def _on(self, plane: Plane, names: Sequence[str], x: float, y: float) -> Candidate:
        shares = dict(zip(names, plane.coefficients(x, y), strict=True))
        return point(self.ingredients, shares, f'({x:.4g}, {y:.4g})')

    def _marked(
        self, names: Sequence[str], soups: Sequence[Ingredient]
    ) -> list[Candidate]:
        """The three models, their mean, and the soups."""
        alone = [point(self.ingredients, {name: 1.0}, name) for name in names]
        mean = point(self.ingredients, dict.fromkeys(names, 1 / len(names)), _MIDDLE)
        made = [point({s.name: s}, {s.name: 1.0}, s.name) for s in soups]
        return [*alone, mean, *made]

    def _soups(self) -> list[Ingredient]:
        """The soups to be marked, by the names of their methods or folders."""
        files = self.options.soups
        if files is None:
            own = self.work_dir / SOUP_FILE
            files = [str(own)] if own.is_file() else []
        soups: list[Ingredient] = []
        for file in files:
            checkpoint = CheckpointFile(file)
            meta = checkpoint.meta.get('soup')
            title = meta.get('title') if isinstance(meta, Mapping) else None
            name = f'{title} soup' if title else checkpoint.path.stem
            taken = {*self.ingredients, *(other.name for other in soups)}
            name = name if name not in taken else str(file)
            soups.append(Ingredient.from_file(checkpoint, name))
            self.points.digests[name] = sha256(file)
        return soups

    def _around(self, name: str) -> _Grid:
        options = self.options
        centre = self.ingredients[name]
        parameters = [key for key, _ in self.setup.evaluator.model.named_parameters()]
        directions = [
            FilterNormalizedDirection(centre, 2 * options.seed + i, parameters)
            for i in range(options.directions)
        ]
        for direction in directions:
            own = self.points.digests[name]
            self.points.digests[direction.name] = f'{direction.name}: {own}'
        steps = np.linspace(-options.span, options.span, options.points)
        # Row by row: the last of the axes changes fastest, and is x.
        places = product(steps.tolist(), repeat=options.directions)
        return _Grid(
            steps,
            steps if options.directions == 2 else None,
            [step(directions, place[::-1]) for place in places],
            [Mark(name, 0.0, 0.0, 'model')],
            [point(self.ingredients, {name: 1.0}, name)],
            axes='step along a random filter-normalized direction',
            kind='directions',
        )


def _distances(models: Sequence[Ingredient]) -> list[list[float]]:
    weights = [model.in_passing() for model in models]
    return weight_geometry(weights).distances.tolist()


def _require(value: Any, key: str, what: str, kind: Any, least: float) -> None:
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not (number and value >= least):
        raise ConfigError(f'loss_surface.{key}={value!r}: expected {what}')
