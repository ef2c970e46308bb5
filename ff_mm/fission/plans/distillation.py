"""Distillation: what an ensemble of a pool knows, in one network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.registry import TASK_UTILS

from ff_mm.datasets.unlabelled import read_unlabelled
from ff_mm.errors import ConfigError
from ff_mm.fission.distillation.mixture import MISSING_LABELS
from ff_mm.fission.distillation.targets import TARGETS
from ff_mm.fission.distillation.teacher import (
    TeacherSpec,
    check_teacher_spec,
    find_start,
    read_teacher,
)
from ff_mm.fission.plans.plan import FineTuningPlan, Point, common_overrides
from ff_mm.fission.plans.stages import StudentStage, build_stage
from ff_mm.fission.trial import ADDED, Trial


@TASK_UTILS.register_module()
class DistillationPlan(FineTuningPlan):
    """Students of an ensemble of a pool that another plan has left.

    A student starts from a model made of the pool, and is trained for a few epochs on
    the training images. Its targets are a share of the ensemble's averaged
    probabilities, and the rest labels. The teacher sees each image as the student
    will: its probabilities are computed once, before training, and kept.

    Args:
        pool: The pool's ``ingredients.json``.
        start: Where students start: ``'best'``, the ingredient with the best recorded
            ``student.monitor``; a checkpoint, such as the pool's ``soup.pth``; or the
            name of an ingredient.
        teacher: Who teaches: None, all of the pool, equally; names of ingredients;
            weights by name; or the ``report.json`` of a soup of this pool, whose
            weights are taken.
        share: The part of the teacher in the targets; 0: labels alone, the control,
            which sees the same views and costs no passes of a teacher.
        temperature: By which the logits of each member are divided.
        views: How many views of each image are made; epochs show them in turn. None:
            each epoch has one of its own.
        unlabelled: Images without labels, on which the teacher alone says what is to be
            learned: a folder, or a dict as
            :func:`ff_mm.datasets.unlabelled.read_unlabelled` takes it. They are mixed
            into the training set, so that an epoch is of both.
        missing: ``'ignore'``: a label that is missing stays missing; ``'teacher'``: it
            gets the teacher's probability.
        lrs: Learning rates, of each of which there is a student.
        seeds: Likewise; all see the views of the first.
        augmentations: One name in the config's ``augmentations``.
        student: Values of :class:`ff_mm.fission.plans.stages.StudentStage`.

    Raises:
        ConfigError: An unknown key, or a value that makes no plan.
    """

    needs_scores = True

    def __init__(
        self,
        pool: str,
        start: str = 'best',
        teacher: TeacherSpec = None,
        share: float = 0.5,
        temperature: float = 1.0,
        views: int | None = None,
        missing: str = 'ignore',
        unlabelled: str | Mapping[str, Any] | None = None,
        lrs: Sequence[float] = (5e-4,),
        seeds: Sequence[int] = (0,),
        augmentations: Sequence[str] | None = None,
        student: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(lrs, seeds, augmentations, probe=None)
        self.base = build_stage(StudentStage, student, 'plan.student')
        for name, value in (('pool', pool), ('start', start)):
            if not isinstance(value, str) or not value:
                raise ConfigError(f'plan.{name}={value!r}: expected the name of a file')
        check_teacher_spec(teacher)
        _check_number('share', share, 0 <= _number(share) <= 1, 'from 0 to 1')
        _check_number('temperature', temperature, _number(temperature) > 0, 'above 0')
        if views is not None and (
            isinstance(views, bool) or not isinstance(views, int) or views < 1
        ):
            raise ConfigError(
                f'plan.views={views!r}: expected 1 or more, or None: one an epoch'
            )
        if missing not in MISSING_LABELS:
            raise ConfigError(
                f'plan.missing={missing!r}: expected {" or ".join(MISSING_LABELS)}'
            )
        if len(self.augmentations) > 1:
            raise ConfigError(
                f'plan.augmentations={list(self.augmentations)}: expected one, as all '
                'students see what the teacher saw'
            )
        self.unlabelled = read_unlabelled(unlabelled, 'plan.unlabelled')
        if self.unlabelled and not share:
            raise ConfigError(
                'plan.unlabelled: with plan.share=0 labels alone teach, and these '
                'images have none; give plan.unlabelled=None, or a share'
            )
        self.pool, self.start, self.teacher = pool, start, teacher
        self.share, self.temperature, self.missing = share, temperature, missing
        epochs = self.base.epochs
        self.views = epochs if views is None else min(views, epochs)

    def trials(self) -> list[Trial]:
        """Returns what the teacher says, or the start alone, then the students."""
        first = self._first()
        return [first, *(self._student(point, first.id) for point in self.points)]

    def check(self, notify: Callable[[str], None]) -> None:
        """Checks the pool, and says what the teacher is and costs."""
        stage = self.base
        teacher = read_teacher(self.pool, self.teacher)
        start = find_start(self.start, teacher.pool, stage.monitor, stage.rule)
        cost = teacher.pool.cost
        of_pool = '' if cost is None else f', which cost {cost["epochs"]} epochs'
        notify(f'from {start.path}; pool: {self.pool}{of_pool}')
        if self.share:
            teacher.check_files()
            notify(
                f'teacher: {len(teacher.members)} models, each with one pass over the '
                f'training images{", with and without labels," * bool(self.unlabelled)}'
                f' a view; {self.views} views'
            )

    @property
    def _views(self) -> dict[str, Any]:
        return dict(type='ViewSeedHook', views=self.views, seed=self.seeds[0])

    @property
    def _added(self) -> dict[str, Any]:
        """The images without labels, for teacher and students."""
        return {} if self.unlabelled is None else {ADDED: self.unlabelled}

    def _first(self) -> Trial:
        """Trains nothing: it validates the start, and has the teacher look."""
        stage, teaches = self.base, self.share > 0
        hook: dict[str, Any] = dict(
            type='TeachingHook',
            pool=self.pool,
            start=self.start,
            monitor=stage.monitor,
            rule=stage.rule,
        )
        if teaches:
            hook.update(
                teacher=self.teacher,
                views=self.views,
                temperature=self.temperature,
            )
        return Trial(
            id='teacher' if teaches else 'start',
            stage='teacher' if teaches else 'start',
            epochs=0,
            overrides={
                **common_overrides(0, self.seeds[0], self.augmentations[0]),
                **self._added,
                **stage.overrides,
                'train_cfg.max_epochs': 0,
                'param_scheduler': [],
            },
            hooks=(self._views, hook),
            yields='start',
        )

    def _student(self, point: Point, parent: str) -> Trial:
        trial = self._base(point, name='student', parent=parent)
        hooks = [self._views]
        if self.share > 0:
            hook = dict(
                type='DistillationHook',
                targets=str(Path('..') / parent / TARGETS),
                share=self.share,
                missing=self.missing,
            )
            hooks.append(hook)
        return replace(
            trial,
            hooks=(*hooks, *trial.hooks),
            overrides={**trial.overrides, **self._added},
        )


def _number(value: Any) -> float:
    """A number, or NaN, which no bound holds for."""
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if right else float('nan')


def _check_number(name: str, value: Any, fits: bool, expected: str) -> None:
    if not fits or _number(value) == float('inf'):
        raise ConfigError(f'plan.{name}={value!r}: expected a number {expected}')
