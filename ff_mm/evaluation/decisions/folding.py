"""A decision as part of a head's last layers, so that the file says it by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpretrain.models import (
    DeiTClsHead,
    LinearClsHead,
    MultiLabelClsHead,
    MultiLabelLinearClsHead,
    VisionTransformerClsHead,
)
from torch import Tensor, nn

from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Decision
from ff_mm.merging.state_dict import StateDict

#: Heads -> their last layers, the mean of whose outputs are the logits.
_LAYERS: dict[type[nn.Module], tuple[str, ...]] = {
    LinearClsHead: ('fc',),
    MultiLabelLinearClsHead: ('fc',),
    VisionTransformerClsHead: ('layers.head',),
    DeiTClsHead: ('layers.head', 'layers.head_dist'),
}


def last_layers(model: nn.Module) -> list[str]:
    """Returns the names of the layers that a decision is folded into.

    Args:
        model: A classifier of MMPretrain's.

    Raises:
        ConfigError: A head whose logits are not known to be the outputs of linear
            layers with a bias, or the mean of such outputs.
    """
    head = getattr(model, 'head', None)
    for kind, names in _LAYERS.items():
        # What computes the logits in another way may not end in these layers.
        if isinstance(head, kind) and type(head).forward is kind.forward:
            layers = [head.get_submodule(name) for name in names]
            if all(type(one) is nn.Linear and one.bias is not None for one in layers):
                return [f'head.{name}' for name in names]
    known = ', '.join(kind.__name__ for kind in _LAYERS)
    raise ConfigError(
        f'soup.decision: nothing can be folded into the head {type(head).__name__}; '
        f'expected {known} or one that computes its logits as they do; leave '
        'soup.decision out'
    )


def is_multilabel(model: nn.Module) -> bool:
    """Says whether a classifier's cases can have several labels.

    Raises:
        ConfigError: Its labels are not those with a score of one half or more.
    """
    head = model.head
    if not isinstance(head, MultiLabelClsHead):
        return False
    if head.thr != 0.5:
        chosen = f'topk={head.topk}' if head.thr is None else f'thr={head.thr}'
        raise ConfigError(
            f'model.head.{chosen}: soup.decision moves thresholds to 0.5; leave it out '
            'of the head, or soup.decision out'
        )
    return True


def fold(
    decision: Decision, state_dict: StateDict, layers: Sequence[str]
) -> dict[str, Tensor]:
    """Returns weights that give the decided logits.

    Args:
        decision: What is done to the logits.
        state_dict: Weights; they stay as they are.
        layers: As :func:`last_layers` names them.
    """
    folded = dict(state_dict)
    for layer in layers:
        weight, bias = (f'{layer}.{kind}' for kind in ('weight', 'bias'))
        wide = state_dict[weight].double() * decision.scale
        folded[weight] = wide.to(state_dict[weight].dtype)
        decided = decision.apply(state_dict[bias].double().cpu().numpy())
        folded[bias] = torch.from_numpy(decided).to(state_dict[bias])
    return folded
