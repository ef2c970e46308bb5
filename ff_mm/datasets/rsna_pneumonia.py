"""RSNA Pneumonia Detection Challenge 2018: lung opacity in chest radiographs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems, check_choice
from ff_mm.datasets.files.finding import image_stem
from ff_mm.datasets.published import Published
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.tables.table_file import plain, read_table

CLASS_INFO = 'stage_2_detailed_class_info.csv'
BOXES = 'stage_2_train_labels.csv'

NORMAL, OPACITY = 'Normal', 'Lung Opacity'
NOT_NORMAL = 'No Lung Opacity / Not Normal'
NO_OPACITY = 'No Lung Opacity'

#: What to do with NOT_NORMAL -> the class of each word in the table.
CLASS_OF = {
    'exclude': {NORMAL: NORMAL, OPACITY: OPACITY},
    'negative': {NORMAL: NO_OPACITY, NOT_NORMAL: NO_OPACITY, OPACITY: OPACITY},
    'class': {NORMAL: NORMAL, OPACITY: OPACITY, NOT_NORMAL: NOT_NORMAL},
}


@DATASETS.register_module()
class RSNAPneumonia(SplitDataset):
    """RSNA Pneumonia 2018: normal chest radiographs against those with lung opacity.

    Read as Kaggle gives it, anywhere below ``data_root``: the images
    ``stage_2_train_images/<patientId>.dcm`` and ``stage_2_detailed_class_info.csv``
    with the class of each; ``stage_2_train_labels.csv``, a row for each box, is
    compared with it if it is there. The images of Kaggle's test set have no labels and
    are left out. A copy converted to ``<patientId>.png`` or ``.jpg`` is read rather
    than the DICOM file. For DICOM the pipeline begins with ``LoadDICOM`` in place of
    ``LoadImageFromFile``; it reads both.

    Of 26,684 images 8,851 are Normal and 6,012 Lung Opacity; 11,821 that are neither
    are left out. A split is made here, 8:1:1, stratified: 11,890, 1,486 and 1,487
    images. The authors have 11,911, 1,469 and 1,483: take their table as
    ``split_file``.

    Kaggle's ``patientId`` tells images apart, not patients: the images are some of
    those of the NIH, and many patients have several. With ``nih_mapping`` no patient is
    on two sides of the split. The ``group`` of a case is then the patient of the NIH,
    else the ``patientId``.

    Args:
        not_normal: What to do with "No Lung Opacity / Not Normal": ``'exclude'``;
            ``'negative'``, so that the classes are No Lung Opacity and Lung Opacity; or
            ``'class'``, a third after Normal and Lung Opacity.
        nih_mapping: RSNA's table of the images of the NIH,
            ``'pneumonia-challenge-dataset-mappings_2018.json'``; its name, or a path
            relative to ``data_root`` or absolute.
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`SplitDataset`.

    References:
        G. Shih et al., "Augmenting the National Institutes of Health Chest Radiograph
        Dataset with Expert Annotations of Possible Pneumonia", Radiology: Artificial
        Intelligence 1 (2019), doi 10.1148/ryai.2019180041.
        To be had at https://www.kaggle.com/c/rsna-pneumonia-detection-challenge, the
        mapping at https://www.rsna.org under "AI Image Challenge".
    """

    METAINFO = {'classes': (NORMAL, OPACITY)}
    PUBLISHED = {
        CLASS_INFO: Published(30227, {NORMAL: 8851, OPACITY: 6012, NOT_NORMAL: 11821}),
        BOXES: Published(30227),
    }

    def __init__(
        self,
        *args: Any,
        not_normal: str = 'exclude',
        nih_mapping: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice('not_normal', not_normal, CLASS_OF)
        self.not_normal = not_normal
        self.nih_mapping = nih_mapping
        names = CLASS_OF[not_normal].values()
        kwargs.setdefault('classes', tuple(dict.fromkeys(names)))
        super().__init__(*args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the class of each image, and its patient."""
        tables = self.files.tables
        diagnoses, rows = _read_diagnoses(tables, problems)
        if CLASS_INFO in tables:
            self.compare_published(tables[CLASS_INFO], rows, diagnoses.values())
        rows = _compare_with_boxes(diagnoses, tables, problems)
        if BOXES in tables:
            self.compare_published(tables[BOXES], rows)
        class_of, numbers = CLASS_OF[self.not_normal], self.class_to_idx
        chosen = {i: class_of[d] for i, d in diagnoses.items() if d in class_of}
        patients = self._read_patients(problems)
        if patients:
            problems.found(
                'images that nih_mapping does not name',
                [image for image in chosen if image not in patients],
                'Get it anew, or leave nih_mapping out.',
            )
        return [
            Case(image, numbers[name], patients.get(image, image))
            for image, name in chosen.items()
        ]

    def _read_patients(self, problems: Problems) -> dict[str, str]:
        """Gives the patient of each image, if the mapping was asked for."""
        if not self.nih_mapping:
            return {}
        path = self.find_table(self.nih_mapping, self.files.tables)
        if path is None:
            problems.add(
                f'nih_mapping {self.nih_mapping!r} is not there. Download it from the '
                'page of the challenge at RSNA, or leave nih_mapping out.'
            )
            return {}
        return _read_mapping(path, problems)


def _read_diagnoses(
    tables: Mapping[str, str], problems: Problems
) -> tuple[dict[str, str], int]:
    """Reads the class of each image, which the table repeats for each box.

    Returns:
        The class by image, and the number of rows.
    """
    if CLASS_INFO not in tables:
        problems.add(
            f'{CLASS_INFO} is not there. Download it from Kaggle, unpack it, and set '
            'data_root to a folder above it.'
        )
        return {}, 0
    rows = read_table(tables[CLASS_INFO], ['patientId', 'class'], problems)
    words = defaultdict(set)
    for row in rows:
        words[image_stem(row['patientId'])].add(row['class'])
    problems.found(
        f'images with several classes in {tables[CLASS_INFO]!r}',
        [image for image, found in words.items() if len(found) > 1],
        'Download it again.',
    )
    problems.found(
        f'unknown classes in {tables[CLASS_INFO]!r}',
        sorted(set().union(*words.values()) - set(CLASS_OF['class'])),
        f'Known are {[*CLASS_OF["class"]]}.',
    )
    return {image: min(found) for image, found in words.items()}, len(rows)


def _compare_with_boxes(
    diagnoses: Mapping[str, str], tables: Mapping[str, str], problems: Problems
) -> int:
    """Checks that exactly the images with lung opacity have boxes; counts the rows."""
    if BOXES not in tables:
        return 0
    rows = read_table(tables[BOXES], ['patientId', 'Target'], problems)
    targets = {
        image_stem(row['patientId']): plain(row['Target']) == '1' for row in rows
    }
    problems.found(
        f'images whose class in {CLASS_INFO} does not go with Target in {BOXES}',
        [
            image
            for image, diagnosis in diagnoses.items()
            if image in targets and targets[image] != (diagnosis == OPACITY)
        ],
        'Download both again; they must be of the same stage.',
    )
    return len(rows)


def _read_mapping(path: str, problems: Problems) -> dict[str, str]:
    """Reads the patient of each image from its file name at the NIH, 00000001_000."""
    try:
        with open(path, encoding='utf-8') as file:
            return {
                image_stem(entry['subset_img_id']): entry['img_id'].split('_')[0]
                for entry in json.load(file)
            }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        problems.add(
            f'nih_mapping {path!r} must be a JSON list of entries with subset_img_id '
            'and img_id. Download it again.'
        )
        return {}
