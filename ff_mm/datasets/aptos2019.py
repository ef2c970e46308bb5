"""APTOS 2019: fundus photographs with five grades of diabetic retinopathy."""

from __future__ import annotations

from collections.abc import Mapping

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.finding import first_of
from ff_mm.datasets.published import Published
from ff_mm.datasets.retinopathy_grades import (
    GRADES,
    GradedImage,
    read_grades,
    read_split_grades,
)
from ff_mm.datasets.split_dataset import SplitDataset

#: The table of the competition, and its name in a copy that holds EyePACS, too.
COMPETITION = ('train.csv', 'trainLabels19.csv')
#: The tables of a copy that is split already.
PRESPLIT = {
    'train': ('train_1.csv', 'train.csv'),
    'val': ('valid.csv',),
    'test': ('test.csv',),
}
AUTHORS = 'aptos_dataset_splits.csv'


@DATASETS.register_module()
class APTOS2019(SplitDataset):
    """The labelled images of APTOS 2019 Blindness Detection, in any of their layouts.

    3,662 fundus photographs of Aravind Eye Hospital, India, each with one of the five
    grades No DR, Mild, Moderate, Severe, Proliferative (0 to 4). Told apart by their
    tables:

    - the Kaggle competition: ``train.csv`` (id_code, diagnosis) and
      ``train_images/*.png``. Its test images have no labels and are not read. The same
      in the resized copy of 2015 and 2019: ``labels/trainLabels19.csv`` and ``resized
      train 19/*.jpg``;
    - the copy mariaherrerot/aptos2019 at Kaggle, which is split already, about
      80:10:10: ``train_1.csv``, ``valid.csv`` and ``test.csv`` (id_code, diagnosis),
      ``{train,val,test}_images/*_images/*.png``. Its split is taken as it is;
    - that of the FissionFusion authors: ``aptos_dataset_splits.csv`` (filename, class,
      split) and a folder of images for each class. Its split, 2,929, 366 and 367
      images, is the published one and is taken as it is.

    The competition's table is split here, 8:1:1 and stratified by grade, into as many
    images as were published. For the published images themselves copy the authors'
    table beside it and give ``split_file='aptos_dataset_splits.csv'``.

    Tables and images may lie anywhere below ``data_root``.

    No patients are known, so ``group`` is None. Some photographs are in the data more
    than once, under different names, and no split made from names keeps such copies
    together: the tool ``check_dataset`` lists them.

    Args:
        **kwargs: Those of :class:`SplitDataset`.

    References:
        Asia Pacific Tele-Ophthalmology Society, "APTOS 2019 Blindness Detection",
        Kaggle, 2019.
    """

    METAINFO = {'classes': GRADES}
    PUBLISHED = dict.fromkeys(
        COMPETITION, Published.of(GRADES, 1805, 370, 999, 193, 295)
    )

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the tables of the layout that is there."""
        tables = self.files.tables
        if 'valid.csv' in tables:
            images = _read_presplit(tables, problems)
        else:
            images = _read_whole(tables, problems)
            if path := first_of(COMPETITION, tables):
                classes = (GRADES[image.grade] for image, _ in images)
                self.compare_published(path, len(images), classes)
        return [
            Case(self.image_key(image.name), image.grade, split=split)
            for image, split in images
        ]


def _read_presplit(
    tables: Mapping[str, str], problems: Problems
) -> list[tuple[GradedImage, str | None]]:
    paths = {split: first_of(names, tables) for split, names in PRESPLIT.items()}
    problems.found(
        'tables not found beside valid.csv',
        [PRESPLIT[split][0] for split, path in paths.items() if path is None],
        'Download all three tables, or check data_root.',
    )
    return [
        (image, split)
        for split, path in paths.items()
        if path is not None
        for image in read_grades(path, problems)
    ]


def _read_whole(
    tables: Mapping[str, str], problems: Problems
) -> list[tuple[GradedImage, str | None]]:
    path = first_of(COMPETITION, tables)
    if path is not None:
        return [(image, None) for image in read_grades(path, problems)]
    if AUTHORS in tables:
        return read_split_grades(tables[AUTHORS], problems)
    problems.add(
        f'None of {COMPETITION[0]} (the Kaggle competition), {PRESPLIT["train"][0]} '
        f'with valid.csv and test.csv, and {AUTHORS} is there. Set data_root to the '
        'folder that holds one.'
    )
    return []
