"""A checkpoint whose pickle is read once, however often its weights are."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ff_mm.files import PathLike
from ff_mm.merging.archive import Archive
from ff_mm.merging.safetensors_file import is_safetensors, read_meta
from ff_mm.merging.state_dict import (
    CheckpointError,
    StateDict,
    is_zip,
    read_checkpoint,
    read_state_dict,
    weights_of,
)
from ff_mm.merging.wrappers import (
    as_float32,
    entries_beside,
    halves,
    weights_entry,
)

# Bytes of weights after which pages are given back, of those that are read in passing.
_RESIDENT = 1 << 23

# Bytes of a file that are asked for at a time. Of much more than this Linux reads only
# the beginning (mm/readahead.c, force_page_cache_ra).
_ADVICE = 1 << 20


@dataclass(frozen=True)
class _Entry:
    """What a tensor is, and where its storage lies in the file; None: not known."""

    dtype: torch.dtype
    shape: torch.Size
    stride: tuple[int, ...]
    first: int
    offset: int | None
    size: int

    def tensor(self, mapped: mmap.mmap) -> Tensor:
        if not self.size:
            return torch.empty_strided(self.shape, self.stride, dtype=self.dtype)
        count = self.size // self.dtype.itemsize
        storage = torch.frombuffer(
            mapped, dtype=self.dtype, count=count, offset=self.offset or 0
        )
        return storage.as_strided(self.shape, self.stride, self.first)


class _InPassing(Mapping[str, Tensor]):
    """Weights whose pages are given back while others are asked for.

    Each is read as it is asked for; there may be nothing mapped of which to give back.
    """

    def __init__(
        self,
        weights: StateDict,
        mapped: mmap.mmap | None,
        read: Callable[[Tensor], Tensor],
    ) -> None:
        self._weights = weights
        self._mapped = mapped if hasattr(mmap, 'MADV_DONTNEED') else None
        self._read = read
        self._resident = 0

    def __getitem__(self, key: str) -> Tensor:
        tensor = self._weights[key]
        if self._mapped is not None and self._resident > _RESIDENT:
            # They stay in the system's cache, and come back if they are read again.
            self._mapped.madvise(mmap.MADV_DONTNEED)
            self._resident = 0
        self._resident += tensor.nbytes
        return self._read(tensor)

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Contents:
    """All that is kept of a file, and the state in which it was."""

    stamp: _Stamp
    meta: Mapping[str, Any]
    entries: Mapping[str, _Entry]
    mappable: bool
    beside: str


class CheckpointFile:
    """Reads the weights of a checkpoint, again and again.

    torch unpickles with ``weights_only=True`` in pure Python, which takes longer than
    averaging the weights does (20 ms for the 320 tensors of a ResNet-50, 50 with the
    state of its optimizer). So that is done once, and only what it says is kept, not
    the weights: after that the file is mapped into memory in 1 ms. A file that was
    changed is read anew.

    Nothing is opened before it is needed. Files in the legacy format are unpickled each
    time, and so are all files by older versions of torch, which do not tell offsets.

    Args:
        path: See :func:`~ff_mm.merging.state_dict.read_state_dict`.
        entry: As there.
        full: Whether half floats are cast to float32 as they are read.
    """

    def __init__(
        self, path: PathLike, entry: str | None = None, full: bool = False
    ) -> None:
        self.path = Path(path)
        self.entry = entry
        self._cast = as_float32 if full else _as_it_is
        self._known: _Contents | None = None

    @property
    def meta(self) -> Mapping[str, Any]:
        """The ``meta`` entry; empty if there is none.

        Raises:
            CheckpointError: As :func:`~ff_mm.merging.state_dict.read_state_dict`.
        """
        return self._contents().meta

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the file was read, without its name.

        Raises:
            CheckpointError: As :func:`~ff_mm.merging.state_dict.read_state_dict`.
        """
        contents = self._contents()
        notes = [f'the weights are those {contents.beside}'] if contents.beside else []
        if self._cast is as_float32 and (cast := halves(_outline(contents))):
            notes.append(cast)
        return tuple(notes)

    def named(self, digest: str) -> str:
        """What tells these weights from others: the file, and which of its entries.

        Args:
            digest: SHA-256 of the file.
        """
        return digest if self.entry is None else f'{digest}, {self.entry}'

    def outline(self) -> StateDict:
        """Return names, shapes and dtypes, on ``meta``; the weights are not read.

        Raises:
            CheckpointError: As :func:`~ff_mm.merging.state_dict.read_state_dict`.
        """
        outline = _outline(self._contents())
        return {key: self._cast(value) for key, value in outline.items()}

    def weights(self) -> StateDict:
        """Return the weights, mapped into memory; see ``read_state_dict``.

        Raises:
            CheckpointError: As :func:`~ff_mm.merging.state_dict.read_state_dict`.
        """
        return {key: self._cast(value) for key, value in self._map()[0].items()}

    def in_passing(self) -> Mapping[str, Tensor]:
        """Return the weights for going through them once, with little memory.

        As :meth:`weights`, but hardly more than the tensor that was last asked for is
        resident, where the system can do that. They must not be written to.

        Raises:
            CheckpointError: As :func:`~ff_mm.merging.state_dict.read_state_dict`.
        """
        return _InPassing(*self._map(), self._cast)

    def extent(self) -> tuple[int, int] | None:
        """Return the part of the file in which all weights lie: first byte and size.

        In checkpoints of MMEngine, optimizer states come after it. None if the file
        cannot be mapped.

        Raises:
            CheckpointError: As :func:`~ff_mm.merging.state_dict.read_state_dict`.
        """
        contents = self._contents()
        if not contents.mappable:
            return None
        parts = [(e.offset or 0, e.size) for e in contents.entries.values()]
        first = min(offset for offset, _ in parts)
        return first, max(offset + size for offset, size in parts) - first

    def prefetch(self) -> None:
        """Ask the system to read the weights into its cache, and do not wait for it.

        Raises:
            CheckpointError: As :func:`~ff_mm.merging.state_dict.read_state_dict`.
        """
        extent = self.extent()
        if extent is None or not hasattr(os, 'posix_fadvise'):
            return
        first, size = extent
        with open(self.path, 'rb') as file:
            for start in range(first, first + size, _ADVICE):
                os.posix_fadvise(file.fileno(), start, _ADVICE, os.POSIX_FADV_WILLNEED)

    def _map(self) -> tuple[StateDict, mmap.mmap | None]:
        contents = self._contents()
        if not contents.mappable:
            return read_state_dict(self.path, self.entry), None
        with open(self.path, 'rb') as file:
            if _stamp(os.fstat(file.fileno())) != contents.stamp:
                return read_state_dict(self.path, self.entry), None
            # Private: what is written to the tensors never reaches the file.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        entries = contents.entries.items()
        return {key: entry.tensor(mapped) for key, entry in entries}, mapped

    def _contents(self) -> _Contents:
        try:
            stamp = _stamp(os.stat(self.path))
        except OSError as error:
            raise CheckpointError(
                f'{self.path}: cannot be opened: {error.strerror}'
            ) from error
        if self._known is None or self._known.stamp != stamp:
            self._known = _read(self.path, self.entry, stamp)
        return self._known


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _outline(contents: _Contents) -> StateDict:
    return {
        key: torch.empty(entry.shape, dtype=entry.dtype, device='meta')
        for key, entry in contents.entries.items()
    }


def _read(path: Path, entry: str | None, stamp: _Stamp) -> _Contents:
    """Unpickle a file, with tensors that know where their values are."""
    try:
        checkpoint = read_checkpoint(path, device='meta')
        weights = weights_of(checkpoint, path, entry)
    except CheckpointError:
        # Some kinds of tensors have no outline. What is wrong is said by this, too.
        checkpoint = read_checkpoint(path)
        weights = weights_of(checkpoint, path, entry)
    entries = {key: _entry(tensor) for key, tensor in weights.items()}
    mappable = is_zip(path) and _fit(entries.values(), path)
    if not mappable:
        read_state_dict(path, entry)  # raises what mapping would have passed over
    meta = checkpoint.get('meta')
    if not is_zip(path) and is_safetensors(path):
        meta = read_meta(path)
    taken, _ = weights_entry(checkpoint, entry)
    return _Contents(
        stamp=stamp,
        meta=meta if isinstance(meta, Mapping) else {},
        entries=entries,
        mappable=mappable,
        beside=entries_beside(taken, checkpoint),
    )


def _entry(tensor: Tensor) -> _Entry:
    storage = tensor.untyped_storage()
    return _Entry(
        tensor.dtype,
        tensor.shape,
        tensor.stride(),
        int(tensor.storage_offset()),
        getattr(storage, '_checkpoint_offset', None),
        storage.nbytes(),
    )


def _fit(entries: Collection[_Entry], path: Path) -> bool:
    """Say whether storages are known, and those that are in the file.

    If not, the file is old, was packed anew, or lies; torch then finds its own way, or
    what is wrong.
    """
    try:
        there = Archive.read(path).storages
    except (OSError, ValueError):  # it was changed since
        return False
    return all((entry.offset, entry.size) in there for entry in entries)
