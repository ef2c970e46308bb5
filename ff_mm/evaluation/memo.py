"""What earlier passes found, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from ff_mm.files import append_text, open_regular, refuse_irregular
from ff_mm.merging import NoBetterThan
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone
from ff_mm.plain import plain_metrics
from ff_mm.records import MEASURED, NUMBER, PLAIN, WORDS, Table

MEMO = 'evaluations.jsonl'
_LINE = Table(key=WORDS, value=PLAIN)


class EvaluationMemo:
    """Metrics by what went into them: weights, cases, pipeline, network, metrics.

    A pass that has been made is never made again, be it for another soup or after an
    interruption. Each finding is a line of ``evaluations.jsonl``, on disk before
    anything goes on; a line that was cut short by a crash does not count.

    Args:
        known: Findings that several memos of one process share.
        unchecked: Keys of metrics in them that nobody has looked at since they were
            read from a file; shared likewise.
        team: Processes that all go through the same calls. The first of them reads
            and writes the file, so that all know the same at any time.
    """

    def __init__(
        self,
        known: dict[str, Any] | None = None,
        team: Team | None = None,
        unchecked: set[str] | None = None,
    ) -> None:
        self._known = {} if known is None else known
        self._unchecked = set() if unchecked is None else unchecked
        self._team = team or Team.alone()
        self._path: Path | None = None

    def open(self, path: Path) -> None:
        """Reads what there is in a file, and goes on with it.

        Raises:
            NotRegularError: It is a link, a pipe or a device.
        """
        self._path = path
        for line in first_alone(self._team, 'memo', lambda: _lines(path)):
            self._read(line)

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

    def add_metrics(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Keeps the metrics of a full pass."""
        self._add(key, plain_metrics(metrics))

    def share(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Takes over metrics that are on disk elsewhere."""
        self._known.setdefault(key, dict(metrics))

    def add_bound(self, key: str, metric: str, rule: str, bound: NoBetterThan) -> None:
        """Keeps what a pass that was cut short has shown."""
        self._add(_bound_key(key, metric, rule), bound.value)

    def _add(self, key: str, value: Any) -> None:
        self._known[key] = value
        self._unchecked.discard(key)
        writes = is_main_process() and self._team.is_first
        if self._path is None or not writes:
            return
        # The line break comes first: a line that was cut short stays alone.
        append_text(self._path, '\n' + json.dumps(dict(key=key, value=value)))

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


def _bound_key(key: str, metric: str, rule: str) -> str:
    return f'{key}/{rule}/{metric}'
