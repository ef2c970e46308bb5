"""Seeding every epoch, so that a resumed run draws what an unbroken one draws."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner, set_random_seed
from torch.utils.data import DataLoader, get_worker_info


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds Python, NumPy and torch at the start of every training epoch.

    The seed is derived from the run's seed, the epoch and the rank. With it an epoch
    depends on nothing that happened in earlier epochs, so no generator state has to be
    saved, and augmentation differs from epoch to epoch. Data workers are seeded with
    the first batch that they load in an epoch, each in its own way, whether they
    persist or start anew: MMEngine's own function gives workers that start anew the
    same seeds in every epoch, and workers that persist are not seeded again.

    A transform that keeps a generator of its own is out of reach of this.

    Args:
        by_batch (bool): Whether workers are seeded for each batch, by the cases in it,
            so that nothing depends on how many workers there are. Without workers it
            makes no difference.
    """

    priority = 'VERY_HIGH'

    def __init__(self, by_batch: bool = False) -> None:
        self.by_batch = by_batch

    def before_train(self, runner: Runner) -> None:
        """Prepares the data workers, before any is started."""
        loader = runner.train_dataloader
        self._workers = None
        if loader.num_workers:
            self._workers = SeededLoading(loader, self.by_batch)

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds for the epoch that starts."""
        self.announce(runner)
        set_random_seed(_seed_of_epoch(runner))

    def announce(self, runner: Runner) -> None:
        """Tells data workers, which must not be at work, the seed of the next epoch.

        Args:
            runner: One whose next epoch is about to start.
        """
        if self._workers is not None:
            self._workers.announce(runner.epoch, _seed_of_epoch(runner))


def _seed_of_epoch(runner: Runner) -> int:
    sequence = np.random.SeedSequence([runner.seed, runner.epoch, get_rank()])
    return int(sequence.generate_state(1)[0])


class SeededLoading:
    """How data workers load the cases of a batch, seeded by epoch.

    It puts itself in the data set as ``__getitems__``, which torch's workers call for a
    batch. What is to be the seed reaches them through shared memory.

    Args:
        loader: Of which no iterator has been made yet.
        by_batch: Whether each batch is seeded by its cases.
    """

    def __init__(self, loader: DataLoader, by_batch: bool = False) -> None:
        self.by_batch = by_batch
        # As torch has no type for what it looks for in any data set.
        self.dataset = cast(Any, loader.dataset)
        self._load = getattr(self.dataset, '__getitems__', None)
        # Epoch and seed, as the main process says, and as this process is seeded.
        self._announced = torch.full((2,), -1, dtype=torch.int64).share_memory_()
        self._seeded: list[int] = []
        self.dataset.__getitems__ = self
        # A worker that starts draws a seed in the main process: in a run's first epoch
        # and not in the next. It must not come from where dropout draws.
        loader.generator = torch.Generator()

    def announce(self, epoch: int, seed: int) -> None:
        """Says with what to seed, while no worker is at work.

        Args:
            epoch: The epoch that is about to start.
            seed: The main process's own.
        """
        self._announced.copy_(torch.tensor([epoch, seed]))

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """Loads the cases of one batch; the main process is seeded by the hook."""
        announced, worker = self._announced.tolist(), get_worker_info()
        if worker is not None and self.by_batch:
            _seed([announced[1], *map(int, indices)])
        elif worker is not None and announced != self._seeded:
            self._seeded = announced
            _seed([announced[1], worker.id])
        if self._load is not None:
            return self._load(indices)
        return [self.dataset[index] for index in indices]


def _seed(numbers: Sequence[int]) -> None:
    seeds = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(seeds[0]))
    np.random.seed(seeds[1])
    torch.manual_seed(int(seeds[2]))
