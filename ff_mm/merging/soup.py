"""A soup: its members, how they are combined, and the weights that come of it.

WHICH members go in is chosen in :mod:`ff_mm.merging.soups`; HOW they are combined is
the other axis, see :mod:`ff_mm.merging.methods`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from torch import Tensor

from ff_mm.errors import FFMMError
from ff_mm.files import PathLike
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.ingredient import AnyIngredient, hashable
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Running
from ff_mm.merging.placement import Placement
from ff_mm.merging.recipe import Recipe
from ff_mm.merging.scorer import Step
from ff_mm.merging.state_dict import StateDict, copy_weights, write_checkpoint

MEAN = Merge()


@dataclass(frozen=True, eq=False)
class Soup:
    """Members, and how they are combined. A soup is again an ingredient.

    Attributes:
        name: How it is called among the ingredients of the level above.
        method: How its members were chosen, a key of :data:`SOUPS`.
        members: What went in, in the order in which it was added.
        score: Its validation metric.
        steps: The decisions that led to it.
        rejected: What was considered and left out.
        checkpoint: A file of its weights, if they have been written; see
            :meth:`written`.
        merge: How its members are combined.
        weights: How much of each member goes in; None: as much of each.
        details: What else a report is to say of it, JSON-like.
    """

    name: str
    method: str
    members: tuple[AnyIngredient, ...]
    score: float | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[AnyIngredient, ...] = ()
    checkpoint: CheckpointFile | None = None
    merge: Merge = MEAN
    weights: tuple[float, ...] | None = None
    details: Mapping[str, Any] | None = None

    def __init_subclass__(cls) -> NoReturn:
        # One with other weights would go by the recipe, and the score, of this one.
        raise TypeError(
            'a soup says which ingredients go in; how their weights are combined is '
            'said by a merging method, see ff_mm.merging.methods'
        )

    @property
    def shares(self) -> tuple[float, ...]:
        """How much of each member goes in."""
        return self.weights or (1.0,) * len(self.members)

    def load(self, out: StateDict | None = None) -> StateDict:
        """Return the weights: from their file, or of members read one after the other.

        Nothing is kept between calls. Memory, where soups are means: a double precision
        sum a level of soups that are not in files (see
        :class:`~ff_mm.merging.mean.RunningMean`) and the result, however many members
        there are. Integer entries are those of the first member.

        Args:
            out: Where to write the weights, of the same keys, shapes and dtypes, on any
                device and of any strides.

        Returns:
            ``out``, or new tensors.

        Raises:
            ValueError: If the members, or ``out``, are not of one architecture.
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            weights = self.checkpoint.weights()
            return weights if out is None else copy_weights(weights, out, self.name)
        return self.merge.load(self.members, self.shares, out)

    def in_passing(self) -> Mapping[str, Tensor]:
        """Return the weights for reading them once; of a file, hardly any is resident.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            return self.checkpoint.in_passing()
        return self.members[0].in_passing() if self.is_its_member else self.load()

    def to_sum(self) -> Mapping[str, Tensor]:
        """Return the weights for adding them up, on the device where that is done.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is None and self.is_its_member:
            return self.members[0].to_sum()
        weights = self.in_passing()
        return weights if self.placement is None else self.placement.moved(weights)

    @property
    def placement(self) -> Placement | None:
        """Where it is added up with others: as its members."""
        return self.members[0].placement

    def prefetch(self) -> None:
        """Ask the system to bring what is read first into its cache.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            self.checkpoint.prefetch()
        else:
            self.members[0].prefetch()

    @property
    def is_its_member(self) -> bool:
        """Whether it has but one member, and the weights of that."""
        return len(self.members) == 1 and self.merge.method.is_mean

    def written(self, file: PathLike | None, merged: Running | None = None) -> Soup:
        """Return this soup with its weights in a file, which is then all that it reads.

        A mean of one member is returned as it is: reading that is as good.

        Args:
            file: Where to write them, atomically; None leaves the soup as it is.
            merged: The members merged, if that is at hand; it is used up.
        """
        if file is None or self.is_its_member:
            return self
        weights = self.load() if merged is None else merged.pop()
        write_checkpoint({'state_dict': weights}, file)
        return replace(self, checkpoint=CheckpointFile(file))

    @property
    def hyper(self) -> dict[str, Any]:
        """The hyper-parameters on which all members agree."""
        first, *others = (member.hyper for member in self.members)
        return {
            key: value
            for key, value in first.items()
            if all(
                key in other and hashable(other[key]) == hashable(value)
                for other in others
            )
        }

    @property
    def recipe(self) -> Recipe:
        """What identifies its weights; of means, weight by name of ingredients."""
        return self.merge.recipe(self.members, self.shares)

    @property
    def level(self) -> int:
        """How many levels of soup this is, itself included."""
        return 1 + max(member.level for member in self.members + self.rejected)


def require_distinct_names(ingredients: Sequence[AnyIngredient], name: str) -> None:
    """Refuse what recipes, which go by name, could not tell apart.

    One and the same ingredient may be a member of several soups.

    Raises:
        FFMMError: If there are no ingredients, or two different ones share a name.
    """
    if not ingredients:
        raise FFMMError(f'soup {name!r}: there are no ingredients')
    known: dict[str, AnyIngredient] = {}
    for leaf in _leaves(ingredients):
        if known.setdefault(leaf.name, leaf) is not leaf:
            raise FFMMError(
                f'soup {name!r}: two ingredients are called {leaf.name!r}; '
                f'give each its own name'
            )


def _leaves(ingredients: Sequence[AnyIngredient]) -> Iterator[AnyIngredient]:
    for ingredient in ingredients:
        if isinstance(ingredient, Soup):
            yield from _leaves(ingredient.members)
        else:
            yield ingredient
