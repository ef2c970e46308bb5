"""Taking an image out of the cache, in the place of the steps that make it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, CenterCrop, LoadImageFromFile, Resize
from mmpretrain.datasets.transforms import ResizeEdge
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from ff_mm.datasets.image_cache.store import Record, RecordFile
from ff_mm.datasets.resizing.shrinking import shrink
from ff_mm.errors import ConfigError


@TRANSFORMS.register_module()
class ShrinkImage(BaseTransform):
    """Reduces an image as :func:`ff_mm.datasets.resizing.shrinking.shrink` does.

    Required keys: ``img``, uint8 of shape (H, W) or (H, W, 3). Modified keys: ``img``,
    ``img_shape``. An image that is small enough stays as it is.

    Args:
        short_side: Of the result, in pixels.

    Raises:
        ConfigError: An image of another type or shape.
    """

    def __init__(self, short_side: int) -> None:
        self.short_side = short_side

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replaces the image."""
        image = results['img']
        if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)):
            raise ConfigError(
                f'cache_images.short_side: an image is {image.dtype} of shape '
                f'{image.shape}, expected uint8, grey or of 3 channels; leave '
                'short_side out, or load the images so'
            )
        if min(image.shape[:2]) > self.short_side:
            # Each channel is reduced alone, so that their order does not matter.
            small = shrink(Image.fromarray(image), self.short_side)
            results['img'] = np.asarray(small)
            results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(short_side={self.short_side})'


# What a resizing step would change, too, and what the cache knows nothing of.
_ANNOTATIONS = {'gt_bboxes', 'gt_seg_map', 'gt_keypoints'}


@TRANSFORMS.register_module()
class LoadCachedImage(BaseTransform):
    """Loads an image from a cache, else by the steps that the cache stands for.

    What comes out is the same, bit for bit, and may be written to. Required keys:
    ``img_path``. Added keys: those that the steps add, ``img`` among them.

    Args:
        steps: Configs of the steps, the first of which loads the image.
        cache: Index of the cache, see :class:`RecordFile`.

    Raises:
        DatasetError: The cache is gone or damaged.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]], cache: str) -> None:
        self.steps = [TRANSFORMS.build(step) for step in steps]
        self.cache = RecordFile(cache)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Adds the image to ``results``; None if the loading step leaves it out."""
        if _ANNOTATIONS.isdisjoint(results):
            record = self.cache.find(results['img_path'])
            if record is not None:
                results.update(record.facts, img=record.pixels)
                return results
        return run_steps(self.steps, results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(steps={self.steps}, cache={self.cache.path})'


def run_steps(
    steps: Sequence[BaseTransform], results: dict[str, Any]
) -> dict[str, Any] | None:
    """Runs steps one after the other, until one of them leaves the image out."""
    found: dict[str, Any] | None = results
    for step in steps:
        if found is not None:
            found = step(found)
    return found


def make_record(path: str, results: dict[str, Any]) -> Record:
    """Gives what the cache keeps of an image.

    Args:
        path: Of the image.
        results: What the steps have made of its path alone.
    """
    facts = {k: v for k, v in results.items() if k not in ('img_path', 'img')}
    return Record(path, results['img'], facts)


# Nothing random is in them; of a subclass one cannot know.
_FIXED = (Resize, ResizeEdge, CenterCrop, ShrinkImage)


def fixed_steps(pipeline: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Gives the steps at the beginning of a pipeline that a cache can stand for.

    Args:
        pipeline: Configs of all steps.

    Returns:
        The step that loads an image by its ``img_path`` (``LoadImageFromFile`` of MMCV,
        or a subclass such as ``LoadDICOM``), and those right after it that resize or
        cut it out without chance. Nothing, if images are not loaded so.
    """
    kinds = [_kind(step) for step in pipeline]
    if not kinds or not issubclass(kinds[0], LoadImageFromFile):
        return []
    count = 1
    while count < len(kinds) and kinds[count] in _FIXED:
        count += 1
    return list(pipeline[:count])


def loads_or_is_fixed(step: Mapping[str, Any]) -> bool:
    """Says whether a step loads an image, or changes it without chance."""
    kind = _kind(step)
    return issubclass(kind, LoadImageFromFile) or kind in _FIXED


def name_of(steps: Sequence[Mapping[str, Any]]) -> str:
    """Gives a text that is the same for the same steps."""
    return json.dumps(list(steps), sort_keys=True, default=str)


def _kind(step: Mapping[str, Any]) -> type:
    kind = step.get('type')
    found = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    return found if isinstance(found, type) else object
