"""The folder of a cache: a run's own, in which it removes what it has made, no more."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from pathlib import Path

from ff_mm.datasets.errors import DatasetError

# What a cache writes, whole or not yet.
_OWN = re.compile(r'([0-9a-f]{16})\.(npy|pixels)|\.[0-9a-f]{16}\.\w+\.[0-9a-f]+\.part')


def make_own_folder(folder: Path, private: bool) -> None:
    """Makes a folder, or takes up one that an earlier run has made.

    Args:
        folder: Which may not be a link: what is removed in it would be somebody else's.
        private: Whether it lies where others can write, too: then it must be this
            user's, and nobody else may write to it, nor have put it there.

    Raises:
        DatasetError: It is another's, or no folder.
        OSError: It cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700 if private else 0o777)
    except FileExistsError:
        found = os.lstat(folder)
        remedy = 'remove it, or give another cache_images.dir'
        if not stat.S_ISDIR(found.st_mode):
            kind = 'a link' if stat.S_ISLNK(found.st_mode) else 'a file'
            raise DatasetError(
                f'{folder}: is {kind}, where images are to be cached; {remedy}'
            ) from None
        if private and hasattr(os, 'getuid'):
            if found.st_uid != os.getuid():
                raise DatasetError(
                    f'{folder}: is the folder of another user, where images are to be '
                    f'cached; {remedy}'
                ) from None
            os.chmod(folder, 0o700)


def remove_own_files(folder: Path, keep: Collection[str] = ()) -> None:
    """Removes what caches have written into a folder, and nothing else.

    Args:
        folder: That of a cache; nothing is done in one that is a link, or absent.
        keep: Names without extension of files to keep.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        own = _OWN.fullmatch(path.name)
        if own and own[1] not in keep:
            path.unlink(missing_ok=True)
