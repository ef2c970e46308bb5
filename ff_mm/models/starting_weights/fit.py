"""Which weights of a file go where in a module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ff_mm.merging.state_dict import CheckpointError, StateDict
from ff_mm.models.starting_weights.layouts import (
    ENTRIES,
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
    entry: StateDict
    names: dict[str, str | None]

    def weights(self) -> StateDict:
        return {
            name: self.entry[key]
            for key, name in self.names.items()
            if name is not None
        }


def fit(
    checkpoint: Mapping[str, Any], module: nn.Module, prefix: str | None = None
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

    Returns:
        The fit, which may be an empty one.

    Raises:
        CheckpointError: The checkpoint holds no weights, or none with the prefix, or
            some that the module cannot adapt.
    """
    target = module.state_dict()
    reading = max(_readings(checkpoint, prefix), key=lambda r: _fitting(r, target))
    weights = _adapted(reading.weights(), module)
    how = reading.layout.name + _which_entry(reading.entry, checkpoint)
    return Fit(
        owner=type(module).__name__,
        how=f'{how}, prefix {reading.prefix!r}' if reading.prefix else how,
        **_compared(weights, target),
        **_left_over(reading, target),
    )


def _fitting(reading: _Reading, target: Mapping[str, Tensor]) -> int:
    return sum(
        name in target and weight.shape == target[name].shape
        for name, weight in reading.weights().items()
    )


def _readings(checkpoint: Mapping[str, Any], prefix: str | None) -> list[_Reading]:
    """All ways to read a checkpoint, the preferred first."""
    entries = _entries(checkpoint)
    if not entries:
        raise CheckpointError(
            f'holds no weights, only {first_few(checkpoint, _NAMED_AT_MOST)}'
        )
    readings = [
        _read(entry, found, layout)
        for entry in entries
        for found in _prefixes(entry, prefix)
        for layout in LAYOUTS
    ]
    if not readings:
        raise CheckpointError(
            f'no key begins with prefix={prefix!r}: there are '
            f'{first_few(entries[0], _NAMED_AT_MOST)}'
        )
    return readings


def _entries(checkpoint: Mapping[str, Any]) -> list[StateDict]:
    """What in a checkpoint holds weights: itself, or some of its entries."""
    names = [*(name for name in ENTRIES if name in checkpoint), *checkpoint]
    candidates = [checkpoint, *(checkpoint[name] for name in dict.fromkeys(names))]
    entries = [_tensors(entry) for entry in candidates if isinstance(entry, Mapping)]
    return [entry for entry in entries if entry]


def _which_entry(taken: StateDict, checkpoint: Mapping[str, Any]) -> str:
    """Says which entry was taken, where others hold tensors of the same names."""
    entries = {
        str(name): _tensors(entry)
        for name, entry in checkpoint.items()
        if isinstance(entry, Mapping)
    }
    alike = [name for name in entries if entries[name].keys() == taken.keys()]
    chosen = [n for n in alike if all(entries[n][k] is taken[k] for k in taken)]
    others = [name for name in alike if name not in chosen[:1]]
    if not chosen or not others:
        return ''
    return f', of {chosen[0]!r}, not of {", ".join(map(repr, others))}'


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


def _read(entry: StateDict, prefix: str, layout: Layout) -> _Reading:
    names = {
        key: layout.rename(key.removeprefix(prefix)) if key.startswith(prefix) else None
        for key in entry
    }
    return _Reading(layout, prefix, entry, names)


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
