"""Data samples with masks, as the models of MMSegmentation leave them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

CLASSES = ('background', 'disc', 'cup')


def mask_sample(
    truth: Any, predicted: Any, logits: np.ndarray | None = None
) -> dict[str, Any]:
    """A data sample as a dict, with masks of class numbers."""
    sample: dict[str, Any] = dict(img_path='a.png')
    for name, mask in (('gt_sem_seg', truth), ('pred_sem_seg', predicted)):
        data = torch.as_tensor(np.array(mask, np.int64))[None]
        sample[name] = dict(data=data)
    if logits is not None:
        sample['seg_logits'] = dict(data=torch.as_tensor(logits))
    return sample


def random_samples(number: int, seed: int = 0, size: int = 6) -> list[dict[str, Any]]:
    """Cases of several sizes, some pixels ignored, with logits; class 2 is rare."""
    random = np.random.default_rng(seed)
    samples = []
    for case in range(number):
        shape = (size, size + case % 2)
        truth = random.choice([0, 1, 2, 255], size=shape, p=[0.5, 0.3, 0.1, 0.1])
        logits = random.normal(size=(3, *shape))
        known = np.where(truth == 255, 0, truth)
        logits += 1.5 * (np.arange(3)[:, None, None] == known)
        samples.append(mask_sample(truth, logits.argmax(axis=0), logits))
    return samples
