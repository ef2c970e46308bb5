"""Images of one class each, or of several labels: MMPretrain's models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import TASK_UTILS

from ff_mm.datasets.checks.check import describe
from ff_mm.datasets.checks.head_check import check_head
from ff_mm.datasets.checks.truth import meta_of
from ff_mm.datasets.files.deep_images import FULL
from ff_mm.plain import MISSING
from ff_mm.tasks.base import MadeUp, Task
from ff_mm.tasks.loading import own_loading


@TASK_UTILS.register_module()
class Classification(Task):
    """Models with a ``head`` whose data samples have ``pred_score``.

    The truth is ``gt_label``, a class number, or ``gt_score``: 1 present, 0 absent, -1
    missing.
    """

    collate = dict(type='default_collate')
    has_scores = True

    def outputs(self, model: Mapping[str, Any]) -> int | None:
        """Returns ``head.num_classes``."""
        return (model.get('head') or {}).get('num_classes')

    def describe(self, name: str, dataset: Any) -> str:
        """Says how many images there are, and of which classes."""
        return describe(name, dataset)

    def check(
        self,
        cfg: Config,
        datasets: Mapping[str, Any],
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Checks that the head gives what the data have."""
        check_head(cfg.model.get('head') or {}, datasets['val'])

    def made_up(
        self, model: Mapping[str, Any], dataset: Any, infos: Sequence[Mapping[str, Any]]
    ) -> MadeUp | None:
        """Makes up probabilities: random ones, and those of somebody who knows."""
        truths = _truths(infos)
        number = self.outputs(model) or len(meta_of(dataset).get('classes') or ())
        if not truths or not number:
            return None
        random = np.random.default_rng(0)
        guesses = [_guess(truth, number, random) for truth in truths]
        answers = [_answer(truth, number) for truth in truths]
        return MadeUp(
            [data_sample(t, s) for t, s in zip(truths, guesses, strict=True)],
            [data_sample(t, s) for t, s in zip(truths, answers, strict=True)],
        )

    def deployment(self, cfg: Config) -> dict[str, Any]:
        """Reduces a config to what MMPretrain needs; ensembles need ff_mm as well."""
        kept = super().deployment(cfg) | dict(default_scope='mmpretrain')
        if _is_ensemble(cfg):
            others = (kept.get('custom_imports') or {}).get('imports', [])
            kept['custom_imports'] = dict(
                imports=['ff_mm.models', *others], allow_failed_imports=False
            )
        return kept

    def stock_part(self, part: dict[str, Any]) -> dict[str, Any]:
        """Replaces heads, losses and loading of ff_mm by MMPretrain's."""
        kind = part.get('type')
        if kind == 'MaskedMultiLabelClsHead':
            # Without the loss, which only training needs: the default is stock.
            part.pop('loss', None)
            return dict(part, type='MultiLabelLinearClsHead')
        if kind == 'LoadDICOM':  # of other images it does the same
            part.pop('bits', None)
            return dict(part, type='LoadImageFromFile')
        if kind == 'MaskedBCELoss':  # in a head of MMPretrain's
            return dict(type='CrossEntropyLoss', use_sigmoid=True)
        return part

    def notes(self, cfg: Config) -> list[str]:
        """Says what stock MMPretrain lacks: ensembles, and images that it reads not."""
        found = []
        if _is_ensemble(cfg):
            found.append(
                'stock MMPretrain has no ensembles: ff_mm must be installed where this '
                'is used (this config imports it); models, and passes an image: '
                f'{len(cfg.model.weights)}'
            )
        return found + _loading_notes(cfg)


def data_sample(truth: Any, scores: np.ndarray) -> dict[str, torch.Tensor]:
    """Returns a data sample as MMPretrain's heads leave it, as a dict.

    Args:
        truth: A class number; or of shape (labels,): 1 present, 0 absent, -1 missing.
        scores: Probabilities of shape (classes or labels,). The class of the largest is
            predicted, and every label with one half or more.
    """
    predicted = torch.from_numpy(scores).float()
    if np.ndim(truth):
        return dict(
            gt_score=torch.as_tensor(truth).float(),
            pred_score=predicted,
            pred_label=(predicted >= 0.5).nonzero().flatten(),
        )
    return dict(
        gt_label=torch.tensor([truth]),
        pred_score=predicted,
        pred_label=predicted.argmax().reshape(1),
    )


def _truths(infos: Sequence[Mapping[str, Any]]) -> list[int | np.ndarray]:
    """Class numbers, or known labels; an empty list if there is anything else."""
    truths: list[int | np.ndarray] = []
    for info in infos:
        truth = info.get('gt_label', info.get('gt_score'))
        if truth is None or ('gt_label' in info and np.ndim(truth) > 0):
            return []
        truths.append(int(truth) if 'gt_label' in info else np.asarray(truth))
    return truths


def _guess(truth: Any, number: int, random: np.random.Generator) -> np.ndarray:
    """Random probabilities: of classes with sum 1, of labels each by itself."""
    if np.ndim(truth):
        return random.random(len(truth))
    return random.dirichlet(np.ones(number))


def _answer(truth: Any, number: int) -> np.ndarray:
    """The probabilities of somebody who knows; a missing label has one half."""
    if np.ndim(truth):
        return np.where(truth == MISSING, 0.5, truth)
    return np.eye(number)[truth]


def _is_ensemble(cfg: Config) -> bool:
    return cfg.model.get('type') == 'EnsembleClassifier'


def _loading_notes(cfg: Config) -> list[str]:
    """Says which images stock MMPretrain does not load as the model has seen them."""
    step = own_loading(cfg)
    if step is None:
        return []
    bits = step.get('bits', FULL)
    deep = '' if bits == FULL else f', and takes {bits} bits for {FULL}'
    return [
        f'LoadImageFromFile of stock MMPretrain reads no DICOM{deep}: turn '
        'such images into 8-bit PNG first with LoadDICOM of ff_mm.datasets, or '
        f'import ff_mm and put {step} in its place'
    ]
