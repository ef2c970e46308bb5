"""Binary cross entropy over the labels that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ff_mm.errors import ConfigError
from ff_mm.models.label_weights import (
    balanced_pos_weights,
    check_scores,
    rarity_weights,
)
from ff_mm.plain import MISSING

_REDUCTIONS = ('sum_of_label_means', 'mean')
# What a weight may be called in a config -> how it comes of the training labels.
_RULES = {
    'label_weight': {'rarity': rarity_weights},
    'pos_weight': {'balanced': balanced_pos_weights},
}

Weights = str | Sequence[float] | None


@MODELS.register_module()
class MaskedBCELoss(nn.Module):
    r"""Binary cross entropy with logits of which missing labels are no part.

    A label is 1, 0, a soft value between them, or -1 for missing. With
    :math:`K_l` the images of a batch in which label l is known, :math:`x_{il}` the
    logits, :math:`y_{il}` the labels, :math:`w_l` and :math:`p_l` the weights,

    .. math::
        b_{il} = -p_l\, y_{il} \log \sigma(x_{il})
                 - (1 - y_{il}) \log (1 - \sigma(x_{il}))

    and the loss of the batch is

    - ``'sum_of_label_means'``: :math:`\sum_l w_l \frac{1}{|K_l|} \sum_{i \in K_l}
      b_{il}`. So the FissionFusion authors train on CheXpert, with
      ``label_weight='rarity'``.
    - ``'mean'``: :math:`\sum_l \sum_{i \in K_l} w_l b_{il} / \sum_l |K_l|`, in which a
      label counts as often as it is known.

    A label that is known in no image of the batch adds exactly 0, and so does a batch
    in which nothing is known; its gradients are 0 and not absent, as distributed
    training needs. The gradient of a missing label's logit is exactly 0, whatever the
    logit. The arithmetic is float32, also for half-precision logits.

    It is the loss of :class:`ff_mm.models.MaskedMultiLabelClsHead`, and of
    MMPretrain's ``MultiLabelLinearClsHead`` just as well. Weights are no part of the
    state dict, so soups do not average them. Those that are named and not given are
    set by :class:`ff_mm.engine.hooks.LabelWeightsHook` before training; evaluation and
    inference need neither them nor the hook.

    Args:
        reduction (str): ``'sum_of_label_means'`` or ``'mean'``.
        label_weight (str | Sequence[float], optional): A weight for each label, or
            ``'rarity'``, see :func:`ff_mm.models.label_weights.rarity_weights`.
        pos_weight (str | Sequence[float], optional): A weight for each label's
            positives, or ``'balanced'``, see
            :func:`ff_mm.models.label_weights.balanced_pos_weights`.

    Raises:
        ConfigError: An unknown name, or a weight that is no finite number of at least
            0.
    """

    def __init__(
        self,
        reduction: str = 'sum_of_label_means',
        label_weight: Weights = None,
        pos_weight: Weights = None,
    ) -> None:
        super().__init__()
        if reduction not in _REDUCTIONS:
            raise ConfigError(
                f'reduction={reduction!r}: expected one of {list(_REDUCTIONS)}'
            )
        self.reduction = reduction
        # No buffers: EMAHook pairs buffers by position, and these come in later.
        self.label_weight = _checked('label_weight', label_weight)
        self.pos_weight = _checked('pos_weight', pos_weight)
        self._fitted: dict[str, list[float]] = {}

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        avg_factor: float | None = None,
        names: Sequence[str] | None = None,
    ) -> Tensor:
        """Computes the loss of a batch.

        Args:
            cls_score: Logits of shape (images, labels).
            label: Labels of that shape, -1 where missing.
            avg_factor: Not used; MMPretrain's heads give the size of the batch.
            names: How to call each image in an error, such as its path.

        Returns:
            A float32 scalar.

        Raises:
            ConfigError: The numbers of logits, labels and weights differ, or a named
                weight has not been computed.
            DatasetError: A value that is neither a label nor missing.
        """
        _check_shapes(cls_score, label)
        check_scores(label, names)
        known = label != MISSING
        # Not only the loss is masked: 0 times an infinite one would be NaN.
        return F.binary_cross_entropy_with_logits(
            cls_score.float().masked_fill(~known, 0),
            label.float().masked_fill(~known, 0),
            weight=self._shares(known),
            pos_weight=self._weight('pos_weight', known),
            reduction='sum',
        )

    def fit_weights(self, scores: Tensor) -> None:
        """Computes the weights that are named and not given.

        Args:
            scores: ``gt_score`` of all training images, of shape (images, labels), -1
                where missing.
        """
        for name, rules in _RULES.items():
            rule = getattr(self, name)
            if isinstance(rule, str):
                self._fitted[name] = rules[rule](scores).tolist()

    def weights(self, name: str) -> list[float] | None:
        """Returns a weight of each label, as given or as computed.

        Args:
            name: ``'label_weight'`` or ``'pos_weight'``.

        Raises:
            ConfigError: It has not been computed yet.
        """
        weights = getattr(self, name)
        if not isinstance(weights, str):
            return weights
        if name not in self._fitted:
            raise ConfigError(
                f'{name}={weights!r} is computed from the training labels before '
                "training: add dict(type='LabelWeightsHook') to custom_hooks"
            )
        return self._fitted[name]

    def _shares(self, known: Tensor) -> Tensor:
        """Gives the factor of each label of each image; 0 where it is missing."""
        counts = known.sum() if self.reduction == 'mean' else known.sum(dim=0)
        shares = known / counts.clamp(min=1)
        label_weight = self._weight('label_weight', known)
        return shares if label_weight is None else shares * label_weight

    def _weight(self, name: str, like: Tensor) -> Tensor | None:
        weights = self.weights(name)
        if weights is None:
            return None
        if len(weights) != like.shape[1]:
            raise ConfigError(
                f'{name} has {len(weights)} values, the model has {like.shape[1]} '
                'labels: give one for each'
            )
        return torch.tensor(weights, dtype=torch.float32, device=like.device)


def _checked(name: str, weights: Weights) -> str | list[float] | None:
    """Returns a rule's name, or weights as a list, if they can be used."""
    rules = _RULES[name]
    if weights is None or (isinstance(weights, str) and weights in rules):
        return weights
    if isinstance(weights, (list, tuple)) and all(
        isinstance(w, (int, float)) and math.isfinite(w) and w >= 0 for w in weights
    ):
        return list(weights)
    raise ConfigError(
        f'{name}={weights!r}: expected None, {" or ".join(map(repr, rules))}, or a '
        'list with a finite number of at least 0 for each label'
    )


def _check_shapes(cls_score: Tensor, label: Tensor) -> None:
    if cls_score.shape != label.shape:
        raise ConfigError(
            f'the head gives scores of shape {tuple(cls_score.shape)} and gt_score has '
            f'{tuple(label.shape)}, (images, labels): set num_classes to the number of '
            'labels'
        )
