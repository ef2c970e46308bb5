"""Records: JSON that a later run reads, checked by tables before it is used.

A table says of each key what its value must be. What does not fit is one line that
names the key, what was expected and what is there, be the file damaged or forged.

Not by pydantic: its tables were as long, its lines name an ingredient by its number,
and half characters, numbers beyond a float and names of files wanted checks all the
same; it would take 0.2 s at each start.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ff_mm.errors import FFMMError
from ff_mm.files import PathLike, read_json
from ff_mm.one_line import one_line

_HALF = re.compile(r'[\ud800-\udfff]')


class RecordError(FFMMError):
    """A value, or a file, that is not as its table says."""


class Check(Protocol):
    """What a value must be."""

    def read(self, value: Any, where: str = '') -> Any:
        """Returns the value, as it is used.

        Args:
            value: What the file says.
            where: In which part of the file; empty, or ends with a colon and a space.

        Raises:
            RecordError: It is another.
        """


@dataclass(frozen=True)
class Is:
    """A value by itself.

    Args:
        expected: What it must be, in words.
        fits: Whether a value is that.
    """

    expected: str
    fits: Callable[[Any], bool]

    def read(self, value: Any, where: str = '') -> Any:
        """See :meth:`Check.read`."""
        if not self._fits(value):
            raise RecordError(f'{where}expected {self.expected}, got {_short(value)}')
        return value

    def _fits(self, value: Any) -> bool:
        try:
            return self.fits(value)
        except RecursionError:  # nested too deep to look at
            return False


@dataclass(frozen=True)
class Optional:
    """A value that may be missing, or null.

    Args:
        check: What it is else.
    """

    check: Check

    def read(self, value: Any, where: str = '') -> Any:
        """See :meth:`Check.read`."""
        return None if value is None else self.check.read(value, where)


class Table:
    """Names and values.

    Args:
        version: What ``format`` must be, if the file says it; None: it has none.
        **keys: What stands under which name. What else there is must be plain.
    """

    def __init__(self, version: int | None = None, /, **keys: Check) -> None:
        self._version, self._keys = version, keys

    def read(self, value: Any, where: str = '') -> dict[str, Any]:
        """See :meth:`Check.read`."""
        if not isinstance(value, Mapping):
            raise RecordError(f'{where}expected names and values, got {_short(value)}')
        if self._version not in (None, found := value.get('format', self._version)):
            raise RecordError(
                f'{where}format {_short(found)}, expected {self._version}; '
                'it is of another version of ff_mm'
            )
        for name, check in self._keys.items():
            if name not in value and not isinstance(check, Optional):
                raise RecordError(f'{where}{name!r} is missing')
        return {name: self._read(name, value[name], where) for name in value}

    def _read(self, name: str, value: Any, where: str) -> Any:
        PLAIN.read(name, where)
        key = name if TEXT.fits(name) else repr(name)
        return self._keys.get(name, PLAIN).read(value, f'{where}{key}: ')


@dataclass(frozen=True)
class Rows:
    """A list.

    Args:
        check: What each item is.
        name: The key by which messages call an item, if it is names and values.
    """

    check: Check
    name: str = 'name'

    def read(self, value: Any, where: str = '') -> list[Any]:
        """See :meth:`Check.read`."""
        if not isinstance(value, list):
            raise RecordError(f'{where}expected a list, got {_short(value)}')
        return [
            self.check.read(item, f'{where}{self._called(item, number)}: ')
            for number, item in enumerate(value, 1)
        ]

    def _called(self, item: Any, number: int) -> str:
        name = item.get(self.name) if isinstance(item, Mapping) else None
        return repr(name) if TEXT.fits(name) else str(number)


@dataclass(frozen=True)
class ByName:
    """Names that may be any, with values that are alike.

    Args:
        check: What each value is.
    """

    check: Check

    def read(self, value: Any, where: str = '') -> dict[str, Any]:
        """See :meth:`Check.read`."""
        NAMED.read(value, where)
        return {
            TEXT.read(name, where): self.check.read(each, f'{where}{name!r}: ')
            for name, each in value.items()
        }


def read_record(path: PathLike, table: Table, what: str) -> dict[str, Any]:
    """Reads a file by its table.

    Args:
        path: The file.
        table: What it says.
        what: What the file is, for the message.

    Raises:
        FileNotFoundError: There is no such file.
        RecordError: It is damaged, or not as the table says; one line.
    """
    try:
        return table.read(read_json(path))
    except (ValueError, RecursionError) as error:
        reason = str(error).removeprefix(f'{path}: ')
        raise RecordError(f'{path}: is not {what}: {reason}') from error


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return 'what is nested too deep'
    return text if len(text) <= 60 else f'{text[:57]}...'


def _is_text(value: Any) -> bool:
    # To a terminal, some characters that cannot be printed are commands.
    return isinstance(value, str) and value != '' and one_line(value) == value


def _is_number(value: Any) -> bool:
    """Whether a value is a number that a float can be: not without end, not 10^400."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max


def _is_metric(value: Any) -> bool:
    """Whether a value is a number, null (not finite), or a list of these."""
    if isinstance(value, list):
        return all(map(_is_metric, value))
    return value is None or _is_number(value)


def _is_measured(value: Any) -> bool:
    """Whether a value is a metric, or one that is not finite."""
    if isinstance(value, list):
        return all(map(_is_measured, value))
    return isinstance(value, float) or _is_metric(value)


def _is_plain(value: Any) -> bool:
    """Whether a value is JSON's, and can be written again."""
    if isinstance(value, str):  # half a pair of a character is in no encoding
        return _HALF.search(value) is None
    if isinstance(value, Mapping):
        names = all(isinstance(name, str) and _is_plain(name) for name in value)
        return names and all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | float) or _is_number(value)


def _are(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is names, of values that fit."""
    return lambda value: (
        isinstance(value, Mapping)
        and all(map(_is_text, value))
        and all(map(fits, value.values()))
    )


PLAIN = Is('a value of JSON', _is_plain)
TEXT = Is('a text that can be printed', _is_text)
FLAG = Is('true or false', lambda value: isinstance(value, bool))
NUMBER = Is('a number', _is_number)
COUNT = Is(
    'a whole number from 0', lambda v: _is_number(v) and isinstance(v, int) and v >= 0
)
ORDINAL = Is('a whole number from 1', lambda v: COUNT.fits(v) and v > 0)
WORDS = Is('a text', lambda v: isinstance(v, str) and PLAIN.fits(v))
SHA256 = Is(
    '64 hexadecimal digits',
    lambda v: isinstance(v, str) and re.fullmatch('[0-9a-f]{64}', v) is not None,
)
FILE_NAME = Is(
    "a file's name without a folder",
    lambda v: _is_text(v) and v == Path(v).name and v != '..',
)
NAMED = Is('names and values', lambda v: isinstance(v, Mapping) and _is_plain(v))
METRICS = Is('numbers by name', _are(_is_metric))
#: As they were measured, not finite ones included.
MEASURED = Is('numbers by name', lambda v: v != {} and _are(_is_measured)(v))
#: What training has cost.
COST = Table(trials=NUMBER, epochs=NUMBER, seconds=NUMBER, images=Optional(NUMBER))
