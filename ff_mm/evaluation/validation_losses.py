"""The loss of validation and how it changes, for soups that learn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from ff_mm.datasets.sharing import build_dataset
from ff_mm.datasets.splits.splitting import assign_folds
from ff_mm.engine.hooks.label_weights_hook import read_scores
from ff_mm.errors import ConfigError
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.cases import cases_of
from ff_mm.evaluation.loss_gradient import entry_names, loss_gradient
from ff_mm.merging import Candidate
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.recipe import key_of
from ff_mm.merging.validation import Fold, Slopes, inner_products
from ff_mm.models.masked_bce_loss import MaskedBCELoss
from ff_mm.parallel.together import first_alone

# Passes that a gradient takes: one for the logits, one for what follows from them.
_PASSES = 2
# What stands in the memo of each.
_NUMBERS = {'loss', 'scale', 'members'}


class ValidationLosses:
    """The :class:`ff_mm.merging.validation.Losses` of a scorer.

    Each finding stands in the memo, bit for bit, so a search that was interrupted goes
    on where it was. Of a team the first process computes.

    Args:
        candidates: Where models are evaluated; counts the passes.
    """

    def __init__(self, candidates: CandidateEvaluator) -> None:
        self._candidates = candidates
        self._seen: set[str] = set()

    def tensors(self, model: Candidate) -> list[str]:
        """Returns the names of the parameters, in their order."""
        return entry_names(self._candidates.evaluator.model, statistics=False)

    def slopes(
        self,
        model: Candidate,
        members: Sequence[AnyIngredient],
        scale: float = 1.0,
        fold: Fold | None = None,
        by_tensor: bool = False,
    ) -> Slopes:
        """Returns the loss of a model, and how it changes with what it is made of.

        See :class:`ff_mm.merging.validation.Losses`. Statistics of batch norm count as
        the mean that they are, by tensor of all tensors together; where they are
        re-estimated, the gradient takes them for given.

        Raises:
            ConfigError: A head that gives no loss, or too few cases for the folds.
        """
        memo, others = self._candidates.memo, self._candidates.others
        key = self._key(model, members, scale, fold, by_tensor)
        found = memo.metrics(key, _NUMBERS.issubset)
        if found is None:
            compute = partial(self._compute, model, members, scale, fold, by_tensor)
            found = first_alone(self._candidates.team, 'slopes', compute)
            memo.add_metrics(key, found, self._candidates.sets_of('val', model.recipe))
            others['made'] += _PASSES
            others['gradients'] += 1
        elif key not in self._seen:
            others['remembered'] += _PASSES
        self._seen.add(key)
        inner = torch.tensor(found['members'], dtype=torch.float64)
        return Slopes(found['loss'], found.get('held_out'), found['scale'], inner)

    def _compute(
        self,
        model: Candidate,
        members: Sequence[AnyIngredient],
        scale: float,
        fold: Fold | None,
        by_tensor: bool,
    ) -> dict[str, Any]:
        evaluator = self._candidates.evaluator
        self._fit_label_weights()
        held_out = None if fold is None else self._folds(fold.of) == fold.number
        self._candidates.load(model)
        statistics = not self._candidates.reestimates(model.recipe)
        found = loss_gradient(
            evaluator.sets['val'], evaluator.model, scale, held_out, statistics
        )
        inner = inner_products(found.entries, members, by_tensor)
        if by_tensor:
            count = len(self.tensors(model))
            # A coefficient of statistics is the mean of those of all tensors.
            inner = inner[:, :count] + inner[:, count:].sum(1, keepdim=True) / count
        told: dict[str, Any] = dict(loss=found.loss, scale=found.scale)
        if found.held_out is not None:
            told['held_out'] = found.held_out
        return dict(told, members=inner.tolist())

    def _key(
        self,
        model: Candidate,
        members: Sequence[AnyIngredient],
        scale: float,
        fold: Fold | None,
        by_tensor: bool,
    ) -> str:
        content = self._candidates.content
        evaluator = self._candidates.evaluator
        what = [
            'slopes',
            evaluator.prediction_keys['val'],
            [sorted(content(member.recipe).items()) for member in members],
            scale,
            fold,
            by_tensor,
            self._groups if fold else None,
            evaluator.cfg.get('train_dataloader') if self._label_losses else None,
        ]
        return key_of(json.dumps(what, default=str), content(model.recipe))

    @cached_property
    def _groups(self) -> list[int]:
        """The number of the group of each case."""
        cases, groups = cases_of(self._candidates.evaluator.val_dataset)
        return list(range(len(cases))) if groups is None else groups.tolist()

    def _folds(self, number: int) -> np.ndarray:
        dataset = self._candidates.evaluator.val_dataset
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        labels = [str(i.get('gt_score', i.get('gt_label'))) for i in infos]
        try:
            return assign_folds(labels, self._groups, number)
        except ValueError as error:
            raise ConfigError(
                f"soup='learned': folds={number}: validation cannot be cut so often, "
                f"{error}; take fewer folds, or by='ingredient' without any"
            ) from None

    @cached_property
    def _label_losses(self) -> list[MaskedBCELoss]:
        """Losses whose weights come of the training labels."""
        modules = self._candidates.evaluator.model.modules()
        losses = [module for module in modules if isinstance(module, MaskedBCELoss)]
        return [
            loss
            for loss in losses
            if isinstance(loss.label_weight, str) or isinstance(loss.pos_weight, str)
        ]

    def _fit_label_weights(self) -> None:
        if not self._label_losses:
            return
        loader = self._candidates.evaluator.cfg.get('train_dataloader')
        if not loader:
            raise ConfigError(
                "soup='learned': the head's loss weighs labels by those of training, "
                'and there is no train_dataloader: add it, or give the weights'
            )
        scores = read_scores(build_dataset(loader['dataset']))
        for loss in self._label_losses:
            loss.fit_weights(scores)
