"""Linear probing of any model: only its head learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ff_mm.errors import ConfigError


@MODELS.register_module()
def LinearProbe(
    model: Mapping[str, Any],
    heads: Sequence[str] | None = None,
    norm_eval: bool = False,
    **kwargs: Any,
) -> nn.Module:
    """Builds any model of which only the head trains.

    The first step of LP-FT (Kumar et al. 2022): a head fitted to the pretrained
    features before anything of the network moves. The state dict is that of the plain
    model. Parts are frozen on construction, before a distributed wrapper could register
    gradients, and none is propagated into them. While training, their dropout and
    drop-path are off.

    Args:
        model: The config of the model.
        heads: Names of the parts that train, as in ``model.named_children()``; None:
            those whose names end in ``head``.
        norm_eval: Whether batch-norm layers of the frozen part keep their running
            statistics. False, as in the authors' code: they follow the new data.
        **kwargs: What a Runner adds to the config of a model.

    Raises:
        ConfigError: The model has no such part.
    """
    built = MODELS.build({**kwargs, **model})
    parts = dict(built.named_children())
    chosen = _heads(parts, heads)
    for name, parameter in built.named_parameters():
        if name.split('.')[0] not in chosen:
            parameter.requires_grad_(False)
    kind = type(built)
    # Of a class of its own, as frozen parts must stay so whoever calls ``train``.
    built.__class__ = type(kind.__name__, (_Probed, kind), {})
    built.probed = chosen, norm_eval
    return built


class _Probed(nn.Module):
    """Goes before the class of a model of which only some parts train."""

    probed: tuple[frozenset[str], bool]

    def train(self, mode: bool = True) -> Any:
        """Sets the mode of the head, and of frozen batch-norm layers as asked."""
        super().train(mode)
        chosen, norm_eval = self.probed
        for name, part in self.named_children():
            if name in chosen or name == 'data_preprocessor':
                continue
            for module in part.modules():
                keeps = not isinstance(module, _BatchNorm) or norm_eval
                module.training = mode and not keeps
        return self


def _heads(parts: Mapping[str, Any], heads: Sequence[str] | None) -> frozenset[str]:
    """The parts that train."""
    there = [name for name in parts if name != 'data_preprocessor']
    if heads is None:
        heads = [name for name in there if name.lower().endswith('head')]
    elif isinstance(heads, str):
        heads = [heads]
    unknown = [name for name in heads if name not in there]
    if unknown or not heads:
        said = f'{unknown[0]!r} is no part of it' if unknown else 'none is named so'
        raise ConfigError(
            f'plan.probe trains the head of a model alone, and {said}: say which of '
            f'{there} it is, '
            "such as task=dict(type='Task', heads=['fc']), or train the whole model: "
            'plan.probe.freeze=False'
        )
    return frozenset(heads)
