"""The logits of a model on a set, and how often classes occur in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object

from ff_mm.datasets.class_frequencies import class_frequencies, count_classes
from ff_mm.datasets.sharing import build_dataset
from ff_mm.evaluation.cases import cases_of
from ff_mm.evaluation.decisions.decision import Outputs
from ff_mm.evaluation.metrics.base import keep_case
from ff_mm.evaluation.model_evaluator import ModelEvaluator


def read_outputs(evaluator: ModelEvaluator, split: str) -> Outputs:
    """Makes one pass, and returns the logits of all cases.

    Scores would not do: of a probability of 1 nobody knows the logit any more.

    Args:
        evaluator: The network with its weights, and the sets.
        split: ``'val'``, ``'test'`` or ``'ood/<name>'``.

    Raises:
        SampleError: A truth that does not fit the scores.
    """
    given: list[torch.Tensor] = []
    handle = evaluator.model.get_submodule('head').register_forward_hook(
        lambda module, args, output: given.append(output.detach().float().cpu())
    )
    try:
        samples = evaluator.predict(split)
    finally:
        handle.remove()
    dataset = evaluator.sets[split].dataset
    # Samples come of all processes, what the hook has seen of this one.
    logits = _of_all(list(torch.cat(given).numpy()), len(dataset))
    truth = [keep_case(sample)[0] for sample in samples]
    return Outputs(np.stack(logits), np.array(truth), cases_of(dataset)[1])


def _of_all(cases: list[Any], number: int) -> list[Any]:
    """The cases of all processes among which a pass is split, in their order."""
    parts = all_gather_object(cases)
    # Cases are dealt out in turn; the last ones may be the first ones again.
    return [case for row in zip(*parts, strict=True) for case in row][:number]


def training_frequencies(
    dataset: Mapping[str, Any], multilabel: bool, number: int
) -> list[float]:
    """Returns how often each class occurs in training, as a part of all images.

    Args:
        dataset: The config of the training set. No image is read. What a wrapper
            repeats counts as often as training sees it.
        multilabel: Whether it is of labels, each over the images where it is known.
        number: Of classes or labels.

    Raises:
        ConfigError: Labels that do not fit the head.
    """
    counts = count_classes(build_dataset(dataset), number)
    remedy = "give dict(type='prior', frequencies=[...])"
    return class_frequencies(counts, multilabel, 'soup.decision', remedy)
