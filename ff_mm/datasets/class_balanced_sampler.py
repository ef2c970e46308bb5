"""Drawing training images so that rare classes come as often as common ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS

from ff_mm.datasets.class_frequencies import class_frequencies, count_classes
from ff_mm.errors import ConfigError


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(DefaultSampler):
    """Draws with replacement, each image by how rare its class is.

    An epoch has as many images as ever. What is drawn is decided by seed and epoch
    alone, so a run that was interrupted draws what an unbroken one does; of several
    processes each takes its share of the same draw.

    Args:
        dataset: The data set, of one class an image.
        power: An image is drawn in proportion to the frequency of its class to the
            power of minus this: 1, all classes as often; 0, as they are.
        **kwargs: ``seed`` and ``round_up`` of ``DefaultSampler``.

    Raises:
        ConfigError: Several labels an image, an image without a class, or a power that
            is none.
    """

    def __init__(self, dataset: Any, power: float = 1.0, **kwargs: Any) -> None:
        super().__init__(dataset, shuffle=True, **kwargs)
        self.weights = _weights(dataset, power)

    def __iter__(self) -> Iterator[int]:
        """Yields the numbers of this process's images of the epoch."""
        generator = torch.Generator()
        generator.manual_seed(self.seed + self.epoch)
        drawn = torch.multinomial(
            self.weights, self.total_size, replacement=True, generator=generator
        )
        return iter(drawn[self.rank : self.total_size : self.world_size].tolist())


def _weights(dataset: Any, power: float) -> torch.Tensor:
    labels = [dataset.get_data_info(i).get('gt_label') for i in range(len(dataset))]
    known = [label for label in labels if label is not None and np.ndim(label) == 0]
    if len(known) < len(labels):
        raise ConfigError(
            "class_balance='sampling' draws by the class of an image, and these have "
            "several labels or none: take class_balance='loss'"
        )
    classes = np.array(known, dtype=np.int64)
    counts = count_classes(dataset, int(classes.max()) + 1)
    frequencies = class_frequencies(
        counts, False, "class_balance='sampling'", 'label them, or leave it out'
    )
    return torch.from_numpy(np.array(frequencies)[classes] ** -float(power))
