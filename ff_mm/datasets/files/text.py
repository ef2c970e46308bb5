"""Text files in the encodings in which people keep them."""

from __future__ import annotations

import gzip
import io
import zlib

from ff_mm.datasets.errors import Problems
from ff_mm.files import NotRegularError, open_regular

_GZIP = b'\x1f\x8b'
_UTF16 = (b'\xff\xfe', b'\xfe\xff')

# Ends of a message.
_OWN = (
    '. A table of your own that was saved by Excel on a Windows of Western Europe or '
    "America is read with table.encoding='cp1252', too."
)
_OFFICIAL = ', or take the file as it was downloaded.'

#: Bytes that a file may have once it is unpacked. Few of gzip can become very many.
LARGEST = 1 << 30


def read_text(path: str, problems: Problems, encoding: str | None = None) -> str | None:
    """Reads a text file, with gzip or without.

    Args:
        path: The file.
        problems: Takes a note if it cannot be read, or is in another encoding.
        encoding: Of the text; None: UTF-8, and the user cannot say another. Byte order
            marks, also of UTF-16, are recognised.

    Returns:
        The text, with the line breaks of the file; None if there is a problem.
    """
    try:
        with open_regular(path) as file:
            raw = file.read()
        if raw.startswith(_GZIP):
            with gzip.open(io.BytesIO(raw)) as file:
                raw = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error, NotRegularError) as error:
        problems.add(f'{path!r} cannot be read: {error}. Get the file again.')
        return None
    if len(raw) > LARGEST:
        problems.add(
            f'{path!r} has more than {LARGEST >> 30} GiB of text, which no table here '
            'has. Check that it is the right file.'
        )
        return None
    remedy = _OWN if encoding else _OFFICIAL
    encoding = 'utf-16' if raw[:2] in _UTF16 else encoding or 'utf-8'
    try:
        text = raw.decode(encoding).removeprefix('\ufeff')
    except UnicodeDecodeError as error:
        line = raw.count(b'\n', 0, error.start) + 1
        problems.add(
            f'{path!r} is not {encoding.upper()}: byte 0x{raw[error.start]:02x} in '
            f"line {line}. Save it as 'CSV UTF-8'{remedy}"
        )
        return None
    if '\0' in text:
        line = text.count('\n', 0, text.index('\0')) + 1
        problems.add(
            f'{path!r} has a NUL byte in line {line}: it is damaged, no text, or in '
            "another encoding. Save it as 'CSV UTF-8'."
        )
        return None
    return text


def read_lines(path: str, problems: Problems) -> list[str]:
    """Reads lines, without space around them; empty ones do not count."""
    text = read_text(path, problems) or ''
    return [line.strip() for line in text.splitlines() if line.strip()]
