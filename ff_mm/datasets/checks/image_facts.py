"""What one image of a data set is like, and whether it can be read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import mmengine.fileio as fileio
import numpy as np
from PIL import Image

from ff_mm.datasets.checks.truth import hash_pixels
from ff_mm.datasets.files.deep_images import peak
from ff_mm.datasets.files.dicom import (
    USE_LOAD_DICOM,
    is_dicom,
    is_dicom_content,
    needs_load_dicom,
)
from ff_mm.datasets.files.image_paths import cut_short, first_line
from ff_mm.errors import FFMMError

Loader = Callable[[dict], dict | None]

# Pillow's names of what lies in a file.
_CHANNELS = {
    '1': 'black and white',
    'L': 'grey',
    'LA': 'grey with alpha',
    'I': '16-bit grey',
    'I;16': '16-bit grey',
    'I;16B': '16-bit grey',
    'P': 'palette',
}


class ImageFacts(NamedTuple):
    """What is known of an image once it has been looked at.

    Attributes:
        content: SHA-256 of the decoded pixels, or of the file's bytes if it was not
            decoded. None if it could not be read.
        size: Shorter and longer side in pixels, None if not known.
        channels: As in the file: ``'grey'``, ``'RGB'``, ``'RGBA'``, ``'DICOM'``, ...
        missing: Whether there is no such file.
        error: Why it cannot be read, None if it can.
        peak: The largest value in a file of 16 bits a channel, None of other images.
    """

    content: str | None = None
    size: tuple[int, int] | None = None
    channels: str | None = None
    missing: bool = False
    error: str | None = None
    peak: int | None = None


def look_at(info: Mapping[str, Any], loader: Loader, decode: bool = True) -> ImageFacts:
    """Reads an image as training would.

    Args:
        info: The ``data_info``, with ``img_path`` or with ``img``, which is taken as it
            is.
        loader: The pipeline's loading step.
        decode: Whether to decode the file; otherwise it is read and its head looked at.

    Returns:
        What was found. Nothing is raised for an image that cannot be read.
    """
    if 'img' in info:
        return _in_memory(np.asarray(info['img']))
    path = info['img_path']
    backend = getattr(loader, 'backend_args', None)
    try:
        content = fileio.get(path, backend_args=backend)
    except FileNotFoundError:
        return ImageFacts(missing=True)
    except OSError as error:
        return ImageFacts(error=error.strerror or str(error))
    size, channels = _head(content, path)
    if not decode:
        digest = hashlib.sha256(content).hexdigest()
        return ImageFacts(digest, size, channels)
    # Whatever a loader raises, training would stumble over it, too.
    try:
        results = loader(dict(info))
    except Exception as error:
        reason = first_line(error).replace(path, '').strip(' :')
        if not isinstance(error, FFMMError) and needs_load_dicom(path):
            reason = USE_LOAD_DICOM
        return ImageFacts(error=cut_short(content) or reason)
    if results is None:
        return ImageFacts(error='the pipeline leaves it out')
    if wrong := cut_short(content):
        return ImageFacts(error=wrong)
    pixels = np.asarray(results['img'])
    digest, sides = hash_pixels(pixels), _sides(pixels.shape)
    return ImageFacts(digest, sides, channels, peak=peak(content))


def _in_memory(pixels: np.ndarray) -> ImageFacts:
    grey = pixels.ndim == 2 or (pixels == pixels[..., :1]).all()
    channels = 'grey' if grey else {3: 'RGB', 4: 'RGBA'}.get(pixels.shape[-1])
    return ImageFacts(hash_pixels(pixels), _sides(pixels.shape), channels)


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    return min(shape[:2]), max(shape[:2])


def _head(content: bytes, path: str) -> tuple[tuple[int, int] | None, str | None]:
    """Gives the sides and the channels as the head of the file says."""
    if is_dicom(path) or is_dicom_content(content):
        return None, 'DICOM'
    # Of a damaged file, or of one that Pillow does not know, there is nothing to say.
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _sides(image.size), _CHANNELS.get(image.mode, image.mode)
    except Exception:
        return None, None
