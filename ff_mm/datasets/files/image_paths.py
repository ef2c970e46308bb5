"""Finding images by the names that users give them."""

from __future__ import annotations

import io
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from filecmp import cmp
from fnmatch import fnmatchcase
from pathlib import PurePath, PurePosixPath
from typing import NamedTuple

from PIL import Image

from ff_mm.datasets.errors import Problems, repeated
from ff_mm.datasets.files.dicom import is_dicom_content
from ff_mm.datasets.files.finding import (
    is_image,
    walk,
    without_extension,
)

# What Windows leaves in folders of pictures.
_LEFT_BEHIND = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r')


def relative_name(name: str, root: str) -> str:
    """Writes a path with slashes, and as relative if it leads below a folder.

    Args:
        name: A path as Windows or anyone writes it.
        root: The folder.
    """
    name = PurePosixPath(name.replace('\\', '/')).as_posix()
    return name.removeprefix(f'{PurePath(os.path.abspath(root)).as_posix()}/')


# Bytes at the beginning that tell every kind of image; of DICOM the longest.
_HEAD = 132

# How the files of images begin.
_HEADS = (
    *(b'\xff\xd8\xff', b'\x89PNG\r\n', b'GIF8', b'II*\0', b'MM\0*'),
    *(b'\0\0\0\x0cjP', b'P5\n', b'P6\n'),
)


def begins_as_image(path: str) -> bool:
    """Tells by its first bytes whether a file is an image, whatever its name."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, 'rb') as file:
            head = file.read(_HEAD)
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return False
    if head.startswith(b'BM'):  # two letters that a text may have
        return int.from_bytes(head[2:6], 'little') == size
    webp = head[:4] == b'RIFF' and head[8:12] == b'WEBP'
    return head.startswith(_HEADS) or webp or is_dicom_content(head)


class Below(NamedTuple):
    """What lies below a folder: paths relative to it with slashes, sorted.

    Attributes:
        images: By their extension, or by their first bytes.
        excluded: Whatever a pattern leaves out.
        others: The rest, without what a system leaves behind.
    """

    images: list[str]
    excluded: list[str]
    others: list[str]


def files_below(root: str, exclude: Sequence[str] = ()) -> Below:
    """Lists all files below a folder, each as what it is.

    Args:
        root: The folder.
        exclude: Patterns of what to leave out, see :func:`is_excluded`.
    """
    found = Below([], [], [])
    for folder, _, files in walk(root):
        below = PurePath(os.path.relpath(folder, root))
        for file in files:
            name = (below / file).as_posix()
            if is_excluded(name, exclude):
                found.excluded.append(name)
            elif is_image(file) or begins_as_image(os.path.join(folder, file)):
                found.images.append(name)
            elif file.lower() not in _LEFT_BEHIND:
                found.others.append(name)
    return Below(*map(sorted, found))


def is_excluded(name: str, patterns: Sequence[str]) -> bool:
    """Whether a path, or a file or folder in it, is as a pattern says, in any case.

    Args:
        name: A path with slashes.
        patterns: As ``'*_mask.png'``, ``'masks'``, ``'covid/masks/*'``.
    """
    name = name.lower()
    ends = (name, *name.split('/'))
    for pattern in patterns:
        pattern = pattern.lower().replace('\\', '/').rstrip('/')
        # What is literally called so, with its brackets, is meant as well.
        if any(end == pattern or fnmatchcase(end, pattern) for end in ends):
            return True
    return False


def locate_images(
    names: Sequence[str],
    root: str,
    problems: Problems,
    exclude: Sequence[str] = (),
    lost_is_wrong: bool = True,
) -> list[str | None]:
    """Finds the file of each image.

    Args:
        names: Paths below ``root`` or absolute. Where there is no such file, one counts
            whose path ends so, its extension aside: of several the one with the same
            extension, of equal copies the first. If none ends so, one counts that does
            but for Unicode form, or for that and upper and lower case.
        root: The folder. It is walked through only if a path is not that of a file.
        problems: Takes a note of names without a file, of those with several, and of
            files with several names.
        exclude: Patterns of files that do not count, see :func:`is_excluded`.
        lost_is_wrong: Whether a name without a file is a problem.

    Returns:
        A path for each name, or None.
    """
    found = _find(names, root, problems, exclude)
    lost = [n for n, path in zip(names, found, strict=True) if path is None]
    expected = os.path.join(root, lost[0]) if lost else ''
    problems.found(
        'images without a file',
        lost if lost_is_wrong else [],
        f'Looked for {expected!r}, and for such a name '
        f'anywhere below {root!r}. Check the column, data_root and data_prefix.',
    )
    problems.found(
        'files that several rows mean',
        repeated(path for path in found if path),
        'Leave one row for each image.',
    )
    return found


def _find(
    names: Sequence[str], root: str, problems: Problems, exclude: Sequence[str]
) -> list[str | None]:
    paths = [os.path.join(root, name) for name in names]
    found = [path if os.path.isfile(path) else None for path in paths]
    lost = [i for i, path in enumerate(found) if path is None]
    if not lost:
        return found
    images = files_below(root, exclude).images
    ambiguous = []
    for form in (str, _composed, _folded):
        by_stem = defaultdict(list)
        for name in images:
            by_stem[form(without_extension(name).rpartition('/')[2])].append(name)
        for i in [i for i in lost if found[i] is None]:
            endings = _ending_like(names[i], by_stem, form)
            # Pipes, and links that lead nowhere, have names, too.
            files = [os.path.join(root, file) for file in endings]
            files = list(filter(os.path.isfile, files))
            if not files:
                continue
            found[i] = files[0]
            if any(not cmp(files[0], file, shallow=False) for file in files[1:]):
                ambiguous.append(f'{names[i]}: {" or ".join(files[:3])}')
    problems.found(
        'images for which there are several files',
        ambiguous,
        'Write them with folder and extension, leave one of the files, or say which do '
        "not count, such as exclude=['masks'].",
    )
    return found


def _composed(name: str) -> str:
    """A name in the Unicode form that most have; macOS has another."""
    return unicodedata.normalize('NFC', name)


def _folded(name: str) -> str:
    """A name as Windows and macOS compare it."""
    return unicodedata.normalize('NFC', name).casefold()


def _ending_like(
    name: str, by_stem: Mapping[str, list[str]], form: Callable[[str], str]
) -> list[str]:
    end = form(f'/{without_extension(name)}')
    files = [
        file
        for file in by_stem.get(end.rpartition('/')[2], [])
        if form(f'/{without_extension(file)}').endswith(end)
    ]
    extension = PurePosixPath(name).suffix.lower()
    return [f for f in files if PurePosixPath(f).suffix.lower() == extension] or files


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
