"""Writes the small files of which the tests build data sets of fundus photographs."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ham_files import write_table
from mmpretrain.registry import DATASETS

PIXELS = np.full((6, 8, 3), (10, 20, 30), dtype=np.uint8)


def write_images(folder: Path, names: Iterable[str]) -> None:
    """Writes one and the same image under all names; the extension says how."""
    folder.mkdir(parents=True, exist_ok=True)
    encoded: dict[str, bytes] = {}
    for name in names:
        extension = Path(name).suffix
        if extension not in encoded:
            encoded[extension] = cv2.imencode(extension.lower(), PIXELS)[1].tobytes()
        (folder / name).write_bytes(encoded[extension])


def write_grades(path: Path, columns: str, rows: Iterable[tuple]) -> None:
    """Writes a table; columns with commas between."""
    write_table(path, [columns.split(','), *rows])


def built(kind: str, root: Path, split: str) -> Any:
    """A data set as its config, a pipeline and a data worker's copy have it."""
    config = dict(
        type=kind,
        data_root=str(root),
        split=split,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    return pickle.loads(pickle.dumps(DATASETS.build(config)))


def assert_written(sample: Any) -> None:
    """Requires the image that :func:`write_images` writes."""
    assert sample['inputs'].permute(1, 2, 0).numpy().tolist() == PIXELS.tolist()
