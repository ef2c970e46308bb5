"""Images that go through the same steps, and what the cache keeps of each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import cv2
import mmcv
import numpy as np
import PIL
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from ff_mm.datasets.files.image_paths import file_cut_short, first_line
from ff_mm.datasets.image_cache.store import Record
from ff_mm.datasets.image_cache.transforms import make_record, name_of, run_steps
from ff_mm.environment import installed

_FORMAT = 1
# Images from which the size of all is estimated.
_SAMPLE = 64

Outcome = Record | str | None


@dataclass
class Part:
    """A part of a cache.

    Attributes:
        steps: Configs of the steps; the first loads an image.
        paths: Of the images, each once.
    """

    steps: list[Mapping[str, Any]]
    paths: dict[str, None] = field(default_factory=dict)

    @property
    def decode(self) -> Callable[[str], Outcome]:
        """A function that makes of a path what is kept of the image.

        It returns why an image cannot be read, None for one that the steps leave out,
        and raises what the steps after the first raise: that is not the image's fault.
        """
        steps = [TRANSFORMS.build(step) for step in self.steps]
        return partial(_decode, steps=steps)

    @cached_property
    def average_size(self) -> float:
        """Bytes of an image, estimated from some of them, all along the data set."""
        paths, decode = list(self.paths), self.decode
        chosen = np.linspace(0, len(paths) - 1, min(_SAMPLE, len(paths))).astype(int)
        outcomes = [decode(paths[index]) for index in chosen]
        sizes = [each.pixels.nbytes for each in outcomes if isinstance(each, Record)]
        return float(np.mean(sizes)) if sizes else 0.0

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ if anything does that makes the pixels.

        These are the steps, the versions of what decodes, and paths, sizes and times of
        the files.
        """
        versions = [cv2.__version__, mmcv.__version__, PIL.__version__]
        head = [_FORMAT, *versions, installed('pydicom'), name_of(self.steps)]
        digest = hashlib.sha256(json.dumps(head).encode())
        for path in self.paths:
            line = f'{os.path.abspath(path)}\t{_state(path)}\n'
            digest.update(line.encode(errors='surrogateescape'))
        return digest.hexdigest()[:16]


def _decode(path: str, steps: Sequence[BaseTransform]) -> Outcome:
    load, *others = steps
    # Whatever a loader raises, training would stumble over it, too.
    try:
        results = load(dict(img_path=path))
    except Exception as error:
        reason = first_line(error)
        return reason if path in reason else f'{path}: {reason}'
    if wrong := file_cut_short(path):
        return f'{path}: {wrong}'
    if results is not None:
        results = run_steps(others, results)
    return None if results is None else make_record(path, results)


def _state(path: str) -> tuple[int, int] | None:
    """Gives size and time of a file, None where there are no such things."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
