"""What comes out of a pickle, made fit for use: it may be forged, or without end.

Nothing in it runs, see :mod:`ff_mm.merging.state_dict`. It may still be built so that
using it fails: attributes that hide methods, and containers within containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

# Of containers within each other: what trainings save has less than ten, and hardly
# any twice. So many can be shown and compared.
_DEEPEST = 100
_MOST = 1 << 24


def settle(content: Any) -> list[Tensor]:
    """Takes attributes of tensors and dicts away, and refuses what hides a method.

    Args:
        content: What was unpickled. It is changed in place.

    Returns:
        All tensors in it.

    Raises:
        ValueError: An attribute has the name of a method, or containers are nested so
            deep that they could neither be shown nor compared.
    """
    tensors: list[Tensor] = []
    # How deep each is, and how many there are in it, those in two places twice.
    known: dict[int, tuple[int, int]] = {}
    begun: set[int] = set()
    waiting = [content]
    while waiting:
        item = waiting[-1]
        if id(item) in known:
            waiting.pop()
            continue
        inner = [part for part in _parts(item) if _is_nested(part)]
        if id(item) not in begun:
            begun.add(id(item))
            _take_attributes(item)
            if isinstance(item, Tensor):
                tensors.append(item)
            # What is begun and not over is around this: a circle, which ends here.
            waiting += [part for part in inner if id(part) not in begun]
            continue
        nests = [known.get(id(part), (0, 0)) for part in inner]
        depth = 1 + max((depth for depth, _ in nests), default=0)
        count = 1 + sum(count for _, count in nests)
        if depth > _DEEPEST or count > _MOST:
            raise ValueError(f'{depth} containers within each other, {count} in one')
        known[id(item)] = depth, count
        waiting.pop()
    return tensors


def _is_nested(item: Any) -> bool:
    return isinstance(item, (Tensor, Mapping, list, tuple))


def _parts(item: Any) -> Iterable[Any]:
    if isinstance(item, Mapping):
        # Not by its own methods, which may be hidden yet.
        return [*dict.keys(item), *dict.values(item)] if isinstance(item, dict) else ()
    return item if isinstance(item, (list, tuple)) else ()


def _take_attributes(item: Any) -> None:
    attributes = getattr(item, '__dict__', None)
    if not attributes:
        return
    hiding = next((name for name in attributes if hasattr(type(item), str(name))), None)
    if hiding is not None:
        raise ValueError(f'an attribute {hiding!r} of a {type(item).__name__}')
    # torch keeps versions of layers with a state dict, in a dict for each.
    versions = attributes.get('_metadata')
    attributes.clear()
    if isinstance(versions, dict) and all(
        isinstance(version, dict) for version in dict.values(versions)
    ):
        attributes['_metadata'] = versions
