"""The user's own data: images in a folder, and their masks in another."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.finding import without_extension
from ff_mm.datasets.files.image_paths import files_below, relative_name
from ff_mm.datasets.folders import folders_of_splits
from ff_mm.datasets.masks.masked import MaskedDataset, check_mask_classes
from ff_mm.datasets.own_dataset import compile_pattern
from ff_mm.datasets.splits.split_file import mark_trainval
from ff_mm.errors import ConfigError
from ff_mm.plain import first_few

# Stands for the path of an image without its extension.
_NAME = '{}'


@DATASETS.register_module()
class MaskDataset(MaskedDataset):
    r"""Images in a folder, and a mask for each in another, with or without splits.

    Any of these, and at any depth below::

        data/own/images/p01_a.jpg      data/own/images/train/p01_a.jpg
        data/own/masks/p01_a.png       data/own/masks/train/p01_a.png

        data/own/images/p01_a.jpg      data/own/images/p01_a.jpg
        data/own/masks/p01_a_mask.png  data/own/disc/p01_a.png, data/own/cup/p01_a.png

    A mask has the path of its image, but for the extension; ``masks`` says where. Where
    the first folders are called train, val or test, in whatever way
    :class:`ff_mm.datasets.folders.FolderDataset` knows, they are the splits; without
    val, val is cut off train; without any, a split is made, by groups.

    The ``image_id`` of a case is its path below ``images``, with slashes; so do
    ``image_list`` and ``split_file`` name it.

    Args:
        data_root: The folder with everything below it.
        images: The folder of the images, below ``data_root`` or absolute.
        masks: Where their masks are, likewise: a folder; or a path in which ``{}``
            stands for that of the image without extension, ``'masks/{}_mask'``; or a
            dict from each class but the first to such a path: then a mask has 0 and one
            other value, and what none claims is the first class.
        group_pattern: A regular expression that finds the patient in the path below
            ``images``, see :class:`ff_mm.datasets.folders.FolderDataset`.
        **kwargs: Those of :class:`MaskedDataset`. ``exclude`` leaves out masks, too.

    Raises:
        ConfigError: ``masks`` or ``group_pattern`` cannot be meant so.
        DatasetError: The folders cannot be used; names every problem.
    """

    def __init__(
        self,
        data_root: str = '',
        images: str = 'images',
        masks: str | Mapping[str, str] = 'masks',
        group_pattern: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.masks = masks
        self.group_pattern = compile_pattern('group_pattern', group_pattern)
        given = dict(kwargs, data_prefix=dict(img_path=images), lazy_init=True)
        super().__init__(data_root, **given)
        check_mask_classes(masks, self.CLASSES, 'masks')
        self._paths = [_path(path) for path in self._by_class]
        if not kwargs.get('lazy_init'):
            self.full_init()

    @property
    def origin(self) -> str:
        """Where ids and groups are from: the folder of the images."""
        return os.path.abspath(self.img_prefix)

    @property
    def has_mask_per_class(self) -> bool:
        """Whether each class but the first has a file of its own."""
        return isinstance(self.masks, Mapping)

    @property
    def _by_class(self) -> list[str]:
        masks = self.masks
        return [masks] if isinstance(masks, str) else [*masks.values()]

    def read_cases(self, problems: Problems) -> list[Case]:
        """Lists the images of all splits, and finds their masks."""
        root = os.path.normpath(self.img_prefix)
        if not os.path.isdir(root):
            problems.add(f'There is no folder {root!r}. Check images and data_root.')
            return []
        below = files_below(root, self.exclude)
        self.check_exclude([*below.excluded, *self._excluded_masks()], problems)
        if not below.images:
            problems.add(f'No image in {root!r}. Check images and data_root.')
            return []
        names = [name for name in below.images if not self._is_mask(name)]
        splits = self._splits_of(names, folders_of_splits(root, problems), problems)
        groups = self.groups_by_pattern(
            self.group_pattern, names, names, f'the path below {root!r}', problems
        )
        self._find_masks(names, problems)
        return [
            Case(name, 0, group, split or None, os.path.join(root, name))
            for name, group, split in zip(
                names, groups, mark_trainval(splits), strict=True
            )
        ]

    def image_key(self, name: str) -> str:
        """Writes a path with slashes, and relative if it leads below the folder."""
        return relative_name(name, self.img_prefix)

    def _is_mask(self, name: str) -> bool:
        """Whether a file in the folder of the images is a mask, by the end of it."""
        root = os.path.abspath(self.img_prefix)
        ends = (
            end
            for folder, end in self._paths
            if end and os.path.abspath(os.path.join(self.data_root, folder)) == root
        )
        return without_extension(name).endswith(tuple(ends))

    def _splits_of(
        self, names: Sequence[str], folders: Mapping[str, str], problems: Problems
    ) -> list[str]:
        splits = [folders.get(name.partition('/')[0], '') for name in names]
        stray = [n for n, s in zip(names, splits, strict=True) if folders and not s]
        problems.found(
            'images in no folder of a split',
            stray,
            f'The splits are {sorted(folders)}. Leave others out by exclude, such as '
            f'exclude={[*dict.fromkeys(n.partition("/")[0] for n in stray)][:5]}.',
        )
        # What is stray is a problem already, and is not to be split.
        return [split or 'train' * bool(folders) for split in splits]

    def _find_masks(self, names: Sequence[str], problems: Problems) -> None:
        """Notes the masks of all images in ``masks_of``."""
        found: dict[str, list[str]] = defaultdict(list)
        for folder, end in self._paths:
            root = os.path.normpath(os.path.join(self.data_root, folder))
            if not os.path.isdir(root):
                problems.add(f'There is no folder {root!r}. Check masks and data_root.')
                return
            files = defaultdict(list)
            for file in files_below(root, self.exclude).images:
                files[without_extension(file)].append(file)
            wanted = {name: without_extension(name) + end for name in names}
            self._note(root, end, files, wanted, problems)
            for name, stem in wanted.items():
                found[name] += [os.path.join(root, file) for file in files[stem][:1]]
        self.masks_of = {n: (*p,) for n, p in found.items() if len(p) > 0}

    def _note(
        self,
        root: str,
        end: str,
        files: Mapping[str, Sequence[str]],
        wanted: Mapping[str, str],
        problems: Problems,
    ) -> None:
        lost = [name for name, stem in wanted.items() if stem not in files]
        expected = os.path.join(root, wanted[lost[0]]) if lost else ''
        problems.found(
            'images without a mask',
            lost,
            f'Looked for {expected!r} with the extension of any image. Check masks, '
            'or leave the images out by exclude.',
        )
        problems.found(
            'images with several masks',
            [
                f'{name}: {" or ".join(files[stem][:3])}'
                for name, stem in wanted.items()
                if len(files.get(stem, ())) > 1
            ],
            'Leave one of the files.',
        )
        needless = sorted(stem for stem in files.keys() - {*wanted.values()})
        needless = [stem for stem in needless if stem.endswith(end)]
        if needless:
            self.notes.append(
                f'{len(needless)} masks in {root!r} belong to no image '
                f'({first_few(needless, 5)}).'
            )

    def _excluded_masks(self) -> list[str]:
        roots = (os.path.join(self.data_root, folder) for folder, _ in self._paths)
        return [
            name for root in roots for name in files_below(root, self.exclude).excluded
        ]


def _path(path: str) -> tuple[str, str]:
    """Gives the folder of a path of masks, and what follows the name of an image.

    Raises:
        ConfigError: The name of the image is not where it can be.
    """
    if _NAME not in path:
        return path, ''
    folder, _, end = path.partition(_NAME)
    if '/' in end or _NAME in end or (folder and not folder.endswith('/')):
        raise ConfigError(
            f"masks={path!r}: expected a folder, or a path as 'masks/{_NAME}_mask', in "
            f'which {_NAME} stands for the path of an image without its extension'
        )
    return folder, without_extension(end)
