"""The user's own data: images and masks, and a table that names both."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.image_paths import locate_images
from ff_mm.datasets.masks.masked import MaskedDataset, check_mask_classes
from ff_mm.datasets.table import TableDataset
from ff_mm.datasets.tables.table_file import Row, is_empty, plain
from ff_mm.errors import ConfigError


@DATASETS.register_module()
class MaskTableDataset(MaskedDataset, TableDataset):
    """Images with masks, and a table with one row for each.

    As :class:`ff_mm.datasets.table.TableDataset`, with a column of masks in the place
    of one with classes::

        dict(
            type='MaskTableDataset',
            data_root='data/clinic',
            table=dict(file='cases.csv', image='file', mask='mask', group='patient'),
            classes=['background', 'lesion'],
        )

    Args:
        data_root: The folder of the table.
        table: As of ``TableDataset``. ``mask`` is the column with the path of the mask,
            or a dict from each class but the first to such a column; what belongs to
            labels has no meaning here.
        masks: The folder that these paths are relative to, below ``data_root`` or
            absolute.
        **kwargs: Those of :class:`MaskedDataset` and ``TableDataset``.

    Raises:
        ConfigError: If ``table`` cannot be meant so.
        DatasetError: If table, images or masks cannot be used; names every problem.
    """

    def __init__(
        self,
        data_root: str,
        table: Mapping[str, Any],
        masks: str = '',
        **kwargs: Any,
    ) -> None:
        _check(table)
        self.masks = masks
        self._names: dict[str, tuple[str, ...]] = {}
        given = dict(kwargs, lazy_init=True)
        super().__init__(data_root, table=table, **given)
        check_mask_classes(self.table.mask, self.CLASSES, 'table.mask')
        if not kwargs.get('lazy_init'):
            self.full_init()

    @property
    def has_mask_per_class(self) -> bool:
        """Whether each class but the first has a file of its own."""
        return isinstance(self.table.mask, Mapping)

    def load_data_list(self) -> list[dict]:
        """Gives the cases of the split, see :class:`SplitDataset`."""
        found = super().load_data_list()
        self._names = {}
        return found

    def find_images(
        self, cases: list[Case], problems: Problems
    ) -> Sequence[str | None]:
        """Finds each image, and its masks."""
        root = os.path.normpath(os.path.join(self.data_root, self.masks))
        found: dict[str, list[str]] = defaultdict(list)
        for number in range(len(self.table.masks)):
            names = [self._names[case.image_id][number] for case in cases]
            of_masks = Problems('')
            paths = locate_images(names, root, of_masks)
            for problem in of_masks:
                problems.add(f'masks: {problem}')
            for case, path in zip(cases, paths, strict=True):
                found[case.image_id] += [path] if path else []
        self.masks_of = {name: (*paths,) for name, paths in found.items() if paths}
        return super().find_images(cases, problems)

    def _labels(self, rows: Sequence[Row], problems: Problems) -> Sequence[int]:
        """Notes the masks of all rows; an image is of no class."""
        empty = []
        for row in rows:
            names = tuple(plain(row.cells[column]) for column in self.table.masks)
            empty += [row.place] if any(map(is_empty, names)) else []
            name = row.image or row.cells[self.table.image]
            self._names[self.image_key(name)] = names
        problems.found(
            f'rows without a mask in {self._name(*self.table.masks)}',
            empty,
            'Fill it in, or leave the rows out by table.filter.',
        )
        if empty:
            problems.raise_if_any()
        return [0] * len(rows)


# What says of a row of which class its image is.
_OF_LABELS = ('label', 'labels', 'label_map', 'label_separator', 'one_hot')


def _check(table: Mapping[str, Any]) -> None:
    """Refuses what is for images that are of a class each."""
    alien = [key for key in _OF_LABELS if table.get(key)]
    if alien:
        raise ConfigError(
            f'table.{alien[0]} is for images that are of a class; classes and '
            'label_map of masks stand beside table'
        )
    if not table.get('mask'):
        raise ConfigError(
            'table: say mask, such as '
            "table=dict(file='cases.csv', image='file', mask='mask')"
        )
    if table.get('several_rows'):
        raise ConfigError('table.several_rows: an image has one mask, so one row')
