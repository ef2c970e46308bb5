"""The zip archive in which torch.save keeps a checkpoint, looked at before torch does.

torch maps an archive at the places and sizes that its pickle and a few rules give, and
trusts them: in one that was packed anew, damaged or forged, other bytes are taken for
weights. What is compressed is mapped as it is, and one of the other byte order ends the
process when its outline is read (torch 2.15).
"""

from __future__ import annotations

import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from struct import Struct

import torch
from torch import Tensor

from ff_mm.plain import check_tuples

# Of the header in front of each member: lengths of its name and of the extra field.
_LENGTHS = Struct('<HH')
_LENGTHS_AT = 26
_HEADER = 30

_ENCRYPTED = 1


@dataclass(frozen=True)
class Archive:
    """Where the storages of a checkpoint lie in its file.

    Attributes:
        storages: First byte and size of each.
    """

    storages: frozenset[tuple[int, int]]

    def check_sizes(self, tensors: Iterable[Tensor]) -> None:
        """Checks that tensors do not reach into what follows them in the file.

        Args:
            tensors: All that torch made of the archive.

        Raises:
            ValueError: There are more storages of a size than parts of that size.
        """
        there = Counter(size for _, size in self.storages)
        used = {
            (storage.data_ptr(), storage.nbytes()) for storage in _storages_of(tensors)
        }
        for size, count in Counter(size for _, size in used if size).items():
            if count > there[size]:
                raise ValueError(
                    f'{count} parts of {size} bytes are needed, it has {there[size]}'
                )

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Archive:
        """Reads the directory of an archive, and no weights.

        Args:
            path: A file of torch.save in today's format.

        Raises:
            ValueError: It is damaged, or not as torch.save writes it; says what is
                wrong, without the name of the file.
            OSError: It cannot be read.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                _check(members)
                order = [m for m in members if m.filename.endswith('/byteorder')]
                for member in order:
                    _check_byte_order(archive.read(member))
                for member in members:
                    # torch finds it whatever the case of its name.
                    if member.filename.lower().endswith('data.pkl'):
                        check_tuples(archive.read(member))
            return cls(frozenset(_storages(path, members)))
        except (
            *(zipfile.BadZipFile, zipfile.LargeZipFile, EOFError),
            *(NotImplementedError, RuntimeError),
        ) as error:
            raise ValueError(str(error)) from error


def damaged_part(path: str | PathLike[str]) -> str | None:
    """Reads a whole archive, and compares each part with the CRC-32 that it was given.

    torch does not: a byte that has changed on the disk is a weight to it.

    Args:
        path: A file of torch.save in today's format.

    Returns:
        What is wrong, for messages; None: it is as it was written.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        return str(error)
    return None if name is None else f'part {name!r} is not what was written (CRC-32)'


def _check(members: list[zipfile.ZipInfo]) -> None:
    counts = Counter(member.filename for member in members)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f'two parts are called {twice[0]!r}')
    for member in members:
        stored = member.compress_type == zipfile.ZIP_STORED
        if not stored or member.flag_bits & _ENCRYPTED:
            what = 'encrypted' if stored else 'compressed'
            raise ValueError(f'{member.filename!r} is {what}')


def _check_byte_order(order: bytes) -> None:
    if order.decode('ascii', 'replace') != sys.byteorder:
        raise ValueError(f'its byte order is {order!r}, expected {sys.byteorder!r}')


def _storages(
    path: str | PathLike[str], members: list[zipfile.ZipInfo]
) -> Iterator[tuple[int, int]]:
    with open(path, 'rb') as file:
        for member in members:
            if '/data/' not in member.filename:
                continue
            file.seek(member.header_offset + _LENGTHS_AT)
            lengths = file.read(_LENGTHS.size)
            if len(lengths) < _LENGTHS.size:
                raise ValueError('its directory points beyond its end')
            first = member.header_offset + _HEADER + sum(_LENGTHS.unpack(lengths))
            yield first, member.file_size


def _storages_of(tensors: Iterable[Tensor]) -> Iterator[torch.UntypedStorage]:
    for tensor in tensors:
        # Those of other kinds have none, and those on `meta` none in the file.
        if tensor.layout == torch.strided and not (tensor.is_nested or tensor.is_meta):
            yield tensor.untyped_storage()
