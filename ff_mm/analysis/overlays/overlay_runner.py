"""Pictures of what a soup changes: image, truth, the best single model, the soup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.registry import RUNNERS

from ff_mm.analysis.overlays.overlay_plot import Overlay, overlay_plot
from ff_mm.analysis.pool_analysis import PoolAnalysis
from ff_mm.analysis.results import write_results
from ff_mm.datasets.masks.loading import mask_of_case
from ff_mm.datasets.masks.mask_file import IGNORED
from ff_mm.datasets.masks.masked import has_masks
from ff_mm.errors import ConfigError
from ff_mm.evaluation.metrics.areas import mask_of
from ff_mm.fusion.soup_file import SOUP_FILE
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.ingredient import Ingredient

_ORDERS = ('change', 'worst')


@dataclass(frozen=True)
class OverlayOptions:
    """The values of a config's ``overlays``.

    Attributes:
        split: ``'val'``, ``'test'`` or ``'ood/<name>'``.
        soup: File of the soup; None: that of the work directory.
        beside: Name of the ingredient that it is compared with; None: the one with the
            best validation metric.
        cases: How many images are drawn.
        order: Which ones: ``'change'``, those of which the soup says most otherwise,
            for better or for worse; or ``'worst'``, those with most wrong pixels of it.
    """

    split: str = 'test'
    soup: str | None = None
    beside: str | None = None
    cases: int = 6
    order: str = 'change'

    def __post_init__(self) -> None:
        if self.order not in _ORDERS:
            raise ConfigError(f'overlays.order={self.order!r}: expected {_ORDERS}')
        if not isinstance(self.cases, int) or self.cases < 1:
            raise ConfigError(f'overlays.cases={self.cases!r}: expected 1 or more')


@RUNNERS.register_module()
class OverlayRunner(PoolAnalysis[OverlayOptions]):
    """Draws masks over images, of a soup and of a single model beside it.

    Config key ``overlays``: see :class:`OverlayOptions`. Leaves ``<split>.csv``, a row
    an image (all of them: how many pixels are wrong of either), ``<split>.png`` and
    ``.svg`` in ``<work_dir>/overlays/``.

    Raises:
        ConfigError: The config is not one of segmentation, or there is no soup.
    """

    name = 'overlays'
    options_type = OverlayOptions

    def splits(self) -> Sequence[str]:
        """Returns the set whose images are drawn."""
        return (self.options.split,)

    def track(self, found: Any) -> None:
        """Tells the trackers nothing: these figures are images of patients."""
        if self.tracking:
            self.line('note: overlays are images of patients, and are not logged')

    def analyse(self) -> list[Path]:
        """Predicts with both models, and draws."""
        evaluator, split = self.setup.evaluator, self.options.split
        dataset = evaluator.sets[split].dataset
        if not has_masks(dataset):
            raise ConfigError('overlays: needs images with masks, as MaskDataset')
        soup = self._soup()
        single = self._single()
        said = [self._masks(model) for model in (single, soup)]
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        truths = [mask_of_case(info) for info in infos]
        rows = [
            dict(
                image=info['image_id'],
                known=int((truth != IGNORED).sum()),
                wrong_single=_wrong(truth, one),
                wrong_soup=_wrong(truth, other),
                differ=int((one != other).sum()),
            )
            for info, truth, one, other in zip(infos, truths, *said, strict=True)
        ]
        shown = _chosen(rows, self.options)
        overlays = [
            Overlay(
                title=rows[i]['image'],
                image=mmcv.imread(infos[i]['img_path'], channel_order='rgb'),
                truth=truths[i],
                single=said[0][i],
                soup=said[1][i],
            )
            for i in shown
        ]
        figure = overlay_plot(overlays, single.name, soup.name)
        files: list[Path] = []
        if self.is_first:
            stem = split.replace('/', '_')
            files = write_results(self.folder, {stem: rows}, {stem: figure})
            for file in files:
                self.line(str(file))
        return files

    def _soup(self) -> Ingredient:
        file = self.options.soup or str(self.work_dir / SOUP_FILE)
        if not Path(file).is_file():
            raise ConfigError(
                f'overlays.soup: there is no {file}; make the soup with tools/soup.py, '
                'or name another file'
            )
        checkpoint = CheckpointFile(file)
        meta = checkpoint.meta.get('soup')
        title = meta.get('title') if isinstance(meta, dict) else None
        return Ingredient.from_file(checkpoint, f'{title} soup' if title else 'soup')

    def _single(self) -> Ingredient:
        name = self.options.beside
        if name is None:
            return self._best()
        if name not in self.ingredients:
            raise ConfigError(
                f'overlays.beside: there is no ingredient {name!r}, there are '
                f'{", ".join(self.ingredients)}'
            )
        return self.ingredients[name]

    def _best(self) -> Ingredient:
        """The ingredient with the best recorded metric on validation."""
        known = {
            name: metrics[self.metric]
            for name, metrics in self.setup.recorded(self.pool).items()
            if metrics.get(self.metric) is not None
        }
        if len(known) < len(self.ingredients):
            raise ConfigError(
                'overlays.beside: not all ingredients have been validated on these '
                'images, so name the one to compare with'
            )
        choose = max if self.cfg.selection['rule'] == 'greater' else min
        return self.ingredients[choose(known, key=known.__getitem__)]

    def _masks(self, model: Ingredient) -> list[np.ndarray]:
        evaluator = self.setup.evaluator
        evaluator.load(model.load())
        said = evaluator.predict(self.options.split)
        return [mask_of(sample, 'pred_sem_seg').astype(np.uint8) for sample in said]


def _wrong(truth: np.ndarray, said: np.ndarray) -> int:
    return int(((truth != said) & (truth != IGNORED)).sum())


def _chosen(rows: Sequence[dict], options: OverlayOptions) -> list[int]:
    """Numbers of the images that are drawn, those that matter most first."""
    by = dict(change='differ', worst='wrong_soup')[options.order]
    shares = [row[by] / max(row['known'], 1) for row in rows]
    return np.argsort(-np.array(shares), kind='stable')[: options.cases].tolist()
