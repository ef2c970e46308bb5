"""``ingredients.json`` as fusion reads it: checked, entry by entry, before it is used.

A manifest can come from anyone, and so can the folder around it. So paths stay within
that folder, metrics are numbers, and anything else is an error that names the
ingredient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.merging.folds import FOLD, Folds, recipe_by_name
from ff_mm.merging.state_dict import CheckpointError
from ff_mm.records import (
    COST,
    COUNT,
    FLAG,
    METRICS,
    NAMED,
    PLAIN,
    SHA256,
    TEXT,
    Check,
    Is,
    Optional,
    Rows,
    Table,
    read_record,
)
from ff_mm_commands.table import called

FORMAT = 1

# Entries of an ingredient, besides its hyper-parameters, that levels can group by.
_KEYS = ('stage', 'cycle', 'parent')
_KEY = Is('a text or a number', lambda v: isinstance(v, str | int) and PLAIN.fits(v))
_GROUPING: dict[str, Check] = {
    'hyper': Optional(NAMED),
    **dict.fromkeys(_KEYS, Optional(_KEY)),
}
_ENTRY = Table(
    name=TEXT,
    file=TEXT,
    sha256=SHA256,
    metrics=METRICS,
    recipe=Optional(TEXT),
    **_GROUPING,
)
_MANIFEST = Table(
    FORMAT,
    ingredients=Rows(_ENTRY),
    origin=Optional(_ENTRY),
    validation=Table(
        fingerprint=TEXT,
        images=Optional(TEXT),
        view=Optional(NAMED),
        folds=Optional(Table(number=COUNT, seed=COUNT, cases=Rows(TEXT))),
    ),
    cost=Optional(COST),
    made_of=Optional(Table(cost=Optional(COST))),
    complete=Optional(FLAG),
    failed=Optional(Rows(Table(trial=TEXT, reason=TEXT), 'trial')),
)


@dataclass(frozen=True)
class ManifestEntry:
    """One file of weights as the manifest describes it.

    Attributes:
        name: Unique in the manifest.
        file: The checkpoint; it lies in the folder of the manifest or below.
        sha256: What it must have.
        hyper: What levels can group by: hyper-parameters, stage, cycle, parent.
        metrics: Validation metrics, finite; those recorded as null are left out.
        recipe: What it has in common with the ingredients of other folds; None: it is
            of no fold.
    """

    name: str
    file: Path
    sha256: str
    hyper: Mapping[str, Any]
    metrics: Mapping[str, float]
    recipe: str | None = None


@dataclass(frozen=True)
class Validation:
    """What validation metrics were taken on.

    Attributes:
        fingerprint: Of cases, labels and pipeline.
        images: What identifies the images as they lay on disk; None: not noted, as by
            earlier versions.
        view: How images were shown, a value by its place, such as
            ``{'pipeline.1.scale': 64}``; None: not noted, as by earlier versions.
    """

    fingerprint: str
    images: str | None = None
    view: Mapping[str, Any] | None = None

    def is_of(self, other: Validation) -> bool:
        """Whether both are the same, as far as is known."""
        same_images = None in (self.images, other.images) or self.images == other.images
        return self.fingerprint == other.fingerprint and same_images


@dataclass(frozen=True)
class Manifest:
    """A manifest.

    Attributes:
        entries: The ingredients, one or more.
        validation: The validation set of their metrics.
        cost: What the generation took, numbers by name, with that of the pool that it
            was made of, if there is one; None: not known.
        complete: Whether the generation was finished.
        failed: Trials of which there is nothing, and why.
        origin: Where the training of all ingredients has begun; None: not known.
        folds: How training and validation images were cut; None: they were not.
    """

    entries: tuple[ManifestEntry, ...]
    validation: Validation
    cost: Mapping[str, float] | None
    complete: bool
    failed: tuple[tuple[str, str], ...] = ()
    origin: ManifestEntry | None = None
    folds: Folds | None = None


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest.

    Args:
        path: The file.

    Raises:
        ConfigError: There is no such file.
        RecordError: It is damaged, of another version, or holds what it should not.
        CheckpointError: It has no ingredients, or two of one name, or names a file that
            is not below its folder.
    """
    if not path.is_file():
        raise ConfigError(
            f'{path}: no such file; run the generation first ({called("train")}), or '
            'say where it is'
        )
    content = read_record(path, _MANIFEST, 'a manifest of ff_mm')
    origin, failed = content.get('origin'), content.get('failed') or []
    manifest = Manifest(
        tuple(_entry(each, path) for each in content['ingredients']),
        Validation(
            *(
                content['validation'].get(key)
                for key in ('fingerprint', 'images', 'view')
            )
        ),
        _whole_cost(content),
        content.get('complete') is not False,
        tuple((each['trial'], each['reason']) for each in failed),
        None if origin is None else _entry(origin, path),
        _folds(content['validation'].get('folds')),
    )
    _check_names(manifest, path)
    return manifest


def _whole_cost(content: Mapping[str, Any]) -> Mapping[str, float] | None:
    """What it took to have this, from the very beginning."""
    own, made_of = content.get('cost'), content.get('made_of')
    if made_of is None or own is None:
        return own
    before = made_of.get('cost')
    if before is None:
        return None
    keys = ('trials', 'epochs', 'seconds', 'images')
    return {key: (own.get(key) or 0) + (before.get(key) or 0) for key in keys}


def _folds(content: Mapping[str, Any] | None) -> Folds | None:
    if content is None:
        return None
    return Folds(content['number'], content['seed'], tuple(content['cases']))


def grouping(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What levels can group by, of an ingredient's entry or of its file's meta.

    Args:
        entry: ``hyper``, ``stage``, ``cycle`` and ``parent``, as far as they are there.
        where: What it is, for messages; ends with a colon and a space.

    Raises:
        RecordError: A value that is none.
    """
    known = {key: entry[key] for key in _GROUPING if key in entry}
    values = Table(**_GROUPING).read(known, where)
    return {**(values.get('hyper') or {}), **{key: values.get(key) for key in _KEYS}}


def _entry(content: Mapping[str, Any], manifest: Path) -> ManifestEntry:
    metrics, hyper = content['metrics'].items(), grouping(content, '')
    name, fold = content['name'], hyper.get(FOLD)
    recipe = content.get('recipe')
    if recipe is None and fold is not None:
        recipe = recipe_by_name(name, fold)
    return ManifestEntry(
        name=name,
        file=_inside(content['file'], name, manifest),
        sha256=content['sha256'],
        hyper=hyper,
        metrics={key: value for key, value in metrics if value is not None},
        recipe=recipe,
    )


def _inside(file: str, name: str, manifest: Path) -> Path:
    """The path of a file, which must not lead out of the manifest's folder."""
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
