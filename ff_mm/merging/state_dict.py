"""State dicts on disk: reading without running code, checking, writing atomically."""

from __future__ import annotations

import os
import re
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.serialization import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
)

from ff_mm.errors import FFMMError
from ff_mm.files import (
    NotRegularError,
    PathLike,
    atomic_write,
    open_regular,
    sha256,
)
from ff_mm.merging.archive import Archive, damaged_part
from ff_mm.merging.contents import settle
from ff_mm.merging.finite import unusual_kind
from ff_mm.merging.safetensors_file import is_safetensors, read_safetensors
from ff_mm.merging.wrappers import unwrapped, weights_entry
from ff_mm.plain import check_tuples

StateDict = dict[str, Tensor]

#: Last parts of the names of batch norm's statistics: measured on images, not trained.
STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')

_ZIP_MAGIC = b'PK\x03\x04'
_NAMED_AT_MOST = 3
# Magic number, protocol, system, content, keys of storages.
_LEGACY_PICKLES = 5


class CheckpointError(FFMMError):
    """A checkpoint that cannot be used; names the file, the key and the remedy."""


class _StandIn:
    """What a checkpoint gets in place of a Python object that is no weight.

    It takes any arguments and any state, and keeps and does nothing. One class
    stands for all refused names, so nothing that a pickle can build from it does
    anything either: calling, indexing or appending to an instance is refused.
    """

    __slots__ = ()

    def __new__(cls, *_: Any) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise CheckpointError(
            'an entry of this checkpoint was not read, so it cannot be written again; '
            "keep only what you need, such as 'state_dict' and 'meta'"
        )


# What MMEngine's CheckpointHook pickles into 'message_hub': logged values and their
# statistics. No soup needs them. `getattr` is among them, which is why these names
# are never given their real meaning here.
_STAND_INS: list[Any] = [
    (_StandIn, name)
    for name in (
        'mmengine.logging.history_buffer.HistoryBuffer',
        'numpy._core.multiarray._reconstruct',
        'numpy._core.multiarray.scalar',
        'numpy.core.multiarray._reconstruct',
        'numpy.core.multiarray.scalar',
        'numpy.dtype',
        'numpy.ndarray',
        'builtins.bytes',
        'builtins.getattr',
        'argparse.Namespace',
    )
]
_loading = threading.RLock()


@contextmanager
def _stand_ins_only() -> Iterator[None]:
    """Let ``torch.load`` know the stand-ins, and nothing that others allowed.

    torch keeps one list a process. Whoever put the real `getattr` on it would
    otherwise have put it on ours.
    """
    with _loading:
        others = get_safe_globals()
        clear_safe_globals()
        add_safe_globals(_STAND_INS)
        try:
            yield
        finally:
            clear_safe_globals()
            add_safe_globals(others)


def read_checkpoint(
    path: PathLike, mmap: bool = True, device: str = 'cpu', whole: bool = False
) -> dict[str, Any]:
    """Read a checkpoint without running its code.

    Training checkpoints of stock MMEngine are read too: the logged values and NumPy
    objects in their ``message_hub`` come back as inert stand-ins, all else as saved.

    Args:
        path: A file written by ``torch.save``, in today's or in the legacy format
            (which cannot be mapped and is read whole), or one of safetensors, be it
            under another name.
        mmap: Whether to map the file into memory rather than read it whole.
        device: Where the tensors go; on ``'meta'`` they have no values.
        whole: Whether all bytes are compared with their CRC-32, see
            :func:`check_whole`.

    Returns:
        The dict that was saved.

    Raises:
        CheckpointError: If the file is missing, empty, truncated or no checkpoint,
            is not as ``torch.save`` writes it, holds no dict, or needs Python objects
            other than tensors and plain data.
    """
    zipped = is_zip(path)
    if not zipped and is_safetensors(path):
        try:
            return read_safetensors(path)
        except ValueError as error:
            raise CheckpointError(f'{path}: {error}') from error
    try:
        archive = Archive.read(path) if zipped else None
        if archive is None:
            _check_legacy(path)
        elif whole:
            check_whole(path)
        with _stand_ins_only():
            checkpoint = torch.load(
                os.fspath(path),
                map_location=device,
                weights_only=True,
                mmap=mmap and zipped,
            )
        tensors = settle(checkpoint)
        if archive is not None and device == 'cpu':
            archive.check_sizes(tensors)
    except CheckpointError:
        raise
    except Exception as error:  # a malformed pickle can raise anything
        raise CheckpointError(_explain(path, error)) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'{path}: holds a {type(checkpoint).__name__}, not a dict of weights'
        )
    return checkpoint


def is_zip(path: PathLike) -> bool:
    """Say whether a file is in today's format, which can be mapped into memory.

    Raises:
        CheckpointError: If it cannot be opened.
    """
    try:
        with open_regular(path) as file:
            return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    except NotRegularError as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        raise CheckpointError(f'{path}: cannot be opened: {error.strerror}') from error


def check_whole(path: PathLike) -> None:
    """Check that each byte is the one that was written, where the format can tell.

    Raises:
        CheckpointError: If it is damaged.
    """
    if is_zip(path) and (wrong := damaged_part(path)):
        raise CheckpointError(f'{path}: is damaged: {wrong}; copy or make it anew')


def _check_legacy(path: PathLike) -> None:
    """Looks at the pickles of which a file in the legacy format consists."""
    if tarfile.is_tarfile(path):  # of torch 0.1, refused by torch in its own words
        return
    with open(path, 'rb') as file:
        for _ in range(_LEGACY_PICKLES):
            check_tuples(file)


def _explain(path: PathLike, error: Exception) -> str:
    """Say in one line why ``torch.load`` refused, without its advice to trust."""
    if os.path.getsize(path) == 0:
        return f'{path}: is empty'
    if refused := re.search(r'GLOBAL (\S+)', str(error)):
        return (
            f'{path}: needs the Python object {refused[1]}, and ff_mm does not run '
            f'code from checkpoints; if you trust the file, save its weights alone'
        )
    if 'Trying to call' in str(error):
        return f'{path}: calls a function, and ff_mm does not run code from checkpoints'
    # torch's own reason comes after its advice, in the first line or the only one.
    reason = str(error).split('WeightsUnpickler error: ')[-1].strip() or repr(error)
    return (
        f'{path}: is truncated, damaged or not a checkpoint of weights '
        f'({_first_sentence(reason)}); copy or make it anew'
    )


def _first_sentence(text: str) -> str:
    return text.splitlines()[0].split('. ')[0][:120]


def read_state_dict(path: PathLike, entry: str | None = None) -> StateDict:
    """Read the weights of a checkpoint: its ``state_dict`` entry, or all of it.

    What wraps the weights is taken off, see :mod:`ff_mm.merging.wrappers`.

    Args:
        path: A checkpoint, or a bare state dict, see :func:`read_checkpoint`.
        entry: Which entry holds them, such as ``'state_dict_ema'``; None: the usual.

    Returns:
        Tensors on the CPU by name, mapped into memory, in the order of the file.

    Raises:
        CheckpointError: If the file cannot be read, has no weights, or holds
            anything but dense tensors among them.
    """
    weights = weights_of(read_checkpoint(path), path, entry)
    empty = next((key for key, value in weights.items() if value.is_meta), None)
    if empty is not None:
        raise CheckpointError(
            f"{path}: key {empty!r} was saved on the device 'meta' and has no values"
        )
    return weights


def weights_of(
    checkpoint: Mapping[str, Any], path: PathLike, entry: str | None = None
) -> StateDict:
    """Return the weights of a checkpoint that was read, as :func:`read_state_dict`.

    Args:
        checkpoint: What :func:`read_checkpoint` returned.
        path: Its file, for messages.
        entry: Which entry holds them; None: the usual.

    Raises:
        CheckpointError: If it has no weights, or anything but dense tensors among
            them, or a name with characters that cannot be printed.
    """
    try:
        _, state_dict = weights_entry(checkpoint, entry)
    except ValueError as error:
        raise CheckpointError(f'{path}: {error}') from error
    if not isinstance(state_dict, dict) or not state_dict:
        raise CheckpointError(f'{path}: has no weights, or an empty state dict')
    for key, value in state_dict.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f'{path}: key {key!r} holds a {type(value).__name__}, not a tensor; '
                f"expected a state dict, or a checkpoint with a 'state_dict' entry"
            )
        # Names come into messages, and to a terminal some characters are commands.
        if not key.isprintable():
            raise CheckpointError(f'{path}: key {key!r} is no name of a weight')
        if kind := unusual_kind(value):
            raise CheckpointError(
                f'{path}: key {key!r} holds a {kind} tensor, of which there is no '
                'mean; save the weights of the network as it was trained'
            )
    values = {
        key: value.detach().resolve_conj().resolve_neg()
        for key, value in state_dict.items()
    }
    return unwrapped(values, checkpoint)


def is_statistic(key: str) -> bool:
    """Say whether a name is that of a statistic of batch norm, which is no weight."""
    return key.rpartition('.')[2] in STATISTICS


def has_batch_norm(names: Iterable[str]) -> bool:
    """Say whether names of weights are those of a network with batch norm."""
    return any(name.rpartition('.')[2] == 'running_var' for name in names)


def outline(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Return names, shapes and dtypes without the values: tensors on ``meta``."""
    return {
        key: torch.empty(value.shape, dtype=value.dtype, device='meta')
        for key, value in state_dict.items()
    }


def check_same_architecture(
    state_dict: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    name: str,
    reference_name: str,
) -> list[str]:
    """Compare the keys, shapes and dtypes of two models.

    Args:
        state_dict: The model to check.
        reference: What it is compared with; tensors on ``meta`` will do.
        name: How to call the model in the problems.
        reference_name: How to call the reference.

    Returns:
        A sentence a kind of problem, naming a few keys and counting the rest; empty
        if the two have the same architecture.
    """
    shared = [key for key in reference if key in state_dict]
    shapes = [
        f'{key} {_shape(state_dict[key])} instead of {_shape(reference[key])}'
        for key in shared
        if state_dict[key].shape != reference[key].shape
    ]
    dtypes = [
        f'{key} {state_dict[key].dtype} instead of {reference[key].dtype}'
        for key in shared
        if state_dict[key].dtype != reference[key].dtype
    ]
    found = {
        'lacks keys': [key for key in reference if key not in state_dict],
        'has extra keys': [key for key in state_dict if key not in reference],
        'differs in shape': shapes,
        'differs in dtype': dtypes,
    }
    return [
        f'{name} {what} ({len(which)}), compared with {reference_name}: {_some(which)}'
        for what, which in found.items()
        if which
    ]


@torch.no_grad()
def copy_weights(source: Mapping[str, Tensor], out: StateDict, name: str) -> StateDict:
    """Write the weights of one model into the tensors of another.

    Args:
        source: The model to copy.
        out: Where to; tensors on any device and of any strides.
        name: How to call the source if the two do not fit.

    Returns:
        ``out``.

    Raises:
        ValueError: If keys, shapes or dtypes differ; nothing has then been written.
    """
    if problems := check_same_architecture(out, source, 'out', name):
        raise ValueError('; '.join(problems))
    for key, tensor in source.items():
        out[key].copy_(tensor)
    return out


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _some(items: list[str]) -> str:
    more = ', ...' if len(items) > _NAMED_AT_MOST else ''
    return ', '.join(items[:_NAMED_AT_MOST]) + more


def write_checkpoint(checkpoint: dict[str, Any], path: PathLike) -> str:
    """Write a checkpoint atomically; equal content gives equal bytes.

    Args:
        checkpoint: What to save.
        path: The file to write; its name leaves no trace in the content.

    Returns:
        The SHA-256 of the file, in hexadecimal.

    Raises:
        CheckpointError: If an entry was not read in :func:`read_checkpoint`.
    """
    with atomic_write(path) as file:
        # Given a path, torch.save would put the name of the file into the archive.
        torch.save(checkpoint, file)
    return sha256(path)
