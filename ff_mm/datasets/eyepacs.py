"""EyePACS: fundus photographs of both eyes with five grades of retinopathy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems, check_choice
from ff_mm.datasets.published import Published
from ff_mm.datasets.retinopathy_grades import (
    GRADES,
    GradedImage,
    read_grades,
    read_split_grades,
)
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.display.console import log
from ff_mm.plain import first_few

#: Names of the two tables of the competition; the first that is there counts.
TRAIN = ('trainLabels.csv', 'trainLabels15.csv', 'trainLabels_cropped.csv')
TEST = ('retinopathy_solution.csv', 'testLabels15.csv', 'testLabels.csv')
AUTHORS = 'eyepacs_dataset_splits.csv'

SIDES = ('left', 'right')


@DATASETS.register_module()
class EyePACS(SplitDataset):
    """The photographs of Kaggle's Diabetic Retinopathy Detection of 2015.

    88,702 photographs of both eyes of 44,351 patients, each with one of the five grades
    No DR, Mild, Moderate, Severe, Proliferative (0 to 4). Known are these layouts:

    - the competition: ``trainLabels.csv`` (image, level) and ``*_left.jpeg``,
      ``*_right.jpeg`` in one or more folders, 35,126 images. With the table of the test
      set, published later as ``retinopathy_solution.csv`` (image, level, Usage), its
      53,576 images are read, too;
    - the resized copy of 2015 and 2019: ``labels/trainLabels15.csv`` and
      ``labels/testLabels15.csv``, ``resized {train,test} 15/*.jpg``;
    - the copy resized and cropped: ``trainLabels_cropped.csv`` and
      ``resized_train_cropped/*.jpeg``, 35,108 images. It comes with another version of
      all images and with ``trainLabels.csv``: leave one version of the images below
      ``data_root``, and the table that has a file for each image is read;
    - that of the FissionFusion authors: ``eyepacs_dataset_splits.csv`` (filename,
      class, split) and a folder of images for each class.

    Tables and images may lie anywhere below ``data_root``.

    The paper splits by image: 70,961, 8,870 and 8,871, so that a patient's eyes, which
    mostly have the same grade, may lie on both sides. Here patients are kept together
    and the split is stratified by the grades of both eyes; ``split_by='image'`` gives
    the published way for comparison. With the authors' table it gives their very
    images: as the only table, or as ``split_file='eyepacs_dataset_splits.csv'``.

    The ``group`` of a case is its patient, and None with ``split_by='image'``, as such
    a split would not pass the check that no patient is on both sides.

    Args:
        split_by: ``'patient'`` or ``'image'``. By patient, the split of the authors'
            table is not used.
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`SplitDataset`.

    References:
        J. Cuadros, G. Bresnick, "EyePACS: An Adaptable Telemedicine System for Diabetic
        Retinopathy Screening", Journal of Diabetes Science and Technology 3(3), 2009,
        doi 10.1177/193229680900300315.
        "Diabetic Retinopathy Detection", Kaggle, 2015.
    """

    METAINFO = {'classes': GRADES}
    PUBLISHED = {
        **dict.fromkeys(TRAIN, Published.of(GRADES, 25810, 2443, 5292, 873, 708)),
        TRAIN[-1]: Published.of(GRADES, 25802, 2438, 5288, 872, 708),
        **dict.fromkeys(TEST, Published.of(GRADES, 39533, 3762, 7861, 1214, 1206)),
    }

    def __init__(self, *args: Any, split_by: str = 'patient', **kwargs: Any) -> None:
        check_choice('split_by', split_by, ('patient', 'image'))
        self.split_by = split_by
        super().__init__(*args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the tables that are there, and the patient in each name."""
        images = self._read_images(self.files.tables, problems)
        names = [self.image_key(image.name) for image, _ in images]
        if self.split_by == 'image':
            self._warn()
            return [
                Case(name, image.grade, split=split)
                for name, (image, split) in zip(names, images, strict=True)
            ]
        problems.found(
            'images whose name does not end in _left or _right',
            [name for name in names if not _patient(name)],
            'Without it the patient is not known: take the table as it was downloaded.',
        )
        return [
            Case(name, image.grade, _patient(name))
            for name, (image, _) in zip(names, images, strict=True)
        ]

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        return [*super().extra_repr(), f'Split by: \t{self.split_by}']

    def make_split(
        self, cases: list[Case], shares: Sequence[int], problems: Problems
    ) -> Sequence[str]:
        """Cuts the patients, by the grades of their eyes, and so the cases."""
        if self.split_by == 'image':
            return super().make_split(cases, shares, problems)
        # scikit-learn's StratifiedGroupKFold takes half a minute for 44,351 patients.
        # Of one or two eyes each, they can be cut as images are, in a moment.
        grades: dict[str | None, Any] = defaultdict(list)
        for case in cases:
            grades[case.group].append(case.label)
        patients = [Case('', tuple(sorted(eyes))) for eyes in grades.values()]
        cut = super().make_split(patients, shares, problems)
        splits = dict(zip(grades, cut, strict=True))
        return [splits[case.group] for case in cases]

    def _read_images(
        self, tables: Mapping[str, str], problems: Problems
    ) -> list[tuple[GradedImage, str | None]]:
        found: list[tuple[GradedImage, str | None]] = []
        several = [[tables[n] for n in names if n in tables] for names in (TRAIN, TEST)]
        for paths in filter(None, several):
            images = self._choose_table(paths, problems)
            found += [(image, None) for image in images]
        if found or any(several):
            return found
        if AUTHORS in tables:
            return read_split_grades(tables[AUTHORS], problems)
        problems.add(
            f'None of {", ".join([*TRAIN, *TEST, AUTHORS])} is there. Set data_root to '
            'the folder that holds the tables and the images.'
        )
        return []

    def _choose_table(
        self, paths: Sequence[str], problems: Problems
    ) -> list[GradedImage]:
        """Reads the first table, or that of a copy which lacks a few of its images."""
        path, images = paths[0], read_grades(paths[0], problems)
        lost = self._without_file(images)
        for other in paths[1:] if lost else ():
            fewer = read_grades(other, problems)
            if fewer and not self._without_file(fewer):
                self.notes.append(
                    f'{path!r} names {len(lost):,} images without a file '
                    f'({first_few(lost, 5)}), {other!r} none: the latter is read.'
                )
                path, images = other, fewer
                break
        self.compare_published(path, len(images), (GRADES[i.grade] for i in images))
        return images

    def _without_file(self, images: Sequence[GradedImage]) -> list[str]:
        names = (self.image_key(image.name) for image in images)
        return [name for name in names if name not in self.files.images]

    def _warn(self) -> None:
        if self.split == 'all':
            return
        log(
            'EyePACS is split by image: the two eyes of a patient may be in train and '
            "in test. Scores compare with the paper's and are too good."
        )


def _patient(name: str) -> str:
    """Gives the patient in the name of an image, '' if there is none."""
    patient, _, side = name.rpartition('_')
    return patient if side in SIDES else ''
