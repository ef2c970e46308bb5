"""Training images without labels, beside those with labels."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.image_paths import files_below, relative_name
from ff_mm.datasets.files.masks import note_masks
from ff_mm.datasets.own_dataset import OwnDataset
from ff_mm.datasets.sharing import build_dataset
from ff_mm.errors import ConfigError
from ff_mm.plain import MISSING

#: What a data sample says of itself that has no label.
UNLABELLED = 'unlabelled'
_LABELS = ('gt_label', 'gt_score')
_EXPECTED = (
    "expected a folder, dict(data_root='FOLDER', exclude=['masks']), or the config of "
    'any data set, whose labels do not count'
)


@DATASETS.register_module()
class UnlabelledFolder(OwnDataset):
    """All images of a folder, at any depth, without labels.

    They are known by their extension, or else by their first bytes. The ``image_id`` of
    a case is its path below the folder, with slashes; so does ``image_list`` name it.

    Args:
        *args: Those of :class:`OwnDataset`.
        **kwargs: Those of :class:`OwnDataset`.
    """

    def __init__(self, *args: Any, split: str = 'all', **kwargs: Any) -> None:
        super().__init__(*args, split=split, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Lists the images."""
        root = os.path.normpath(self.img_prefix)
        below = files_below(root, self.exclude)
        self.check_exclude(below.excluded, problems)
        self.notes += note_masks(below.images)
        if not below.images and not problems:
            problems.add(f'No image in {root!r}, nor in any folder below.')
        return [Case(name, 0, image=os.path.join(root, name)) for name in below.images]

    def load_data_list(self) -> list[dict]:
        """Gives all cases without a label."""
        return [_without_label(info) for info in super().load_data_list()]

    def image_key(self, name: str) -> str:
        """Writes a path with slashes, and relative if it leads below the folder."""
        return relative_name(name, os.path.normpath(self.img_prefix))


@DATASETS.register_module()
class PartlyLabelled(Dataset):
    """A data set with labels, and after it one of which no label counts.

    Data samples of both have the same fields, so that a batch can be of both: where
    there is no label, classes are none and scores missing, and the sample says
    :data:`UNLABELLED`.

    Args:
        datasets: The configs of the two.

    Attributes:
        datasets: The two data sets.
    """

    def __init__(self, datasets: Sequence[Mapping[str, Any]]) -> None:
        self.datasets = [build_dataset(config) for config in datasets]
        self.labelled, self.unlabelled = self.datasets
        scores = self.labelled.get_data_info(0).get('gt_score')
        self._labels = None if scores is None else len(scores)

    def full_init(self) -> None:
        """Does nothing: the data sets have been read."""

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information, that of the data set with labels."""
        return self.labelled.metainfo

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Gives what is known of a case."""
        inner = idx - len(self.labelled)
        if inner < 0:
            return self.labelled.get_data_info(idx)
        return _without_label(self.unlabelled.get_data_info(inner))

    def get_cat_ids(self, idx: int) -> list[int]:
        """Gives the classes of a case; none where there is no label."""
        return self.labelled.get_cat_ids(idx) if idx < len(self.labelled) else []

    def __getitem__(self, idx: int) -> Any:
        """Gives a case through the pipeline."""
        inner = idx - len(self.labelled)
        if inner < 0:
            return self.labelled[idx]
        item = self.unlabelled[inner]
        sample = item['data_samples']
        for name in _LABELS:
            if name in sample:
                delattr(sample, name)
        if self._labels is None:
            sample.set_gt_label(torch.empty(0, dtype=torch.int64))
        else:
            sample.set_gt_score(torch.full((self._labels,), float(MISSING)))
        sample.set_metainfo({UNLABELLED: True})
        return item


def read_unlabelled(value: Any, key: str) -> dict[str, Any] | None:
    """Reads which images without labels there are.

    Args:
        value: A folder, ``dict(data_root=...)`` with options of
            :class:`UnlabelledFolder`, the config of any data set, or None.
        key: Where it stands in the config.

    Returns:
        The config of a data set; None: there are none.

    Raises:
        ConfigError: It is none of these.
    """
    if value is None:
        return None
    given = dict(data_root=value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ConfigError(f'{key}={value!r}: {_EXPECTED}')
    found = {'type': UnlabelledFolder.__name__, **copy.deepcopy(dict(given))}
    if found['type'] == UnlabelledFolder.__name__ and not found.get('data_root'):
        raise ConfigError(f'{key}={value!r}: {_EXPECTED}')
    return found


def set_unlabelled(cfg: Config, unlabelled: Mapping[str, Any]) -> None:
    """Lets a config train on images without labels, too.

    They go through the pipeline of the others, unless they have their own. Where that
    begins with images in memory, those of a folder are loaded first.

    Args:
        cfg: Changed in place; references are resolved.
        unlabelled: The config of their data set.
    """
    labelled = cfg.train_dataloader.dataset.to_dict()
    added = dict(unlabelled)
    if 'pipeline' not in added:
        steps = copy.deepcopy(pipeline_of(labelled))
        loads = any(str(step.get('type')).startswith('Load') for step in steps)
        if added['type'] == UnlabelledFolder.__name__ and not loads:
            steps.insert(0, dict(type='LoadImageFromFile'))
        added['pipeline'] = steps
    cfg.train_dataloader.dataset = dict(
        type=PartlyLabelled.__name__, datasets=[labelled, added]
    )


def pipeline_of(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the pipeline in the config of a data set, or of the first in a wrapper.

    Args:
        dataset: The config.
    """
    while 'pipeline' not in dataset:
        inner = dataset.get('dataset') or next(iter(dataset.get('datasets', ())), None)
        if inner is None:
            return []
        dataset = inner
    return list(dataset['pipeline'])


def labelled_part(dataset: Any) -> Any:
    """Returns the part of a training set that has labels; mostly that is all of it.

    Args:
        dataset: A data set, or the config of one.
    """
    if isinstance(dataset, Mapping):
        partly = dataset.get('type') == PartlyLabelled.__name__
        return dataset['datasets'][0] if partly else dataset
    return dataset.labelled if isinstance(dataset, PartlyLabelled) else dataset


def _without_label(info: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key not in _LABELS}
