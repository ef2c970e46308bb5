"""What a data set says of its cases, or of what is wrong with its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ff_mm.datasets import DatasetError, SplitDataset


def values(dataset: SplitDataset, key: str) -> list:
    """What is known under a key, case by case."""
    return [dataset.get_data_info(i)[key] for i in range(len(dataset))]


def infos_by_id(dataset: SplitDataset) -> dict[str, dict]:
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return {info['image_id']: info for info in infos}


def problems_of(kind: type[SplitDataset], root: Path, **kwargs: object) -> str:
    with pytest.raises(DatasetError) as caught:
        kind(str(root), **kwargs)
    return str(caught.value)
