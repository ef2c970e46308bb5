"""Files as nobody should send them, and how it shows that code in one has run."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import torch
from toys import Canary


def weights():
    return {'w': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(4)}


def records(content):
    """The parts of the archive that torch.save makes of something."""
    file = io.BytesIO()
    torch.save(content, file)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, parts, compression=zipfile.ZIP_STORED):
    """Writes an archive as any program for zip files does."""
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, content in parts:
            archive.writestr(name, content)


def changed(parts, end, content):
    """The parts, of which the one whose name ends so has another content."""
    return [(n, content if n.endswith(end) else c) for n, c in parts.items()]


def tar(path, canary):
    """A checkpoint in the format of torch 0.1, which is unpickled by other code."""
    evil = pickle.dumps(Canary(canary), protocol=2)
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as archive:
        for name in ('storages', 'tensors', 'pickle'):
            member = tarfile.TarInfo(name)
            member.size = len(evil)
            archive.addfile(member, io.BytesIO(evil))


def png(path: Path, width, height):
    """A small file that says it is a large image."""

    def chunk(kind, content):
        crc = struct.pack('>I', zlib.crc32(kind + content))
        return struct.pack('>I', len(content)) + kind + content + crc

    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', head)
        + chunk(b'IDAT', data)
        + chunk(b'IEND', b'')
    )


def npy(header, data=bytes(48)):
    """An array whose header says what it likes."""
    text = header.encode() + b' ' * (63 - (len(header) + 10) % 64) + b'\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text + data
