"""Writes and reads the small files of which the tests build HAM10000."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

CLASSES = ('akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc')
ISIC_COLUMNS = ('MEL', 'NV', 'BCC', 'AKIEC', 'BKL', 'DF', 'VASC')


def write_image(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((6, 8, 3), value, dtype=np.uint8))


def write_table(path: Path, rows: list[list], delimiter: str = ',') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', newline='') as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def read_table(path: Path) -> list[list[str]]:
    with open(path, newline='') as file:
        return list(csv.reader(file))
