"""Weights that a trial starts from and that are made of several others'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.merging.mean import RunningMean
from ff_mm.merging.sparse import mean_of_sparse, prune
from ff_mm.merging.state_dict import StateDict, is_statistic, read_checkpoint

START_FILE = 'start.pth'
#: Entry of a trial's checkpoint: how many training images it has seen an epoch.
IMAGES = 'images'


def start_from(spec: Mapping[str, Any], files: Mapping[str, Path]) -> StateDict:
    """Make the weights that a trial starts from.

    Args:
        spec: ``dict(type=..., ...)``, a key of :data:`STARTS` and its options.
        files: Checkpoints of the trials that they are made of, by id; the trial's
            ``parent`` is the first.

    Raises:
        ConfigError: There is no such way.
        CheckpointError: A file cannot be read, or the models do not fit each other.
    """
    options = dict(spec)
    kind = options.pop('type', None)
    if kind not in STARTS:
        raise ConfigError(f'start={spec!r}: there are {", ".join(STARTS)}')
    checkpoints = {name: read_checkpoint(file) for name, file in files.items()}
    return STARTS[kind](checkpoints, **options)


Checkpoints = Mapping[str, Mapping[str, Any]]


def _sparse(
    checkpoints: Checkpoints, sparsity: float, leave_out: Sequence[str]
) -> StateDict:
    """The mean of models with one mask, pruned further."""
    models = {name: each['state_dict'] for name, each in checkpoints.items()}
    return prune(mean_of_sparse(models), sparsity, leave_out)


def _federated(checkpoints: Checkpoints) -> StateDict:
    """The mean by numbers of training images; the parent's batch-norm statistics.

    They stay with each client, as nothing but parameters travels (Li et al. 2021,
    FedBN; so does FedSoup's code).
    """
    mean = RunningMean()
    for checkpoint in checkpoints.values():
        mean.add(checkpoint['state_dict'], checkpoint['meta'].get(IMAGES, 1))
    own = next(iter(checkpoints.values()))['state_dict']
    merged = mean.pop()
    local = {key: value for key, value in own.items() if is_statistic(key)}
    return {**merged, **local}


#: How several models become the one that a trial starts from.
STARTS: dict[str, Callable[..., StateDict]] = dict(sparse=_sparse, federated=_federated)
