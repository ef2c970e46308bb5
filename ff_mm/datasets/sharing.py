"""Data sets that several runs of one process have in common."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS, DefaultScope

# Enough for all sets of a run, out-of-distribution ones included; the runners forget
# them when they are done.
_KEPT_AT_MOST = 8
_kept: OrderedDict[tuple, BaseDataset] = OrderedDict()


def build_dataset(config: Mapping[str, Any]) -> Any:
    """Builds a data set, or takes up one that was built before in this process.

    The runs of a plan differ in augmentation but read the same tables and folders,
    which for large data sets takes longer than starting the run. Two data sets have
    their cases in common if their configs differ in nothing but ``pipeline``; each has
    a pipeline of its own. The last few are kept, so memory does not grow with the runs.

    Args:
        config: Of any data set, as MMEngine's registry takes it.

    Returns:
        The data set, fully initialised. What is not a plain ``BaseDataset`` (wrappers,
        classes that make a pipeline of their own, cases that are not serialised) is
        built anew each time, as is one whose config holds more than plain values.
    """
    key = _key(config)
    if key is not None and key in _kept:
        _kept.move_to_end(key)
        return _share(_kept[key], config.get('pipeline') or [])
    dataset = DATASETS.build(config)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    keep_dataset(config, dataset)
    return dataset


def keep_dataset(config: Mapping[str, Any], dataset: Any) -> None:
    """Lets later runs use a data set that has been built.

    Args:
        config: What it was built from, in the default scope that the runs will have.
        dataset: The data set; one that cannot be shared is passed over.
    """
    key = _key(config)
    if key is None or not _is_sharable(dataset, config.get('pipeline') or []):
        return
    _kept[key] = _share(dataset, [])
    _kept.move_to_end(key)
    while len(_kept) > _KEPT_AT_MOST:
        _kept.popitem(last=False)


def forget_datasets() -> None:
    """Gives the memory of all kept data sets free; the next runs build anew."""
    _kept.clear()


def _key(config: Mapping[str, Any]) -> tuple | None:
    """What the cases depend on, or None if that cannot be compared."""
    rest = {key: value for key, value in config.items() if key != 'pipeline'}
    try:
        json.dumps(rest)
    except (TypeError, ValueError):
        return None
    scope = DefaultScope.get_current_instance()
    # Unlike JSON, this tells tuples from lists.
    return scope and scope.scope_name, repr(rest)


def _is_sharable(dataset: Any, pipeline: Sequence) -> bool:
    if not isinstance(dataset, BaseDataset) or not dataset.serialize_data:
        return False
    # Whether the pipeline is no more than what the config says.
    return type(dataset.pipeline) is Compose and _types(dataset.pipeline) == _types(
        Compose(pipeline)
    )


def _types(pipeline: Compose) -> list[type]:
    return [type(transform) for transform in pipeline.transforms]


def _share(dataset: BaseDataset, pipeline: Sequence) -> BaseDataset:
    """Copies all of a data set but its cases, which both then refer to."""
    twin = copy.copy(dataset)
    twin._metainfo = copy.deepcopy(dataset._metainfo)
    twin.pipeline = Compose(pipeline)
    return twin
