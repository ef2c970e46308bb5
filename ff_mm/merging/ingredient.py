"""What goes into a soup: weights that can be loaded, and what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from ff_mm.files import PathLike
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.placement import Placement
from ff_mm.merging.recipe import Recipe
from ff_mm.merging.state_dict import (
    CheckpointError,
    StateDict,
    check_same_architecture,
    copy_weights,
    outline,
)


class AnyIngredient(Protocol):
    """What can be a member of a soup: an ingredient, or a soup, which is again one."""

    @property
    def name(self) -> str:
        """How it is called."""

    @property
    def hyper(self) -> Mapping[str, Any]:
        """What levels can group it by."""

    @property
    def score(self) -> float | None:
        """Its validation metric; None: not known."""

    @property
    def recipe(self) -> Recipe:
        """What identifies it, see :mod:`ff_mm.merging.recipe`."""

    @property
    def level(self) -> int:
        """How many levels of soup it is."""

    def load(self, out: StateDict | None = None) -> StateDict:
        """Return the weights, written into ``out`` if that is given."""

    def in_passing(self) -> Mapping[str, Tensor]:
        """Return the weights for reading them once, with little memory."""

    def to_sum(self) -> Mapping[str, Tensor]:
        """Return the weights for adding them up, on the device where that is done."""

    @property
    def placement(self) -> Placement | None:
        """Where it is added up with others; None: in main memory."""

    def prefetch(self) -> None:
        """Ask the system to bring what is read first into its cache."""


@dataclass(frozen=True, eq=False)
class Ingredient:
    """One trained model that may go into a soup.

    Attributes:
        name: Unique among the ingredients of a soup.
        read: Returns the weights, the same at each call; they are not kept.
        hyper: Hyper-parameters by name, JSON-like values; levels group by them.
        score: The validation metric, if it is known: of the same metric, in the same
            unit as the :class:`~ff_mm.merging.scorer.Scorer` returns it.
        checkpoint: The file that ``read`` reads, if it is one.
        placement: Where it is added up with others; None: in main memory.
    """

    name: str
    read: Callable[[], StateDict]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None
    checkpoint: CheckpointFile | None = None
    placement: Placement | None = None

    @classmethod
    def from_file(
        cls,
        path: PathLike | CheckpointFile,
        name: str | None = None,
        hyper: Mapping[str, Any] | None = None,
        score: float | None = None,
        placement: Placement | None = None,
    ) -> Ingredient:
        """Make an ingredient of a checkpoint, which is opened only when needed.

        Args:
            path: The checkpoint, see
                :class:`~ff_mm.merging.checkpoint_file.CheckpointFile`; or one of these.
            name: Defaults to the name of the file without its suffix.
            hyper: Its hyper-parameters.
            score: Its validation metric, if known.
            placement: Where it is added up with others.
        """
        checkpoint = path if isinstance(path, CheckpointFile) else CheckpointFile(path)
        return cls(
            name=checkpoint.path.stem if name is None else name,
            read=checkpoint.weights,
            hyper=dict(hyper or {}),
            score=score,
            checkpoint=checkpoint,
            placement=placement,
        )

    @property
    def file(self) -> str | None:
        """Where the weights come from, for messages; None: they are in memory."""
        return None if self.checkpoint is None else str(self.checkpoint.path)

    def load(self, out: StateDict | None = None) -> StateDict:
        """Return the weights.

        Args:
            out: Where to write them; of the same keys, shapes and dtypes, on any
                device and of any strides.

        Returns:
            ``out``; without it what was read, such as a file mapped into memory.

        Raises:
            ValueError: If ``out`` does not fit; nothing has then been written.
            CheckpointError: If they cannot be read.
        """
        weights = self.read()
        return weights if out is None else copy_weights(weights, out, self.name)

    def in_passing(self) -> Mapping[str, Tensor]:
        """Return the weights for reading them once; of a file, hardly any is resident.

        Raises:
            CheckpointError: If they cannot be read.
        """
        if self.checkpoint is not None:
            return self.checkpoint.in_passing()
        return self.read()

    def to_sum(self) -> Mapping[str, Tensor]:
        """Return the weights for adding them up, on the device where that is done.

        Raises:
            CheckpointError: If they cannot be read.
        """
        if self.placement is None:
            return self.in_passing()
        if self.checkpoint is not None:
            return self.placement.of_file(self.checkpoint)
        return self.placement.moved(self.read())

    def outline(self) -> StateDict:
        """Return names, shapes and dtypes of the weights: tensors on ``meta``.

        Raises:
            CheckpointError: If they cannot be read.
        """
        if self.checkpoint is not None:
            return self.checkpoint.outline()
        return outline(self.read())

    def prefetch(self) -> None:
        """Ask the system to bring the weights into its cache, if they are in a file.

        Raises:
            CheckpointError: If the file cannot be read.
        """
        if self.checkpoint is None:
            return
        if self.placement is None or not self.placement.holds(self.checkpoint):
            self.checkpoint.prefetch()

    @property
    def recipe(self) -> Recipe:
        """Weight by ingredient name; an ingredient consists of itself."""
        return {self.name: 1.0}

    @property
    def level(self) -> int:
        """How many levels of soup are below; none below an ingredient."""
        return 0


def ahead(ingredients: Sequence[AnyIngredient]) -> Iterator[AnyIngredient]:
    """Go through ingredients, having the next one's file read while one is at work."""
    for i, ingredient in enumerate(ingredients):
        if i == 0:
            ingredient.prefetch()
        if i + 1 < len(ingredients):
            ingredients[i + 1].prefetch()
        yield ingredient


def check_ingredients(ingredients: Iterable[Ingredient]) -> None:
    """Check that ingredients can be averaged, and report all problems at once.

    They are opened one after the other, and of files only the outline is read. Names
    must be unique, and keys, shapes and dtypes those of the first ingredient that can
    be read.

    Args:
        ingredients: The ingredients of one soup.

    Raises:
        CheckpointError: With a line an ingredient that cannot be used.
    """
    ingredients = list(ingredients)
    if not ingredients:
        raise CheckpointError('there are no ingredients; give at least one')
    counts = Counter(ingredient.name for ingredient in ingredients)
    lines = [
        f'{name}: {count} ingredients have this name; give each its own'
        for name, count in counts.items()
        if count > 1
    ]
    reference: tuple[str, StateDict] | None = None
    for ingredient in ingredients:
        try:
            found = ingredient.outline()
        except (OSError, ValueError) as error:
            lines.append(f'{ingredient.name}: {error}')
            continue
        reference = reference or (ingredient.name, found)
        name, expected = reference
        label = f'{ingredient.name} ({ingredient.file or "in memory"})'
        if problems := check_same_architecture(found, expected, label, name):
            lines.append('; '.join(problems))
    if lines:
        raise CheckpointError(*lines)


def hashable(value: Any) -> Hashable:
    """Turn a JSON-like value into one that is equal and hashable.

    Numbers are equal as numbers (``1e-3`` and ``0.001``, ``1`` and ``1.0``), but not
    to booleans; lists are equal to tuples.

    Raises:
        TypeError: If the value is not JSON-like.
    """
    if isinstance(value, Mapping):
        return 'dict', frozenset((key, hashable(v)) for key, v in value.items())
    if isinstance(value, list | tuple):
        return 'list', tuple(hashable(v) for v in value)
    if value is None or isinstance(value, bool | str | int | float):
        return (bool, value) if isinstance(value, bool) else value
    raise TypeError(f'a hyper-parameter must be JSON-like, got {value!r}')
