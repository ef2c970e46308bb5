"""Small images and masks on disk, good ones and bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (8, 12)
CLASSES = ['background', 'disc', 'cup']


def write_pixels(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
    """Writes an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def made_mask(values: Any = (0, 1, 2), size: tuple[int, int] = SIZE) -> np.ndarray:
    """Stripes of some values, uint8 of shape ``size``."""
    numbers = np.arange(size[1]) * len(values) // size[1]
    return np.tile(np.array(values, np.uint8)[numbers], (size[0], 1))


def write_mask(path: Path, mask: np.ndarray, **options: Any) -> None:
    """Writes an array as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path, **options)


def write_set(root: Path, number: int = 10, values: Any = (0, 1, 2)) -> list[str]:
    """Writes images/p0_0.png, ... and masks of the same names; two a patient."""
    names = [f'p{i // 2}_{i % 2}' for i in range(number)]
    for i, name in enumerate(names):
        write_pixels(root / 'images' / f'{name}.jpg', i)
        write_mask(root / 'masks' / f'{name}.png', made_mask(values))
    return names
