"""MMEngine's ``Pretrained``, made to know other people's files and to say what it did.

MMEngine passes over all that does not fit, with a line in the log: a file of another
library, or of another prefix, leaves a network random, and nothing stops. What a plan
trains for days from such a start is worth nothing, so that is an error here.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmpretrain.registry import MODELS
from torch import nn

from ff_mm.display.console import log
from ff_mm.merging.finite import wrong_values
from ff_mm.merging.state_dict import CheckpointError
from ff_mm.models.starting_weights.fit import Fit, fit
from ff_mm.models.starting_weights.source import read_source


# It takes MMEngine's name, since MMEngine and MMPretrain look for exactly that: only
# `Pretrained` comes after the initialisation of the submodules, and only it keeps a
# ResNet's last norms and a vision transformer's position embeddings as they are.
@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class StartingWeights(PretrainedInit):
    """Initialises a module from a checkpoint, of whatever library it is.

    Whose file it is is found out from its keys: MMPretrain's classifiers and
    self-supervised models, torchvision, timm, DeiT, MAE, MoCo, DINO, RadImageNet; bare
    or within DataParallel or Lightning (see
    :mod:`ff_mm.models.starting_weights.layouts`). Its head is left out. If too little
    fits it is of another network, which is an error; if some does not, that is warned
    of, and all that was not loaded is in the log.

    Args:
        checkpoint (str): A name in ``sources``, a file, a URL, or ``timm://<model>``.
        prefix (str, optional): What stands before the module's names in the file. By
            default any of the usual ones.
        map_location (str): Not used: what is read comes to the CPU first.
        sources (dict[str, str]): Names for files and URLs.
        least (float): What part of the module's tensors must be in the file, in their
            shapes, and of the file's layers in the module. 1: all. By default a stem
            of another number of channels, or a missing last norm, is let pass; half of
            the layers, or a network of another depth, is not.

    Examples:
        >>> init_cfg = dict(
        ...     type='Pretrained',
        ...     checkpoint='torchvision',
        ...     sources=dict(torchvision='https://.../resnet50-11ad3fa6.pth'))
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: str = 'cpu',
        sources: Mapping[str, str] | None = None,
        least: float = 0.9,
        entry: str | None = None,
    ) -> None:
        super().__init__(checkpoint, prefix, map_location)
        self.sources = dict(sources or {})
        self.least = least
        self.entry = entry

    @property
    def is_file(self) -> bool:
        """Whether it is a file, be there one or not, and no place to fetch it from."""
        return '://' not in str(self.sources.get(self.checkpoint, self.checkpoint))

    def __call__(self, module: nn.Module) -> None:
        """Loads the weights into a module, and logs what was loaded and what not.

        Raises:
            CheckpointError: The checkpoint cannot be read, or does not fit.
        """
        found = self.fit(module)
        module.load_state_dict(found.weights, strict=False)
        self._log(found)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())

    def fit(self, module: nn.Module) -> Fit:
        """Reads the checkpoint and compares it with a module, which is not changed.

        Raises:
            CheckpointError: The checkpoint cannot be read, or does not fit.
        """
        if not isinstance(self.checkpoint, str):
            raise CheckpointError(
                f'starting weights {self.checkpoint!r}: expected a name, a file or a '
                'URL; for random weights leave out init_cfg'
            )
        checkpoint = read_source(self.checkpoint, self.sources)
        try:
            found = fit(checkpoint, module, self.prefix, self.entry)
            _check(found, self.least)
            if wrong := wrong_values(found.weights):
                raise CheckpointError(
                    f'{wrong}: that model has diverged, or the file is damaged; give '
                    'another'
                )
        except CheckpointError as error:
            raise CheckpointError(
                f'starting weights {self.checkpoint}: {error}'
            ) from error
        return found

    def _log(self, found: Fit) -> None:
        level = logging.WARNING if found.deviations() else logging.INFO
        log(f'starting weights {self.checkpoint}: {found.summary()}', level)
        for line in [*found.deviations(at_most=None), *found.not_used(at_most=None)]:
            log(f'  {line}', logging.INFO)


def _check(found: Fit, least: float) -> None:
    """Refuses weights that are of another network."""
    layers = found.loaded + len(found.surplus)
    if found.loaded >= least * max(found.wanted, layers):
        return
    reasons = '; '.join([*found.deviations(), *found.not_used()])
    raise CheckpointError(
        f'not of this {found.owner}: {found.loaded} of {found.wanted} tensors fit '
        f'({found.how}); {reasons}; give weights of this network, or by '
        'init_cfg.prefix what stands before their names'
    )


def check_starting_weights(model: Mapping[str, Any], fetch: bool = True) -> list[str]:
    """Reads what a model would start from and compares it, before anything else runs.

    Args:
        model: The config of a model, references resolved. It is built once, without
            initialisation.
        fetch: Whether what is not a file here is read, too; else its line says so.

    Returns:
        A line for each checkpoint: what will be loaded, and what not.

    Raises:
        CheckpointError: A checkpoint cannot be read, or does not fit.
    """
    network = built_silently(model)
    with _silent():
        return [
            f'starting weights {init.checkpoint}: '
            + (
                init.fit(part).summary()
                if fetch or init.is_file
                else 'not looked at, as they may have to be fetched'
            )
            for part in network.modules()
            for init in _initializers(part)
        ]


def built_silently(model: Mapping[str, Any]) -> nn.Module:
    """Builds a network that is only looked at, without initialisation.

    Args:
        model: Its config, references resolved.
    """
    with _silent():
        return MODELS.build(copy.deepcopy(dict(model)))


def _initializers(part: nn.Module) -> list[StartingWeights]:
    """Those of one module; none if it has loaded weights on its own."""
    configs = getattr(part, 'init_cfg', None) or []
    if isinstance(configs, Mapping):
        configs = [configs]
    if getattr(part, 'is_init', False):
        return []
    return [
        WEIGHT_INITIALIZERS.build(cfg) for cfg in configs if cfg['type'] == 'Pretrained'
    ]


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps networks from logging what they are while they are only looked at."""
    name = 'check_starting_weights'
    MMLogger.get_instance(name, log_level='WARNING')  # the current one from now on
    try:
        yield
    finally:
        MMLogger._instance_dict.pop(name)
