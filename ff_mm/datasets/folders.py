"""The user's own data: images in a folder for each class."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from mmpretrain.datasets.custom import find_folders
from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.finding import is_ours
from ff_mm.datasets.files.image_paths import files_below, relative_name
from ff_mm.datasets.files.masks import note_masks
from ff_mm.datasets.own_dataset import OwnDataset, compile_pattern, found_by
from ff_mm.datasets.splits.split_file import mark_trainval, split_of_folder
from ff_mm.datasets.tables.table_file import OTHERS, meaning, note_others, plain
from ff_mm.plain import first_few

# Folders that nobody's classes are called.
_NUMBERED = re.compile(r'(?i)(fold|split|part|set|cv|batch|k)[\W_]*\d+')


class Image(NamedTuple):
    """What the path of an image says.

    Attributes:
        path: Relative, with slashes.
        split: ``'train'``, ``'val'`` or ``'test'``; '' if no folder is a split.
        folder: The folder of its class.
        name: The rest of the path, mostly the name of the file.
    """

    path: str
    split: str
    folder: str
    name: str


@DATASETS.register_module()
class FolderDataset(OwnDataset):
    r"""Images in a folder for each class, with or without a folder for each split.

    Either of these::

        data/moles/benign/p01_a.jpg         data/moles/train/benign/p01_a.jpg
        data/moles/malignant/p02_a.jpg      data/moles/test/malignant/p02_a.jpg

    On the left a split is made here. On the right it is that of the folders, which may
    be called train, val (valid, validation, dev) and test in any case, also test_set,
    TrainData and the like; without val, val is cut off train by ``shares``. They are
    taken for splits if there are no other folders, or if one is train and another val
    or test. Folders of other names that all have the same folders in them (fold1 and
    fold2, two hospitals) are an error unless ``classes`` or ``label_map`` names them.

    Images may lie at any depth below the folder of their class; they are known by their
    extension, or else by their first bytes. Hidden files and what macOS, Windows and a
    NAS leave behind are ignored. Other files than images are counted in a note, and so
    are images that look like masks of others.

    The classes are those of ``classes``, in that order; else the folders of all
    splits, sorted, numbers by value.

    The ``group`` of a case is what ``group_pattern`` finds. Its ``image_id`` is its
    path, with slashes; so do ``image_list`` and ``split_file`` name it.

    MMPretrain's ``CustomDataset`` reads such folders too; it makes no split and knows
    no groups.

    Args:
        group_pattern: A regular expression that finds the patient or lesion in the path
            below the folder of the class: its groups in parentheses, or else all that
            it matches. ``r'^(p\d+)_'`` finds p01 in ``p01_a.jpg``, ``r'^([^/]+)/'``
            the folder of a patient.
        label_pattern: A regular expression that finds the class in the path of an
            image, below the folder of a split; else it is the first folder. Groups in
            parentheses as above: ``r'study\d+_(positive|negative)/'``.
        label_map: Name of a folder -> its class, so that classes are renamed and put
            together; or None: the folder is left out. ``'*'`` is every other folder,
            else these keep their name.
        *args: Those of :class:`OwnDataset`.
        **kwargs: Those of :class:`OwnDataset`, and ``data_prefix``, a folder of
            ``data_root`` in which the folders are.

    Raises:
        ConfigError: If ``group_pattern`` is no regular expression.
        DatasetError: If the folders cannot be used; names every problem.
    """

    def __init__(
        self,
        *args: Any,
        group_pattern: str | None = None,
        label_map: Mapping[str, str | None] | None = None,
        label_pattern: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.group_pattern = compile_pattern('group_pattern', group_pattern)
        self.label_pattern = compile_pattern('label_pattern', label_pattern)
        self.label_map = {
            plain(folder): None if name is None else plain(name)
            for folder, name in (label_map or {}).items()
        }
        super().__init__(*args, **kwargs)

    @property
    def folder(self) -> str:
        """The folder in which those of the classes or splits are."""
        return os.path.normpath(self.img_prefix)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Lists the images of all classes and splits."""
        root = self.folder
        if not os.path.isdir(root):
            problems.add(f'There is no folder {root!r}. Check data_prefix.')
            return []
        split_folders = folders_of_splits(root, problems)
        below = files_below(root, self.exclude)
        self.check_exclude(below.excluded, problems)
        images = _parse(below.images, split_folders, self.label_pattern, problems)
        self.notes += note_masks(below.images) + _note_not_read(below.others)
        folders = [image.folder for image in images]
        self.notes += note_others(folders, self.label_map, 'label_map')
        if self.label_pattern is None:
            _check_empty(root, split_folders, images, self.label_map, problems)
        if split_folders:
            _check_split_classes(images, problems)
        elif self.label_pattern is None and not self._are_classes({*folders}):
            self._check_levels(images, problems)
        classes = [meaning(image.folder, self.label_map) for image in images]
        kept = [
            (image, name)
            for image, name in zip(images, classes, strict=True)
            if name is not None
        ]
        if not kept:
            if not problems:
                problems.add(f'No image in any folder of {root!r}. Check data_root.')
            return []
        images, names = [image for image, _ in kept], [name for _, name in kept]
        return self._cases(images, names, problems)

    def image_key(self, name: str) -> str:
        """Writes a path with slashes, and relative if it leads below the folder."""
        return relative_name(name, self.folder)

    def _are_classes(self, folders: Collection[str]) -> bool:
        """Whether the config says that the folders are the classes."""
        classes = [meaning(folder, self.label_map) for folder in folders]
        named = set(map(plain, folders)) <= set(self.label_map)
        if self.label_map and (named or OTHERS in self.label_map):
            return True
        return bool(self.CLASSES) and set(classes) <= {*self.CLASSES, None}

    def _check_levels(self, images: Sequence[Image], problems: Problems) -> None:
        """Notes folders that look like the splits, or sites, above the classes."""
        inner = defaultdict(set)
        for image in images:
            if meaning(image.folder, self.label_map) is not None:
                folder, slash, _ = image.name.partition('/')
                inner[image.folder].update([folder] if slash else [])
        folders = sorted(inner)
        if len(folders) < 2:
            return
        common = set.intersection(*inner.values())
        # A few patients may have images of all classes, but not most of them. Who
        # says where the group stands has looked at the folders below.
        alike = len(common) > 1 and 2 * len(common) >= len(set.union(*inner.values()))
        numbered = all(map(_NUMBERED.fullmatch, folders))
        if not alike or (self.group_pattern and not numbered):
            return
        listed = ', '.join(map(repr, folders))
        if all(map(split_of_folder, common)):
            problems.add(
                f'The folders {listed} have splits in them ({first_few(common, 5)}), '
                'which must stand above the classes: <split>/<class>/. Or say that '
                f'these do not count: classes={folders}.'
            )
            return
        problems.add(
            f'The folders {listed} of {self.folder!r} have the same folders in them '
            f'({first_few(sorted(common), 5)}), so they look like splits, not like '
            'classes. Call them train, val and test; or put the images of each class '
            'together, with group_pattern or split_file if they must not be mixed; or '
            f'say that they are the classes: classes={folders}.'
        )

    def _cases(
        self, images: Sequence[Image], names: Sequence[str], problems: Problems
    ) -> list[Case]:
        places = [f'folder {image.folder}' for image in images]
        numbers = self.number_classes(names, places, repr(self.folder), problems)
        groups = self.groups_by_pattern(
            self.group_pattern,
            [image.name for image in images],
            [image.path for image in images],
            'the path below the folder of the class',
            problems,
        )
        splits = mark_trainval([image.split for image in images])
        return [
            Case(
                image.path,
                # What has no number is a problem already.
                numbers.get(name, 0),
                group,
                split or None,
                os.path.join(self.folder, image.path),
            )
            for image, name, group, split in zip(
                images, names, groups, splits, strict=True
            )
        ]


def folders_of_splits(root: str, problems: Problems) -> dict[str, str]:
    """Gives folder -> split, or nothing if the folders are classes."""
    folders = [name for name in find_folders(root)[0] if is_ours(name)]
    splits = {name: split_of_folder(name) for name in folders}
    named = set(splits.values()) - {''}
    if '' in splits.values() and not ('train' in named and len(named) > 1):
        return {}
    found = {name: split for name, split in splits.items() if split}
    problems.found(
        f'folders of {root!r} that are the same split',
        [name for name in found if list(found.values()).count(found[name]) > 1],
        'Put them together.',
    )
    return found


def _note_not_read(paths: Sequence[str]) -> list[str]:
    """Says which files in folders of classes are no images."""
    inner = [path for path in paths if '/' in path]
    if not inner:
        return []
    kinds = Counter(os.path.splitext(path)[1] or 'no extension' for path in inner)
    counts = ', '.join(f'{kind} {count}' for kind, count in kinds.most_common(5))
    return [
        f'{len(inner)} files in folders of classes are no images and are not read '
        f'({counts}: {first_few(inner, 5)}).'
    ]


def _check_split_classes(images: Sequence[Image], problems: Problems) -> None:
    """Notes splits inside of splits, which would be the classes."""
    problems.found(
        'folders of classes that are called like a split',
        sorted(
            {
                f'{i.path.partition("/")[0]}/{i.folder}'
                for i in images
                if split_of_folder(i.folder)
            }
        ),
        'Put what is in them one folder higher: <split>/<class>/.',
    )


def _parse(
    paths: Sequence[str],
    split_folders: Mapping[str, str],
    label_pattern: re.Pattern[str] | None,
    problems: Problems,
) -> list[Image]:
    images, stray, unlabelled = [], [], []
    for path in paths:
        top, _, below = path.partition('/')
        split = split_folders.get(top, '')
        inner = below if split else path
        folder, _, name = inner.partition('/')
        if label_pattern is not None:
            match = label_pattern.search(inner)
            unlabelled += [] if match else [path]
            folder, name = found_by(match) if match else '', inner
        if name and bool(split) == bool(split_folders):
            images.append(Image(path, split, folder, name))
        else:
            stray.append(path)
    problems.found(
        'images whose class label_pattern does not find',
        unlabelled,
        f'{label_pattern and label_pattern.pattern!r} must match the path'
        f'{" below the folder of the split" * bool(split_folders)}; leave others out '
        'with exclude.',
    )
    where = '<split>/<class>/' if split_folders else '<class>/'
    problems.found(
        f'images that are not in a folder {where}',
        stray,
        'Put each into the folder of its class, or out of data_root.',
    )
    return images


def _check_empty(
    root: str,
    split_folders: Mapping[str, str],
    images: Sequence[Image],
    label_map: Mapping[str, str | None],
    problems: Problems,
) -> None:
    """Notes folders of classes without any image, in whatever split."""
    parents = [os.path.join(root, name) for name in split_folders] or [root]
    folders = {name for parent in parents for name in find_folders(parent)[0]}
    problems.found(
        'folders of classes without an image',
        sorted(
            name
            for name in folders - {image.folder for image in images}
            if is_ours(name) and meaning(name, label_map) is not None
        ),
        'Unpack the images, delete the folders, or leave them out with label_map.',
    )
