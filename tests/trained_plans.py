"""Plans that are trained in tests, and what identifies what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.files import read_json, sha256


def train(cfg: Config) -> Any:
    """Carries a plan out, or goes on with it."""
    return RUNNERS.build(cfg).train()


def digests(work_dir: Path | str) -> dict[str, str]:
    """SHA-256 of each ingredient that lies there, by the name of the file."""
    files = sorted((Path(work_dir) / 'ingredients').rglob('*.pth'))
    return {file.name: sha256(file) for file in files}


def listed_digests(work_dir: Path) -> dict[str, str]:
    """SHA-256 of each ingredient of the manifest, by its name; the files have them."""
    entries = read_json(work_dir / 'ingredients.json')['ingredients']
    assert all(sha256(work_dir / e['file']) == e['sha256'] for e in entries)
    return {entry['name']: entry['sha256'] for entry in entries}


def write_images(root: Path, number: int, sides: tuple[int, int]) -> None:
    """Writes images of noise, of several sizes, in a folder for each of ten classes."""
    draw = np.random.default_rng(0)
    for index in range(number):
        height, width = draw.integers(*sides, 2)
        path = root / f'digit{index % 10}' / f'{index}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), draw.integers(0, 256, (height, width, 3), np.uint8))
