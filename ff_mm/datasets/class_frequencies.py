"""How often classes occur among the labels of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from ff_mm.datasets.checks.label_counts import LabelCounts
from ff_mm.errors import ConfigError

# How many images a class counts as of which there is none: the log needs some.
_LEAST = 0.5


def count_classes(dataset: Any, number: int) -> LabelCounts:
    """Counts the labels of a data set; no image is read.

    Args:
        dataset: A data set, or a wrapper of one. What it repeats counts as often.
        number: Of classes or labels.
    """
    counts = LabelCounts([''] * number)
    for index in range(len(dataset)):
        counts.add(dataset.get_data_info(index), str(index))
    return counts


def class_frequencies(
    counts: LabelCounts, multilabel: bool, key: str, remedy: str
) -> list[float]:
    """Returns how often each class occurs, as a part of all images.

    Args:
        counts: Of :func:`count_classes`.
        multilabel: Whether it is to be of labels, each over the images where it is
            known.
        key: What asks for it, for the error.
        remedy: What to do else.

    Raises:
        ConfigError: Labels of another kind, or that do not fit.
    """
    bad = counts.unlabelled + len(counts.invalid)
    if bad or not counts.images or counts.multi_label != multilabel:
        raise ConfigError(
            f'{key}: {bad} of {counts.images} training images have no label that fits '
            f'the head, so class frequencies are not known: {remedy}'
        )
    positive = np.maximum(counts.positive, _LEAST)
    other = np.maximum(counts.negative, _LEAST) if multilabel else 0
    against = positive + other if multilabel else positive.sum()
    return [float(frequency) for frequency in positive / against]


def log_priors(frequencies: list[float], multilabel: bool) -> np.ndarray:
    """Returns what frequencies are in logits.

    Args:
        frequencies: Of classes, in any unit; or of labels, in which part of the images
            each is present.
        multilabel: Whether they are of labels.

    Returns:
        Logs of parts; of labels the log odds that each is present.
    """
    values = np.array(frequencies, float)
    return np.log(values / (1 - values if multilabel else values.sum()))
