"""ISIC 2019: dermatoscopic images of skin lesions in eight classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems, check_choice
from ff_mm.datasets.published import Published
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.tables.one_hot import hot_column, why_not_hot
from ff_mm.datasets.tables.table_file import is_empty, plain, read_table

CLASSES = ('ak', 'bcc', 'bkl', 'df', 'mel', 'nv', 'scc', 'vasc')
UNKNOWN = 'unk'

TRAINING = 'ISIC_2019_Training_GroundTruth.csv'
LESIONS = 'ISIC_2019_Training_Metadata.csv'
TEST = 'ISIC_2019_Test_GroundTruth.csv'

#: Of the challenge's test table: what an image counts in its score.
WEIGHT = 'score_weight'


class _Image(NamedTuple):
    """A row of a table of classes; where it has no weight, that is ''."""

    image_id: str
    diagnosis: str
    weight: str


@DATASETS.register_module()
class ISIC2019(SplitDataset):
    """ISIC 2019, as the challenge's page and copies of it at Kaggle have it.

    Read anywhere below ``data_root``: ``ISIC_2019_Training_GroundTruth.csv`` with a
    column a class, ``ISIC_2019_Training_Metadata.csv`` with the lesion of each image,
    and the 25,331 images of ``ISIC_2019_Training_Input/``; if it is there,
    ``ISIC_2019_Test_GroundTruth.csv`` with the 8,238 of ``ISIC_2019_Test_Input/``.

    Where the test table is there, the test set is that, and val is cut off the training
    images by ``shares``; else all three are, 8:1:1. The cut is seeded, stratified by
    class, and all images of a lesion are on the same side. Of 2,084 images no lesion is
    known: each belongs to no other. No lesions are known of test images.

    The classes are in alphabetical order: ak, bcc, bkl, df, mel, nv, scc, vasc. A ninth
    column, UNK, is "none of the others": no training image has it, 2,047 test images
    do. Most of the training images of ISIC 2018 (HAM10000) are among those of 2019.

    The ``group`` of a case is its lesion.

    Args:
        test: Where the test set is from: ``'official'``; ``'training'``: cut off the
            training images; or None: official where its table is there.
        unknown: What to do with images of UNK: ``'exclude'``, or ``'class'``, a ninth
            after the others.
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`SplitDataset`.

    References:
        N. Codella et al., arXiv 1902.03368, P. Tschandl et al., doi
        10.1038/sdata.2018.161, and M. Combalia et al., "BCN20000: Dermoscopic lesions
        in the wild", arXiv 1908.02288, for the three sources.
        To be had at https://challenge.isic-archive.com/data/#2019.
    """

    METAINFO = {'classes': CLASSES}
    PUBLISHED = {
        TRAINING: Published.of(
            (*CLASSES, UNKNOWN), 867, 3323, 2624, 239, 4522, 12875, 628, 253, 0
        ),
        LESIONS: Published(25331),
        TEST: Published.of(
            (*CLASSES, UNKNOWN), 374, 975, 660, 91, 1327, 2495, 165, 104, 2047
        ),
    }

    def __init__(
        self,
        *args: Any,
        test: str | None = None,
        unknown: str = 'exclude',
        **kwargs: Any,
    ) -> None:
        check_choice('test', test, (None, 'official', 'training'))
        check_choice('unknown', unknown, ('exclude', 'class'))
        self.test = test
        self.unknown = unknown
        names = CLASSES if unknown == 'exclude' else (*CLASSES, UNKNOWN)
        kwargs.setdefault('classes', names)
        super().__init__(*args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the tables of the split."""
        tables = self.files.tables
        official = self.test == 'official' or (self.test is None and TEST in tables)
        wanted = {TRAINING, TEST} if official else {TRAINING}
        if official and not (self.image_list or self.split_file):
            wanted -= {'test': {TRAINING}, 'all': set()}.get(self.split, {TEST})
        problems.found(
            'tables not found',
            sorted(wanted - set(tables)),
            'Download them from the ISIC archive, and set data_root to a folder above '
            'them.',
        )
        cases = []
        if TRAINING in wanted & set(tables):
            images = self._read_truth(tables[TRAINING], problems)
            lesions = self._read_lesions(tables, images, problems)
            split = 'trainval' if official else None
            cases += self._cases(images, lesions, split)
        if TEST in wanted & set(tables):
            images = self._read_truth(tables[TEST], problems)
            cases += self._cases(images, {}, 'test')
        return cases

    def _cases(
        self, images: list[_Image], lesions: Mapping[str, str], split: str | None
    ) -> list[Case]:
        numbers = self.class_to_idx
        kept = [image for image in images if image.diagnosis in numbers]
        if len(kept) < len(images):
            self.notes.append(
                f'{len(images) - len(kept):,} of {len(images):,} images are UNK, of '
                'which there are no training images, and are left out; '
                "unknown='class' keeps them."
            )
        unweighted = sum(image.weight == '0' for image in kept)
        if unweighted:
            self.notes.append(
                f'{unweighted:,} test images have {WEIGHT} 0: the score of the '
                'challenge is without them, here they are in.'
            )
        return [
            Case(i.image_id, numbers[i.diagnosis], lesions.get(i.image_id), split)
            for i in kept
        ]

    def _read_truth(self, path: str, problems: Problems) -> list[_Image]:
        columns = [name.upper() for name in (*CLASSES, UNKNOWN)]
        rows = read_table(path, ['image', *columns], problems, [WEIGHT])
        hot = [hot_column(row, columns).lower() for row in rows]
        problems.found(
            f'rows of {path!r} without exactly one class',
            [
                f'{row["image"]}: {why_not_hot(row, columns)}'
                for row, name in zip(rows, hot, strict=True)
                if not name
            ],
            'One of the nine columns must be 1, all others 0.',
        )
        self.compare_published(path, len(rows), hot)
        return [
            _Image(self.image_key(row['image']), name, plain(row.get(WEIGHT, '')))
            for row, name in zip(rows, hot, strict=True)
            if name
        ]

    def _read_lesions(
        self, tables: Mapping[str, str], images: list[_Image], problems: Problems
    ) -> dict[str, str]:
        if LESIONS not in tables:
            if not (self.image_list or self.split_file):
                problems.add(
                    f'{LESIONS} is not there, so a lesion might train and test. '
                    'Download it from the ISIC archive.'
                )
            return {}
        path = tables[LESIONS]
        rows = read_table(path, ['image', 'lesion_id'], problems)
        self.compare_published(path, len(rows))
        lesions = {self.image_key(row['image']): row['lesion_id'] for row in rows}
        problems.found(
            f'images that {path!r} does not name',
            [i.image_id for i in images if rows and i.image_id not in lesions],
            'Download it again.',
        )
        return {i: lesion for i, lesion in lesions.items() if not is_empty(lesion)}
