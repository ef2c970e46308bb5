"""Seeding every epoch, so that a resumed run draws what an unbroken one draws."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import Runner, set_random_seed


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds Python, NumPy and torch at the start of every training epoch.

    The seed is derived from the run's seed, the epoch and the rank. With it an epoch
    depends on nothing that happened in earlier epochs, so no generator state has to be
    saved, and augmentation differs from epoch to epoch. For data loading in workers
    set ``worker_init_fn=dict(type='seed_worker')`` and ``persistent_workers=False`` on
    the training data loader: MMEngine's own function gives workers the same seeds in
    every epoch, and workers that persist are not seeded again.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds for the epoch that starts."""
        sequence = np.random.SeedSequence([runner.seed, runner.epoch, get_rank()])
        set_random_seed(int(sequence.generate_state(1)[0]))


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seeds Python and NumPy in a data worker from the seed torch gave the worker.

    Torch draws that seed from its own generator each time the workers start, so it is
    another one in every epoch, and the same one when the epoch is run again.

    Args:
        worker_id: Given by the data loader; not needed, the worker's seed holds it.
    """
    seed = torch.utils.data.get_worker_info().seed
    random.seed(seed)
    np.random.seed(seed % 2**32)
