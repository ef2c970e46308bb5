"""Several networks of one architecture as one model, whose predictions are averaged."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmpretrain.models import ImageClassifier, MultiLabelClsHead
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ff_mm.config import without_pretrained
from ff_mm.errors import ConfigError

AVERAGES = ('probabilities', 'logits')
#: The least positive number of float32: what a smaller probability became, or nearly.
LEAST = float(np.finfo(np.float32).smallest_subnormal)
#: A probability nearer to 1 is 1 in float32. The same at 0, so that neither end
#: outweighs the other.
NEAREST = float(np.finfo(np.float32).epsneg)
_MEMBERS = 'backbone.members'


@MODELS.register_module()
class EnsembleClassifier(ImageClassifier):
    """A classifier of MMPretrain's that says the mean of what its members say.

    An image is preprocessed once. Each member gives its logits; of these come the
    logits of the weighted mean, and of those what MMPretrain's heads make of logits:
    ``pred_score`` is the mean probability of a class or label, or what the mean logit
    means. The last layer, ``head.fc``, begins as the identity, and can take over a
    decision like that of any other head.

    It takes as many passes, and as many parameters, as it has members.

    Args:
        member (dict): The config of one member.
        weights (Sequence[float]): How much each member counts, in their order.
        average (str): ``'probabilities'`` or ``'logits'``. Logits are cut where
            probabilities of float32 end, as in
            :func:`ff_mm.evaluation.ensemble.logit_ensemble`.
        head (dict, optional): None: as :func:`ensemble_head` has it.
        data_preprocessor (dict, optional): As of any classifier.

    Raises:
        ConfigError: Weights or an average that are none, or a member without
            ``head.num_classes``.
    """

    def __init__(
        self,
        member: dict,
        weights: Sequence[float],
        average: str = 'probabilities',
        head: dict | None = None,
        data_preprocessor: dict | None = None,
        **kwargs: Any,
    ) -> None:
        shares = _shares(weights, average)
        own = head or ensemble_head(member)
        members = _Members(member, shares, average, _has_labels(member))
        super().__init__(
            backbone=members,
            head=dict(own),
            data_preprocessor=data_preprocessor,
            **kwargs,
        )
        self._let_pass()

    def init_weights(self) -> None:
        """Initializes the members; the head lets pass what they say."""
        super().init_weights()
        self._let_pass()

    def _let_pass(self) -> None:
        nn.init.eye_(self.head.fc.weight)
        nn.init.zeros_(self.head.fc.bias)


class _Members(nn.Module):
    """What the head of an ensemble looks at: the logits of the mean."""

    def __init__(
        self, member: dict, shares: Sequence[float], average: str, labels: bool
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            MODELS.build(copy.deepcopy(dict(member))) for _ in shares
        )
        self.shares, self.average, self.labels = tuple(shares), average, labels

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        logits = torch.stack([member(inputs, mode='tensor') for member in self.members])
        return (mean_logits(logits, self.shares, self.average, self.labels),)


def mean_logits(
    logits: Tensor, shares: Sequence[float], average: str, labels: bool
) -> Tensor:
    """Returns the logits of the weighted mean of what several models say.

    Args:
        logits: Of shape (models, cases, classes or labels).
        shares: How much each model counts; they sum to 1.
        average: ``'probabilities'`` or ``'logits'``.
        labels: Whether a case can have several labels.

    Returns:
        Of shape (cases, classes or labels), whose softmax, or sigmoid, is the mean.
    """
    weights = torch.tensor(shares, dtype=torch.float64).view(-1, 1, 1)
    if average == 'logits':
        if labels:
            most = math.log1p(-NEAREST) - math.log(NEAREST)
            kept = logits.clamp(-most, most)
        else:
            kept = F.log_softmax(logits, dim=-1).clamp(min=math.log(LEAST))
        return (kept * weights.to(kept)).sum(dim=0)
    logs = weights.log().to(logits)
    if labels:
        present, absent = F.logsigmoid(logits) + logs, F.logsigmoid(-logits) + logs
        return present.logsumexp(dim=0) - absent.logsumexp(dim=0)
    # Of a probability of 0 the log would be no number that a layer can take.
    least = math.log(LEAST)
    return (F.log_softmax(logits, dim=-1) + logs).logsumexp(dim=0).clamp(min=least)


def ensemble_head(member: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the head of an ensemble: MMPretrain's, of what members of a kind give.

    Args:
        member: The config of one member.

    Raises:
        ConfigError: It does not say ``head.num_classes``.
    """
    head = member.get('head') or {}
    number = head.get('num_classes')
    if not isinstance(number, int):
        raise ConfigError(
            f'model.head.num_classes={number!r}: an ensemble needs to know how many '
            'classes its members tell apart: say it'
        )
    kept = dict(num_classes=number, in_channels=number, init_cfg=None)
    if not _has_labels(member):
        return dict(type='LinearClsHead', **kept)
    chosen = {key: head[key] for key in ('thr', 'topk') if key in head}
    return dict(type='MultiLabelLinearClsHead', **kept, **chosen)


def ensemble_model(
    member: Mapping[str, Any], weights: Sequence[float], average: str
) -> dict[str, Any]:
    """Returns the config of an ensemble.

    Args:
        member: The config of one member. It is not changed.
        weights: How much each counts.
        average: ``'probabilities'`` or ``'logits'``.

    Raises:
        ConfigError: It does not say ``head.num_classes``.
    """
    kept = without_pretrained(copy.deepcopy(dict(member)))
    common = {
        key: kept.pop(key)
        for key in ('data_preprocessor',)
        if kept.get(key) is not None
    }
    return dict(
        type='EnsembleClassifier',
        member=kept,
        weights=[float(weight) for weight in weights],
        average=average,
        head=ensemble_head(kept),
        **common,
    )


def ensemble_weights(
    members: Sequence[Mapping[str, Tensor]], classes: int
) -> dict[str, Tensor]:
    """Returns the weights of an ensemble, whose head lets pass what members say.

    Args:
        members: The weights of each.
        classes: How many classes or labels they tell apart.
    """
    weights = {
        f'{_MEMBERS}.{number}.{key}': value
        for number, member in enumerate(members)
        for key, value in member.items()
    }
    return weights | {
        'head.fc.weight': torch.eye(classes),
        'head.fc.bias': torch.zeros(classes),
    }


def _has_labels(member: Mapping[str, Any]) -> bool:
    """Whether the cases of a member can have several labels."""
    kind = (member.get('head') or {}).get('type')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(cls, type) and issubclass(cls, MultiLabelClsHead)


def _shares(weights: Sequence[float], average: str) -> list[float]:
    """Weights that sum to 1."""
    numbers = isinstance(weights, (list, tuple)) and all(
        isinstance(weight, (int, float)) and 0 < weight < math.inf for weight in weights
    )
    if not numbers or not weights:
        raise ConfigError(
            f'model.weights={weights!r}: expected a list of numbers above 0, one for '
            'each member of the ensemble'
        )
    if average not in AVERAGES:
        raise ConfigError(
            f'model.average={average!r}: expected one of {", ".join(AVERAGES)}'
        )
    return [weight / sum(weights) for weight in weights]
