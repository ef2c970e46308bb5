"""What earlier passes found, kept on disk."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.dist import is_main_process

from ff_mm.files import append_text, open_regular, refuse_irregular
from ff_mm.merging import NoBetterThan
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone
from ff_mm.plain import plain_metrics
from ff_mm.records import MEASURED, NUMBER, PLAIN, WORDS, Table

MEMO = 'evaluations.jsonl'
# Seconds from one line that is waited for to the next. A pass of a GPU is over in less
# time than a disk takes, and there are thousands between all pairs of a pool.
_SYNC_EVERY = 1.0
_LINE = Table(key=WORDS, value=PLAIN)
# Of which images a line is, or all from here on; and of which those are taken to be
# that do not say it.
_IMAGES, _TAKEN_FOR = 'images', 'unnoted'


class EvaluationMemo:
    """Metrics by what went into them: weights, cases, pipeline, network, metrics.

    A pass that has been made is never made again, be it for another soup or after an
    interruption. Each finding is a line of ``evaluations.jsonl``, which the system has
    before anything goes on; once a second it is waited for that all are on disk. So a
    process that is killed loses none, and a machine that breaks down the last ones at
    most. A line that was cut short by a crash does not count.

    Args:
        known: Findings that several memos of one process share.
        unchecked: Keys of metrics in them that nobody has looked at since they were
            read from a file; shared likewise.
        team: Processes that all go through the same calls. The first of them reads
            and writes the file, so that all know the same at any time.
        images: What identifies the images on disk, by the name of the set. Findings of
            others do not count. None: whatever they are of.

    Attributes:
        notes: What was found of other images, in lines for the user.
        found: How many findings there were in the file that was opened.
    """

    def __init__(
        self,
        known: dict[str, Any] | None = None,
        team: Team | None = None,
        unchecked: set[str] | None = None,
        images: Mapping[str, str] | None = None,
    ) -> None:
        self._known = {} if known is None else known
        self._unchecked = set() if unchecked is None else unchecked
        self._team = team or Team.alone()
        self._images = images
        self._path: Path | None = None
        self._synced = -math.inf
        self.notes: list[str] = []
        self.found = 0

    def open(self, path: Path, goes_on: bool = True) -> None:
        """Reads what there is in a file, and goes on with it.

        Args:
            path: The file.
            goes_on: Whether findings are added to it; else it stays as it is.

        Raises:
            NotRegularError: It is a link, a pipe or a device.
        """
        self._path = path if goes_on else None
        found = first_alone(self._team, 'memo', lambda: _Lines.of(path, self._images))
        lines, others, unnoted = _Lines(*found)
        self.found = len(lines)
        for line in lines:
            self._read(line)
        if self._images is None:
            return
        if others:
            self.notes.append(
                f'{path}: {others} evaluations are of other images under the same '
                'names (size, content or time of a file differ); evaluated anew'
            )
            self._append({_IMAGES: dict(self._images)})
        if unnoted:
            self.notes.append(
                f'{path}: {unnoted} evaluations are of a version that did not note of '
                'which images; taken to be of these'
            )
            self._append({_TAKEN_FOR: dict(self._images)})

    def metrics(
        self, key: str, fit: Callable[[Mapping[str, Any]], bool] = bool
    ) -> dict[str, Any] | None:
        """Returns the metrics of a full pass, if there was one.

        Args:
            key: Of what.
            fit: Says whether they are such as a pass gives; asked once, of those from a
                file. Others do not count.
        """
        if key in self._unchecked:
            self._unchecked.discard(key)
            if not fit(self._known[key]):
                del self._known[key]
        return self._known.get(key)

    def bound(self, key: str, metric: str, rule: str) -> NoBetterThan | None:
        """Returns what a pass that was cut short has shown, if there was one."""
        value = self._known.get(_bound_key(key, metric, rule))
        return None if value is None else NoBetterThan(value)

    def add_metrics(
        self, key: str, metrics: Mapping[str, Any], sets: Sequence[str] = ()
    ) -> None:
        """Keeps the metrics of a full pass.

        Args:
            key: What went into it.
            metrics: What came out.
            sets: Names of the sets of which images have gone into it.
        """
        self._add(key, plain_metrics(metrics), sets)

    def share(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Takes over metrics that are on disk elsewhere."""
        self._known.setdefault(key, dict(metrics))

    def add_bound(
        self,
        key: str,
        metric: str,
        rule: str,
        bound: NoBetterThan,
        sets: Sequence[str] = (),
    ) -> None:
        """Keeps what a pass that was cut short has shown; see :meth:`add_metrics`."""
        self._add(_bound_key(key, metric, rule), bound.value, sets)

    def _add(self, key: str, value: Any, sets: Sequence[str]) -> None:
        self._known[key] = value
        self._unchecked.discard(key)
        entry = dict(key=key, value=value)
        if self._images is not None:
            entry[_IMAGES] = {name: self._images[name] for name in sets}
        self._append(entry)

    def _append(self, entry: Mapping[str, Any]) -> None:
        writes = is_main_process() and self._team.is_first
        if self._path is None or not writes:
            return
        # The line break comes first: a line that was cut short stays alone.
        now = time.monotonic()
        sync = now - self._synced >= _SYNC_EVERY
        append_text(self._path, '\n' + json.dumps(entry), sync)
        if sync:
            self._synced = now

    def _read(self, line: str) -> None:
        try:
            entry = _LINE.read(json.loads(line))
            key, value = entry['key'], entry['value']
            # Keys of bounds end in a rule and a metric, see below.
            is_bound = '/' in key
            self._known[key] = (NUMBER if is_bound else MEASURED).read(value)
        except (ValueError, RecursionError):
            return
        if not is_bound:
            self._unchecked.add(key)


def _lines(path: Path) -> list[str]:
    refuse_irregular(path)  # before any pass, which would be appended to it
    try:
        with open_regular(path) as file:
            return file.read().decode('utf-8', errors='replace').splitlines()
    except FileNotFoundError:
        return []


class _Lines(NamedTuple):
    """What there is in a file, of the images that there are.

    Attributes:
        lines: Those that count.
        others: How many are of other images, if the images are others than last time.
        unnoted: How many are taken for lines of these images for the first time.
    """

    lines: list[str]
    others: int = 0
    unnoted: int = 0

    @classmethod
    def of(cls, path: Path, images: Mapping[str, str] | None) -> _Lines:
        """Reads a file.

        Args:
            path: The file.
            images: What identifies the images by the name of the set.
        """
        lines = _lines(path)
        if images is None:
            return cls(lines)
        counting: list[str] = []
        of_other: list[str] = []
        unnoted: list[str] = []
        taken_for: dict[str, Any] = {}
        last: dict[str, Any] = {}
        for line in lines:
            entry = _parsed(line)
            noted = _map(entry, _IMAGES)
            taken_for |= _map(entry, _TAKEN_FOR)
            last |= noted
            if noted:
                (counting if _agree(noted, images) else of_other).append(line)
            elif 'key' in entry:
                unnoted.append(line)
        if _agree(taken_for, images):
            counting = unnoted + counting
        else:
            of_other += unnoted
        changed = not _agree(taken_for | last, images)
        return cls(
            counting,
            len(of_other) if changed else 0,
            0 if taken_for else len(unnoted),
        )


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _map(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def _agree(images: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether what both know is the same."""
    return all(others.get(name, id) == id for name, id in images.items())


def _bound_key(key: str, metric: str, rule: str) -> str:
    return f'{key}/{rule}/{metric}'
