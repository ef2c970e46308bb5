"""A mean with weights of its own for each tensor, as learned soups can have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ff_mm.errors import ConfigError
from ff_mm.merging.methods.by_entry import Values, by_entry, mean_of
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict


def by_tensor(
    members: Members,
    weights: Sequence[float],
    *,
    shares: Mapping[str, Sequence[float]] | None = None,
) -> StateDict:
    """Return the mean of the members, tensor by tensor.

    Args:
        members: The members.
        weights: How much of each goes into what has no shares, such as statistics of
            batch norm.
        shares: By the name of a tensor, how much of each member goes into it; positive.
            None: all tensors are as the weights say.

    Raises:
        ConfigError: Shares that are not as many as members, or not positive.

    References:
        Wortsman et al., "Model soups", ICML 2022 (arXiv 2203.05482), appendix I.
    """
    own = shares or {}
    for key, of_key in own.items():
        if len(of_key) != len(members) or not all(share > 0 for share in of_key):
            raise ConfigError(
                f"merge='by_tensor': shares of {key!r} are {list(of_key)}: expected "
                f'{len(members)} positive numbers, one for each member'
            )
    if len(members) == 1:  # whatever is in it
        return {key: value.clone() for key, value in members[0].in_passing().items()}

    def combine(key: str, values: Values, weights: Sequence[float]) -> Tensor:
        return mean_of(values, own.get(key, weights))

    return by_entry(members, weights, combine)
