"""Where models lie in weight space: how far apart, and in which directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ff_mm.merging.state_dict import check_same_architecture, is_statistic

# Values of each model at a time: pairwise distances are fastest while they stay in the
# processor's cache, and 48 models take 6 MB.
_CHUNK = 1 << 14


@dataclass(frozen=True, eq=False)
class Geometry:
    """Models as points in weight space. All arrays are float64.

    Attributes:
        distances: Euclidean distances of shape (models, models): symmetric, and exactly
            0 between equal weights.
        cosines: Cosine similarity of the models' displacements from their origins, of
            shape (models, models); NaN where a model is its own origin, 1 on the rest
            of the diagonal.
        norms: How far each model is from its origin, of shape (models,).
    """

    distances: np.ndarray
    cosines: np.ndarray
    norms: np.ndarray


@torch.no_grad()
def weight_geometry(
    models: Sequence[Mapping[str, Tensor]],
    origins: Sequence[Mapping[str, Tensor]] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Geometry:
    """Computes distances between models, and cosines of what training has changed.

    Weights are what gradient descent moves: floating-point entries without batch norm's
    statistics. These are measured on images, not trained; they are in units of the
    activations, and with variances in the hundreds they would drown all that training
    has changed.

    Differences are taken value by value in float64, before they are squared: what
    comes from norms and products would lose the distance of models that are close
    together and far from the origin. Values that are infinite in any model, such as a
    mask's, are left out. All models are gone through at once, in small pieces; of files
    read in passing (:meth:`ff_mm.merging.Ingredient.in_passing`) hardly anything is in
    memory.

    Args:
        models: State dicts of one architecture.
        origins: Where each model's training has begun, one a model; the same object may
            be given for several. None: 0, the cosines are of the weights themselves.
        advance: Called after each entry of the state dicts.

    Returns:
        The geometry, in the order of the models.

    Raises:
        ValueError: If there is no model, architectures differ, or there are not as many
            origins as models.
    """
    origins = list(origins or [])
    _check(models, origins)
    # One that several models share is read once.
    distinct = list({id(origin): origin for origin in origins}.values())
    place = {id(origin): number for number, origin in enumerate(distinct)}
    at = [place[id(origin)] for origin in origins]
    number = len(models)
    squares = torch.zeros(number * (number - 1) // 2, dtype=torch.float64)
    gram = torch.zeros(number, number, dtype=torch.float64)
    for values in _pieces([*models, *distinct], advance):
        rows = values[:number]
        squares += torch.pdist(rows).square_()
        displaced = rows - values[number:][at] if at else rows
        gram += displaced @ displaced.T
    return _geometry(squares, gram)


def weight_names(model: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of the entries that count as weights.

    Args:
        model: A state dict; tensors on ``meta`` will do.
    """
    return [
        key
        for key, value in model.items()
        if value.is_floating_point() and not is_statistic(key)
    ]


def _check(
    models: Sequence[Mapping[str, Tensor]], origins: Sequence[Mapping[str, Tensor]]
) -> None:
    if not models:
        raise ValueError('there are no models')
    if origins and len(origins) != len(models):
        raise ValueError(f'{len(origins)} origins for {len(models)} models')
    for kind, several in (('model', models), ('origin', origins)):
        for number, each in enumerate(several):
            name = f'{kind} {number}'
            if problems := check_same_architecture(each, models[0], name, 'model 0'):
                raise ValueError('; '.join(problems))


def _pieces(
    models: Sequence[Mapping[str, Tensor]], advance: Callable[[], None]
) -> Iterator[Tensor]:
    """Yields float64 of shape (models, values), all weights piece by piece."""
    for name in weight_names(models[0]):
        entries = [model[name].reshape(-1) for model in models]
        for start in range(0, entries[0].numel(), _CHUNK):
            piece = torch.stack([e[start : start + _CHUNK].double() for e in entries])
            finite = piece.isfinite().all(0)
            yield piece if finite.all() else piece[:, finite]
        advance()


def _geometry(squares: Tensor, gram: Tensor) -> Geometry:
    number = len(gram)
    distances = np.zeros((number, number))
    distances[np.triu_indices(number, 1)] = squares.sqrt().numpy()
    products = gram.numpy()
    norms = np.sqrt(np.diag(products))
    with np.errstate(invalid='ignore', divide='ignore'):
        # Of both halves, as a product of matrices need not be symmetric to the bit.
        cosines = (products + products.T) / 2 / np.outer(norms, norms)
    cosines = np.clip(cosines, -1, 1)
    np.fill_diagonal(cosines, np.where(norms > 0, 1.0, np.nan))
    return Geometry(distances + distances.T, cosines, norms)
