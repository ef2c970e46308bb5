"""What augmentation does to a batch: drawn image by image, computed by torchvision.

Each operation is made of the step of a pipeline that it stands for, as MMPretrain has
built it, so it has that step's own arguments. It draws by NumPy's global generator, as
most steps do, which every epoch seeds (:class:`ff_mm.engine.hooks.EpochSeedHook`); what
it draws does not depend on the device. Images are uint8 between operations, as they are
in Pillow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mmcv.transforms as mmcv
import mmpretrain.datasets.transforms as mmpretrain
import numpy as np
import torch
from torch import Tensor
from torchvision import transforms as torchvision
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ff_mm.errors import ConfigError

# Bytes of images that a CPU changes at a time: what is computed with them in between,
# four times as much, is to stay in its cache.
_AT_ONCE = 2**18

#: A batch, or images of different sizes that are still to become one.
Images = Tensor | Sequence[Tensor]
Operation = Callable[[Images], Images]


class Crops:
    """Cuts a part of its own out of each image, and resizes it.

    Args:
        step: Draws the parts.

    Raises:
        ConfigError: A way of interpolation that torchvision has not on a GPU.
    """

    def __init__(self, step: mmpretrain.RandomResizedCrop) -> None:
        self.step = step
        self.size = list(step.scale)
        self.mode, self.antialias = _interpolation(step.interpolation, step.backend)

    def __call__(self, images: Images) -> Tensor:
        """Gives a batch of the parts."""
        return torch.stack([self._crop(image) for image in images])

    def _crop(self, image: Tensor) -> Tensor:
        # As MMCV has it; it looks at height and width alone.
        box = self.step.rand_crop_params(image.permute(1, 2, 0))
        return F.resized_crop(
            image, *box, self.size, self.mode, antialias=self.antialias
        )


class Flips:
    """Flips some of the images.

    Args:
        step: Says how many, and in which direction.

    Raises:
        ConfigError: Several directions.
    """

    _FLIPS: dict[Any, Callable[[Tensor], Tensor]] = dict(
        horizontal=F.horizontal_flip, vertical=F.vertical_flip
    )

    def __init__(self, step: mmcv.RandomFlip) -> None:
        direction = step.direction if isinstance(step.direction, str) else None
        if direction not in self._FLIPS or not isinstance(step.prob, float | int):
            raise ConfigError(
                f'RandomFlip with prob={step.prob}, direction={step.direction!r}: '
                f'expected one number and one of {list(self._FLIPS)}'
            )
        self.share = step.prob
        self.flip = self._FLIPS[direction]

    def __call__(self, images: Images) -> Tensor:
        """Changes a batch."""
        images = as_batch(images)
        chosen = np.random.uniform(size=len(images)) < self.share
        _change(images, chosen, self.flip)
        return images


class Jitter:
    """Changes brightness, contrast and saturation, in an order drawn for each image.

    Args:
        step: Has the ranges.

    Raises:
        ConfigError: It changes the hue, too.
    """

    # Each is a mixture of the image with what these make of it by the factor 0.
    _CHANGES: dict[str, Callable[[Tensor, float], Tensor]] = dict(
        brightness=F.adjust_brightness,
        contrast=F.adjust_contrast,
        saturation=F.adjust_saturation,
    )

    def __init__(self, step: mmpretrain.ColorJitter) -> None:
        if step.hue is not None:
            raise ConfigError(f'ColorJitter with hue={step.hue}: leave hue out')
        found = [(getattr(step, n), f) for n, f in self._CHANGES.items()]
        self.changes = [(each, change) for each, change in found if each is not None]

    def __call__(self, images: Images) -> Tensor:
        """Changes a batch, whose channels are in MMCV's order."""
        images = as_batch(images).flip(1)
        shape = (len(images), len(self.changes))
        order = np.random.uniform(size=shape).argsort(axis=1)
        factors = [
            np.random.uniform(low, high, size=len(images))
            for (low, high), _ in self.changes
        ]
        for place in range(len(self.changes)):
            for number, (_, change) in enumerate(self.changes):
                chosen = order[:, place] == number
                _change(images, chosen, partial(_mix, change), factors[number])
        return images.flip(1)


class RandAugments:
    """Applies operations of RandAugment, drawn for each image.

    Args:
        step: torchvision's, as MMPretrain wraps it.
    """

    def __init__(self, step: Any) -> None:
        of_one: torchvision.RandAugment = step.t
        self.rounds = of_one.num_ops
        self.magnitude = of_one.magnitude
        self.bins = of_one.num_magnitude_bins
        # Its tables and what applies one operation have no public names; to write them
        # down again would be worse.
        self._torchvision = v2.RandAugment(
            interpolation=of_one.interpolation, fill=of_one.fill
        )
        self.names = list(self._torchvision._AUGMENTATION_SPACE)

    def __call__(self, images: Images) -> Tensor:
        """Changes a batch, whose channels are in Pillow's order."""
        images = as_batch(images)
        for _ in range(self.rounds):
            drawn = np.random.randint(len(self.names), size=len(images))
            negative = np.random.randint(2, size=len(images)) == 1
            for number, name in enumerate(self.names):
                chosen = drawn == number
                if not self.is_signed(name):
                    self.apply(images, chosen, name)
                    continue
                self.apply(images, chosen & ~negative, name)
                self.apply(images, chosen & negative, name, negative=True)
        return images

    def is_signed(self, name: str) -> bool:
        """Whether an operation goes in two directions."""
        return self._torchvision._AUGMENTATION_SPACE[name][1]

    def apply(
        self, images: Tensor, chosen: np.ndarray, name: str, negative: bool = False
    ) -> None:
        """Applies one operation to some of the images, in place."""
        if name == 'Identity':
            return
        magnitudes, _ = self._torchvision._AUGMENTATION_SPACE[name]
        of_all = magnitudes(self.bins, *images.shape[-2:])
        magnitude = 0.0 if of_all is None else float(of_all[self.magnitude])

        def applied(some: Tensor) -> Tensor:
            return self._torchvision._apply_image_or_video_transform(
                some,
                name,
                -magnitude if negative else magnitude,
                interpolation=self._torchvision.interpolation,
                fill=self._torchvision._fill,
            )

        _change(images, chosen, applied)


class Channels:
    """Turns the order of the channels round, where a step does so.

    Args:
        step: To or from Pillow's order.

    Raises:
        ConfigError: It changes the type of the numbers, too.
    """

    def __init__(self, step: mmpretrain.NumpyToPIL | mmpretrain.PILToNumpy) -> None:
        to_pillow = isinstance(step, mmpretrain.NumpyToPIL)
        if not to_pillow and step.dtype is not None:
            raise ConfigError(f'PILToNumpy with dtype={step.dtype}: leave dtype out')
        self.turns = step.to_rgb if to_pillow else step.to_bgr

    def __call__(self, images: Images) -> Tensor:
        """Gives the batch in the other order."""
        batch = as_batch(images)
        return batch.flip(1) if self.turns else batch


def as_batch(images: Images) -> Tensor:
    """Makes a batch of images, which must be of one size.

    Raises:
        ConfigError: They are not.
    """
    if isinstance(images, Tensor):
        return images
    sizes = {tuple(image.shape[-2:]) for image in images}
    if len(sizes) > 1:
        raise ConfigError(
            f'device_pipeline: images are of several sizes, such as {sorted(sizes)[:2]}'
            ': let the pipeline begin with RandomResizedCrop, or with Resize'
        )
    return torch.stack(list(images))


def _mix(
    change: Callable[[Tensor, float], Tensor], images: Tensor, factors: Tensor
) -> Tensor:
    """Mixes each image, by a factor of its own, with what the factor 0 makes of it."""
    factors = factors[:, None, None, None]
    mixed = torch.lerp(change(images, 0.0).float(), images.float(), factors)
    # Not rounded to the nearest, as MMCV and Pillow do not.
    return mixed.clamp_(0, 255)


def _change(
    images: Tensor,
    chosen: np.ndarray,
    function: Callable[..., Tensor],
    *values: np.ndarray,
) -> None:
    """Replaces some images of a batch.

    Args:
        images: Of which some are.
        chosen: Whether an image is.
        function: Takes images, and of each of ``values`` theirs.
        values: Of all images.
    """
    (places,) = chosen.nonzero()
    on_cpu = images.device.type == 'cpu'
    at_once = max(1, _AT_ONCE // images[0].numel()) if on_cpu else len(images)
    for first in range(0, len(places), at_once):
        some = places[first : first + at_once]
        index = torch.from_numpy(some).to(images.device)
        theirs = [
            torch.from_numpy(each[some]).to(images.device, torch.float)
            for each in values
        ]
        images[index] = function(images[index], *theirs).to(images.dtype)


def _interpolation(name: str, backend: str) -> tuple[InterpolationMode, bool]:
    modes = dict(bilinear=InterpolationMode.BILINEAR, bicubic=InterpolationMode.BICUBIC)
    if name not in modes or backend not in ('pillow', 'cv2'):
        raise ConfigError(
            f'RandomResizedCrop with interpolation={name!r}, backend={backend!r}: '
            f"expected one of {list(modes)}, by 'pillow' or 'cv2'"
        )
    # Pillow smooths when it shrinks an image, OpenCV does not.
    return modes[name], backend == 'pillow'


#: What stands for a step, by the step's class.
OPERATIONS: dict[type, Callable[[Any], Operation]] = {
    mmpretrain.RandomResizedCrop: Crops,
    mmcv.RandomFlip: Flips,
    mmpretrain.ColorJitter: Jitter,
    torchvision.RandAugment: RandAugments,
    mmpretrain.NumpyToPIL: Channels,
    mmpretrain.PILToNumpy: Channels,
}
