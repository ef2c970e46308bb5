"""What earlier passes found, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from ff_mm.files import append_text, open_regular, refuse_irregular
from ff_mm.merging import NoBetterThan
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone
from ff_mm.plain import plain_metrics

MEMO = 'evaluations.jsonl'


class EvaluationMemo:
    """Metrics by what went into them: weights, cases, pipeline, network, metrics.

    A pass that has been made is never made again, be it for another soup or after an
    interruption. Each finding is a line of ``evaluations.jsonl``, on disk before
    anything goes on; a line that was cut short by a crash does not count.

    Args:
        known: Findings that several memos of one process share.
        team: Processes that all go through the same calls. The first of them reads
            and writes the file, so that all know the same at any time.
    """

    def __init__(
        self, known: dict[str, Any] | None = None, team: Team | None = None
    ) -> None:
        self._known = {} if known is None else known
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

    def metrics(self, key: str) -> dict[str, Any] | None:
        """Returns the metrics of a full pass, if there was one."""
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
        writes = is_main_process() and self._team.is_first
        if self._path is None or not writes:
            return
        # The line break comes first: a line that was cut short stays alone.
        append_text(self._path, '\n' + json.dumps(dict(key=key, value=value)))

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            key, value = entry['key'], entry['value']
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        # Keys of bounds end in a rule and a metric, see below.
        expected = _is_number if '/' in str(key) else _is_metrics
        if isinstance(key, str) and expected(value):
            self._known[key] = value


def _lines(path: Path) -> list[str]:
    refuse_irregular(path)  # before any pass, which would be appended to it
    try:
        with open_regular(path) as file:
            return file.read().decode('utf-8', errors='replace').splitlines()
    except FileNotFoundError:
        return []


def _is_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_metric, value.values()))


def _is_metric(value: Any) -> bool:
    """Whether a value is what metrics give: a number, None, or a list of these."""
    if isinstance(value, list):
        return all(map(_is_metric, value))
    return value is None or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bound_key(key: str, metric: str, rule: str) -> str:
    return f'{key}/{rule}/{metric}'
