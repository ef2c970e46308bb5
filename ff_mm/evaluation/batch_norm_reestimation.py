"""Re-estimating batch-norm statistics of averaged weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmpretrain.engine.hooks import precise_bn_hook
from mmpretrain.engine.hooks.precise_bn_hook import update_bn_stats
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ff_mm.errors import ConfigError

#: Training images on which it is re-estimated where that must be, unless told.
DEFAULT_SAMPLES = 2000
#: As many, where it is re-estimated of every candidate.
CANDIDATE_SAMPLES = 1000

#: Of which models it is re-estimated before they are evaluated: of those whose
#: statistics mean nothing; of all that are merged of several; of all.
Which = Literal['needed', 'merged', 'all']


def of_candidates(option: Any) -> bool:
    """Says whether batch norm of every candidate is to be re-estimated."""
    return isinstance(option, Mapping) and bool(option.get('candidates'))


def batch_norm_samples(
    option: Any, cfg: Config, key: str, candidates: bool = False
) -> int | None:
    """Reads how many training images batch norm is to be re-estimated on.

    Args:
        option: None, or ``dict(num_samples=2048)``.
        cfg: The config, resolved.
        key: Where the option stands in it.
        candidates: Whether it may also be ``dict(candidates=True)``, see
            :func:`of_candidates`; with that ``num_samples`` can be left out.

    Returns:
        How many at most; None: it is not to be re-estimated.

    Raises:
        ConfigError: Another option, no ``train_dataloader``, or less than a batch.
    """
    if not option:
        return None
    option = dict(option) if isinstance(option, dict) else option
    if candidates and isinstance(option, dict):
        every = option.pop('candidates', False)
        if not isinstance(every, bool):
            raise ConfigError(f'{key}: candidates={every!r}: expected True or False')
        if every:
            option.setdefault('num_samples', CANDIDATE_SAMPLES)
    if not (isinstance(option, dict) and set(option) == {'num_samples'}):
        more = ', or with candidates=True' if candidates else ''
        raise ConfigError(
            f'{key}: expected dict(num_samples=2048){more}, got {option!r}'
        )
    if not cfg.get('train_dataloader'):
        raise ConfigError(f'{key} needs a train_dataloader')
    batch, samples = cfg.train_dataloader.get('batch_size', 1), option['num_samples']
    if not isinstance(samples, int):
        raise ConfigError(f'{key}: num_samples={samples!r}: expected a whole number')
    if not samples >= batch:
        raise ConfigError(
            f'{key}: num_samples={samples} is less than one batch of {batch}'
        )
    return samples


def no_images_for_batch_norm() -> ConfigError:
    """The error of a merge after which batch norm cannot be re-estimated."""
    return ConfigError(
        'soup.merge: what is no convex combination of models needs batch norm '
        're-estimated on training images, and the config has no train_dataloader; give '
        'one, or another merge'
    )


class KeptBatches:
    """The first batches of a loader, decoded once for many models.

    Args:
        loader: Training data.
        num_samples: How many images to keep at most, of all processes together.
    """

    def __init__(self, loader: DataLoader, num_samples: int) -> None:
        self.batch_size = loader.batch_size
        steps = num_samples // (loader.batch_size * get_world_size())
        self._batches = list(islice(loader, steps))

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)


def reestimate_batch_norm(
    model: nn.Module, loader: DataLoader | KeptBatches, num_samples: int
) -> int:
    """Replaces running statistics by those of the data, layer by layer.

    The statistics of a mean of models are not the mean of their statistics (Izmailov
    et al. 2018, section 3.2). Only batch-norm layers are put into training mode, so
    that dropout stays off.

    Args:
        model: The model, without a distributed wrapper; changed in place, and left in
            evaluation mode.
        loader: Training data.
        num_samples: How many images to use at most, by all processes together.

    Returns:
        How many images were used; 0 if the model has no batch norm.

    Raises:
        ConfigError: Fewer images than one batch a process; MMPretrain would then
            silently set all statistics to zero.
    """
    step = loader.batch_size * get_world_size()
    steps = min(num_samples // step, len(loader))
    if steps < 1:
        raise ConfigError(
            f'batch-norm re-estimation: num_samples={num_samples} is less than one '
            f'batch of {loader.batch_size} for each of {get_world_size()} processes'
        )
    model.eval()
    # Any, as torch cannot know that their statistics are tracked.
    layers: list[Any] = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not layers:
        return 0
    statistics = [(layer.running_mean, layer.running_var) for layer in layers]
    for layer in layers:
        layer.train()
    with _without_bar():
        update_bn_stats(_AnyBatch(model), loader, num_samples, logger='silent')
    # MMPretrain puts new tensors in their place, of which others would not know.
    for layer, (mean, variance) in zip(layers, statistics, strict=True):
        layer.running_mean = mean.copy_(layer.running_mean)
        layer.running_var = variance.copy_(layer.running_var)
    model.eval()
    return steps * step


class _AnyBatch(nn.Module):
    """Passes on batches that are no maps, too, which MMPretrain does not.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def data_preprocessor(self, batch: Any, training: bool) -> dict[str, Any]:
        """Prepares a batch as the model does."""
        preprocessor: Any = self.model.data_preprocessor
        return dict(batch=preprocessor(batch, training))

    def forward(self, batch: Any) -> Any:
        """Calls the model as MMEngine does in a step."""
        if isinstance(batch, Mapping):
            return self.model(**batch)
        return self.model(*batch if isinstance(batch, (list, tuple)) else (batch,))


@contextmanager
def _without_bar() -> Iterator[None]:
    """Keeps MMPretrain's progress bar from the console, which has one already."""
    bar = precise_bn_hook.ProgressBar
    precise_bn_hook.ProgressBar = _NoBar
    try:
        yield
    finally:
        precise_bn_hook.ProgressBar = bar


class _NoBar:
    def __init__(self, total: int) -> None:
        pass

    def update(self) -> None:
        pass
