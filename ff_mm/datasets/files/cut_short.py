"""Image files of which the end is missing.

OpenCV 4 fills the missing part of a JPEG with grey and says nothing.
"""

from __future__ import annotations

import io
import os

from PIL import Image

# How a file of this kind begins, and how it ends when it is whole.
_JPEG = (b'\xff\xd8', b'\xff\xd9')
_PNG = (b'\x89PNG', b'IEND\xaeB`\x82')

# Bytes at its end in which that stands: cameras append what is theirs.
_TAIL = 1024


def cut_short(content: bytes) -> str | None:
    """Says what is wrong with an image whose end is missing.

    Args:
        content: The file.

    Returns:
        What a decoder says of it; None if it is whole, or neither JPEG nor PNG.
    """
    if _ends_well(content[:4], content[-_TAIL:]):
        return None
    try:
        Image.open(io.BytesIO(content)).load()
    except Exception as error:  # whatever a decoder stumbles over
        return first_line(error)
    return None


def file_cut_short(path: str) -> str | None:
    """As :func:`cut_short`, of a local file, of which only both ends are read.

    Args:
        path: The file. One that is not there, or elsewhere, is not looked at.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(4)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            if _ends_well(head, file.read()):
                return None
            file.seek(0)
            return cut_short(file.read())
    except OSError:
        return None


def _ends_well(head: bytes, tail: bytes) -> bool:
    return all(not head.startswith(b) or end in tail for b, end in (_JPEG, _PNG))


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    text = str(error).strip().split('\n', 1)[0]
    return text or type(error).__name__
