"""What models of a pool take: passes, files read, disk and time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ff_mm.display.console import duration, size
from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import EvaluationSet, SetPace
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.fission.disk import DiskError, existing, free_space
from ff_mm.merging import StateDict


@dataclass
class Bill:
    """What is left to do, at most.

    Attributes:
        passes: Over each set, by its name.
        reads: How many models are read from files.
        trained: How many training images go through a network, for batch norm.
        kept: Bytes that stay.
        passing: Bytes that are there for a while.
        besides: What is to be done that these do not count, in words.
    """

    passes: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    trained: int = 0
    kept: int = 0
    passing: int = 0
    besides: list[str] = field(default_factory=list)

    def add(self, other: Bill) -> None:
        """Adds another, which comes after it."""
        self.passes.update(other.passes)
        self.reads += other.reads
        self.trained += other.trained
        self.kept += other.kept
        self.passing = max(self.passing, other.passing)
        new = [what for what in other.besides if what not in self.besides]
        self.besides += new


@dataclass(frozen=True)
class EvaluatorPace:
    """How long it takes to load a model, and to pass over each set.

    Attributes:
        load: Seconds to read a model from its file into the network.
        sets: By name.
        kept: Names of sets whose images are loaded once and kept.
    """

    load: float
    sets: Mapping[str, SetPace]
    kept: frozenset[str]

    def seconds(self, bill: Bill) -> float:
        """What the passes and reads of a bill take."""
        total = bill.reads * self.load
        if bill.trained:  # which takes as long as to look at one of validation
            total += bill.trained * self.sets['val'].showing
        for name, passes in bill.passes.items():
            pace = self.sets[name]
            # Validation is loaded before its first pass, others may be once more.
            loads = min(passes, 1 + (name != 'val')) if name in self.kept else passes
            total += pace.images * (passes * pace.showing + loads * pace.loading)
        return total

    def __str__(self) -> str:
        """In words."""
        sets = ', '.join(
            f'{duration(pace.images * (pace.showing + pace.loading))} a pass over '
            f'{name} ({pace})'
            for name, pace in self.sets.items()
        )
        return f'{self.load:.2g} s to load a model, {sets}'


def check_seconds(seconds: float) -> None:
    """Refuses what is no time to measure.

    Raises:
        ConfigError: It is none.
    """
    if not 0 < seconds < math.inf:
        raise ConfigError(f'--dry-run {seconds:g}: expected seconds, more than 0')


def measure(
    evaluator: ModelEvaluator, load: Callable[[StateDict], Any], seconds: float
) -> EvaluatorPace:
    """Measures what a model takes.

    Args:
        evaluator: The network and the sets.
        load: Loads a model.
        seconds: For all sets together at most, but for a batch of each.
    """
    began = time.perf_counter()
    evaluator.load_from(load)
    loaded = time.perf_counter() - began
    each = seconds / len(evaluator.sets)
    model = evaluator.runner.model
    return EvaluatorPace(
        loaded,
        {name: one.pace(model, each) for name, one in evaluator.sets.items()},
        frozenset(
            name for name, one in evaluator.sets.items() if _fits(evaluator, one)
        ),
    )


def model_size(evaluator: ModelEvaluator) -> int:
    """Returns the bytes of one model."""
    return sum(value.nbytes for value in evaluator.weights.values())


def say_disk(bill: Bill, work_dir: Path, show: Callable[[str], None]) -> None:
    """Says what will be written.

    Args:
        bill: All that is to be done.
        work_dir: Where; it need not be there yet.
        show: Takes a line.

    Raises:
        DiskError: It does not suffice.
    """
    need, free = bill.kept + bill.passing, free_space(work_dir)
    if free is not None and need > free:
        raise DiskError(
            f'{existing(work_dir)}: models take {size(need)}, but only {size(free)} are'
            ' free there: free some, or give --work-dir on a larger disk'
        )
    line = f'disk: {size(need)} in {work_dir} for models'
    if bill.passing:
        line += f', {size(bill.passing)} of it only until the end'
    there = 'what is free is not known' if free is None else f'{size(free)} are free'
    show(f'{line}; {there}')


def say_time(seconds: float, bill: Bill, show: Callable[[str], None]) -> None:
    """Says how long it will take.

    Args:
        seconds: Of what was counted.
        bill: All that is to be done.
        show: Takes a line.
    """
    line = (
        f'time: about {duration(seconds)} if all of that is needed, on this machine as '
        'busy as it is now; less where a pass is known already or ends early'
    )
    show(line)
    if bill.besides:
        show(f'not in these figures: {"; ".join(bill.besides)}')


def _fits(evaluator: ModelEvaluator, one: EvaluationSet) -> bool:
    """Whether images of a set are going to be kept in memory."""
    if not one.has_images:
        return False
    image = one.dataset[0]['inputs']
    return len(one.dataset) * image.nbytes <= evaluator.options.cache_memory
