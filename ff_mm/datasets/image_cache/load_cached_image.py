"""Taking an image out of the cache, in the place of the steps that make it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from ff_mm.datasets.image_cache.record_file import Record, RecordFile

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
    for step in steps:
        results = step(results)
        if results is None:
            return None
    return results


def make_record(path: str, results: dict[str, Any]) -> Record:
    """Gives what the cache keeps of an image.

    Args:
        path: Of the image.
        results: What the steps have made of its path alone.
    """
    facts = {k: v for k, v in results.items() if k not in ('img_path', 'img')}
    return Record(path, results['img'], facts)
