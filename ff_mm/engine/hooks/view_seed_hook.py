"""Seeding the augmentation of each image, so that others can see the very same."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import get_worker_info

from ff_mm.errors import ConfigError

#: What a data sample says of its view: the number of the image in its data set, that
#: of the view, and a checksum of what is shown.
INDEX, VIEW, CHECKSUM = 'view_index', 'view', 'view_checksum'


@HOOKS.register_module()
class ViewSeedHook(Hook):
    """Makes what augmentation shows of an image a matter of image and view alone.

    A view has a number, and each epoch shows one of all images. It depends neither on
    the order of the images nor on batches, data workers, ranks or the network, so
    that others than this run can see the very same. A transform that keeps a generator
    of its own is out of reach of this.

    Args:
        views (int, optional): How many there are; they are shown in turn. None: each
            epoch has one of its own.
        seed (int, optional): Runs of one seed see the same. None: that of the run.

    Attributes:
        loading: What loads the run's views.
    """

    # Before EpochSeedHook, which wraps what loads a batch, and must not seed after it.
    priority = 'HIGHEST'

    def __init__(self, views: int | None = None, seed: int | None = None) -> None:
        self.views = views
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Prepares the data set, before any data worker is started."""
        dataset = runner.train_dataloader.dataset
        seed = runner.seed if self.seed is None else self.seed
        self.loading = ViewLoading(dataset, seed)
        dataset.__getitems__ = self.loading

    def before_train_epoch(self, runner: Runner) -> None:
        """Says which view is next."""
        view = runner.epoch % self.views if self.views else runner.epoch
        self.loading.announce(view)


def views_of(runner: Runner) -> ViewLoading:
    """Returns what loads the views of a run.

    Raises:
        ConfigError: It has none.
    """
    for hook in runner.hooks:
        if isinstance(hook, ViewSeedHook):
            return hook.loading
    raise ConfigError(
        "custom_hooks: expected dict(type='ViewSeedHook') for distillation"
    )


class ViewLoading:
    """How views of images are loaded; torch calls it for the cases of a batch.

    Each data sample says which view it is, see :data:`INDEX`.

    Args:
        dataset: A data set.
        seed: The seed of all views.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self._load = getattr(dataset, '__getitems__', None)
        self.seed = seed
        # Data workers, which live on from epoch to epoch, hear of it through this.
        self._view = torch.zeros(1, dtype=torch.int64).share_memory_()

    def announce(self, view: int) -> None:
        """Says which view to load, while no worker is at work."""
        self._view.fill_(view)

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """Loads images; leaves this process's generators as they are."""
        view = int(self._view)
        if get_worker_info() is not None:
            return [self._item(int(index), view) for index in indices]
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        try:
            return [self._item(int(index), view) for index in indices]
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])

    def _item(self, index: int, view: int) -> Any:
        seeds = np.random.SeedSequence([self.seed, view, index]).generate_state(3)
        random.seed(int(seeds[0]))
        np.random.seed(seeds[1])
        torch.default_generator.manual_seed(int(seeds[2]))
        item = self._load([index])[0] if self._load else self.dataset[index]
        sample = item.get('data_samples') if isinstance(item, dict) else None
        if not isinstance(sample, BaseDataElement) or not isinstance(
            item.get('inputs'), Tensor
        ):
            raise ConfigError(
                "train_pipeline: expected dict(type='PackInputs') at its end"
            )
        checksum = checksum_of(item['inputs'])
        sample.set_metainfo({INDEX: index, VIEW: view, CHECKSUM: checksum})
        return item


def checksum_of(inputs: Tensor) -> int:
    """Returns a number of 32 bits that tells what is shown from all else."""
    of_kind = zlib.crc32(repr((str(inputs.dtype), tuple(inputs.shape))).encode())
    return zlib.crc32(inputs.contiguous().numpy().tobytes(), of_kind)
