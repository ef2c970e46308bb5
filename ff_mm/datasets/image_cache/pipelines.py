"""Which steps of a pipeline do the same with an image whenever they see it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import CenterCrop, LoadImageFromFile, Resize
from mmpretrain.datasets.transforms import ResizeEdge
from mmpretrain.registry import TRANSFORMS

from ff_mm.datasets.image_cache.shrink_image import ShrinkImage

# Nothing random is in them; of a subclass one cannot know.
_FIXED = (Resize, ResizeEdge, CenterCrop, ShrinkImage)


def inner_datasets(dataset: Any) -> list[Any]:
    """Gives the data sets inside MMEngine's and MMPretrain's wrappers, in order.

    Args:
        dataset: A data set, or the config of one (a ``ConfigDict``).
    """
    if hasattr(dataset, 'datasets'):
        return [inner for each in dataset.datasets for inner in inner_datasets(each)]
    if hasattr(dataset, 'dataset'):
        return inner_datasets(dataset.dataset)
    return [dataset]


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


def name_of(steps: Sequence[Mapping[str, Any]]) -> str:
    """Gives a text that is the same for the same steps."""
    return json.dumps(list(steps), sort_keys=True, default=str)


def _kind(step: Mapping[str, Any]) -> type:
    kind = step.get('type')
    found = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    return found if isinstance(found, type) else object
