"""Training a student by what its teacher says of each image that it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.datasets.unlabelled import UNLABELLED
from ff_mm.engine.hooks.view_seed_hook import CHECKSUM, INDEX, VIEW
from ff_mm.fission.distillation.mixture import labels_of, mixture, prepare_loss
from ff_mm.fission.distillation.targets import Targets, TargetsError


@HOOKS.register_module()
class DistillationHook(Hook):
    """Replaces labels by a mixture with the teacher's probabilities.

    The teacher has seen the very same view of each image; what is shown is compared
    with the checksum of that. An image without a label has the teacher's probabilities
    alone. Use it with :class:`ff_mm.engine.hooks.ViewSeedHook`.

    Args:
        targets (str): The file of :class:`ff_mm.fission.distillation.targets.Targets`,
            relative to the run's work directory.
        share (float): Of the teacher in the targets, above 0 and up to 1.
        missing (str): What becomes of missing labels, see
            :func:`ff_mm.fission.distillation.mixture.mixture`.
    """

    def __init__(self, targets: str, share: float, missing: str = 'ignore') -> None:
        self.file = targets
        self.share = share
        self.missing = missing

    def before_train(self, runner: Runner) -> None:
        """Reads the targets.

        Raises:
            TargetsError: They cannot be read, or are of another data set.
        """
        path = Path(runner.work_dir) / self.file
        self._targets = Targets.read(path)
        images = len(runner.train_dataloader.dataset)
        if self._targets.checksums.shape[1] != images:
            raise TargetsError(
                f'{path}: is of {self._targets.checksums.shape[1]} images, the '
                f'training set has {images}; give a new --work-dir'
            )
        prepare_loss(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Sets the targets of a batch."""
        for sample in data_batch['data_samples']:
            name = sample.get('img_path') or f'training image {sample.get(INDEX)}'
            said = self._targets.of(
                sample.get(VIEW), sample.get(INDEX), sample.get(CHECKSUM), str(name)
            )
            teacher = torch.from_numpy(said)
            if not sample.get(UNLABELLED):
                labels = labels_of(sample, len(said))
                teacher = teacher.to(labels.device)
                teacher = mixture(labels, teacher, self.share, self.missing)
            sample.set_gt_score(teacher)
