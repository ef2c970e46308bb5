"""Tensors and plain Python values: what loads with ``weights_only=True``."""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import torch

try:
    from mmengine.logging import HistoryBuffer
except ModuleNotFoundError:  # soups of state dicts need no MMEngine

    class HistoryBuffer:  # type: ignore[no-redef]
        """Of which there is none."""


BUFFER = ('log_history', 'count_history', 'max_length')
_PLAIN: dict[type, Callable[[Any], Any]] = {
    bool: bool,
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: bytes,
}

# Of tuples within each other: what anyone saves has less than ten, and few in one.
_DEEPEST = 1000
_MOST = 1 << 20


class _Nest(NamedTuple):
    """How deep tuples are within each other, and how many are hashed for it."""

    depth: int = 0
    hashed: int = 0


def check_tuples(file: IO[bytes] | bytes) -> None:
    """Goes through a pickle without building anything, and looks how tuples nest.

    A tuple that is the key of a dict is hashed by a function that calls itself for each
    tuple within: of a million the process dies, before anything can be refused.

    Args:
        file: Where the pickle begins; it is read up to its end.

    Raises:
        ValueError: They nest too deep, or it is no pickle.
    """
    stack: list[_Nest] = []
    marks: list[list[_Nest]] = []
    memo: dict[Any, _Nest] = {}
    try:
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if name == 'MARK':
                marks.append(stack)
                stack = []
            elif name == 'POP' and not stack:  # it takes a mark as well
                stack = marks.pop()
            elif name in ('PUT', 'BINPUT', 'LONG_BINPUT', 'MEMOIZE'):
                memo[len(memo) if argument is None else argument] = stack[-1]
            elif name in ('GET', 'BINGET', 'LONG_BINGET'):
                stack.append(memo[argument])
            elif name == 'DUP':
                stack.append(stack[-1])
            else:
                taken: list[_Nest] = []
                before = [kind.name for kind in opcode.stack_before]
                if 'mark' in before:
                    taken, stack = stack, marks.pop()
                    before = before[: before.index('mark')]
                if before:
                    taken = [*stack[-len(before) :], *taken]
                    del stack[-len(before) :]
                stack += [_made(name, taken)] * len(opcode.stack_after)
    except (IndexError, KeyError) as error:
        raise ValueError('no pickle') from error


def _made(name: str, taken: Sequence[_Nest]) -> _Nest:
    """What an opcode makes of values; only in tuples do tuples count."""
    if name == 'BUILD':  # which gives its first value back
        return taken[0]
    if 'TUPLE' not in name:
        return _Nest()
    depth = 1 + max((nest.depth for nest in taken), default=0)
    hashed = 1 + sum(nest.hashed for nest in taken)
    if depth > _DEEPEST or hashed > _MOST:
        raise ValueError(f'{depth} tuples within each other, {hashed} in one')
    return _Nest(depth, hashed)


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metrics as JSON can say them; tensors, such as matrices, as lists."""
    return {
        name: value.tolist() if isinstance(value, torch.Tensor) else value
        for name, value in to_plain(dict(metrics), 'metrics').items()
    }


def to_plain(value: Any, path: str = '') -> Any:
    """Returns the value with NumPy and MMEngine objects made plain.

    Args:
        value: Anything that a checkpoint holds.
        path: Where it stands, for the error.

    Raises:
        TypeError: A type that ``weights_only=True`` would refuse, with its path.
    """
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        values = (history.tolist(), counts.tolist(), value.max_length)
        return dict(zip(BUFFER, values, strict=True))
    if isinstance(value, dict):
        entries = {k: to_plain(v, f'{path}.{k}') for k, v in value.items()}
        return type(value)(entries) if _is_plain_dict(value) else entries
    if isinstance(value, (list, tuple)):
        items = [to_plain(v, f'{path}[{i}]') for i, v in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    for kind, content in _PLAIN.items():
        if isinstance(value, kind):
            # A subclass (an enum, say) would be pickled by its name.
            return value if type(value) is kind else content(value)
    if value is None or isinstance(value, (torch.Tensor, torch.dtype)):
        return value
    raise TypeError(
        f'checkpoint entry {path} is a {type(value).__module__}.'
        f'{type(value).__qualname__}, which could not be loaded again; keep tensors '
        'and plain values in state dicts and in the message hub'
    )


def first_few(names: Iterable[object], limit: int | None) -> str:
    """Gives names with commas between them, at most so many; None: all."""
    listed = [str(name) for name in names]
    more = ', ...' if limit is not None and len(listed) > limit else ''
    return ', '.join(listed[:limit]) + more


def not_utf8(names: Iterable[str]) -> list[str]:
    """Gives those names of files that are not UTF-8, with the bytes that are not.

    No table, no JSON and no line on a screen can have such a name in it.
    """
    return [
        name.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')
        for name in names
        if not _is_utf8(name)
    ]


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_plain(value: Any) -> bool:
    """Whether :func:`to_plain` would take the value."""
    try:
        to_plain(value)
    except TypeError:
        return False
    return True


def _is_plain_dict(value: dict) -> bool:
    """Whether the dict's own type survives ``weights_only=True``."""
    return f'{type(value).__module__}.{type(value).__name__}' in (
        'builtins.dict',
        'collections.OrderedDict',
    )


#: In ``gt_score``, beside 1 and 0.
MISSING = -1
