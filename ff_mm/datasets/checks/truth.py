"""What a data set says of its cases, whatever they are: names, truth, files.

MMPretrain's data sets say ``gt_label`` or ``gt_score``. Of others all that they say of
a case is its truth, but for what names it; where that is a path, such as
``seg_map_path`` of a mask, the file belongs to the case as its image does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from torch import Tensor

# What names a case or puts it together with others, and what is looked at by itself.
_NAMES = frozenset({'img_path', 'img', 'image_id', 'group', 'sample_idx'})
# As long a truth is written out in a table; of a longer one a digest is.
_WRITTEN = 60


def meta_of(dataset: Any) -> dict[str, Any]:
    """Returns the meta information of a data set, such as its classes.

    Args:
        dataset: One of MMEngine's, or any of torch's, of which there is none.
    """
    return getattr(dataset, 'metainfo', None) or {}


def says_cases(dataset: Any) -> bool:
    """Whether a data set can be asked for what is known of a case."""
    return hasattr(dataset, 'get_data_info')


def data_infos(dataset: Any) -> Iterator[dict[str, Any]]:
    """Gives what is known of each case, one after the other.

    Of data sets that cannot be asked that is nothing.
    """
    if not says_cases(dataset):
        return ({} for _ in range(len(dataset)))
    return (dataset.get_data_info(index) for index in range(len(dataset)))


def image_path(info: Mapping[str, Any]) -> str | None:
    """Returns where the image of a case lies, if it is one file."""
    path = info.get('img_path')
    return os.fspath(path) if path and isinstance(path, (str, PurePath)) else None


def hash_pixels(pixels: np.ndarray) -> str:
    """Gives a SHA-256 over the values, the shape and the type of an image."""
    pixels = np.ascontiguousarray(pixels)
    head = f'{pixels.shape} {pixels.dtype} '
    return hashlib.sha256(head.encode() + pixels.tobytes()).hexdigest()


def truth_of(info: Mapping[str, Any], root: str = '') -> Any:
    """Gives the truth of a case as plain values.

    Args:
        info: What is known of it.
        root: The folder that paths are taken relative to.

    Returns:
        Of a label a list of numbers, which is empty where there is no truth; of
        anything else a dict, of which arrays are told by their content.
    """
    label = info.get('gt_label', info.get('gt_score'))
    if label is not None:
        return np.atleast_1d(np.asarray(label)).tolist()
    names = _NAMES if image_path(info) else _NAMES - {'img_path'}
    said = {key: value for key, value in info.items() if key not in names}
    return _plain(said, '', root) or []


def truth_text(info: Mapping[str, Any], root: str = '') -> str:
    """Gives the truth of a case for the cell of a table.

    Args:
        info: What is known of it.
        root: As for :func:`truth_of`.
    """
    if 'gt_label' in info:
        return str(info['gt_label'])
    if 'gt_score' in info:
        return ' '.join(f'{score:g}' for score in info['gt_score'])
    truth = truth_of(info, root)
    if not truth:
        return ''
    values = list(truth.values())
    text = json.dumps(values[0] if len(values) == 1 else truth, sort_keys=True)
    if len(text) <= _WRITTEN:
        return text.strip('"')
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def files_of(info: Mapping[str, Any]) -> list[str]:
    """Gives the files of a case: its image, and those of its truth.

    Args:
        info: What is known of it. All values count whose key ends in ``path`` or
            ``paths``, lists of paths and those within dicts too.
    """
    image = dict(img_path=info.get('img_path'))
    return [*_paths('', image), *_paths('', {**info, 'img_path': None})]


def _paths(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths(str(name), item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths(key, item)
    elif _is_path(key, value):
        yield os.fspath(value)


def _is_path(key: str, value: Any) -> bool:
    named = key.endswith(('path', 'paths'))
    return named and isinstance(value, (str, PurePath)) and bool(str(value))


def _plain(value: Any, key: str, root: str) -> Any:
    """A value as JSON has it, the same wherever the data lie and whoever asks."""
    if isinstance(value, Mapping):
        plain = {str(k): _plain(item, str(k), root) for k, item in value.items()}
        return dict(sorted(plain.items()))
    if isinstance(value, (list, tuple)):
        return [_plain(item, key, root) for item in value]
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.item() if not value.ndim else hash_pixels(value)
    if isinstance(value, np.generic):
        return value.item()
    if _is_path(key, value):
        return PurePath(os.path.relpath(os.path.abspath(value), root or '.')).as_posix()
    if value is None or isinstance(value, (str, int, float)):
        return value
    # A text with an address in it would be another in each process.
    text = repr(value)
    return type(value).__name__ if ' at 0x' in text else text
