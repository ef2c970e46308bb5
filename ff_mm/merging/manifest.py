"""``ingredients.json`` as fusion reads it: checked, entry by entry, before it is used.

A manifest can come from anyone, and so can the folder around it. So paths stay within
that folder, metrics are numbers, and anything else is an error that names the
ingredient.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.files import read_json
from ff_mm.merging.ingredient import hashable
from ff_mm.merging.state_dict import CheckpointError

FORMAT = 1

# Entries of an ingredient, besides its hyper-parameters, that levels can group by.
_KEYS = ('stage', 'cycle', 'parent')

_SHA256 = re.compile(r'[0-9a-f]{64}')


@dataclass(frozen=True)
class ManifestEntry:
    """One ingredient as the manifest describes it.

    Attributes:
        name: Unique in the manifest.
        file: The checkpoint; it lies in the folder of the manifest or below.
        sha256: What it must have.
        hyper: What levels can group by: hyper-parameters, stage, cycle, parent.
        metrics: Validation metrics, finite; those recorded as null are left out.
    """

    name: str
    file: Path
    sha256: str
    hyper: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Manifest:
    """A manifest.

    Attributes:
        entries: The ingredients, one or more.
        validation: Fingerprint of the validation set of their metrics.
        cost: What the generation took, numbers by name; None: not known.
        complete: Whether the generation was finished.
        failed: Trials of which there is nothing, and why.
    """

    entries: tuple[ManifestEntry, ...]
    validation: str
    cost: Mapping[str, float | None] | None
    complete: bool
    failed: tuple[tuple[str, str], ...] = ()


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest.

    Args:
        path: The file.

    Raises:
        ConfigError: There is no such file.
        CheckpointError: It is damaged, of another version, holds what it should not,
            or names a file that is not below its folder.
    """
    if not path.is_file():
        raise ConfigError(
            f'{path}: no such file; run the generation first (tools/train.py), or set '
            'ingredients to where it is'
        )
    try:
        content = _Described(read_json(path), '')
        if content.get('format', FORMAT) != FORMAT:
            raise _Wrong(f'format {content.get("format")!r}, expected {FORMAT}')
        entries = [_entry(e, path) for e in content.take('ingredients', _is_list)]
        validation = _Described(content.take('validation'), 'validation: ')
        manifest = Manifest(
            tuple(entries),
            validation.take('fingerprint', _is_name),
            content.take('cost', _is_cost, None),
            content.take('complete', _is_bool, True),
            tuple(map(_failed, content.take('failed', _is_list, []))),
        )
    except CheckpointError:
        raise
    except (_Wrong, ValueError, RecursionError) as error:
        raise CheckpointError(f'{path}: is not a manifest of ff_mm: {error}') from error
    _check_names(manifest, path)
    return manifest


def grouping(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What levels can group by, of an ingredient's entry or of its file's meta.

    Args:
        entry: ``hyper``, ``stage``, ``cycle`` and ``parent``, as far as they are there.
        where: What it is, for messages; ends with a colon and a space.

    Raises:
        CheckpointError: A value that is none.
    """
    described = _Described(entry, where)
    try:
        hyper = described.take('hyper', _is_hyper, {})
        return {**hyper, **{key: described.take(key, _is_key, None) for key in _KEYS}}
    except _Wrong as error:
        raise CheckpointError(str(error)) from error


class _Wrong(Exception):
    """What is wrong with a value, and where it stands."""


_NEEDED = object()


class _Described:
    """A dict of which values are taken by name, and checked."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise _Wrong(f'{where}expected names and values, got {_short(content)}')
        self._content, self._where = content, where

    def get(self, key: str, default: Any = None) -> Any:
        return self._content.get(key, default)

    def take(
        self,
        key: str,
        problem: Callable[[Any], str | None] = lambda _: None,
        default: Any = _NEEDED,
    ) -> Any:
        """A value; ``problem`` says what was expected if it is another."""
        value = self._content.get(key, default)
        if value is _NEEDED:
            raise _Wrong(f'{self._where}{key!r} is missing')
        # An optional one may also be null.
        expected = None if value is default else problem(value)
        if expected:
            raise _Wrong(
                f'{self._where}{key}: expected {expected}, got {_short(value)}'
            )
        return value


def _entry(content: Any, manifest: Path) -> ManifestEntry:
    name = _Described(content, 'an ingredient: ').take('name', _is_name)
    where = f'ingredient {name!r}: '
    entry = _Described(content, where)
    metrics = entry.take('metrics', _is_metrics)
    return ManifestEntry(
        name=name,
        file=_inside(entry.take('file', _is_name), name, manifest),
        sha256=entry.take('sha256', _is_sha256),
        hyper=grouping(content, f'{manifest}: {where}'),
        metrics={key: value for key, value in metrics.items() if value is not None},
    )


def _failed(content: Any) -> tuple[str, str]:
    failure = _Described(content, 'a trial that has failed: ')
    return failure.take('trial', _is_name), failure.take('reason', _is_name)


def _inside(file: str, name: str, manifest: Path) -> Path:
    """The path of an ingredient, which must not lead out of the manifest's folder."""
    path = Path(file)
    way_in = f"copy the file there, or name it in the config: dict(file='{file}')"
    if path.is_absolute():
        raise CheckpointError(
            f'{manifest}: the file of {name!r}, {file}, is an absolute path, which '
            f"only a config may give; expected one below the manifest's folder; "
            f'{way_in}'
        )
    folder = manifest.parent
    try:
        # Links count by where they lead; that the folder itself is one does no harm.
        real = (folder / path).resolve()
        leaves = '..' in path.parts or not real.is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle, names too long
        raise CheckpointError(
            f'{manifest}: the file of {name!r}, {file[:80]}: {error}'
        ) from error
    if leaves:
        raise CheckpointError(
            f"{manifest}: the file of {name!r}, {file}, leaves the manifest's folder; "
            f'{way_in}'
        )
    return folder / path


def _check_names(manifest: Manifest, path: Path) -> None:
    if not manifest.entries:
        raise CheckpointError(f'{path}: holds no ingredients yet')
    counts = Counter(entry.name for entry in manifest.entries)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise CheckpointError(f'{path}: {count} ingredients are called {name!r}')


def _is_name(value: Any) -> str | None:
    # To a terminal, some characters that cannot be printed are commands.
    good = isinstance(value, str) and value and value.isprintable()
    return None if good else 'a text that can be printed'


def _is_list(value: Any) -> str | None:
    return None if isinstance(value, list) else 'a list'


def _is_bool(value: Any) -> str | None:
    return None if isinstance(value, bool) else 'true or false'


def _is_sha256(value: Any) -> str | None:
    good = isinstance(value, str) and _SHA256.fullmatch(value)
    return None if good else '64 hexadecimal digits'


def _is_key(value: Any) -> str | None:
    good = isinstance(value, str | int) or value is None
    return None if good else 'a text or a number'


def _is_hyper(value: Any) -> str | None:
    try:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            hashable(value)
            return None
    except (TypeError, RecursionError):
        pass
    return 'hyper-parameters by name'


def _is_metrics(value: Any) -> str | None:
    if isinstance(value, Mapping) and all(map(_is_metric, value.values())):
        return None
    return 'numbers by name'


def _is_metric(value: Any) -> bool:
    """Whether a value is a number, null (not finite), or a list of these."""
    if isinstance(value, list):
        return all(map(_is_metric, value))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and math.isfinite(value))


def _is_cost(value: Any) -> str | None:
    return None if value is None else _is_metrics(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
