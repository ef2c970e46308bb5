"""The pool: all ingredients that a fusion may choose from, and where they come from.

A pool is an ``ingredients.json`` that a generation left behind, or any checkpoints of
one architecture, named one by one or by patterns, with hyper-parameters given by hand.
Beside its ingredients it may know their origin: where their training has begun.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ff_mm.errors import ConfigError
from ff_mm.files import matching, sha256
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.finite import wrong_values
from ff_mm.merging.folds import FOLD, Folds, has_seen_validation
from ff_mm.merging.ingredient import Ingredient, check_ingredients
from ff_mm.merging.manifest import ManifestEntry, Validation, grouping, read_manifest
from ff_mm.merging.origin import too_far
from ff_mm.merging.placement import Placement
from ff_mm.merging.state_dict import (
    CheckpointError,
    check_same_architecture,
    check_whole,
)
from ff_mm.one_line import one_line

_HASHERS = 4


@dataclass(frozen=True)
class PoolEntry:
    """One ingredient of the pool as described, its weights not yet read.

    Attributes:
        name: Unique in the pool.
        checkpoint: The file; all that read it through this read its pickle once.
        hyper: What levels can group by: hyper-parameters, stage, cycle, parent.
        metrics: Validation metrics recorded at training, as fractions.
        digest: SHA-256 that the file must have; None: not known.
        validation: The validation set of these metrics; None: not known.
        seen: Whether it was trained on images of the plan's validation set.
        recipe: What it has in common with the ingredients of other folds; None: it is
            of no fold, or nobody knows.
    """

    name: str
    checkpoint: CheckpointFile
    hyper: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    digest: str | None = None
    validation: Validation | None = None
    seen: bool = False
    recipe: str | None = None

    @property
    def file(self) -> Path:
        """The checkpoint's path."""
        return self.checkpoint.path

    def is_validated_on(self, validation: Validation | None) -> bool:
        """Whether the metrics were taken on a validation set, today's say."""
        if validation is None or self.validation is None:
            return False
        return self.validation.is_of(validation)

    def ingredient(
        self,
        metric: str,
        validation: Validation | None,
        placement: Placement | None = None,
    ) -> Ingredient:
        """Makes the ingredient.

        Args:
            metric: The metric that ranks and selects.
            validation: Today's validation set; a metric recorded on another one is
                not used.
            placement: Where it is added up with others.
        """
        same = self.is_validated_on(validation)
        score = self.metrics.get(metric) if same else None
        return Ingredient.from_file(
            self.checkpoint,
            name=self.name,
            hyper=self.hyper,
            score=score if isinstance(score, int | float) else None,
            placement=placement,
        )


@dataclass(frozen=True)
class Pool:
    """All entries, what they cost, and what is missing.

    Attributes:
        entries: The ingredients.
        origin: The weights from which the training of all of them has begun, which are
            no ingredient; None: not known.
        cost: What the generations took; None: not known.
        complete: Whether they were finished.
        failed: Trials of theirs of which there is nothing, and why.
        copies: Names of entries that were left out, and of those they are copies of.
        doubts_origin: Whether the origin was given by hand, and may be another file.
        folds: How the images of all were cut, if they were.
    """

    entries: tuple[PoolEntry, ...]
    origin: PoolEntry | None = None
    cost: Mapping[str, Any] | None = None
    complete: bool = True
    failed: tuple[tuple[str, str], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    doubts_origin: bool = False
    folds: Folds | None = None

    def check(self) -> None:
        """Checks each file by itself, and that they fit each other.

        Raises:
            CheckpointError: All that is wrong.
        """
        self.check_files()
        ingredients = [entry.ingredient('', None) for entry in self.entries]
        check_ingredients(ingredients)
        if self.origin is None:
            return
        first = ingredients[0]
        problems = check_same_architecture(
            self.origin.checkpoint.outline(),
            first.outline(),
            f'{self.origin.file}: the origin {self.origin.name!r}',
            first.name,
        )
        if problems:
            raise CheckpointError(
                f'{"; ".join(problems)}; expected the weights from which the training '
                'of the ingredients has begun'
            )
        if self.doubts_origin and (
            found := too_far(self.origin.ingredient('', None), ingredients)
        ):
            file = str(self.origin.file)
            raise CheckpointError(
                f'{file}: the origin is farther from every ingredient (by '
                f'{found[0]:.4g}) than any two of them are from each other '
                f'({found[1]:.4g}), so it is most likely another file; expected the '
                'weights from which the training of the ingredients has begun; if it '
                f'is right, origin=dict(file={file!r}, check=False)'
            )

    def check_files(self) -> None:
        """Checks each file: its recorded SHA-256, and that all weights are finite.

        Raises:
            CheckpointError: With a line for each file that is missing, another one, or
                of a model that has diverged.
        """
        files = [*self.entries, *([self.origin] if self.origin else [])]
        # hashlib lets other threads run, and a disk is faster with several readers.
        with ThreadPoolExecutor(_HASHERS) as hashers:
            lines = [line for line in hashers.map(_problem, files) if line]
        if lines:
            raise CheckpointError(*lines)

    def find_copies(self) -> dict[str, str]:
        """Finds entries of the same weights as one before, whatever else they hold.

        Returns:
            Their names, and of each the name of that one.

        Raises:
            CheckpointError: A file that cannot be read.
        """
        copies: dict[str, str] = {}
        originals: dict[str, list[PoolEntry]] = {}
        for entry in self.entries:
            alike = originals.setdefault(_last_weights(entry.checkpoint), [])
            for other in alike:
                if _same_weights(entry.checkpoint, other.checkpoint):
                    copies[entry.name] = other.name
                    break
            else:
                alike.append(entry)
        return copies

    def notes(self) -> list[str]:
        """Says how files were read, in a line for all of which the same is to say.

        Raises:
            CheckpointError: A file that cannot be read.
        """
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            for note in entry.checkpoint.notes:
                found.setdefault(note, []).append(entry.name)
        return [
            f'{names[0]}{f" (one of {len(names)})" if names[1:] else ""}: {note}'
            for note, names in found.items()
        ]

    def without_copies(self, copies: Mapping[str, str]) -> Pool:
        """Returns the pool without entries that :meth:`find_copies` has found."""
        entries = tuple(entry for entry in self.entries if entry.name not in copies)
        return replace(self, entries=entries, copies=tuple(copies.items()))


def _last_weights(checkpoint: CheckpointFile) -> str:
    """What tells most models apart without reading them: the end of the classifier."""
    weights = checkpoint.in_passing()
    values = repr([weights[key].flatten()[:64].tolist() for key in [*weights][-2:]])
    return hashlib.sha256(values.encode()).hexdigest()


def _same_weights(one: CheckpointFile, other: CheckpointFile) -> bool:
    a, b = one.in_passing(), other.in_passing()
    return a.keys() == b.keys() and all(
        a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]) for key in a
    )


def _problem(entry: PoolEntry) -> str | None:
    """Says what is wrong with the file of an entry, if anything is."""
    try:
        if not entry.file.is_file():
            return f'{entry.file}: no such file ({entry.name!r} of the pool)'
        if entry.digest is not None and sha256(entry.file) != entry.digest:
            return (
                f'{entry.file}: is not the file that was recorded (sha256 differs);'
                ' copy it again, or train it again'
            )
        if entry.digest is None:
            check_whole(entry.file)
        if wrong := wrong_values(entry.checkpoint.in_passing()):
            return (
                f'{entry.file}: {wrong}: this model has diverged, or the file is '
                'damaged; leave it out, as every mean with it would be worth nothing'
            )
    except OSError as error:
        return f'{entry.file}: cannot be read: {error.strerror}'
    except CheckpointError as error:
        return str(error)
    return None


Source = str | Mapping[str, Any] | Sequence[Any]
Origin = str | Mapping[str, Any] | None


def read_pool(source: Source, origin: Origin = None) -> Pool:
    """Reads a pool.

    Args:
        source: An ``ingredients.json``; a checkpoint or a pattern such as
            ``'runs/*/best*.pth'``; ``dict(file=<path or pattern>, lr=1e-4, seed=0)``,
            whose other entries are hyper-parameters (``name`` gives a single file its
            name, ``entry='state_dict_ema'`` says which weights of a file are meant);
            or a list of any of these.
        origin: A checkpoint, or ``dict(file=..., check=False)`` of one that may lie far
            off; None: what the manifests say, if it is one and the same.

    Returns:
        The pool, in the order given; patterns are sorted by name.

    Raises:
        ConfigError: A source that is none of these, or a pattern that fits nothing.
        CheckpointError: A checkpoint that cannot be read, or a file that a manifest may
            not name.
        RecordError: A manifest that is not as it should be.
    """
    sources = source if isinstance(source, (list, tuple)) else [source]
    if not sources:
        raise ConfigError('ingredients: the list is empty')
    pools = [_read_source(item) for item in sources]
    entries = [entry for pool in pools for entry in pool.entries]
    origins = [pool.origin for pool in pools]
    given = None if origin is None else _given_origin(origin)
    return Pool(
        entries=tuple(_distinct(entries)),
        origin=_common(origins) if given is None else given[0],
        cost=pools[0].cost if len(pools) == 1 else None,
        complete=all(pool.complete for pool in pools),
        failed=tuple(failure for pool in pools for failure in pool.failed),
        doubts_origin=given is not None and given[1],
        folds=pools[0].folds if len({pool.folds for pool in pools}) == 1 else None,
    )


def _common(origins: Sequence[PoolEntry | None]) -> PoolEntry | None:
    """The origin of all, if it is of one content."""
    same = len({origin and origin.digest for origin in origins}) == 1
    return origins[0] if same else None


def _given_origin(given: Any) -> tuple[PoolEntry, bool]:
    """What the config says, which is read at once; and whether to doubt it."""
    file, check = given, True
    if isinstance(given, Mapping) and {'file'} <= set(given) <= {'file', 'check'}:
        file, check = given['file'], bool(given.get('check', True))
    if not isinstance(file, str) or not Path(file).is_file():
        raise ConfigError(
            f'origin={given!r}: no such file; expected a checkpoint of the weights '
            'from which the training of the ingredients has begun, or None: the '
            "manifest's"
        )
    checkpoint = CheckpointFile(file, full=True)
    checkpoint.outline()
    return PoolEntry('origin', checkpoint), check


def _read_source(source: Any) -> Pool:
    if isinstance(source, str) and source.endswith('.json'):
        return _read_manifest(Path(source))
    if isinstance(source, str):
        return Pool(tuple(_read_files(source, {})))
    if isinstance(source, Mapping) and isinstance(source.get('file'), str):
        given = {key: value for key, value in source.items() if key != 'file'}
        return Pool(tuple(_read_files(source['file'], given)))
    raise ConfigError(
        f'ingredients: cannot read {source!r}; expected an ingredients.json, a '
        "checkpoint or pattern, or dict(file='runs/*.pth', lr=1e-4)"
    )


def _read_manifest(path: Path) -> Pool:
    manifest = read_manifest(path)

    def described(entry: ManifestEntry) -> PoolEntry:
        return PoolEntry(
            name=entry.name,
            checkpoint=CheckpointFile(entry.file, full=True),
            hyper=entry.hyper,
            metrics=entry.metrics,
            digest=entry.sha256,
            validation=manifest.validation,
            seen=entry.hyper.get(FOLD) is not None,
            recipe=entry.recipe,
        )

    return Pool(
        tuple(map(described, manifest.entries)),
        None if manifest.origin is None else described(manifest.origin),
        manifest.cost,
        manifest.complete,
        manifest.failed,
        folds=manifest.folds,
    )


def _read_files(pattern: str, given: Mapping[str, Any]) -> list[PoolEntry]:
    files = matching(pattern) or [pattern]
    if files == [pattern] and not Path(pattern).is_file():
        raise ConfigError(f'ingredients: {pattern!r} fits no file')
    if 'name' in given and len(files) > 1:
        raise ConfigError(
            f'ingredients: {pattern!r} fits {len(files)} files, which cannot all be '
            f'called {given["name"]!r}'
        )
    return [_file_entry(Path(file), dict(given)) for file in files]


def _file_entry(file: Path, given: dict[str, Any]) -> PoolEntry:
    """An entry for a checkpoint; one of ff_mm's own knows its hyper-parameters."""
    name = given.pop('name', file.stem)
    part = given.pop('entry', None)
    if not isinstance(part, str | None):
        raise ConfigError(
            f'ingredients: entry={part!r} of {str(file)!r}: expected the name of an '
            "entry of the file, such as 'state_dict_ema'"
        )
    checkpoint = CheckpointFile(file, part, full=True)
    own = checkpoint.meta.get('ingredient')
    known = (
        grouping(own, f'{file}: meta.ingredient: ') if isinstance(own, Mapping) else {}
    )
    # Who says which fold a file is of, or that it is of none, knows what he does.
    seen = FOLD not in given and has_seen_validation(checkpoint.meta)
    return PoolEntry(name, checkpoint, {**known, **given}, seen=seen)


def _distinct(entries: Sequence[PoolEntry]) -> list[PoolEntry]:
    """Tells files of one name apart by as many of their folders as it takes."""
    depth, names = 0, [entry.name for entry in entries]
    longest = max(len(entry.file.parent.parts) for entry in entries)
    while depth < longest and len(set(names)) < len(names):
        depth += 1
        counts = Counter(entry.name for entry in entries)
        names = [
            str(_in_folders(entry.name, entry.file, depth))
            if counts[entry.name] > 1
            else entry.name
            for entry in entries
        ]
    renamed = {
        entry.recipe
        for entry, name in zip(entries, names, strict=True)
        if entry.name != name
    }
    recipes = [
        _in_folders(entry.recipe, entry.file, depth)
        if entry.recipe in renamed
        else entry.recipe
        for entry in entries
    ]
    # A name stands in logs, tables and figures; that of a file may be anything.
    return [
        replace(entry, name=one_line(name), recipe=recipe and one_line(recipe))
        for entry, name, recipe in zip(entries, names, recipes, strict=True)
    ]


def _in_folders(name: str | None, file: Path, depth: int) -> str | None:
    """A name after so many of the folders in which a file lies."""
    if name is None:
        return None
    return '/'.join((*file.parent.parts[-depth:], name))
