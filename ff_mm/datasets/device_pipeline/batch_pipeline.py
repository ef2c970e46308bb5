"""The part of a training pipeline that whole batches go through."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from ff_mm.config import read_options
from ff_mm.datasets.checks.check import inner_datasets
from ff_mm.datasets.device_pipeline.operations import (
    OPERATIONS,
    Images,
    Operation,
    as_batch,
)
from ff_mm.datasets.files.image_paths import first_line
from ff_mm.datasets.image_cache.transforms import loads_or_is_fixed
from ff_mm.errors import ConfigError

#: The key of a config.
KEY = 'device_pipeline'
#: Where training images may lie: see :class:`DevicePipelineOptions`.
PLACES = ('auto', 'device', 'pinned', 'cache')


@dataclass(frozen=True)
class DevicePipelineOptions:
    """How training images are augmented in batches.

    Attributes:
        images: Where they lie. ``'device'``: in the memory of what trains.
            ``'pinned'``: in memory from which a GPU reads fastest. ``'cache'``: in
            files that are mapped into memory, or where else the data set has them;
            data workers hand them over. ``'auto'``: the first of these with room for
            them; on a CPU the last, which is memory like any other there.
        memory_share: Of the device's free memory, or the machine's memory, that images
            may take.

    Raises:
        ConfigError: A value that is none of these.
    """

    images: str = 'auto'
    memory_share: float = 0.25

    def __post_init__(self) -> None:
        if self.images not in PLACES:
            raise ConfigError(
                f'{KEY}.images={self.images!r}: expected one of {[*PLACES]}'
            )
        share = self.memory_share
        if isinstance(share, bool) or not isinstance(share, float | int):
            share = 0
        if not 0 < share <= 1:
            raise ConfigError(
                f'{KEY}.memory_share={self.memory_share!r}: expected a number above 0 '
                'and up to 1'
            )


def cache_option(cfg: Config) -> Any:
    """Says how a generation caches images.

    Batches are augmented faster than images are decoded, so they come out of the cache,
    be it that ``cache_images`` does not ask for it.

    Args:
        cfg: The generation config, resolved.

    Returns:
        What :class:`ff_mm.datasets.image_cache.image_cache.ImageCache` takes.
    """
    return cfg.get('cache_images') or bool(cfg.get(KEY))


def use_device_pipeline(cfg: Config) -> None:
    """Has a run augment whole batches, if its config says so.

    The data set keeps what comes before chance: images are loaded, and resized where
    that comes right after it. All else goes to
    :class:`ff_mm.engine.DevicePipelineHook`, with the batch.

    Args:
        cfg: The config of a training run, resolved. Changed in place; the option is
            taken out.

    Raises:
        ConfigError: An option that there is not, or a step that batches cannot go
            through; all such steps are named.
    """
    option = cfg.pop(KEY, None)
    if not option:
        return
    options = read_options(
        DevicePipelineOptions, None if option is True else option, KEY
    )
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('type') == 'ViewSeedHook':
            raise ConfigError(
                f'{KEY}: distillation shows each image by itself; leave {KEY} out'
            )
    loader = cfg.train_dataloader
    collate = (loader.get('collate_fn') or {}).get('type', 'pseudo_collate')
    if collate not in ('pseudo_collate', 'default_collate'):
        raise ConfigError(
            f'{KEY}: train_dataloader.collate_fn is {collate!r}, and batches would '
            f'not go through it; leave it or {KEY} out'
        )
    loader.collate_fn = dict(type='pseudo_collate')
    steps = _cut(loader.dataset)
    hook = dict(type='DevicePipelineHook', steps=steps, **vars(options))
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def _cut(dataset: Any) -> list[dict[str, Any]]:
    """Leaves the data sets what they do themselves; gives the steps for batches."""
    found = []
    for inner in inner_datasets(dataset):
        before, steps, last = _parts(inner.get('pipeline') or [])
        inner.pipeline = [*before, last]
        if steps not in found:
            found.append(steps)
    if len(found) > 1:
        raise ConfigError(
            f'{KEY}: the data sets of train_dataloader are augmented in different '
            f'ways, and a batch may hold images of several; leave {KEY} out'
        )
    # Built here, so that what they do not take is said before any training.
    BatchPipeline(found[0])
    return found[0]


def _parts(pipeline: Sequence[dict]) -> tuple[list[dict], list[dict], dict]:
    """Gives the steps without chance, those for batches, and the last one."""
    if not pipeline or _kind(pipeline[-1]) is not TRANSFORMS.get('PackInputs'):
        raise ConfigError(
            f"{KEY}: train_pipeline: expected dict(type='PackInputs') at its end"
        )
    *steps, last = copy.deepcopy(list(pipeline))
    count = 0
    while count < len(steps) and loads_or_is_fixed(steps[count]):
        count += 1
    before, others = steps[:count], steps[count:]
    unknown = [str(s.get('type')) for s in others if _kind(s) not in OPERATIONS]
    if unknown:
        known = ', '.join(sorted(kind.__name__ for kind in OPERATIONS))
        raise ConfigError(
            f'{KEY}: batches cannot go through {", ".join(unknown)} of train_pipeline, '
            f'there are {known} (RandAugment of torchvision); leave {KEY} out, or these'
        )
    return before, others, last


class BatchPipeline:
    """Augments whole batches, each image in its own way.

    Args:
        steps: Configs of the steps, as in a pipeline.

    Raises:
        ConfigError: A step with arguments that batches cannot go through.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self.operations = [_operation(step) for step in steps]

    def __call__(self, images: Sequence[Tensor]) -> Tensor:
        """Makes an augmented batch.

        Args:
            images: uint8 of shape (3, height, width), BGR, on any device.

        Raises:
            ConfigError: Images of another type or shape.
        """
        for image in images:
            if image.dtype != torch.uint8 or image.dim() != 3 or image.shape[0] != 3:
                raise ConfigError(
                    f'{KEY}: an image is {image.dtype} of shape {tuple(image.shape)}, '
                    'expected uint8 of 3 channels; load images so (color_type), or '
                    f'leave {KEY} out'
                )
        batch: Images = images
        for operation in self.operations:
            batch = operation(batch)
        return as_batch(batch)


def _operation(step: Mapping[str, Any]) -> Operation:
    try:
        built = TRANSFORMS.build(dict(step))
        return OPERATIONS[_kind(step)](built)
    except ConfigError as error:
        raise ConfigError(f'{KEY}: {error}') from None
    # Whatever a step says of its arguments.
    except Exception as error:
        raise ConfigError(
            f'train_pipeline: {step.get("type")}: {first_line(error)}'
        ) from error


def _kind(step: Mapping[str, Any]) -> Any:
    """Gives the class of a step; of torchvision's, the class that is wrapped."""
    kind = step.get('type')
    found = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    return found.keywords['transform'] if isinstance(found, partial) else found
