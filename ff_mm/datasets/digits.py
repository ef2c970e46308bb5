"""The small digits of scikit-learn: a data set that needs no download."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ff_mm.datasets.errors import check_choice

Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def _gaussian_noise(
    image: np.ndarray, severity: int, rng: np.random.Generator
) -> np.ndarray:
    scale = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return image + rng.normal(scale=scale, size=image.shape)


def _contrast(image: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    factor = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    return (image - image.mean()) * factor + image.mean()


def _blur(image: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    sigma = (0.3, 0.45, 0.6, 0.8, 1.0)[severity - 1]
    return ndimage.gaussian_filter(image, sigma)


def _translate(
    image: np.ndarray, severity: int, rng: np.random.Generator
) -> np.ndarray:
    length = (0.5, 1.0, 1.5, 2.0, 2.5)[severity - 1]
    angle = rng.uniform(0, 2 * np.pi)
    shift = (length * np.sin(angle), length * np.cos(angle))
    return ndimage.shift(image, shift, order=1)


#: Name -> function of an image (8, 8) in 0..1, a severity in 1..5 and a generator.
CORRUPTIONS: dict[str, Corruption] = {
    'gaussian_noise': _gaussian_noise,
    'contrast': _contrast,
    'blur': _blur,
    'translate': _translate,
}


@DATASETS.register_module()
class Digits(BaseDataset):
    """The 1,797 handwritten digits that ship with scikit-learn, 8 x 8 pixels.

    They are cut 20:40:40 into train, val and test, stratified, always in the same way:
    few images to train on, as where soups help, and enough to tell models apart.
    An image is uint8 of shape (8, 8, 3) with three equal channels; the 17 grey levels
    of the source are spread over 0 to 255. It lies in ``data_info['img']`` as in
    MMPretrain's CIFAR data sets, so a pipeline needs no loading step.

    A corrupted copy of a split is a small out-of-distribution set. Noise and contrast
    have the strengths of ImageNet-C; blur and translation are in pixels of the 8 x 8
    image and are set here. What happens to an image depends only on ``corruption``,
    ``severity``, ``seed`` and the image.

    Args:
        split: ``'train'`` (359 images), ``'val'`` (719) or ``'test'`` (719).
        corruption: None for the images as they are; ``'gaussian_noise'``,
            ``'contrast'``, ``'blur'`` or ``'translate'``; ``'mixed'`` for all of
            these in turn, one an image.
        severity: Strength of the corruption, from 1 to 5.
        seed: Of the noise and the direction of the translation. The split does not
            depend on it.
        **kwargs: Other arguments of MMPretrain's ``BaseDataset``, as ``pipeline``.

    Raises:
        ValueError: If an argument is none of the values above.

    References:
        E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
        Machine Learning Repository (1998), doi 10.24432/C50P49.
        D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common
        Corruptions and Perturbations", ICLR 2019.
        N. Mu, J. Gilmer, "MNIST-C" (2019), for the translation.
    """

    METAINFO = {
        'classes': (
            'zero',
            'one',
            'two',
            'three',
            'four',
            'five',
            'six',
            'seven',
            'eight',
            'nine',
        )
    }

    def __init__(
        self,
        split: str = 'train',
        corruption: str | None = None,
        severity: int = 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, ('train', 'val', 'test'))
        check_choice('corruption', corruption, (None, 'mixed', *CORRUPTIONS))
        check_choice('severity', severity, (1, 2, 3, 4, 5))
        self.split = split
        self.corruption = corruption
        self.severity = severity
        self.seed = seed
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Gives ``img``, uint8 (8, 8, 3), and ``gt_label``, int, for every image."""
        images, labels = _load_digits()
        return [
            {'img': self._render(images[i], i), 'gt_label': int(labels[i])}
            for i in _indices(labels, self.split)
        ]

    def _render(self, image: np.ndarray, index: int) -> np.ndarray:
        if self.corruption is not None:
            name = self.corruption
            if name == 'mixed':
                name = list(CORRUPTIONS)[index % len(CORRUPTIONS)]
            # Seeded by image, so that it looks the same whichever others are read.
            rng = np.random.default_rng((self.seed, index))
            image = CORRUPTIONS[name](image, self.severity, rng)
        grey = np.round(image.clip(0, 1) * 255).astype(np.uint8)
        return np.stack([grey] * 3, axis=-1)

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        corrupted = f'{self.corruption} {self.severity}' if self.corruption else 'none'
        return [f'Split: \t{self.split}', f'Corruption: \t{corrupted}']


# scikit-learn parses its text file anew at every call; all splits share the result.
@lru_cache(maxsize=1)
def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Gives images, float64 (1797, 8, 8) in 0..1, and labels. Do not write to them."""
    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8) / 16, labels


def _indices(labels: np.ndarray, split: str) -> np.ndarray:
    train, rest = train_test_split(
        np.arange(len(labels)), train_size=0.2, stratify=labels, random_state=0
    )
    val, test = train_test_split(
        rest, train_size=0.5, stratify=labels[rest], random_state=0
    )
    return {'train': train, 'val': val, 'test': test}[split]
