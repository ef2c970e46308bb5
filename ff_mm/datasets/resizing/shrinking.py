"""One image made smaller: decoded, reduced, encoded."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.files.deep_images import FULL, to_8_bits
from ff_mm.datasets.files.dicom import is_dicom, read_dicom
from ff_mm.datasets.files.image_paths import first_line


def decode(content: bytes, name: str, short_side: int) -> Image.Image:
    """Decodes an image as MMCV does, but keeps grey grey and 16 bits 16 bits.

    Args:
        content: The file.
        name: Of the file; tells DICOM by its extension.
        short_side: Of what is to be made of it, in pixels. A much larger JPEG is
            decoded at a half, a quarter or an eighth of its size, but never below twice
            the size of the result, where the difference is less than a grey level.

    Returns:
        The image, upright and without alpha and metadata, of mode L, RGB, or I for 16
        bits. Its shorter side is at most ``short_side`` only if that of the file is.

    Raises:
        DatasetError: It cannot be decoded; says why in a line.
    """
    if is_dicom(name):
        return Image.fromarray(read_dicom(content, name))
    # Decoders raise whatever a damaged file makes them stumble over.
    try:
        return _decode(content, short_side)
    except UnidentifiedImageError:
        reason = 'it is no image, or of an unknown kind'
    except Exception as error:
        reason = first_line(error)
    raise DatasetError(f'{name}: {reason}')


def _decode(content: bytes, short_side: int) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(content))
    width, height = _fit(image.size, short_side)
    image.draft(None, (2 * width, 2 * height))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == 'F':
        raise ValueError('its pixels are floating-point numbers')
    if image.mode.startswith('I'):
        image = image.convert('I')
    elif image.mode not in ('L', 'RGB'):
        image = image.convert('L' if image.mode in ('1', 'LA') else 'RGB')
    image.info = {}
    return image


def shrink(image: Image.Image, short_side: int) -> Image.Image:
    """Reduces an image, with smoothing (Lanczos); a smaller one stays as it is.

    Args:
        image: Of mode L, RGB or I.
        short_side: Of the result, in pixels.

    Returns:
        An image of the same mode and the same shape.
    """
    size = _fit(image.size, short_side)
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS)


def _fit(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = min(1, short_side / min(size))
    return round(size[0] * scale), round(size[1] * scale)


def encode(image: Image.Image, extension: str, quality: int, bits: int = FULL) -> bytes:
    """Encodes an image.

    Args:
        image: Of mode L, RGB or I. The latter becomes 16-bit grey in PNG and TIFF, and
            8 bits elsewhere.
        extension: Of the file, as ``'.png'``.
        quality: Of JPEG and WebP, from 1 to 100.
        bits: That 16-bit images use, where they become 8 bits.

    Returns:
        The content of the file.
    """
    kind = Image.registered_extensions()[extension.lower()]
    if image.mode == 'I':
        # Resizing overshoots at edges, and in this mode nothing cuts that off.
        pixels = np.asarray(image).clip(0, 65535).astype(np.uint16)
        deep = keeps_16_bits(extension)
        image = Image.fromarray(pixels if deep else to_8_bits(pixels, bits))
    settings: dict[str, dict[str, Any]] = {
        # What was shrunk has its colours at full resolution.
        'JPEG': dict(quality=quality, subsampling=0),
        'WEBP': dict(quality=quality),
        'TIFF': dict(compression='tiff_lzw'),
    }
    file = io.BytesIO()
    image.save(file, kind, **settings.get(kind, {}))
    return file.getvalue()


def keeps_16_bits(extension: str) -> bool:
    """Whether files with this extension may have 16 bits a pixel."""
    return Image.registered_extensions()[extension.lower()] in ('PNG', 'TIFF')
