"""Augmentation of whole batches in place of that of single images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from ff_mm.datasets.device_pipeline.batch_pipeline import BatchPipeline
from ff_mm.datasets.device_pipeline.residence import (
    ResidentImages,
    choose_place,
    estimate_size,
)
from ff_mm.engine.distributed import unwrapped_model


@HOOKS.register_module()
class DevicePipelineHook(Hook):
    """Augments whole batches of training images, on the device that trains.

    The data set gives images as they are loaded. On a GPU a batch is augmented in this
    process when it is asked for; the images lie there already, where there is room.
    What is drawn then comes from this process's generator, however many data workers
    there are. On a CPU the data workers do it with each batch that they load, beside
    training. In both cases :class:`ff_mm.engine.EpochSeedHook` has seeded the
    generator.

    Args:
        steps (Sequence[dict]): Of :class:`BatchPipeline`.
        images (str): Where they lie, and
        memory_share (float): what they may take: see
            :class:`ff_mm.datasets.device_pipeline.batch_pipeline.DevicePipelineOptions`.
    """

    # Before what asks the loader for its workers.
    priority = 'HIGHEST'

    def __init__(
        self,
        steps: Sequence[Mapping[str, Any]],
        images: str = 'auto',
        memory_share: float = 0.25,
    ) -> None:
        self.pipeline = BatchPipeline(steps)
        self.images = images
        self.memory_share = memory_share

    def before_train(self, runner: Runner) -> None:
        """Has the training loader give augmented batches."""
        loader = runner.train_dataloader
        device = next(unwrapped_model(runner.model).parameters()).device
        dataset = cast(Any, loader.dataset)
        place = choose_place(
            self.images, device, lambda: estimate_size(dataset), self.memory_share
        )
        if place == 'cache' and device.type == 'cpu':
            loader.collate_fn = AugmentingCollate(loader.collate_fn, self.pipeline)
            return
        resident = None
        if place != 'cache':
            resident = ResidentImages(loader, device, pinned=place == 'pinned')
            dataset.__getitems__ = resident
            # There is nothing left for workers to do, nor for memory to be pinned.
            loader.num_workers = 0
            loader.pin_memory = False
            runner.logger.info(
                f'device_pipeline: {len(dataset)} images, {resident.nbytes / 1e6:,.0f} '
                f'MB in {"pinned memory" if place == "pinned" else device}'
            )
        # Its class is not the config's to say; as one of torch's own it is
        # what others take it for.
        loader.__class__ = DeviceLoader
        cast(DeviceLoader, loader).augment_on(device, self.pipeline, resident)


class AugmentingCollate:
    """Makes a batch of cases, and augments it.

    Args:
        collate: Makes the batch.
        pipeline: Augments it.
    """

    def __init__(self, collate: Any, pipeline: BatchPipeline) -> None:
        self.collate = collate
        self.pipeline = pipeline

    def __call__(self, cases: Sequence[Any]) -> Any:
        """Makes a batch."""
        batch = self.collate(cases)
        batch['inputs'] = self.pipeline(batch['inputs'])
        return batch


class DeviceLoader(DataLoader):
    """A data loader whose batches are augmented where they are consumed."""

    def augment_on(
        self,
        device: torch.device,
        pipeline: BatchPipeline,
        resident: ResidentImages | None,
    ) -> None:
        """Says how.

        Args:
            device: Where to.
            pipeline: Augments a batch.
            resident: Has the images, and batches their numbers; None: batches have
                them.
        """
        self._device = device
        self._pipeline = pipeline
        self._resident = resident

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Gives the batches of an epoch."""
        for batch in super().__iter__():
            batch['inputs'] = self._pipeline(self._images(batch['inputs']))
            yield batch

    def _images(self, inputs: Sequence[Any]) -> list[Tensor]:
        images = inputs if self._resident is None else self._resident.find(inputs)
        return [image.to(self._device, non_blocking=True) for image in images]
