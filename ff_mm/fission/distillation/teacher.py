"""Who teaches: models of a pool with weights, and where the student starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.files import sha256
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.pool import Pool, PoolEntry, read_pool
from ff_mm.records import NUMBER, TEXT, Optional, Rows, Table, read_record

TeacherSpec = str | Sequence[str] | Mapping[str, float] | None

_REPORT = Table(ingredients=Rows(Table(name=TEXT, weight=Optional(NUMBER))))
_EXPECTED = (
    "None (all of the pool, equally), a list of names, dict(name=weight), or a soup's "
    'report.json'
)


@dataclass(frozen=True)
class Teacher:
    """An ensemble of models of a pool.

    Attributes:
        members: Models with their weights, positive, of sum 1.
        pool: The pool that they are of.
    """

    members: tuple[tuple[PoolEntry, float], ...]
    pool: Pool

    @property
    def weights(self) -> dict[str, float]:
        """The weights by name."""
        return {entry.name: weight for entry, weight in self.members}

    def content(self) -> list[tuple[str, float]]:
        """What identifies the models, with their weights."""
        return [(e.digest or sha256(e.file), weight) for e, weight in self.members]

    def check_files(self) -> None:
        """Checks the members' files.

        Raises:
            CheckpointError: With a line for each that cannot be used.
        """
        Pool(tuple(entry for entry, _ in self.members)).check_files()


def check_teacher_spec(spec: Any) -> None:
    """Refuses what cannot say who teaches, without looking at any file.

    Raises:
        ConfigError: It cannot, and what could.
    """
    if spec is None or (isinstance(spec, str) and spec.endswith('.json')):
        return
    if isinstance(spec, Mapping) and spec:
        _check_weights(spec)
        return
    if not isinstance(spec, str | Mapping) and isinstance(spec, Sequence):
        names = [name for name in spec if isinstance(name, str)]
        if names and len(set(names)) == len(spec):
            return
    raise ConfigError(f'plan.teacher={spec!r}: expected {_EXPECTED}')


def _check_weights(weights: Mapping[Any, Any]) -> None:
    for name, weight in weights.items():
        right = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not right or not 0 <= weight < math.inf:
            raise ConfigError(
                f'plan.teacher: {name!r}={weight!r}: expected a weight of 0 or more'
            )
    if not any(weights.values()):
        raise ConfigError('plan.teacher: all weights are 0')


def read_teacher(pool_file: str, spec: TeacherSpec) -> Teacher:
    """Reads the pool and finds the teacher's members in it.

    Args:
        pool_file: The pool's ``ingredients.json``.
        spec: Which of it teach, see :class:`ff_mm.fission.plans.DistillationPlan`.

    Raises:
        FFMMError: There is no such pool, or no such model in it.
    """
    pool = read_pool(pool_file)
    by_name = {entry.name: entry for entry in pool.entries}
    weights = _weights(spec, list(by_name))
    for name in weights:
        if name not in by_name:
            raise ConfigError(
                f'plan.teacher: {pool_file} has no ingredient {name!r}, it has '
                f'{", ".join(by_name)}'
            )
    total = math.fsum(weights.values())
    members = [(by_name[name], w / total) for name, w in weights.items() if w > 0]
    return Teacher(tuple(members), pool)


def _weights(spec: TeacherSpec, names: list[str]) -> dict[str, float]:
    if spec is None:
        return dict.fromkeys(names, 1.0)
    if isinstance(spec, str):
        return _of_report(Path(spec))
    if isinstance(spec, Mapping):
        return dict(spec)
    return dict.fromkeys(spec, 1.0)


def _of_report(path: Path) -> dict[str, float]:
    if not path.is_file():
        raise ConfigError(
            f'plan.teacher={str(path)!r}: no such file; expected {_EXPECTED}'
        )
    rows = read_record(path, _REPORT, "a soup's report")['ingredients']
    weights = {row['name']: row.get('weight') for row in rows}
    check_teacher_spec(weights)
    return weights


def find_start(start: str, pool: Pool, monitor: str, rule: str) -> CheckpointFile:
    """Finds the weights that the student starts from.

    Args:
        start: ``'best'``, the name of an ingredient, or a checkpoint.
        pool: The teacher's.
        monitor: The recorded metric by which one is best.
        rule: ``'less'`` or ``'greater'``: which value is better.

    Raises:
        ConfigError: There is no such start.
    """
    for entry in pool.entries:
        if entry.name == start:
            return entry.checkpoint
    if start == 'best':
        return _best(pool, monitor, rule).checkpoint
    if Path(start).is_file():
        return CheckpointFile(start, full=True)
    raise ConfigError(
        f"plan.start={start!r}: no such file; expected 'best', a checkpoint such as a "
        "soup's soup.pth, or the name of an ingredient of the pool"
    )


def _best(pool: Pool, monitor: str, rule: str) -> PoolEntry:
    scored = [(e.metrics[monitor], e) for e in pool.entries if monitor in e.metrics]
    if not scored:
        raise ConfigError(
            f"plan.start='best': the pool has recorded no {monitor!r} "
            '(plan.student.monitor); name an ingredient or a file'
        )
    choose = max if rule == 'greater' else min
    return choose(scored, key=lambda pair: pair[0])[1]
