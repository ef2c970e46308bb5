"""HAM10000: dermatoscopic images of skin lesions in seven classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems, as_names, check_choice
from ff_mm.datasets.files.finding import first_of, image_stem
from ff_mm.datasets.published import Published
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.tables.one_hot import hot_column
from ff_mm.datasets.tables.table_file import read_table

CLASSES = ('akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc')

#: Our name of a split -> its name in the files of the ISIC 2018 challenge, task 3.
ISIC_SPLITS = {'train': 'Training', 'val': 'Validation', 'test': 'Test'}
LESION_GROUPINGS = 'ISIC2018_Task3_Training_LesionGroupings.csv'

#: A synthetic image of the test set: not in the archive of the Dataverse, and no part
#: of the challenge's score, which is over the other 1,511.
SYNTHETIC = 'ISIC_0035068'

#: The table's names at Harvard Dataverse and Kaggle, by time and way of download.
METADATA = ('HAM10000_metadata.csv', 'HAM10000_metadata', 'HAM10000_metadata.tab')


def _ground_truth(split: str) -> str:
    return f'ISIC2018_Task3_{ISIC_SPLITS[split]}_GroundTruth.csv'


def _ground_truths(split: str) -> tuple[str, ...]:
    """Names of a table: of the challenge, and as the Dataverse gives it."""
    stem = _ground_truth(split).removesuffix('.csv')
    return f'{stem}.csv', f'{stem}.tab', stem


class Row(NamedTuple):
    """One row of a table; what the form at hand does not know is None, or ''."""

    image_id: str
    diagnosis: str
    lesion: str | None
    source: str = ''
    split: str | None = None
    table: str = ''


@DATASETS.register_module()
class HAM10000(SplitDataset):
    """HAM10000 in either of the two forms in which people download it.

    *isic2018* is task 3 of the ISIC 2018 challenge with its official split of 10,015,
    193 and 1,512 images: ``ISIC2018_Task3_{Training,Validation,Test}_Input/*.jpg``
    and ``ISIC2018_Task3_*_GroundTruth.csv``, unpacked with or without a folder around
    them. Lesions are known for the training images only, and only if
    ``ISIC2018_Task3_Training_LesionGroupings.csv`` is there too.

    A test table as the Dataverse has it (``image_id``, ``dx``; .csv or .tab) is read,
    too, with its lesions. ISIC_0035068 of the test set is synthetic: the archive of the
    Dataverse does not have it, nor does the score of the challenge, which is over 1,511
    images. Where it has no file it is left out, with a note; else it is in.

    *dataverse* is the release at Harvard Dataverse (on Kaggle, too): images in one or
    more folders and ``HAM10000_metadata.csv`` (or without extension, or ``.tab``). It
    has no official split, so one is made here: seeded, stratified by diagnosis, with
    all images of one lesion on the same side.

    Tables and images may lie anywhere below ``data_root`` on a local disk; hidden files
    and images that no table names are ignored. The classes are in alphabetical order in
    both forms: akiec, bcc, bkl, df, mel, nv, vasc.

    The ``group`` of a case is its lesion.

    Args:
        form: ``'isic2018'`` or ``'dataverse'``. None tells them apart by their tables.
        sources: Take only rows with these values in the column ``dataset``, out of
            vidir_modern, vidir_molemax, vienna_dias and rosendahl. The split is made
            within them, so one source can be in-domain and another
            out-of-distribution. Dataverse form only.
        exclude_lesions_of: Leave out lesions that also occur in these sources.
            Dataverse form only.
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`SplitDataset`.

    References:
        P. Tschandl, C. Rosendahl, H. Kittler, "The HAM10000 dataset, a large collection
        of multi-source dermatoscopic images of common pigmented skin lesions",
        Scientific Data 5, 180161 (2018), doi 10.1038/sdata.2018.161.
        N. Codella et al., "Skin Lesion Analysis Toward Melanoma Detection 2018",
        arXiv 1902.03368, for the challenge.
    """

    METAINFO = {'classes': CLASSES}
    PUBLISHED = {
        **dict.fromkeys(
            (*METADATA, *_ground_truths('train')),
            Published.of(CLASSES, 327, 514, 1099, 115, 1113, 6705, 142),
        ),
        **dict.fromkeys(
            _ground_truths('val'), Published.of(CLASSES, 8, 15, 22, 1, 21, 123, 3)
        ),
        **dict.fromkeys(
            _ground_truths('test'), Published.of(CLASSES, 43, 93, 217, 44, 171, 908, 35)
        ),
    }

    def __init__(
        self,
        *args: Any,
        form: str | None = None,
        sources: str | Sequence[str] = (),
        exclude_lesions_of: str | Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        check_choice('form', form, (None, 'isic2018', 'dataverse'))
        self.form = form
        self.sources = as_names(sources)
        self.exclude_lesions_of = as_names(exclude_lesions_of)
        super().__init__(*args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the tables of either form and takes the chosen sources."""
        rows = self._read_rows(self.files.tables, problems)
        problems.found(
            'unknown classes in the table',
            sorted({row.diagnosis for row in rows} - set(self.CLASSES)),
            f'Known are {list(self.CLASSES)}.',
        )
        by_table = defaultdict(list)
        for row in rows:
            if row.image_id != SYNTHETIC:  # which is not in every official table
                by_table[row.table].append(row.diagnosis)
        for table, classes in by_table.items():
            self.compare_published(table, len(classes), classes)
        rows = self._without_synthetic(rows)
        numbers = self.class_to_idx
        return [
            Case(row.image_id, numbers[row.diagnosis], row.lesion, row.split)
            for row in self._select_sources(rows, problems)
            if row.diagnosis in numbers
        ]

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        return [*super().extra_repr(), f'Sources: \t{self.sources or "all"}']

    def _without_synthetic(self, rows: list[Row]) -> list[Row]:
        listed = self.image_list or self.split_file
        if listed or SYNTHETIC in self.files.images or len(rows) < 2:
            return rows
        kept = [row for row in rows if row.image_id != SYNTHETIC]
        if len(kept) < len(rows):
            self.notes.append(
                f'{SYNTHETIC} of the test set has no file and is left out, as it is '
                'from the score of the challenge (1,511 images).'
            )
        return kept

    def _read_rows(self, tables: dict[str, str], problems: Problems) -> list[Row]:
        test = first_of(_ground_truths('test'), tables)
        if self.form is None:
            self.form = _detect_form(tables, problems)
            if test and self.form == 'dataverse':
                self.notes.append(
                    f'{test!r} is there, but the test set is cut off the images of '
                    f"{METADATA[0]}. For the official one: form='isic2018' with "
                    "split='test'."
                )
        by_source = bool(self.sources or self.exclude_lesions_of)
        if by_source and (self.image_list or self.split_file):
            problems.add(
                'image_list or split_file was given together with sources or '
                'exclude_lesions_of: the list alone decides. Leave the others out.'
            )
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
        if self.image_list or self.split_file:
            there = [s for s in ISIC_SPLITS if first_of(_ground_truths(s), tables)]
            splits = there or splits
        return _read_isic2018(tables, splits, problems)

    def _select_sources(self, rows: list[Row], problems: Problems) -> list[Row]:
        if self.form != 'dataverse' or not rows:
            return rows
        known = {row.source for row in rows}
        problems.found(
            'sources not in the table',
            sorted({*self.sources, *self.exclude_lesions_of} - known),
            f'The table has {sorted(known)}.',
        )
        excluded = {row.lesion for row in rows if row.source in self.exclude_lesions_of}
        return [
            row
            for row in rows
            if (not self.sources or row.source in self.sources)
            and row.lesion not in excluded
        ]


def _detect_form(tables: dict[str, str], problems: Problems) -> str | None:
    # The Dataverse release comes with the test table of ISIC 2018, so only the
    # training table tells.
    isic2018 = first_of(_ground_truths('train'), tables) is not None
    dataverse = first_of(METADATA, tables) is not None
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
) -> list[Row]:
    path = first_of(METADATA, tables)
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
        Row(
            image_stem(row['image_id']),
            row['dx'],
            row['lesion_id'],
            row.get('dataset') or '',
            table=path,
        )
        for row in rows
    ]


def _read_isic2018(
    tables: dict[str, str], splits: Iterable[str], problems: Problems
) -> list[Row]:
    paths = {split: first_of(_ground_truths(split), tables) for split in splits}
    problems.found(
        'tables not found',
        [_ground_truth(split) for split, path in paths.items() if path is None],
        'Download them from the ISIC 2018 archive, or check data_root and split.',
    )
    lesions = _read_lesions(tables, problems)
    return [
        row
        for split, path in paths.items()
        if path is not None
        for row in _read_ground_truth(path, split, lesions, problems)
    ]


def _read_ground_truth(
    path: str, split: str, lesions: dict[str, str], problems: Problems
) -> list[Row]:
    """Reads a table of the challenge, or one of that name at the Dataverse."""
    columns = [name.upper() for name in CLASSES]
    # A file that cannot be read is a problem once, not twice.
    found = Problems('')
    rows = read_table(path, (), found, optional=None)
    if rows and {'image_id', 'dx'} <= rows[0].keys():
        return [
            Row(
                image_stem(row['image_id']),
                row['dx'],
                row.get('lesion_id')
                or lesions.get(image_stem(row['image_id']))
                or None,
                split=split,
                table=path,
            )
            for row in rows
        ]
    rows = read_table(path, ['image', *columns], problems)
    diagnoses = [hot_column(row, columns).lower() for row in rows]
    problems.found(
        f'rows of {path!r} without exactly one class',
        [r['image'] for r, d in zip(rows, diagnoses, strict=True) if not d],
        'One of the seven columns must be 1, all others 0.',
    )
    return [
        Row(
            image_stem(row['image']),
            diagnosis,
            _lesion(row, lesions),
            split=split,
            table=path,
        )
        for row, diagnosis in zip(rows, diagnoses, strict=True)
        if diagnosis
    ]


def _lesion(row: Mapping[str, str], lesions: Mapping[str, str]) -> str | None:
    name = image_stem(row.get('image_id') or row.get('image') or '')
    return row.get('lesion_id') or lesions.get(name) or None


def _read_lesions(tables: dict[str, str], problems: Problems) -> dict[str, str]:
    if LESION_GROUPINGS not in tables:
        return {}
    rows = read_table(tables[LESION_GROUPINGS], ['image', 'lesion_id'], problems)
    return {image_stem(row['image']): row['lesion_id'] for row in rows}
