"""What all data sets on disk have in common: cases, of which one split is taken."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from filecmp import cmp
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmpretrain.datasets import BaseDataset

from ff_mm.datasets.case import Case, Image
from ff_mm.datasets.errors import DatasetError, Problems, check_choice, repeated
from ff_mm.datasets.files.dicom import USE_LOAD_DICOM, is_dicom, needs_load_dicom
from ff_mm.datasets.files.finding import Files, find_image, image_stem, no_folder, scan
from ff_mm.datasets.files.image_paths import file_cut_short
from ff_mm.datasets.published import Published, how_edited
from ff_mm.datasets.splits import lists
from ff_mm.datasets.splits.split_file import mark_trainval
from ff_mm.datasets.splits.splitting import SPLITS, assign_splits, check_shares
from ff_mm.errors import ConfigError, FFMMError
from ff_mm_commands.table import called

_FINDS_ALL = f'{called("check")} finds all such files'


class SplitDataset(BaseDataset, ABC):
    """Base of the data sets that are read as they were downloaded.

    A subclass reads all cases; here one split of them is taken, in the first of these
    ways that applies:

    1. ``image_list``: the images that a text file lists, in its order;
    2. ``split_file``: those to which a table gives this split;
    3. the official split, where the files of the data set have one; what is official
       training data without a validation part is cut into train and val as in 4;
    4. else a split made here: seeded, stratified by label, groups kept together. See
       :func:`ff_mm.datasets.splits.splitting.assign_splits`.

    Every ``data_info`` holds ``img_path`` (str) or ``img`` (uint8, height x width x 3,
    BGR), ``gt_label`` (int) or ``gt_score`` (float32, number of labels; -1 is missing),
    ``group`` (str or None) and ``image_id`` (str).

    Args:
        data_root: The folder with everything below it.
        split: ``'train'``, ``'val'``, ``'test'``, or ``'all'`` for everything.
        shares: Of train, val and test where the split is made here, whole numbers.
            None: those of the data set, mostly 8:1:1.
        seed: Of the split that is made here.
        split_file: A table with the columns ``split`` and ``image`` (also image_id,
            filename, file, path, id_code, patientId), relative to ``data_root`` or
            absolute. The ``splits.csv`` of a run is one. Or a dict from ``'train'``,
            ``'val'`` and ``'test'`` to a text file each, with one image a line. Images
            that are not named are left out. Where these text files, or a table of own
            data, name no val, it is cut off train.
        image_list: A text file with one image a line, relative to ``data_root`` or
            absolute. Words after the first are ignored.
        **kwargs: Other arguments of MMPretrain's ``BaseDataset``, as ``pipeline``.

    Attributes:
        notes: What was odd about the files, in sentences, but may be meant; said before
            training and by ``check_dataset``.

    Raises:
        ValueError: An argument is none of the values above.
        DatasetError: The files cannot be used; names every problem that was found.
    """

    #: Of train, val and test where nothing else is said.
    SHARES: ClassVar[tuple[int, int, int]] = (8, 1, 1)

    #: Whether val is cut off the train of a split_file that names no val.
    CUTS_VAL: ClassVar[bool] = False

    #: Name of an official table -> what it had in it.
    PUBLISHED: ClassVar[Mapping[str, Published]] = {}

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        shares: Sequence[int] | None = None,
        seed: int = 0,
        split_file: str | Mapping[str, str] | None = None,
        image_list: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, (*SPLITS, 'all'))
        if split_file and image_list:
            raise ValueError('give split_file or image_list, not both')
        lists.check_split_file(split_file)
        self.split = split
        self.shares = check_shares(self.SHARES if shares is None else shares)
        self.seed = seed
        self.split_file = split_file
        self.image_list = image_list
        self.notes: list[str] = []
        kwargs.setdefault('ann_file', '')
        _check_classes(kwargs.get('classes'))
        super().__init__(data_root=os.path.expanduser(data_root), **kwargs)

    @abstractmethod
    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads all cases from the files below ``data_root``.

        Args:
            problems: Takes a note of what is wrong. Where nothing could be read, a
                problem should say why.

        Returns:
            One case an image, in the order of the files.
        """

    def image_key(self, name: str) -> str:
        """Turns the name by which a list knows an image into an ``image_id``.

        Here folder and extension do not matter; a subclass whose ids are paths
        overrides this.
        """
        return image_stem(name)

    def make_split(
        self, cases: list[Case], shares: Sequence[int], problems: Problems
    ) -> Sequence[str]:
        """Gives each case a split where the files have none. A subclass may override.

        Args:
            cases: Those that are to be split.
            shares: Of train, val and test.
            problems: Takes a note if there are too few cases.

        Returns:
            ``'train'``, ``'val'`` or ``'test'`` for each.
        """
        labels, groups = [c.label for c in cases], [c.group for c in cases]
        try:
            return assign_splits(labels, groups, shares, self.seed).tolist()
        except ValueError as error:
            problems.add(
                f'{len(cases)} images cannot be split: {str(error).rstrip(".")}. Use '
                'fewer parts, such as shares=(3, 1, 1).'
            )
            return [self.split] * len(cases)

    def find_images(
        self, cases: list[Case], problems: Problems
    ) -> Sequence[Image | None]:
        """Finds the image of every case. A subclass may override.

        Args:
            cases: Those of the split that was chosen.
            problems: Takes a note of images without a file, or with several.

        Returns:
            For each its path, or its pixels or their place; None where there is none,
            which was noted.
        """
        images = [case.image for case in cases]
        if any(image is None for image in images):
            images = self._look_up(cases, problems)
        images = [find_image(i) if isinstance(i, str) else i for i in images]
        problems.found(
            'images without a file',
            [c.image_id for c, i in zip(cases, images, strict=True) if i is None],
            'Unpack all image archives below data_root.',
        )
        return images

    def compare_published(
        self,
        path: str,
        rows: int,
        classes: Iterable[str] = (),
        cells: Iterable[str] = (),
    ) -> None:
        """Notes where a table has not in it what ``PUBLISHED`` says.

        Args:
            path: The table.
            rows: How many it has.
            classes: That of each image, where these are to be compared, too.
            cells: What its columns of labels have in them, where that is to be.
        """
        self.notes += how_edited(path, self.PUBLISHED, rows, classes, cells)

    @property
    def needed_splits(self) -> tuple[str, ...]:
        """The splits whose cases must be read; a list chooses from all."""
        listed = self.image_list or self.split_file
        return SPLITS if listed or self.split == 'all' else (self.split,)

    def find_table(self, name: str, found: Mapping[str, str]) -> str | None:
        """Gives the table of a name: a path from ``data_root`` on, or one found below.

        Args:
            name: The name of a file anywhere below ``data_root``, or a path, absolute
                or relative to ``data_root``.
            found: Name -> path of the files below ``data_root``.
        """
        if name in found:  # maybe more than once
            return found.get(name)
        path = os.path.join(self.data_root, os.path.expanduser(name))
        return path if os.path.isfile(path) else None

    @cached_property
    def files(self) -> Files:
        """Everything below ``data_root``, walked through when it is first needed."""
        return scan(self.data_root)

    def load_data_list(self) -> list[dict]:
        """Reads all cases, takes the split and finds the images.

        Returns:
            One ``data_info`` a case.

        Raises:
            DatasetError: With every problem found.
        """
        problems = Problems(f'{type(self).__name__} in {self.data_root!r}')
        cases = self._read(problems)
        if not cases:
            # All that could follow would be a consequence.
            problems.raise_if_any()
        problems.found(
            'images that stand in the table twice',
            repeated(case.image_id for case in cases),
            'Leave one row for each.',
        )
        every, cases = cases, self._select(cases, problems)
        if not cases and not problems:
            problems.add(self._nothing_left(every))
        images = self.find_images(cases, problems)
        problems.raise_if_any()
        # A walk through 200,000 files is nothing to carry into every worker.
        self.__dict__.pop('files', None)
        return [
            self.info_of(case, image)
            for case, image in zip(cases, images, strict=True)
            if image is not None  # which was a problem
        ]

    def info_of(self, case: Case, image: Image) -> dict[str, Any]:
        """Gives the ``data_info`` of a case. A subclass may override."""
        info: dict[str, Any] = {'group': case.group, 'image_id': case.image_id}
        info['img_path' if isinstance(image, str) else 'img'] = image
        if isinstance(case.label, tuple):
            info['gt_score'] = np.array(case.label, dtype=np.float32)
        else:
            info['gt_label'] = int(case.label)
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Gives the class of a case, or its labels with score 1."""
        info = self.get_data_info(idx)
        if 'gt_score' in info:
            return np.flatnonzero(info['gt_score'] == 1).tolist()
        return [int(info['gt_label'])]

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        chosen = self.image_list or f'{self.split} {self.split_file or ""}'.strip()
        return [f'Root: \t{self.data_root}', f'Split: \t{chosen}']

    def prepare_data(self, idx: int) -> Any:
        """Gives a case through the pipeline.

        Raises:
            DatasetError: The image cannot be read, or its end is missing.
        """
        info = self.get_data_info(idx)
        if self._loads_files and (reason := file_cut_short(info.get('img_path') or '')):
            raise DatasetError(f'{info["img_path"]}: {reason}; {_FINDS_ALL}')
        try:
            return self.pipeline(info)
        except Exception as error:
            if isinstance(error, FFMMError) or self._is_readable(idx):
                raise
            path = self.get_data_info(idx).get('img_path')
            if path and needs_load_dicom(path):
                raise DatasetError(f'{path}: {USE_LOAD_DICOM}') from error
            raise DatasetError(
                f'{path}: cannot be read as an image ({error}); {_FINDS_ALL}'
            ) from error

    @property
    def _loads_files(self) -> bool:
        """Whether images come out of their files, not out of a cache of them."""
        steps = self.pipeline.transforms
        return bool(steps) and isinstance(steps[0], LoadImageFromFile)

    def _is_readable(self, idx: int) -> bool:
        """Whether the first step of the pipeline, which loads the image, succeeds."""
        try:
            self.pipeline.transforms[0](self.get_data_info(idx))
        except Exception:
            return False
        return True

    def _nothing_left(self, cases: list[Case]) -> str:
        if self.split_file or self.image_list or self.split == 'all' or not cases:
            return (
                'No image is left. Check split, split_file, image_list and whatever '
                'else selects.'
            )
        official = Counter(case.split or 'to be split' for case in cases)
        there = ', '.join(f'{name} {count}' for name, count in official.items())
        # Training and validation are needed, a test is not.
        without = ', or do without it: test_dataloader=None' * (self.split == 'test')
        return (
            f'No image is left in split {self.split!r} of {len(cases)} ({there}). '
            f'Check what selects{without}.'
        )

    def _read(self, problems: Problems) -> list[Case]:
        if not os.path.isdir(self.data_root):
            problems.add(no_folder(self.data_root))
            return []
        return self.read_cases(problems)

    def _select(self, cases: list[Case], problems: Problems) -> list[Case]:
        if self.image_list:
            path = os.path.join(self.data_root, os.path.expanduser(self.image_list))
            known = lists.Known(cases, self.image_key)
            return lists.select_listed(known, path, problems)
        if self.split_file:
            cases = self._take_split_file(cases, self.split_file, problems)
        if not cases or self.split == 'all':
            return cases
        splits = self._splits(cases, problems)
        return [c for c, s in zip(cases, splits, strict=True) if s == self.split]

    def _take_split_file(
        self, cases: list[Case], file: str | Mapping[str, str], problems: Problems
    ) -> list[Case]:
        """Gives each case the split that a file gives it; leaves the others out."""
        known = lists.Known(cases, self.image_key)
        named = lists.read_named_splits(known, file, self.data_root, problems)
        cases = [case for case in cases if named.get(case.image_id)]
        words = [named[case.image_id] for case in cases]
        if self.CUTS_VAL or not isinstance(file, str):
            words = mark_trainval(words)
        return [c._replace(split=w) for c, w in zip(cases, words, strict=True)]

    def _splits(self, cases: list[Case], problems: Problems) -> list[str]:
        """Gives each case its split: the official one, or one that is made here."""
        splits = np.array([case.split or '' for case in cases], dtype='<U8')
        train, val, test = self.shares
        for official, shares in {
            '': (train, val, test),
            'trainval': (train, val, 0),
        }.items():
            members = np.flatnonzero(splits == official)
            if len(members):
                chosen = [cases[i] for i in members]
                splits[members] = self.make_split(chosen, shares, problems)
        return splits.tolist()

    def _look_up(self, cases: list[Case], problems: Problems) -> list[Any]:
        """Gives the image of each case, or else the file that has its name."""
        files: dict[str, list[str]] = defaultdict(list)
        for name, paths in self.files.images.items():
            files[self.image_key(name)] += paths
        found = [_prefer_converted(files.get(case.image_id, [])) for case in cases]
        # Kaggle's archive of HAM10000 holds every image twice, in folders that differ
        # in case only: that is harmless as long as the copies are the same.
        problems.found(
            'images with several files of different content',
            [
                case.image_id
                for case, paths in zip(cases, found, strict=True)
                if any(not cmp(paths[0], path, shallow=False) for path in paths[1:])
            ],
            'Leave one version of the images below data_root.',
        )
        return [
            (paths[0] if paths else None) if case.image is None else case.image
            for case, paths in zip(cases, found, strict=True)
        ]


def _prefer_converted(paths: list[str]) -> list[str]:
    """Leaves out DICOM files beside which there is a copy in another format."""
    return [path for path in paths if not is_dicom(path)] or paths


def _check_classes(classes: Any) -> None:
    if isinstance(classes, str) and not os.path.isfile(os.path.expanduser(classes)):
        raise ConfigError(
            f'classes={classes!r}: expected a list of names, or a text file with one '
            'name a line; there is no such file'
        )
    twice = [] if isinstance(classes, (str, type(None))) else repeated(classes)
    if twice:
        raise ConfigError(f'classes: {twice[0]!r} stands there twice: {[*classes]}')
