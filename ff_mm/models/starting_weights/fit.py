"""Which weights of a file go where in a module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ff_mm.merging.finite import other_numbers, unusual_kind
from ff_mm.merging.state_dict import CheckpointError, StateDict
from ff_mm.merging.wrappers import (
    COMPILED,
    ENTRIES,
    entries_beside,
    weights_entry,
)
from ff_mm.models.starting_weights.layouts import (
    HEADS,
    LAYOUTS,
    WRAPPERS,
    Layout,
)
from ff_mm.plain import first_few

_NAMED_AT_MOST = 3
_COUNTER = 'num_batches_tracked'  # of batch norm; old files lack it, none needs it
_HEAD = re.compile(
    f'({"|".join(map(re.escape, WRAPPERS))})*({"|".join(map(re.escape, HEADS))})'
)


@dataclass(frozen=True)
class Fit:
    """What a file has for a module, and what is left over on either side.

    Attributes:
        owner: Class of the module.
        how: How the file was read: layout and prefix.
        weights: Tensors by their names in the module, in its shapes.
        wanted: How many tensors the module has, batch-norm counters aside.
        missing: Names in the module for which the file has nothing.
        misfits: Those for which it has another shape, with both shapes.
        surplus: Keys of the file that would be layers of the module, were it larger.
        head: Keys of the file's classifier.
        rest: All other keys of the file that go nowhere.
    """

    owner: str
    how: str
    weights: StateDict
    wanted: int
    missing: list[str]
    misfits: list[str]
    surplus: list[str]
    head: list[str]
    rest: list[str]

    @property
    def loaded(self) -> int:
        """How many of the wanted tensors the file has."""
        return self.wanted - len(self.missing) - len(self.misfits)

    def summary(self) -> str:
        """What is loaded and what is not, in a line that names a few."""
        loaded = (
            f'{self.loaded} of {self.wanted} tensors of the {self.owner} loaded '
            f'({self.how})'
        )
        return '; '.join([loaded, *self.deviations(), *self.not_used()])

    def deviations(self, at_most: int | None = _NAMED_AT_MOST) -> list[str]:
        """What is not as in a file of this very backbone; empty if all is well.

        Args:
            at_most: How many names to give of each kind; None: all.
        """
        found = {
            'not in the file': self.missing,
            'of another shape': self.misfits,
            'of a larger network': self.surplus,
        }
        return _listed(found, at_most)

    def not_used(self, at_most: int | None = _NAMED_AT_MOST) -> list[str]:
        """What the file has besides the backbone; ``at_most`` as above."""
        return _listed({'head, not used': self.head, 'not used': self.rest}, at_most)


@dataclass(frozen=True)
class _Reading:
    """One way to read a file: which name each key has, None without the prefix."""

    layout: Layout
    prefix: str
    owner: str | None
    entry: StateDict
    names: dict[str, str | None]

    def weights(self) -> StateDict:
        return {
            name: self.entry[key]
            for key, name in self.names.items()
            if name is not None
        }


def fit(
    checkpoint: Mapping[str, Any],
    module: nn.Module,
    prefix: str | None = None,
    entry: str | None = None,
) -> Fit:
    """Finds out which weights of a checkpoint go where in a module.

    Of all ways to read the checkpoint (its entries, the prefixes of its keys, the
    layouts) the one holds that gives the module the most tensors of the right shape.
    What the module adapts whenever it is loaded, such as position embeddings of
    another image size, counts as fitting.

    Args:
        checkpoint: A state dict, or a dict with one in it.
        module: Of which only names and shapes matter. It is not changed.
        prefix: What stands before the backbone's names in the file; None: any of the
            usual ones.
        entry: Which entry of the checkpoint to take; None: the one that fits best.

    Returns:
        The fit, which may be an empty one.

    Raises:
        CheckpointError: The checkpoint holds no weights, or none with the prefix, or
            some that the module cannot adapt or that are no plain numbers.
    """
    target = module.state_dict()
    readings = _readings(checkpoint, prefix, entry)
    reading = max(readings, key=lambda r: _fitting(r, target))
    _check_kinds(reading, target)
    weights = _adapted(reading.weights(), module)
    others = '' if entry else entries_beside(reading.owner, checkpoint)
    how = ', '.join([reading.layout.name, *filter(None, [others])])
    return Fit(
        owner=type(module).__name__,
        how=f'{how}, prefix {reading.prefix!r}' if reading.prefix else how,
        **_compared(weights, target),
        **_left_over(reading, target),
    )


def _fitting(reading: _Reading, target: Mapping[str, Tensor]) -> int:
    return sum(
        # Nested tensors have no shape; what they are is said later.
        name in target and (weight.is_nested or weight.shape == target[name].shape)
        for name, weight in reading.weights().items()
    )


def _check_kinds(reading: _Reading, target: Mapping[str, Tensor]) -> None:
    """Refuses values that are no numbers of the kind that the module computes with."""
    for key, name in reading.names.items():
        if name is None or name not in target:
            continue
        weight, expected = reading.entry[key], target[name].dtype
        kind = unusual_kind(weight) or ('valueless' if weight.is_meta else None)
        if kind is None and other_numbers(weight, expected):
            kind = str(weight.dtype)
        if kind is not None:
            raise CheckpointError(
                f'key {key!r} holds a {kind} tensor, expected numbers as {expected}; '
                'save the weights of the network as it was trained'
            )


def _readings(
    checkpoint: Mapping[str, Any], prefix: str | None, entry: str | None
) -> list[_Reading]:
    """All ways to read a checkpoint, the preferred first."""
    entries = _entries(checkpoint, entry)
    if not entries:
        raise CheckpointError(
            f'holds no weights, only {first_few(checkpoint, _NAMED_AT_MOST)}'
        )
    readings = [
        _read(owner, tensors, found, layout)
        for owner, tensors in entries
        for found in _prefixes(tensors, prefix)
        for layout in LAYOUTS
    ]
    if not readings:
        raise CheckpointError(
            f'no key begins with prefix={prefix!r}: there are '
            f'{first_few(entries[0][1], _NAMED_AT_MOST)}'
        )
    return readings


def _entries(
    checkpoint: Mapping[str, Any], given: str | None
) -> list[tuple[str | None, StateDict]]:
    """What in a checkpoint holds weights: itself, or some of its entries."""
    if given is not None:
        try:
            return [(given, _tensors(weights_entry(checkpoint, given)[1]))]
        except ValueError as error:
            raise CheckpointError(str(error)) from error
    names = [*(name for name in ENTRIES if name in checkpoint), *checkpoint]
    candidates: list[tuple[str | None, Any]] = [(None, checkpoint)]
    candidates += [(name, checkpoint[name]) for name in dict.fromkeys(names)]
    entries = [(n, _tensors(e)) for n, e in candidates if isinstance(e, Mapping)]
    return [(name, tensors) for name, tensors in entries if tensors]


def _tensors(entry: Mapping[Any, Any]) -> StateDict:
    return {
        key: value
        for key, value in entry.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }


def _prefixes(keys: Iterable[str], given: str | None) -> list[str]:
    if given is None:
        return list(_usual_prefixes(keys))
    prefix = given if given.endswith('.') or not given else f'{given}.'
    return [prefix] if any(key.startswith(prefix) for key in keys) else []


def _usual_prefixes(keys: Iterable[str], prefix: str = '') -> Iterator[str]:
    """Yields a prefix, and those with wrappers within it that keys have."""
    yield prefix
    for wrapper in WRAPPERS:
        if any(key.startswith(prefix + wrapper) for key in keys):
            yield from _usual_prefixes(keys, prefix + wrapper)


def _read(owner: str | None, entry: StateDict, prefix: str, layout: Layout) -> _Reading:
    names = {
        # Parts that were compiled by themselves say so within their names.
        key: layout.rename(key.removeprefix(prefix).replace(f'.{COMPILED}', '.'))
        if key.startswith(prefix)
        else None
        for key in entry
    }
    return _Reading(layout, prefix, owner, entry, names)


def _adapted(weights: StateDict, module: nn.Module) -> StateDict:
    """Lets the module change weights as it does whenever it loads a state dict.

    MMPretrain's networks register hooks for that, which resize position embeddings.
    They run once more when the weights are loaded, and find nothing left to do.
    """
    for name, part in module.named_modules():
        prefix = f'{name}.' if name else ''
        for hook in part._load_state_dict_pre_hooks.values():
            try:
                hook(weights, prefix, {}, True, [], [], [])
            except Exception as error:  # somebody's code, on any file's tensors
                raise CheckpointError(
                    f'{type(part).__name__} cannot adapt its weights: {error}'
                ) from error
    return weights


def _compared(weights: StateDict, target: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the module has, against what it gets."""
    wanted = [name for name in target if not name.endswith(_COUNTER)]
    present = {name: weights[name] for name in target if name in weights}
    same = {
        name: weight
        for name, weight in present.items()
        if weight.shape == target[name].shape
    }
    misfits = [
        f'{name} {tuple(present[name].shape)} instead of {tuple(target[name].shape)}'
        for name in wanted
        if name in present and name not in same
    ]
    missing = [name for name in wanted if name not in present]
    return dict(weights=same, wanted=len(wanted), missing=missing, misfits=misfits)


def _left_over(reading: _Reading, target: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the file has that the module has not, sorted by what it is."""
    parts = {_part(name) for name in target}
    left: dict[str, list[str]] = dict(head=[], surplus=[], rest=[])
    for key, name in reading.names.items():
        if name in target or key.endswith(_COUNTER):
            continue
        if _HEAD.match(key):
            left['head'].append(key)
        elif name is not None and _part(name) in parts:
            left['surplus'].append(key)
        else:
            left['rest'].append(key)
    return left


def _part(name: str) -> str:
    """The part of a network that a tensor is in, such as ``layer4`` or ``blocks``."""
    return name.removeprefix('timm_model.').split('.')[0]


def _listed(found: Mapping[str, list[str]], at_most: int | None) -> list[str]:
    return [
        f'{what} ({len(names)}): {first_few(names, at_most)}'
        for what, names in found.items()
        if names
    ]
