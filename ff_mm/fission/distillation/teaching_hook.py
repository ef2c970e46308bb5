"""The run before the students': where they start, and what their teacher says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.engine.hooks.best_checkpoint_hook import save_best
from ff_mm.evaluation.fingerprint import check_class_numbering
from ff_mm.files import check_own_folder, sha256
from ff_mm.fission.distillation.mixture import prepare_loss
from ff_mm.fission.distillation.passes import TeacherPasses
from ff_mm.fission.distillation.targets import TARGETS
from ff_mm.fission.distillation.teacher import (
    Teacher,
    TeacherSpec,
    find_start,
    read_teacher,
)
from ff_mm.fission.progress_hook import add_seconds, note
from ff_mm.fission.run_extras import keep_extras
from ff_mm.fission.run_weights import (
    copy_of_run,
    load_into_run,
    validation_of,
    weights_of_run,
)
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.state_dict import CheckpointError, check_same_architecture

_PARTS = 'targets'


@HOOKS.register_module()
class TeachingHook(Hook):
    """Validates the students' start, and keeps what their teacher says of each view.

    For a run without epochs, with :class:`ff_mm.engine.hooks.ViewSeedHook`. Its
    ``best.pth`` is the start.

    Args:
        pool (str): The pool's ``ingredients.json``.
        start (str): See :func:`ff_mm.fission.distillation.teacher.find_start`.
        monitor (str): The metric by which an ingredient is best.
        rule (str): ``'less'`` or ``'greater'``: which value is better.
        teacher (optional): Who teaches, see
            :class:`ff_mm.fission.plans.DistillationPlan`.
        views (int): How many views of each image there are; 0: nobody teaches.
        temperature (float): By which each member's logits are divided.
    """

    # Before what makes checkpoints plain, and before the clock stops.
    priority = 'LOW'

    def __init__(
        self,
        pool: str,
        start: str,
        monitor: str,
        rule: str,
        teacher: TeacherSpec = None,
        views: int = 0,
        temperature: float = 1.0,
    ) -> None:
        self.pool = pool
        self.start = start
        self.monitor = monitor
        self.rule = rule
        self.teacher = teacher
        self.views = views
        self.temperature = temperature

    def after_train(self, runner: Runner) -> None:
        """Does all of it.

        Raises:
            FFMMError: A pool, teacher, start or loss with which it cannot be done.
        """
        teacher = read_teacher(self.pool, self.teacher)
        start = find_start(self.start, teacher.pool, self.monitor, self.rule)
        self._load_start(runner, start)
        metrics = validation_of(runner).evaluate(runner.model)
        extras: dict[str, Any] = dict(
            made_of=dict(
                pool=self.pool,
                cost=teacher.pool.cost,
                start=str(start.path),
                teacher=teacher.weights if self.views else {},
            )
        )
        if self.views:
            extras |= self._teach(runner, teacher)
        keep_extras(runner, extras)
        save_best(runner, metrics)

    def _load_start(self, runner: Runner, start: CheckpointFile) -> None:
        _check_fits(runner, start, 'the start')
        load_into_run(runner, {**start.in_passing()})

    def _teach(self, runner: Runner, teacher: Teacher) -> dict[str, Any]:
        teacher.check_files()
        for entry, _ in teacher.members:
            _check_fits(runner, entry.checkpoint, f'the teacher {entry.name!r}')
        prepare_loss(runner)
        begun = copy_of_run(runner)
        folder = Path(runner.work_dir)
        if is_main_process():
            check_own_folder(folder / _PARTS)
        passes = TeacherPasses(
            runner,
            teacher,
            self.temperature,
            self.views,
            folder / _PARTS,
            lambda line: note(runner, line),
        )
        targets = passes.compute()
        load_into_run(runner, begun)
        add_seconds(runner, passes.seconds_before)
        digest: list[str] = ['']
        if is_main_process():
            targets.write(folder / TARGETS)
            digest[0] = sha256(folder / TARGETS)
            shutil.rmtree(folder / _PARTS, ignore_errors=True)
        broadcast_object_list(digest)
        return dict(images=passes.images, files=[dict(file=TARGETS, sha256=digest[0])])


def _check_fits(runner: Runner, file: CheckpointFile, what: str) -> None:
    """Refuses a model of another architecture, or with its classes in another order."""
    problems = check_same_architecture(
        file.outline(), weights_of_run(runner), f'{file.path}: {what}', 'the model'
    )
    if problems:
        raise CheckpointError('; '.join(problems))
    classes = runner.train_dataloader.dataset.metainfo.get('classes')
    if not check_class_numbering(file, classes):
        note(
            runner,
            f'{file.path}: {what} names its classes differently from the training set; '
            'taken to mean the same, in their order',
        )
