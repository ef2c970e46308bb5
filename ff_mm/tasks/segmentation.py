"""Semantic segmentation with the models of MMSegmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import TASK_UTILS

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.masks.check_masks import (
    check_masks,
    describe_masks,
    look_at_masks,
)
from ff_mm.datasets.masks.loading import mask_of_case
from ff_mm.datasets.masks.mask_file import IGNORED, MaskError
from ff_mm.datasets.masks.masked import has_masks
from ff_mm.errors import ConfigError
from ff_mm.tasks.base import MadeUp, Task

# Metrics are tried on as many cases, and no more pixels of each, evenly taken.
_TRIED = 16
_SIDE = 64


@TASK_UTILS.register_module()
class Segmentation(Task):
    """What each pixel is: models of MMSegmentation, and data sets with masks."""

    def outputs(self, model: Mapping[str, Any]) -> int | None:
        """Returns ``num_classes`` of the last decode head."""
        head = _last(model.get('decode_head'))
        return head.get('num_classes') if head else None

    def describe(self, name: str, dataset: Any) -> str:
        """Says how many images a data set has, and of what their pixels are."""
        if not has_masks(dataset):
            return super().describe(name, dataset)
        return describe_masks(name, dataset, look_at_masks(dataset))

    def check(
        self,
        cfg: Config,
        datasets: Mapping[str, Any],
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Looks at the mask of every image, and at the head.

        Raises:
            DatasetError: Masks that are missing, cannot be read, or have other values
                or another size than they should; with all problems.
            ConfigError: The head has another number of classes.
        """
        problems = Problems('masks of ' + ', '.join(datasets))
        masked = {n: each for n, each in datasets.items() if has_masks(each)}
        facts = {name: look_at_masks(each) for name, each in masked.items()}
        odd = check_masks(facts, masked, problems)
        problems.raise_if_any()
        for note in odd:
            notify(f'note: {note}')
        self._check_head(cfg, datasets['val'])

    def made_up(
        self, model: Mapping[str, Any], dataset: Any, infos: Sequence[Mapping[str, Any]]
    ) -> MadeUp | None:
        """Makes up masks: random ones, and the truth; of few images, a part of each."""
        if not has_masks(dataset):
            return None
        outputs = self.outputs(model) or len(dataset.metainfo['classes'])
        random = np.random.default_rng(0)
        step = max(1, len(infos) // _TRIED)
        chance, perfect = [], []
        for info in infos[::step]:
            try:
                mask = mask_of_case(info)
            except MaskError:
                return None  # the check says so
            small = [max(1, side // _SIDE) for side in mask.shape]
            truth = mask[:: small[0], :: small[1]].astype(np.int64)
            guess = random.normal(size=(outputs, *truth.shape))
            right = np.where(truth == IGNORED, 0, truth)
            answer = 20.0 * (np.arange(outputs)[:, None, None] == right)
            chance.append(_sample(info, truth, guess))
            perfect.append(_sample(info, truth, answer))
        return MadeUp(chance, perfect)

    def deployment(self, cfg: Config) -> dict[str, Any]:
        """Adds what ``init_model`` and ``inference_model`` of MMSegmentation read."""
        kept = super().deployment(cfg)
        pipeline = kept['test_dataloader']['dataset']['pipeline']
        kept['test_pipeline'] = [
            step for step in pipeline if step.get('type') not in _OF_MASKS
        ]
        kept['test_dataloader']['dataset']['pipeline'] = kept['test_pipeline']
        # The segmentor takes its preprocessor from here, and not from the config.
        model = kept['model']
        if kept.get('data_preprocessor') and not model.get('data_preprocessor'):
            model['data_preprocessor'] = kept['data_preprocessor']
        return kept

    def _check_head(self, cfg: Config, dataset: Any) -> None:
        outputs = self.outputs(cfg.model)
        classes = dataset.metainfo.get('classes') or ()
        if outputs and classes and outputs != len(classes):
            raise ConfigError(
                f'model.decode_head.num_classes={outputs}: the data set has '
                f'{len(classes)} classes, {list(classes)}'
            )


# Steps of a pipeline that need a mask, which nobody has where a model is used.
_OF_MASKS = ('LoadMask', 'LoadAnnotations')


def _last(head: Any) -> Mapping[str, Any] | None:
    return head[-1] if isinstance(head, (list, tuple)) and head else head


def _sample(
    info: Mapping[str, Any], truth: np.ndarray, logits: np.ndarray
) -> dict[str, Any]:
    """A data sample as the models of MMSegmentation leave it."""
    return dict(
        img_path=info.get('img_path'),
        gt_sem_seg=dict(data=torch.from_numpy(truth[None])),
        pred_sem_seg=dict(data=torch.from_numpy(logits.argmax(axis=0)[None])),
        seg_logits=dict(data=torch.from_numpy(logits)),
    )
