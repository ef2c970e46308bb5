"""The diagonal of the Fisher information of a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from mmpretrain.models.heads import MultiLabelClsHead
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.functional import one_hot

from ff_mm.errors import ConfigError
from ff_mm.merging.state_dict import StateDict
from ff_mm.parallel.termination import raise_if_requested

# Elements of gradients that are there at a time (128 MB), and images.
_ELEMENTS = 1 << 25
_AT_ONCE = 16

_Leaves = dict[str, Tensor]


@dataclass(frozen=True)
class Fisher:
    """The estimator: ``E_x E_y (d log p(y|x) / d theta)^2``, y by the model itself.

    Not by the true labels, and each image by itself: squares of a batch's gradients, or
    of sums over classes, are other quantities. With z the outputs of the network,

        ``E_y (d log p / d theta)^2 = sum_c (a_c . dz / d theta)^2``

    for any vectors ``a_c`` of which ``sum_c a_c a_c^T`` is the covariance of y: with K
    classes, K - 1 backward passes an image instead of K. With several labels, which are
    independent of each other, it is ``sum_k p_k (1 - p_k) (dz_k / d theta)^2``.

    Attributes:
        multilabel: Whether outputs are labels of their own (sigmoid) and not classes
            of which one is right (softmax).
        labels: ``'exact'``, or ``'sampled'``: one y an image, drawn from the model;
            one backward pass an image, and right in the mean.
    """

    multilabel: bool
    labels: str = 'exact'

    @classmethod
    def of(cls, network: nn.Module, labels: str) -> Fisher:
        """Returns the estimator for a network: by how its head predicts.

        Args:
            network: A classifier of MMPretrain.
            labels: ``'exact'`` or ``'sampled'``.
        """
        head = getattr(network, 'head', None)
        return cls(isinstance(head, MultiLabelClsHead), labels)

    def estimate(
        self,
        network: nn.Module,
        images: Iterable[Tensor],
        advance: Callable[[int], None] = lambda images: None,
    ) -> tuple[StateDict, int]:
        """Returns the diagonal by parameter, and the number of backward passes.

        Args:
            network: Gives outputs of shape (images, classes); in evaluation mode.
            images: Prepared images, in batches of any size.
            advance: Told how many are done.

        Raises:
            ConfigError: The network gives something else.
        """
        network.eval()
        outputs_of = _PerImage(network)
        totals = {k: torch.zeros_like(p) for k, p in outputs_of.parameters.items()}
        generator = torch.Generator().manual_seed(0)
        count = passes = 0
        for leaves, outputs in outputs_of.all(images):
            raise_if_requested()
            directions = self.directions(outputs.detach(), generator)
            for direction in directions:
                _add_squares(totals, outputs, leaves, direction)
            count += len(outputs)
            passes += directions.shape[0] * len(outputs)
            advance(len(outputs))
        by_parameter = {id(p): key for key, p in network.named_parameters()}
        return {
            # A parameter of two names stands in checkpoints under both.
            key: (totals[by_parameter[id(p)]] / count).cpu()
            for key, p in network.named_parameters(remove_duplicate=False)
        }, passes

    def directions(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the vectors ``a_c`` of each image: (c, images, outputs).

        Args:
            outputs: Of the network, for some images.
            generator: Draws the labels, if these are sampled.
        """
        found = outputs.cpu().to(torch.float64)
        sampled = self.labels == 'sampled'
        if self.multilabel:
            p = found.sigmoid()
            if sampled:
                drawn = torch.rand(p.shape, generator=generator, dtype=p.dtype) < p
                directions = (drawn.to(p) - p)[None]
            else:
                spread = (p * (-found).sigmoid()).sqrt()
                directions = torch.diag_embed(spread).movedim(-1, 0)
        else:
            p = found.softmax(-1)
            if sampled:
                draw = torch.rand(len(p), 1, generator=generator, dtype=p.dtype)
                y = (p.cumsum(-1) <= draw).sum(-1).clamp(max=p.shape[-1] - 1)
                directions = (one_hot(y, p.shape[-1]).to(p) - p)[None]
            else:
                directions = _root_of_covariance(p)
        return directions.to(outputs)


def _root_of_covariance(p: Tensor) -> Tensor:
    """Vectors whose outer products add up to ``diag(p) - p p^T``, for each image."""
    apart = -p[:, :, None] * p[:, None, :]
    apart.diagonal(dim1=-2, dim2=-1).zero_()
    # By the others, and not as p - p^2, which is lost where one class is certain.
    covariance = apart - torch.diag_embed(apart.sum(-1))
    values, vectors = torch.linalg.eigh(covariance)
    columns = vectors * values.clamp(min=0).sqrt()[:, None, :]
    return columns.movedim(-1, 0)[1:]  # the least value is 0: p adds up to 1


def _add_squares(
    totals: Mapping[str, Tensor], outputs: Tensor, leaves: _Leaves, direction: Tensor
) -> None:
    """Adds the squares of each image's derivative of its outputs in a direction."""
    gradients = torch.autograd.grad(
        outputs, list(leaves.values()), direction, retain_graph=True, allow_unused=True
    )
    for key, gradient in zip(leaves, gradients, strict=True):
        if gradient is not None:  # a parameter that the outputs do not depend on
            # Not in place: gradients of two parameters can be in the same memory.
            totals[key] += gradient.square().sum(0)


class _PerImage:
    """Outputs of images of which each has a copy of the parameters, to derive by."""

    def __init__(self, network: nn.Module) -> None:
        self.parameters = {k: p.detach() for k, p in network.named_parameters()}
        self._network = network
        size = sum(p.numel() for p in self.parameters.values())
        self._at_once = max(1, min(_AT_ONCE, _ELEMENTS // max(size, 1)))

    def all(self, batches: Iterable[Tensor]) -> Iterator[tuple[_Leaves, Tensor]]:
        """Yields copies of the parameters and outputs, of some images at a time."""
        for batch in batches:
            start = 0
            while start < len(batch):
                leaves, outputs = self._some(batch[start : start + self._at_once])
                yield leaves, outputs
                start += len(outputs)

    def _some(self, images: Tensor) -> tuple[_Leaves, Tensor]:
        try:
            return self._outputs(images)
        except Exception:
            if len(images) == 1:
                raise
            # What a network does can depend on its values, or be unknown to vmap.
            self._at_once = 1
            return self._outputs(images[:1])

    def _outputs(self, images: Tensor) -> tuple[_Leaves, Tensor]:
        count = len(images)
        with torch.enable_grad():
            leaves = {
                key: p.expand(count, *p.shape).requires_grad_()
                for key, p in self.parameters.items()
            }
            if count > 1:
                with warnings.catch_warnings():
                    # Where vmap is slow it is still faster than one by one.
                    warnings.filterwarnings('ignore', 'There is a performance drop')
                    return leaves, vmap(self._of_one)(leaves, images)
            own = {key: leaf[0] for key, leaf in leaves.items()}
            return leaves, self._of_one(own, images[0])[None]

    def _of_one(self, parameters: _Leaves, image: Tensor) -> Tensor:
        outputs = functional_call(self._network, parameters, (image[None],))
        if not isinstance(outputs, Tensor) or outputs.ndim != 2:
            head = getattr(self._network, 'head', self._network)
            raise ConfigError(
                f'Fisher information: {type(head).__name__} gives no logits of shape '
                '(images, classes), so there is none; merge in another way'
            )
        return outputs[0]
