"""Choosing cases by what lists of images say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems, repeated
from ff_mm.datasets.files.finding import without_extension
from ff_mm.datasets.files.text import read_lines
from ff_mm.datasets.splits.split_file import read_split_file
from ff_mm.datasets.splits.splitting import SPLITS
from ff_mm.errors import ConfigError


class Known:
    """The images of a data set, by the names under which a list may have them.

    Args:
        cases: All of the data set.
        image_key: Turns the name in a list into an ``image_id``.
    """

    def __init__(self, cases: Sequence[Case], image_key: Callable[[str], str]) -> None:
        self.cases = {case.image_id: case for case in cases}
        self._image_key = image_key
        self._stems: dict[str, str | None] = {}
        for image_id in self.cases:
            stem = without_extension(image_id)
            self._stems[stem] = None if stem in self._stems else image_id

    def find(self, name: str) -> str:
        """Gives the ``image_id`` of a name, with the extension of an image or without.

        A name that is not known is given as the ``image_id`` that it would be.
        """
        image_id = self._image_key(name)
        if image_id in self.cases:
            return image_id
        return self._stems.get(without_extension(image_id)) or image_id

    def find_in_line(self, line: str) -> str:
        """As :meth:`find`, of a line in which a label may follow the name."""
        whole = self.find(line)  # a name may have spaces in it
        return whole if whole in self.cases else self.find(line.split()[0])

    def check(self, ids: Sequence[str], source: str, problems: Problems) -> list[str]:
        """Gives those that are known, and notes the others."""
        problems.found(
            'images listed but not in the table',
            [image_id for image_id in ids if image_id not in self.cases],
            f'Correct {source} or get the full table.',
        )
        return [image_id for image_id in ids if image_id in self.cases]


def select_listed(known: Known, path: str, problems: Problems) -> list[Case]:
    """Takes the cases that a text file lists, in its order.

    Args:
        known: All cases.
        path: Of the file, with one image a line.
        problems: Takes a note of a file, or of images, that are not there.
    """
    listed = _read_list(known, path, 'image_list', problems)
    return [known.cases[i] for i in known.check(listed, repr(path), problems)]


def read_named_splits(
    known: Known,
    file: str | Mapping[str, str],
    folder: str,
    problems: Problems,
) -> dict[str, str]:
    """Reads which images have which split.

    Args:
        known: All cases.
        file: A table, see :func:`read_split_file`; or split -> a text file with one
            image a line.
        folder: To which paths are relative.
        problems: Takes a note of what is wrong.

    Returns:
        ``image_id`` -> split, of images that are known.
    """
    if isinstance(file, str):
        path = os.path.join(folder, os.path.expanduser(file))
        source = repr(path)
        named = [(known.find(n), s) for n, s in read_split_file(path, problems)]
    else:
        source = ', '.join(map(repr, file.values()))
        named = [
            (image_id, split)
            for split, name in file.items()
            for image_id in _read_list(
                known,
                os.path.join(folder, os.path.expanduser(name)),
                'split_file',
                problems,
            )
        ]
    splits = dict(named)
    problems.found(
        f'images with several splits in {source}',
        sorted({image_id for image_id, split in named if split != splits[image_id]}),
        'Leave one row for each image.',
    )
    return {i: splits[i] for i in known.check(list(splits), source, problems)}


def _read_list(known: Known, path: str, key: str, problems: Problems) -> list[str]:
    if not os.path.isfile(path):
        problems.add(f'{key} {path!r} does not exist.')
        return []
    lines = read_lines(path, problems)
    if not lines and not problems:
        problems.add(
            f'No image is left: {key} {path!r} is empty. List an image in each line.'
        )
    listed = [known.find_in_line(line) for line in lines]
    problems.found(
        'images listed twice', repeated(listed), f'Each may stand once in {path!r}.'
    )
    return listed


def check_split_file(file: Any) -> None:
    """Refuses what is neither a table nor a list for each split.

    Raises:
        ConfigError: It is not.
    """
    texts = [*file.values()] if isinstance(file, Mapping) else [file or '']
    if isinstance(file, Mapping) and not (file and set(file) <= set(SPLITS)):
        texts = [None]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            f'split_file={file!r}: expected a table, or a list of images a split, such '
            "as dict(train='train_val_list.txt', test='test_list.txt')"
        )
