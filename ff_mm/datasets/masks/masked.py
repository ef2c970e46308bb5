"""What data sets with masks have in common: an image, and what each pixel is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ff_mm.datasets.case import Case, Image
from ff_mm.datasets.checks.check import inner_datasets
from ff_mm.datasets.masks.mask_file import read_label_map
from ff_mm.datasets.own_dataset import OwnDataset
from ff_mm.errors import ConfigError


class MaskedDataset(OwnDataset):
    """Base of data sets of which each image has a mask.

    Every ``data_info`` holds ``img_path``, ``group`` and ``image_id``, as of all data
    sets of ff_mm; ``seg_map_path``, or ``seg_map_paths`` with a file for each class;
    and what mmsegmentation's pipelines read besides: ``label_map``, ``seg_fields`` and
    ``reduce_zero_label``. It has no ``gt_label``: splits go by groups and not by class.

    Args:
        *args: Those of :class:`OwnDataset`.
        classes: All classes in the order of their numbers, the background as well.
        label_map: Value in a mask -> the class that it stands for, by name or number,
            or None: such pixels do not count. A value is a number, such as 255, or a
            colour, such as ``'#ff0000'``. Values that are not named are the class of
            that number; any other value is an error, found before training.
        **kwargs: Those of :class:`OwnDataset`.

    Raises:
        ConfigError: No classes, or a ``label_map`` that cannot be meant.
    """

    def __init__(
        self,
        *args: Any,
        classes: str | Sequence[str] | None = None,
        label_map: Mapping[Any, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not classes:
            raise ConfigError(
                "classes: name what pixels can be, such as classes=['background', "
                "'nucleus']"
            )
        self.masks_of: dict[str, tuple[str, ...]] = {}
        super().__init__(*args, classes=classes, **dict(kwargs, lazy_init=True))
        self.label_map = read_label_map(self.CLASSES, label_map)
        if not kwargs.get('lazy_init'):
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Gives the cases of the split, see :class:`SplitDataset`."""
        found = super().load_data_list()
        # Of the other splits, too, and nothing to carry into every worker.
        self.masks_of = {}
        return found

    def info_of(self, case: Case, image: Image) -> dict[str, Any]:
        """Gives the ``data_info`` of a case, but what is the same for all."""
        info: dict[str, Any] = {'group': case.group, 'image_id': case.image_id}
        info['img_path'] = image
        # What has none is a problem already.
        masks = self.masks_of.get(case.image_id, ('',))
        if self.has_mask_per_class:
            info['seg_map_paths'] = [*masks]
        else:
            info['seg_map_path'] = masks[0]
        return info

    @property
    def has_mask_per_class(self) -> bool:
        """Whether each class but the first has a file of its own."""
        return False

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Gives what is known of a case, and what pipelines read of all."""
        return dict(
            super().get_data_info(idx),
            label_map=self.label_map,
            seg_fields=[],
            reduce_zero_label=False,
        )

    def get_cat_ids(self, idx: int) -> list[int]:
        """Gives nothing: an image is of no class, its pixels are.

        Raises:
            ConfigError: Always; it names who asks.
        """
        raise ConfigError(
            'class_balance, and samplers by class, are for images that are of a class '
            'each: leave them out, or weight pixels in the loss (class_weight)'
        )


def has_masks(dataset: Any) -> bool:
    """Whether a data set is one of ff_mm's with masks, or made of such."""
    return all(isinstance(each, MaskedDataset) for each in inner_datasets(dataset))


def check_mask_classes(masks: Any, classes: Sequence[str], key: str) -> None:
    """Checks that masks by class name each class but the first.

    Args:
        masks: The value of the config; one that is no dict is not looked at.
        classes: All classes.
        key: What the config calls it, for the error.

    Raises:
        ConfigError: Other classes are named.
    """
    if isinstance(masks, Mapping) and [*masks] != [*classes[1:]]:
        raise ConfigError(
            f'{key}: a mask for each of {[*masks]}: expected one for each class but '
            f'the first, in their order: {[*classes[1:]]}; pixels that no mask claims '
            f'are {classes[0]!r}'
        )
