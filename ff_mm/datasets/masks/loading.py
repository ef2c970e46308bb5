"""The step of a pipeline that loads the mask of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from ff_mm.datasets.masks.mask_file import (
    MaskError,
    read_mask,
    read_masks_of_classes,
)


@TRANSFORMS.register_module()
class LoadMask(BaseTransform):
    """Loads the mask of an image, as mmsegmentation's transforms expect it.

    It is ``LoadAnnotations`` of mmsegmentation, but strict: a value that is no class is
    an error, where ``LoadAnnotations`` lets it pass to the loss; and it reads colours,
    and one mask a class. Augmentations that come after it move image and mask together.
    For validation it stands after all that resizes the image, as predictions are of the
    size that the image had.

    Required keys: ``label_map``, ``seg_map_path`` or ``seg_map_paths``, as
    ``MaskDataset`` gives them. Added keys: ``gt_seg_map``, uint8 of shape (H, W), class
    numbers, 255 where a pixel does not count; ``seg_fields``; ``reduce_zero_label``.

    Raises:
        MaskError: The mask cannot be used, or is of another size than the image.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds the mask."""
        mask = mask_of_case(results)
        size = results.get('ori_shape')
        if size is not None and mask.shape != tuple(size[:2]):
            problem = f'has {mask.shape} pixels (height, width), its image {size[:2]}'
            raise MaskError(mask_paths(results)[0], problem)
        results['gt_seg_map'] = mask
        results['seg_fields'] = ['gt_seg_map']
        results['reduce_zero_label'] = False
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def mask_of_case(info: Mapping[str, Any]) -> np.ndarray:
    """Returns the mask of a case, as class numbers.

    Args:
        info: What the data set knows of it.

    Raises:
        MaskError: It cannot be used.
    """
    if info.get('seg_map_paths'):
        return read_masks_of_classes(info['seg_map_paths'])
    return read_mask(info['seg_map_path'], info['label_map'])


def mask_paths(info: Mapping[str, Any]) -> list[str]:
    """Returns the files of the mask of a case; none of data without masks."""
    if info.get('seg_map_paths'):
        return [*info['seg_map_paths']]
    return [info['seg_map_path']] if info.get('seg_map_path') else []
