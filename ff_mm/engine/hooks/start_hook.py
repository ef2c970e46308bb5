"""The weights that a training starts from, kept beside those that come out of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.datasets.checks.truth import meta_of
from ff_mm.engine.ingredient_file import model_weights, write_ingredient

_KEY = 'start'


@HOOKS.register_module()
class StartHook(Hook):
    """Saves the model before its first step, as ``start_<sha256>.pth``.

    Merges of task vectors need to know what they are the difference to. Runs that start
    from the same weights write one and the same file, as equal content is equal bytes;
    so the records of several runs tell whether they have a start in common.

    Args:
        out_dir (str): Where to write; relative to the run's work directory.
        name (str): That of the run, unique among those that write there.
    """

    priority = 'VERY_LOW'

    def __init__(self, out_dir: str, name: str) -> None:
        self.out_dir = out_dir
        self.name = name

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Saves it, unless the run goes on from a state."""
        if runner.iter > 0:
            return
        path = Path(runner.work_dir) / self.out_dir / f'{self.name}.pth'
        record = write_ingredient(
            path,
            model_weights(runner.model),
            dict(name=_KEY, stage=_KEY, hyper={}, cycle=None, parent=None, epoch=0),
            metrics={},
            dataset_meta=meta_of(runner.train_dataloader.dataset),
        )
        file = f'{_KEY}_{record["sha256"][:16]}.pth'
        os.replace(path, path.with_name(file))
        # In the message hub, so that a run that is resumed still knows it.
        runner.message_hub.update_info(_KEY, dict(record, file=file))


def start_of(runner: Runner) -> dict[str, Any] | None:
    """Returns the record of the weights that the run has started from, if kept."""
    return runner.message_hub.get_info(_KEY)
