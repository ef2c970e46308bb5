"""Making images smaller, as a step of a pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from PIL import Image

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
