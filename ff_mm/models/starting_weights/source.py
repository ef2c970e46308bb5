"""Where starting weights come from: a name, a file, a URL, timm."""

from __future__ import annotations

import difflib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader

from ff_mm.merging.state_dict import CheckpointError, read_checkpoint

_TIMM = 'timm://'


def read_source(name: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """Reads a checkpoint without running its code.

    Args:
        name: One of the names in ``sources``, or itself a place: a file (of
            ``torch.save``, or safetensors), a URL, ``timm://<model>``, or whatever
            else MMEngine's loaders know.
        sources: The place behind each name.

    Returns:
        The checkpoint, on the CPU.

    Raises:
        CheckpointError: There is no such name and no such file, it cannot be fetched,
            or it holds more than weights and plain data.
    """
    place = sources.get(name, name)
    if '://' not in place:
        return _read_file(place, sources)
    try:
        return CheckpointLoader.load_checkpoint(place, 'cpu', logger='silent')
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{place}: holds more than weights, and ff_mm runs no code from checkpoints'
        ) from error
    except KeyError as error:
        raise CheckpointError(f'{place}: there is no model {error}') from error
    except (RuntimeError, EOFError) as error:
        reason = str(error).split('\n', 1)[0][:120] or type(error).__name__
        raise CheckpointError(
            f'{place}: what was downloaded is damaged or no checkpoint ({reason}); '
            'remove it from the cache of downloads, and try again'
        ) from error
    except OSError as error:
        raise CheckpointError(
            f'{place}: cannot be fetched ({error}); download it where there is a '
            'network, and give the file'
        ) from error


def _read_file(place: str, sources: Mapping[str, str]) -> dict[str, Any]:
    path = Path(place).expanduser()
    if not path.is_file():
        close = difflib.get_close_matches(place, sources, n=1)
        hint = f' (did you mean {close[0]!r}?)' if close else ''
        names = f', and none of the names {", ".join(sources)}' if sources else ''
        raise CheckpointError(
            f'starting weights {place!r}: no such file{names}{hint}; give a file, a '
            'URL, or None for random weights'
        )
    return read_checkpoint(path, mmap=False, whole=True)


@CheckpointLoader.register_scheme(prefixes=_TIMM, force=True)
def load_from_timm(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Loads the weights that timm has for a model; downloads them if need be.

    Args:
        filename: ``timm://<model>``, such as ``timm://resnet50.a1_in1k``.
        map_location: Not used: tensors come to the CPU.

    Returns:
        The state dict of timm's model, its head included.

    Raises:
        CheckpointError: timm is not installed, or has no such model or weights.
    """
    try:
        import timm
    except ImportError as error:
        raise CheckpointError(f'{filename}: needs `pip install timm`') from error
    try:
        model = timm.create_model(filename.removeprefix(_TIMM), pretrained=True)
    except RuntimeError as error:  # no such model, or no weights for it
        raise CheckpointError(f'{filename}: {error}') from error
    return model.state_dict()
