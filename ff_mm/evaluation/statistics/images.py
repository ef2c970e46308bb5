"""The training images on which statistics are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ff_mm.datasets.sharing import build_dataset
from ff_mm.errors import ConfigError
from ff_mm.evaluation.fingerprint import evaluation_fingerprint

# Images of one shape that are given at a time.
_BATCH = 32


class TrainingImages:
    """A fixed choice of training images, shown as validation's are.

    The same ones for all models, drawn from all of them, without augmentation: the
    pipeline is that of ``val_dataloader``. They are decoded once and stay in memory.

    Args:
        cfg: A resolved config with ``train_dataloader`` and ``val_dataloader``.
        num_samples: How many; of fewer images, all.
    """

    def __init__(self, cfg: Config, num_samples: int) -> None:
        pipeline = cfg.val_dataloader['dataset'].get('pipeline')
        self.config = _with_pipeline(cfg.train_dataloader['dataset'], pipeline)
        self._cfg = cfg
        self._num_samples = num_samples

    def __len__(self) -> int:
        return min(self._num_samples, len(self._dataset))

    @cached_property
    def fingerprint(self) -> str:
        """Identifies images, pipeline and preprocessing."""
        loader = dict(dataset=self.config)
        return evaluation_fingerprint(self._cfg, loader, self._dataset)

    def batches(self, network: nn.Module) -> Iterator[Tensor]:
        """Yields prepared images, those of one shape together.

        Args:
            network: Has the ``data_preprocessor``.
        """
        # One by one, as together they would be padded to one size.
        prepared = (self._prepared(network, sample) for sample in self._samples)
        for _, alike in groupby(prepared, lambda image: image.shape):
            batch: list[Tensor] = []
            for image in alike:
                batch.append(image)
                if len(batch) == _BATCH:
                    yield torch.cat(batch)
                    batch = []
            if batch:
                yield torch.cat(batch)

    def _prepared(self, network: Any, sample: Mapping[str, Any]) -> Tensor:
        batch = {key: [value] for key, value in sample.items()}
        return network.data_preprocessor(batch, False)['inputs']

    @cached_property
    def _dataset(self) -> Any:
        dataset = build_dataset(self.config)
        if not len(dataset):
            raise ConfigError('train_dataloader: there are no images')
        return dataset

    @cached_property
    def _samples(self) -> list[Mapping[str, Any]]:
        order = torch.randperm(
            len(self._dataset), generator=torch.Generator().manual_seed(0)
        )
        return [self._dataset[number] for number in order[: len(self)].tolist()]


def _with_pipeline(config: Mapping[str, Any], pipeline: Any) -> dict[str, Any]:
    """The config of a data set, or of one in others, with another pipeline."""
    changed = dict(config)
    for key, value in changed.items():
        if key == 'pipeline' and pipeline is not None:
            changed[key] = pipeline
        elif key == 'dataset' and isinstance(value, Mapping):
            changed[key] = _with_pipeline(value, pipeline)
        elif key == 'datasets' and isinstance(value, list | tuple):
            changed[key] = [_with_pipeline(each, pipeline) for each in value]
    return changed
