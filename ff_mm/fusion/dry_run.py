"""What soups will take: passes, images, disk and time, before any is made."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.display.console import make_console, say
from ff_mm.engine.device import describe_device
from ff_mm.evaluation.memo import MEMO
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.fusion.bill import (
    Bill,
    EvaluatorPace,
    check_seconds,
    measure,
    model_size,
    say_disk,
    say_time,
)
from ff_mm.fusion.ensemble_runner import EnsembleRunner
from ff_mm.fusion.session import FusionSession
from ff_mm.fusion.soup_runner import SoupRunner
from ff_mm.merging import Ingredient, StateDict
from ff_mm.merging.hierarchical import check_levels
from ff_mm.merging.passes import Passes, passes_at_most
from ff_mm.merging.recipe import Recipe


def dry_run_soups(cfgs: Sequence[Config], seconds: float) -> float:
    """Says what soups will take; nothing is left behind.

    All is checked that is checked before the first pass of a soup.

    Args:
        cfgs: Of soups, references not yet resolved.
        seconds: To measure passes, of each network.

    Returns:
        The seconds of all that was counted.

    Raises:
        FFMMError: As the soups do.
    """
    check_seconds(seconds)
    console = make_console()

    def show(line: str) -> None:
        say(line, console)

    show(describe_device())
    runners = [RUNNERS.build(cfg) for cfg in cfgs]
    with dry_session() as session:
        forecast = Forecast(session, seconds)
        for runner in runners:
            forecast.add(runner)
        total = forecast.seconds()
    folders = [str(runner.work_dir) for runner in runners]
    if len({os.path.isabs(folder) for folder in folders}) > 1:
        folders = [os.path.abspath(folder) for folder in folders]
    work_dir = Path(os.path.commonpath(folders))
    say_disk(forecast.bill, work_dir, show)
    say_time(total, forecast.bill, show)
    return total


@contextmanager
def dry_session() -> Iterator[FusionSession]:
    """Gives a session that writes to no work directory."""
    with (
        tempfile.TemporaryDirectory(prefix='ff_mm_dry_run_') as scratch,
        FusionSession(scratch=Path(scratch)) as session,
    ):
        yield session


class Forecast:
    """Counts up what soups of one session take.

    Args:
        session: One of :func:`dry_session`.
        seconds: To measure passes, of each network.

    Attributes:
        bill: All together.
        largest: Bytes of the largest model that is made.
    """

    def __init__(self, session: FusionSession, seconds: float) -> None:
        self.session = session
        self.bill = Bill()
        self.largest = 0
        self._measured = seconds
        self._began = time.perf_counter()
        self._measuring = 0.0
        self._before = 0.0  # of networks that were before the last one
        self._of_network = Bill()
        self._pace: EvaluatorPace | None = None
        self._pace_of: ModelEvaluator | None = None
        # What several soups have in common is made once.
        self._counted: set[str] = set()

    def seconds(self) -> float:
        """Returns what all of it takes; the checks since this was built once more."""
        checks = time.perf_counter() - self._began - self._measuring
        return checks + self._before + self._of_last()

    def _of_last(self) -> float:
        return 0.0 if self._pace is None else self._pace.seconds(self._of_network)

    def add(self, runner: SoupRunner) -> Bill:
        """Checks a soup, and counts and says what it takes.

        Args:
            runner: Of the soup.
        """
        ingredients = runner.prepare(self.session)
        passes, left = self._passes(runner, ingredients)
        bill = self._bill(runner, passes, left)
        _say(runner, passes, bill)
        self.largest = max(self.largest, bill.kept)
        self.count(bill, runner.evaluator, ingredients[0].load)
        return bill

    def count(
        self,
        bill: Bill,
        evaluator: ModelEvaluator,
        load: Callable[[StateDict], Any],
    ) -> None:
        """Adds a bill, and what it takes by a measured pass.

        Args:
            bill: The bill.
            evaluator: What makes the passes.
            load: Loads a model to measure them with.
        """
        if self._pace is None or evaluator is not self._pace_of:
            self._before += self._of_last()
            self._of_network = Bill()
            began = time.perf_counter()
            self._pace = measure(evaluator, load, self._measured)
            self._measuring += time.perf_counter() - began
            self._pace_of = evaluator
            say(str(self._pace), make_console())
        self.bill.add(bill)
        self._of_network.add(bill)

    def _passes(
        self, runner: SoupRunner, ingredients: Sequence[Ingredient]
    ) -> tuple[Passes, int]:
        """What chooses, and how many models are left in the end."""
        if runner.is_of_folds:
            return Passes(unknown=['what was judged out of fold']), 1
        if runner.groups.basins is not None:
            return Passes(unknown=['groups by basin, which are not known yet']), 1
        supplies = self.session.supplies(runner.pool) | runner.statistics.supplies
        levels = [
            replace(level, merge=level.how.supplied(supplies))
            for level in runner.levels
        ]
        if not isinstance(runner, EnsembleRunner):
            check_levels(ingredients, levels, runner.method)

        def is_known(recipe: Recipe) -> bool:
            known = runner.candidates.recall(recipe) is not None
            return known or not self._is_first(runner, 'val', recipe)

        passes, left = passes_at_most(ingredients, levels, is_known)
        return passes, len(left)

    def _is_first(self, runner: SoupRunner, what: str, recipe: Recipe) -> bool:
        """Whether a pass is counted for the first time."""
        content = sorted(runner.candidates.content(recipe).items())
        key = json.dumps([what, runner.evaluator.keys['val'], content])
        if key in self._counted:
            return False
        self._counted.add(key)
        return True

    def _bill(self, runner: SoupRunner, passes: Passes, left: int) -> Bill:
        evaluator = runner.evaluator
        names = evaluator.set_names
        others = [name for name in names if name != 'val']
        model = model_size(evaluator)
        bill = Bill(reads=passes.reads, passing=passes.soups * model)
        bill.passes['val'] = passes.forward
        if isinstance(runner, EnsembleRunner):
            bill.passes['val'] += left * (1 + runner.chosen)
            bill.reads += left * (1 + runner.chosen)
        else:
            left = 1
        if [level.which.type for level in runner.levels] != ['best']:
            for name in others:
                bill.passes[name] += left
        single = json.dumps(['best single', sorted(runner.candidates.digests.items())])
        if others and not runner.is_of_folds and single not in self._counted:
            self._counted.add(single)
            bill.passes.update(others)
            bill.reads += 1
        if runner.decision is not None:  # what it is fitted on, and what comes of it
            for name in names:
                bill.passes[name] += 2 * left
        if runner.reestimates_at_the_end:
            bill.passes.update(names)
        if (samples := runner.bn_samples) and evaluator.has_batch_norm:
            models = passes.merged + runner.reestimates_at_the_end
            bill.trained = samples * models
        bill.reads += len(runner.pool.entries)  # for the soup itself
        bill.kept = left * model
        bill.besides = _besides(runner, passes)
        return bill


def _besides(runner: SoupRunner, passes: Passes) -> list[str]:
    """What cannot be counted, or is not measured."""
    besides = [f'passes of {runner.title}: {what}' for what in passes.unknown]
    if (basins := runner.groups.basins) is not None:
        number = len(runner.pool.entries)
        between = (basins.points - 2) * number * (number - 1) // 2
        besides.append(f'{between} passes over val between ingredients, for basins')
    if passes.gradients:
        besides.append(
            f'at most {passes.gradients} gradients of the loss on val, each a pass '
            'without and one with a way back'
        )
    if runner.bn_samples is not None and runner.evaluator.has_batch_norm:
        besides.append('training images are loaded, for batch norm')
    if runner.statistics.names:
        besides.append(f'{", ".join(runner.statistics.names)} on training images')
    return besides


def _say(runner: SoupRunner, passes: Passes, bill: Bill) -> None:
    sets = runner.evaluator.sets
    counted = [
        (passes.own, 'of ingredients alone'),
        (passes.merged, 'of merged models'),
        (passes.predictions, 'for predictions'),
    ]
    parts = ', '.join(f'{number} {what}' for number, what in counted if number)
    most = 'at least' if passes.unknown else 'at most'
    over = [
        f'{number} over {name} ({len(sets[name].dataset):,} images)'
        for name, number in bill.passes.items()
        if number
    ]
    images = sum(len(sets[n].dataset) * number for n, number in bill.passes.items())
    runner.line(
        f'{runner.title}: passes, {most}: {", ".join(over) or "none"}'
        + (f'; of those over val {parts} choose' if parts else '')
        + f'; {images:,} images'
        + (f'; {bill.trained:,} of training, for batch norm' if bill.trained else '')
    )
    if found := runner.candidates.memo.found:
        runner.line(
            f'{runner.work_dir / MEMO}: {found} evaluations are known and not made '
            'again; which of merged models will be asked for shows on the way'
        )
