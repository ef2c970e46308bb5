"""Which image is in which split, written down and read back."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from mmengine.dataset import BaseDataset

from ff_mm.datasets.checks.truth import data_infos, image_path, truth_text
from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.datasets.tables.table_file import find_column, read_table
from ff_mm.files import NotRegularError, atomic_write, open_regular

#: Word, in lower case -> our name of the split.
_SPLIT_NAMES = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validate': 'val',
    'validation': 'val',
    'dev': 'val',
    'test': 'test',
    'testing': 'test',
}


def split_of(word: str) -> str:
    """Gives the split for which a word as valid, Test or TRAINING stands, else ''."""
    return _SPLIT_NAMES.get(word.strip().lower(), '')


# What stands beside the name of a split in that of a folder.
_BESIDE = (
    r'(?:sets?|data|datasets?|images?|imgs?|pics?|photos?|folders?|splits?|seg|raw)'
)
_SPLIT_FOLDER = re.compile(
    rf'(?:{_BESIDE}|[\W\d_])*?({"|".join(sorted(_SPLIT_NAMES, key=len, reverse=True))})'
    rf'(?:{_BESIDE}|[\W\d_])*',
    re.IGNORECASE,
)


def split_of_folder(name: str) -> str:
    """Gives the split for which a folder as test_set or TrainData stands, else ''."""
    found = _SPLIT_FOLDER.fullmatch(name)
    return split_of(found[1]) if found else ''


def read_splits(
    words: Sequence[str],
    places: Sequence[str],
    source: str,
    problems: Problems,
    remedy: str = 'Correct them.',
) -> list[str]:
    """Gives the split for which each word stands.

    Args:
        words: As valid, Test or TRAINING.
        places: Where each stands, for messages.
        source: What they are from, for messages: ``"column 'fold' of 'cases.csv'"``.
        problems: Takes a note of other words, each with its first place.
        remedy: What to do about these.

    Returns:
        ``'train'``, ``'val'`` or ``'test'`` for each; ``''`` for other words.
    """
    splits = {word: split_of(word) for word in words}
    first = dict(zip(reversed(words), reversed(places), strict=True))
    problems.found(
        f'words in {source} that name no split',
        [f'{first[word]}: {word!r}' for word, split in splits.items() if not split],
        f'Known are train, val (valid, validation, dev) and test. {remedy}',
    )
    return [splits[word] for word in words]


def mark_trainval(splits: Sequence[str]) -> list[str]:
    """Says ``'trainval'`` for train if there is no val, which is then cut off it."""
    if 'val' in splits:
        return list(splits)
    return ['trainval' if split == 'train' else split for split in splits]


#: Columns that may name the image, the first that is there counts.
IMAGE_COLUMNS = (
    'image',
    'image_id',
    'filename',
    'file',
    'path',
    'id_code',
    'patientId',
)


#: Of each case, by split and name, the fold that it is in.
Folds = Mapping[tuple[str, str], int]


def write_split_file(
    path: str | Path, datasets: Mapping[str, BaseDataset], folds: Folds | None = None
) -> None:
    """Writes down the cases of some data sets, one row each.

    Columns are ``image`` (the id, or else the path below ``data_root``), ``split``,
    ``label`` (a class number, the scores of a multi-label case with spaces between, or
    what else is true of the case, see :func:`ff_mm.datasets.checks.truth.truth_text`)
    and ``group`` (empty where none is known), and of a plan with folds ``fold``.
    :func:`read_split_file` reads it.

    Args:
        path: The csv file.
        datasets: Name of the split -> data set, fully initialised.
        folds: Of a plan that has them, the fold of each case.
    """
    with atomic_write(path, 'w') as file:
        file.write(_to_csv(datasets, folds))


def keep_split_file(
    path: str | Path, datasets: Mapping[str, BaseDataset], folds: Folds | None = None
) -> None:
    """Writes down the cases of a run, or checks that they are those of its beginning.

    A plan that goes on after its table or split file was changed would otherwise mix
    ingredients of two splits, and test on images that some of them were trained on.

    Args:
        path: The csv file beside the run.
        datasets: As for :func:`write_split_file`.
        folds: Likewise.

    Raises:
        DatasetError: The file is there and names other cases, labels or groups, or it
            cannot be read.
    """
    path = Path(path)
    if not path.exists():
        write_split_file(path, datasets, folds)
        return
    try:
        with open_regular(path, 'r') as file:
            rows_before = file.read().splitlines()
    except (OSError, UnicodeDecodeError, NotRegularError) as error:
        raise DatasetError(
            f'{path}: cannot be read ({error}), so nobody knows whether this run began '
            'with these data; restore it, or use a new --work-dir'
        ) from error
    rows_now = _to_csv(datasets, folds).splitlines()
    before, now = set(rows_before), set(rows_now)
    if before == now and rows_before != rows_now:
        # Which images make a batch goes by their numbers.
        pairs = zip(rows_before, rows_now, strict=False)
        old, new = next((pair for pair in pairs if pair[0] != pair[1]), ('', ''))
        raise DatasetError(
            f'{path}: the cases are in another order than when this run began, such as '
            f'{new!r} in the place of {old!r}; restore the order of the table, or use '
            'a new --work-dir'
        )
    if before != now:
        example = min(before ^ now)
        raise DatasetError(
            f'{path}: the data sets are not those with which this run began '
            f'({len(before - now)} rows were, {len(now - before)} are now otherwise, '
            f'such as {example!r}); restore them, or use a new --work-dir'
        )


def _to_csv(datasets: Mapping[str, BaseDataset], folds: Folds | None) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    head = ['image', 'split', 'label', 'group']
    writer.writerow(head if folds is None else [*head, 'fold'])
    for split, dataset in datasets.items():
        for index, info in enumerate(data_infos(dataset)):
            name = case_name(info, index, dataset)
            truth = truth_text(info, _root(dataset))
            row = [name, split, truth, info.get('group')]
            writer.writerow(row if folds is None else [*row, folds.get((split, name))])
    return text.getvalue()


def read_split_file(path: str | Path, problems: Problems) -> list[tuple[str, str]]:
    """Reads a table with one row an image, as ours or as the authors'.

    Args:
        path: A table with a column ``split`` and one of :data:`IMAGE_COLUMNS`.
        problems: Takes a note of what is wrong.

    Returns:
        Image as the table names it, and ``'train'``, ``'val'`` or ``'test'``, for each
        row; '' where the table says something else, which was noted.
    """
    path = str(path)
    rows = read_table(path, ['split'], problems, optional=None)
    column = find_column(IMAGE_COLUMNS, rows, path, problems)
    if column is None:
        return []
    images = [row[column] for row in rows]
    words = [row['split'] for row in rows]
    return list(
        zip(images, read_splits(words, images, repr(path), problems), strict=True)
    )


def case_name(info: Mapping[str, Any], index: int, dataset: BaseDataset) -> str:
    """Gives the name of a case: its id, else its path below data_root, or its number.

    Args:
        info: What the data set knows of it.
        index: Its number there.
        dataset: The data set.
    """
    if info.get('image_id') is not None:
        return str(info['image_id'])
    path = image_path(info)
    if path is None:
        return str(index)
    return PurePath(os.path.relpath(path, _root(dataset))).as_posix()


def _root(dataset: BaseDataset) -> str:
    return getattr(dataset, 'data_root', '') or '.'
