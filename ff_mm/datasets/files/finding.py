"""Finding what lies below a folder: files, images, images under another extension."""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from filecmp import cmp
from pathlib import Path
from typing import Any, NamedTuple, overload

from mmpretrain.datasets.utils import download_url

from ff_mm.datasets.errors import DatasetError

#: Extensions of DICOM files, in lower case.
DICOM_EXTENSIONS = ('.dcm', '.dicom')
#: Extensions of images, in lower case.
IMAGE_EXTENSIONS = (
    *('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp', '.webp', '.ppm', '.pgm'),
    *('.jfif', '.jpe', '.gif', '.jp2'),
    *DICOM_EXTENSIONS,
)

#: Folders in which macOS and a Synology NAS keep copies that nobody put there, and
#: those that a file system keeps for itself and lets nobody read.
_NOT_OURS = (
    *('__MACOSX', '@eaDir'),
    *('lost+found', 'System Volume Information', '$RECYCLE.BIN'),
)

_GZIP = b'\x1f\x8b'
# Bytes of a table of which two are compared as text.
_LARGEST_TABLE = 1 << 28


class Tables(dict[str, str]):
    """Path of each file by its name.

    Of several with one name the first that was added counts, if all say the same; to
    ask for one that has a namesake of other content is an error, since nobody can know
    which is meant.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paths: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, path: str) -> None:
        """Takes a file in; an unpacked one is the same as one with gzip."""
        self.setdefault(name, path)
        self._paths[name].append(path)

    def __getitem__(self, name: str) -> str:
        """Gives the path of a file.

        Raises:
            DatasetError: Several have this name, and do not say the same.
        """
        path = super().__getitem__(name)
        self._paths[name] = one_content(name, self._paths[name])
        return path

    @overload
    def get(self, name: str, default: None = None, /) -> str | None: ...

    @overload
    def get(self, name: str, default: Any, /) -> Any: ...

    def get(self, name: str, default: Any = None, /) -> Any:
        """Gives the path of a file, as by index, or the default."""
        return self[name] if name in self else default  # noqa: SIM401


def one_content(name: str, paths: Sequence[str]) -> list[str]:
    """Gives the first of some files with one name, as a list of one.

    Raises:
        DatasetError: They do not say the same.
    """
    others = [path for path in paths[1:] if not _say_the_same(paths[0], path)]
    if others:
        listed = ' and '.join(map(repr, [paths[0], *others[:3]]))
        raise DatasetError(
            f'{name}: {len(others) + 1} files of this name have different content: '
            f'{listed}. Leave one below data_root, or set data_root to its folder.'
        )
    return list(paths[:1])


def _say_the_same(first: str, second: str) -> bool:
    """Whether two files are equal, gzip and line breaks aside."""
    if cmp(first, second, shallow=False):
        return True
    sizes = os.path.getsize(first), os.path.getsize(second)
    if max(sizes) > _LARGEST_TABLE:
        return False
    return _content(first) == _content(second)


def _content(path: str) -> bytes:
    raw = Path(path).read_bytes()
    if raw.startswith(_GZIP):
        with contextlib.suppress(OSError, EOFError, zlib.error), gzip.open(path) as f:
            raw = f.read(_LARGEST_TABLE + 1)
    return raw.replace(b'\r\n', b'\n').rstrip()


class Files(NamedTuple):
    """What lies below a folder: path by file name, and paths by name of an image."""

    tables: Tables
    images: dict[str, list[str]]


def is_image(name: str) -> bool:
    """Tells by the extension whether a file is an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def without_extension(name: str) -> str:
    """Takes the extension off, if it is one of an image: an id may have dots, too."""
    return os.path.splitext(name)[0] if is_image(name) else name


def image_stem(name: str) -> str:
    """Gives the name of an image without folder and extension."""
    return without_extension(os.path.basename(name))


def is_ours(name: str) -> bool:
    """Whether the name of a file or folder is neither hidden nor a machine's copy."""
    return not name.startswith('.') and name not in _NOT_OURS


def walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walks through a folder as ``os.walk`` does, in order, each folder once.

    Links are followed. Hidden files and folders are left out, and so are the copies
    that macOS puts into archives and that a Synology NAS makes. Who takes names out of
    the list of subfolders is spared the walk through these.

    Args:
        root: The folder. An absent one yields nothing.

    Yields:
        The path of a folder, the names of its subfolders and those of its files.

    Raises:
        DatasetError: A folder that cannot be read, whatever may be in it.
    """
    visited = set()
    for folder, subfolders, names in os.walk(root, onerror=_refuse, followlinks=True):
        real = os.path.realpath(folder)
        # A link back to a folder above would be followed for ever.
        subfolders[:] = [] if real in visited else sorted(filter(is_ours, subfolders))
        if real not in visited:
            visited.add(real)
            yield folder, subfolders, sorted(filter(is_ours, names))


def _refuse(error: OSError) -> None:
    """Names a folder that is there and cannot be read."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return
    raise DatasetError(
        f'data in {str(error.filename)!r}',
        [
            f'this folder cannot be read: {error.strerror}. Make it readable, or move '
            'it away, so that nothing in it is passed over unseen.'
        ],
    ) from error


def scan(root: str) -> Files:
    """Lists what lies below a folder, in one :func:`walk`.

    Args:
        root: The folder. An absent one has no files.

    Returns:
        The images by name without extension, each with all its paths, and the other
        files by name.
    """
    tables = Tables()
    images: dict[str, list[str]] = defaultdict(list)
    for folder, _, names in walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if is_image(name):
                images[without_extension(name)].append(path)
            else:
                tables.add(name, path)
    return Files(tables, dict(images))


def no_folder(root: str) -> str:
    """Says that ``data_root`` is not there, and from where it was looked for."""
    # The same command in another folder is the usual reason.
    seen = '' if os.path.isabs(root) else f', seen from {os.getcwd()!r}'
    return f'There is no such folder{seen}. Set data_root to where the data is.'


def first_of(names: Iterable[str], found: Mapping[str, str]) -> str | None:
    """Gives the path of the first name under which a file was found, if any."""
    return next((found[name] for name in names if name in found), None)


def find_image(path: str) -> str | None:
    """Looks for an image, also under another extension, as resized copies have it.

    Args:
        path: Where it should be.

    Returns:
        Where it is, None if it is nowhere.
    """
    if os.path.isfile(path):
        return path
    stem = os.path.splitext(path)[0]
    others = (stem + extension for extension in IMAGE_EXTENSIONS)
    return next(filter(os.path.isfile, others), None)


def find_file(root: str, name: str) -> str | None:
    """Looks for a file in a folder, and up to two folders below it.

    Args:
        root: The folder.
        name: Of the file, or the end of its path.

    Returns:
        Its path, the first of several equal ones in alphabetical order; None if there
        is none.

    Raises:
        DatasetError: There are several in folders of one depth that differ.
    """
    end = glob.escape(name)
    for pattern in (end, f'*/{end}', f'*/*/{end}'):
        paths = [str(p) for p in sorted(Path(root).glob(pattern)) if p.is_file()]
        if paths:
            return one_content(name, paths)[0]
    depth = root.count(os.sep)
    for folder, subfolders, _ in walk(root):  # refuses what is hidden from glob
        if folder.count(os.sep) >= depth + 2:
            subfolders.clear()
    return None


def download(url: str, folder: str, name: str, md5: str, homepage: str) -> None:
    """Downloads a file, which appears under its name only when it is complete.

    Args:
        url: Its address.
        folder: Where to put it; made if it is absent.
        name: What to call it.
        md5: Of its bytes, in hexadecimal.
        homepage: Where a person finds it, for the message.

    Raises:
        DatasetError: There is no network, or what came is another file; says what to
            do instead.
    """
    try:
        download_url(url, folder, name, md5)
    except (OSError, RuntimeError) as error:
        # MMPretrain leaves a file with a wrong MD5 in place.
        Path(folder, name).unlink(missing_ok=True)
        raise DatasetError(
            f'{name} could not be downloaded: {error}. Get it from {homepage} by other '
            f'means and put it into {folder!r}.'
        ) from error
