"""Whether the head of a model fits the labels of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmpretrain.models import ClsHead, MultiLabelClsHead
from mmpretrain.registry import MODELS

from ff_mm.datasets.checks.truth import meta_of
from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.errors import ConfigError


def check_head(head: Mapping[str, Any], dataset: BaseDataset) -> None:
    """Checks that a head gives what the data have: as many classes, of one kind.

    The kind is one class an image, or several labels. MMPretrain trains a softmax on
    several labels without a word, and on missing ones (-1), too.

    Args:
        head: The config of the head. The kind is checked of MMPretrain's heads of one
            class (``ClsHead``) and of several labels (``MultiLabelClsHead``), and what
            derives from them; the number where ``num_classes`` says it.
        dataset: Any data set of MMPretrain's. The number is not checked of one that
            does not name its classes.

    Raises:
        DatasetError: The numbers of classes differ.
        ConfigError: One is for one class, the other for several labels.
    """
    _check_number(head.get('num_classes'), meta_of(dataset).get('classes'))
    kind = head.get('type')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    several = _has_several_labels(dataset)
    if not isinstance(cls, type) or several is None:
        return
    if several and issubclass(cls, ClsHead):
        raise ConfigError(
            f'model.head: {cls.__name__} gives one class an image, the data set has '
            'several labels: inherit a model whose name ends in _multilabel, or use '
            'the head MaskedMultiLabelClsHead; or if each row of a table has exactly '
            'one 1 (ISIC), say table.one_hot=True'
        )
    if not several and issubclass(cls, MultiLabelClsHead):
        raise ConfigError(
            f'model.head: {cls.__name__} gives several labels, the data set has one '
            'class an image: inherit a model whose name does not end in _multilabel, '
            'or a data set with several labels (table.labels)'
        )


def find_wrong_head(
    head: Mapping[str, Any], datasets: Mapping[str, BaseDataset], problems: Problems
) -> None:
    """Notes where :func:`check_head` refuses a head for the first of some data sets.

    Args:
        head: The config of the head; empty: there is none.
        datasets: By name; whether they have the same classes is looked at elsewhere.
        problems: Takes what is found.
    """
    for dataset in list(datasets.values())[:1]:
        try:
            check_head(head, dataset)
        except (ConfigError, DatasetError) as error:
            problems.add(str(error))


def _check_number(outputs: int | None, classes: Sequence[Any] | None) -> None:
    if classes and outputs is not None and len(classes) != outputs:
        raise DatasetError(
            f'the model has {outputs} outputs, the data set {len(classes)} classes '
            f'({", ".join(map(str, classes[:20]))}): set data_preprocessor.num_classes='
            f'{len(classes)}, or correct the classes'
        )


def _has_several_labels(dataset: BaseDataset) -> bool | None:
    """Whether labels are ``gt_score`` or lists; None if it cannot be told."""
    info = dataset.get_data_info(0) if len(dataset) else {}
    if 'gt_label' in info:
        return bool(np.ndim(info['gt_label']))
    return True if 'gt_score' in info else None
