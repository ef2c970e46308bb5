"""HAM10000: dermatoscopic images of skin lesions in seven classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from sklearn.model_selection import StratifiedGroupKFold

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.reading import read_image_list, read_table, repeated, scan

CLASSES = ('akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc')

#: Our name of a split -> its name in the files of the ISIC 2018 challenge, task 3.
ISIC_SPLITS = {'train': 'Training', 'val': 'Validation', 'test': 'Test'}
LESION_GROUPINGS = 'ISIC2018_Task3_Training_LesionGroupings.csv'

#: The table's names at Harvard Dataverse and Kaggle, by time and way of download.
METADATA = ('HAM10000_metadata.csv', 'HAM10000_metadata', 'HAM10000_metadata.tab')


class Case(NamedTuple):
    """One row of a table; what the form at hand does not know is None."""

    image_id: str
    diagnosis: str
    lesion: str | None
    source: str | None = None


@DATASETS.register_module()
class HAM10000(BaseDataset):
    """HAM10000 in either of the two forms in which people download it.

    *isic2018* is task 3 of the ISIC 2018 challenge with its official split of 10,015,
    193 and 1,512 images: ``ISIC2018_Task3_{Training,Validation,Test}_Input/*.jpg``
    and ``ISIC2018_Task3_*_GroundTruth.csv``, unpacked with or without a folder around
    them. Lesions are known for the training images only, and only if
    ``ISIC2018_Task3_Training_LesionGroupings.csv`` is there too.

    *dataverse* is the release at Harvard Dataverse (on Kaggle, too): images in one or
    more folders and ``HAM10000_metadata.csv`` (or without extension, or ``.tab``). It
    has no official split, so one is made here: seeded, stratified by diagnosis, with
    all images of one lesion on the same side.

    Tables and images may lie anywhere below ``data_root`` on a local disk; hidden files
    and images that no table names are ignored. The classes are in alphabetical order in
    both forms: akiec, bcc, bkl, df, mel, nv, vasc.

    Every ``data_info`` holds ``img_path`` (str), ``gt_label`` (int), ``group`` (the
    lesion, str, or None where it is not known) and ``image_id`` (str).

    Args:
        data_root: The folder with everything below it.
        split: ``'train'``, ``'val'``, ``'test'``, or ``'all'`` for everything that is
            selected. Has no effect with ``image_list``.
        form: ``'isic2018'`` or ``'dataverse'``. None tells them apart by their tables.
        sources: Take only rows with these values in the column ``dataset``, out of
            vidir_modern, vidir_molemax, vienna_dias and rosendahl. The split is made
            within them, so one source can be in-domain and another
            out-of-distribution. Dataverse form only.
        exclude_lesions_of: Leave out lesions that also occur in these sources.
            Dataverse form only.
        image_list: A text file, relative to ``data_root`` or absolute, that decides the
            split instead: one image a line, its first word, whose folder and extension
            do not matter. The data set has its order.
        folds: Shares of train, val and test, as numbers of equal folds. Dataverse form
            only.
        seed: Of the split. Dataverse form only.
        **kwargs: Other arguments of MMPretrain's ``BaseDataset``, as ``pipeline``.

    Raises:
        ValueError: If ``split`` or ``form`` is none of the values above, or ``folds``
            is not three numbers.
        DatasetError: If the files cannot be used; names every problem that was found.

    References:
        P. Tschandl, C. Rosendahl, H. Kittler, "The HAM10000 dataset, a large collection
        of multi-source dermatoscopic images of common pigmented skin lesions",
        Scientific Data 5, 180161 (2018), doi 10.1038/sdata.2018.161.
        N. Codella et al., "Skin Lesion Analysis Toward Melanoma Detection 2018",
        arXiv 1902.03368, for the challenge.
    """

    METAINFO = {'classes': CLASSES}

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        form: str | None = None,
        sources: str | Sequence[str] = (),
        exclude_lesions_of: str | Sequence[str] = (),
        image_list: str | None = None,
        folds: Sequence[int] = (8, 1, 1),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if split not in (*ISIC_SPLITS, 'all'):
            raise ValueError(f'split must be train, val, test or all, got {split!r}')
        if form not in (None, 'isic2018', 'dataverse'):
            raise ValueError(f'form must be isic2018 or dataverse, got {form!r}')
        if len(folds) != 3:
            raise ValueError(f'folds must be of train, val and test, got {folds!r}')
        self.split = split
        self.form = form
        self.sources = _names(sources)
        self.exclude_lesions_of = _names(exclude_lesions_of)
        self.image_list = image_list
        self.folds = tuple(folds)
        self.seed = seed
        data_root = os.path.expanduser(data_root)
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads the tables, selects the cases and finds their images.

        Returns:
            One ``data_info`` a case, in the order of the table or of ``image_list``.

        Raises:
            DatasetError: With every problem found.
        """
        problems = Problems(f'HAM10000 in {self.data_root!r}')
        files = scan(self.data_root)
        cases = self._read(files.tables, problems)
        if not cases:
            # All that could follow would be a consequence.
            problems.raise_if_any()
        _check_cases(cases, self.CLASSES, problems)
        cases = self._select(cases, problems)
        _check_images(cases, files.images, problems)
        problems.raise_if_any()
        return [
            {
                'img_path': files.images[case.image_id][0],
                'gt_label': self.CLASSES.index(case.diagnosis),
                'group': case.lesion,
                'image_id': case.image_id,
            }
            for case in cases
        ]

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        return [
            f'Root: \t{self.data_root}',
            f'Split: \t{self.image_list or self.split}',
            f'Sources: \t{self.sources or "all"}',
        ]

    def _read(self, tables: dict[str, str], problems: Problems) -> list[Case]:
        if not os.path.isdir(self.data_root):
            problems.add('There is no such folder. Set data_root to where the data is.')
            return []
        self.form = self.form or _detect_form(tables, problems)
        by_source = bool(self.sources or self.exclude_lesions_of)
        if self.form == 'dataverse':
            return _read_dataverse(tables, by_source, problems)
        if self.form is None:
            return []
        if by_source:
            problems.add(
                'sources and exclude_lesions_of need the Dataverse form: the tables of '
                'ISIC 2018 do not name the source of an image.'
            )
        splits = [self.split] if self.split in ISIC_SPLITS else list(ISIC_SPLITS)
        if self.image_list:
            splits = [s for s in ISIC_SPLITS if _ground_truth(s) in tables] or splits
        return _read_isic2018(tables, splits, problems)

    def _select(self, cases: list[Case], problems: Problems) -> list[Case]:
        if self.image_list:
            cases = self._select_listed(cases, problems)
        elif self.form == 'dataverse':
            cases = self._select_sources(cases, problems)
            if cases and self.split != 'all':
                cases = self._select_fold(cases, problems)
        if not cases and not problems:
            problems.add('No image is left. Check split, sources and image_list.')
        return cases

    def _select_listed(self, cases: list[Case], problems: Problems) -> list[Case]:
        if self.sources or self.exclude_lesions_of:
            problems.add(
                'image_list was given together with sources or exclude_lesions_of: '
                'the list alone decides. Leave the others out.'
            )
        path = os.path.join(self.data_root, os.path.expanduser(self.image_list))
        if not os.path.isfile(path):
            problems.add(f'image_list {path!r} does not exist.')
            return []
        listed = read_image_list(path)
        by_id = {case.image_id: case for case in cases}
        problems.found(
            'images listed twice',
            repeated(listed),
            f'Each may stand once in {path!r}.',
        )
        problems.found(
            'images listed but not in the table',
            [image_id for image_id in listed if image_id not in by_id],
            f'Correct {path!r} or get the full table.',
        )
        return [by_id[image_id] for image_id in listed if image_id in by_id]

    def _select_sources(self, cases: list[Case], problems: Problems) -> list[Case]:
        known = {case.source for case in cases}
        problems.found(
            'sources not in the table',
            sorted({*self.sources, *self.exclude_lesions_of} - known),
            f'The table has {sorted(known)}.',
        )
        excluded = {c.lesion for c in cases if c.source in self.exclude_lesions_of}
        return [
            case
            for case in cases
            if (not self.sources or case.source in self.sources)
            and case.lesion not in excluded
        ]

    def _select_fold(self, cases: list[Case], problems: Problems) -> list[Case]:
        try:
            folds = _assign_folds(
                tuple(case.diagnosis for case in cases),
                tuple(case.lesion for case in cases),
                sum(self.folds),
                self.seed,
            )
        except ValueError as error:
            problems.add(f'{len(cases)} images cannot be split: {error}')
            return cases
        splits = np.repeat(list(ISIC_SPLITS), self.folds)[folds]
        pairs = zip(cases, splits, strict=True)
        return [case for case, split in pairs if split == self.split]


def _ground_truth(split: str) -> str:
    return f'ISIC2018_Task3_{ISIC_SPLITS[split]}_GroundTruth.csv'


def _detect_form(tables: dict[str, str], problems: Problems) -> str | None:
    # The Dataverse release comes with the test table of ISIC 2018, so only the
    # training table tells.
    isic2018 = _ground_truth('train') in tables
    dataverse = any(name in tables for name in METADATA)
    if isic2018 != dataverse:
        return 'isic2018' if isic2018 else 'dataverse'
    if isic2018:
        problems.add(
            "The tables of both forms are there. Say form='isic2018' or 'dataverse'."
        )
    else:
        problems.add(
            f'Neither {_ground_truth("train")} (ISIC 2018) nor {METADATA[0]} '
            '(Dataverse) is there. Set data_root to the folder that holds one.'
        )
    return None


def _read_dataverse(
    tables: dict[str, str], by_source: bool, problems: Problems
) -> list[Case]:
    path = next((tables[name] for name in METADATA if name in tables), None)
    if path is None:
        problems.add(f'{METADATA[0]} is not there. Download it, or check form.')
        return []
    # Only a choice by source needs to know the source.
    required = ['lesion_id', 'image_id', 'dx'] + ['dataset'] * by_source
    rows = read_table(path, required, problems)
    problems.found(
        'images without a lesion',
        [row['image_id'] for row in rows if not row['lesion_id']],
        f'Fill in lesion_id in {path!r}.',
    )
    return [
        Case(row['image_id'], row['dx'], row['lesion_id'], row.get('dataset') or '')
        for row in rows
    ]


def _read_isic2018(
    tables: dict[str, str], splits: Iterable[str], problems: Problems
) -> list[Case]:
    names = [_ground_truth(split) for split in splits]
    problems.found(
        'tables not found',
        [name for name in names if name not in tables],
        'Download them from the ISIC 2018 archive, or check data_root and split.',
    )
    lesions = _read_lesions(tables, problems)
    columns = [name.upper() for name in CLASSES]
    cases = []
    for path in (tables[name] for name in names if name in tables):
        rows = read_table(path, ['image', *columns], problems)
        diagnoses = [_hot(row, columns) for row in rows]
        problems.found(
            f'rows of {path!r} without exactly one class',
            [r['image'] for r, d in zip(rows, diagnoses, strict=True) if not d],
            'One of the seven columns must be 1, all others 0.',
        )
        cases += [
            Case(row['image'], diagnosis, lesions.get(row['image']) or None)
            for row, diagnosis in zip(rows, diagnoses, strict=True)
            if diagnosis
        ]
    return cases


def _read_lesions(tables: dict[str, str], problems: Problems) -> dict[str, str]:
    if LESION_GROUPINGS not in tables:
        return {}
    rows = read_table(tables[LESION_GROUPINGS], ['image', 'lesion_id'], problems)
    return {row['image']: row['lesion_id'] for row in rows}


def _hot(row: dict[str, str], columns: Iterable[str]) -> str:
    """Gives the class of a one-hot row, or '' if there is not exactly one."""
    hot = [name for name in columns if row[name].strip() in ('1', '1.0')]
    return hot[0].lower() if len(hot) == 1 else ''


def _check_cases(cases: list[Case], classes: Sequence[str], problems: Problems) -> None:
    problems.found(
        'images that stand in the table twice',
        repeated(case.image_id for case in cases),
        'Leave one row for each.',
    )
    problems.found(
        'unknown classes in the table',
        sorted({case.diagnosis for case in cases} - set(classes)),
        f'Known are {list(classes)}.',
    )


def _check_images(
    cases: list[Case], images: dict[str, list[str]], problems: Problems
) -> None:
    paths = {case.image_id: images.get(case.image_id, []) for case in cases}
    problems.found(
        'images without a file',
        [image_id for image_id, found in paths.items() if not found],
        'Unpack all image archives below data_root.',
    )
    # Kaggle's archive holds every image twice, in folders that differ in case only:
    # that is harmless as long as the copies are the same.
    problems.found(
        'images with several files of different size',
        [
            image_id
            for image_id, found in paths.items()
            if len(found) > 1 and len({os.path.getsize(path) for path in found}) > 1
        ],
        'Leave one version of the images below data_root.',
    )


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    # --cfg-options turns a single name into a string.
    return (value,) if isinstance(value, str) else tuple(value)


# scikit-learn takes 1.6 s for all 10,015 images; train, val and test share the result.
@lru_cache(maxsize=8)
def _assign_folds(
    labels: tuple[str, ...], groups: tuple[str, ...], n_folds: int, seed: int
) -> np.ndarray:
    """Gives every row a fold: stratified by label, groups kept together.

    Returns:
        Fold numbers, int64 of shape (number of rows,). Shared: do not write to it.

    Raises:
        ValueError: By scikit-learn, if there are too few rows or groups.
    """
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    folds = np.empty(len(labels), dtype=np.int64)
    rows = np.zeros(len(labels))
    for number, (_, members) in enumerate(splitter.split(rows, labels, groups)):
        folds[members] = number
    return folds
