"""Images of 16 bits a channel: what of their range is used, and how it becomes 8."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

#: Bits of a channel where a file has more than 8.
FULL = 16

_PNG = b'\x89PNG\r\n\x1a\n'
_TIFF = (b'II*\0', b'MM\0*')
_BITS_PER_SAMPLE = 258


def read_deep(content: bytes) -> np.ndarray | None:
    """Decodes an image of 16 bits a channel.

    Args:
        content: The file.

    Returns:
        uint16 of shape (H, W, 3), BGR, upright; None of every other image.
    """
    if not _is_deep(content):
        return None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    return image if image is not None and image.dtype == np.uint16 else None


def peak(content: bytes) -> int | None:
    """Gives the largest value in an image of 16 bits, None of every other."""
    image = read_deep(content)
    return None if image is None else int(image.max())


def to_8_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Turns the values from 0 to ``2**bits - 1`` into 0 to 255; larger ones are 255.

    All 16 bits are cut as OpenCV cuts them, so that nothing says 8 bits in two ways.
    """
    if bits == FULL:
        return (pixels >> 8).astype(np.uint8)
    scaled = pixels.astype(np.float32) * (255 / (2**bits - 1))
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def check_bits(bits: int) -> int:
    """Gives a number of bits back.

    Raises:
        ValueError: It is none from 1 to 16.
    """
    if type(bits) is not int or not 1 <= bits <= FULL:
        raise ValueError(f'bits must be a whole number from 1 to {FULL}, got {bits!r}')
    return bits


def _is_deep(content: bytes) -> bool:
    """Whether the head of a file says that it has more than 8 bits a channel."""
    if content.startswith(_PNG):
        return content[24:25] == b'\x10'
    if content.startswith((b'P5', b'P6')):
        return True  # which decoding tells: a comment may stand before the range
    if not content.startswith(_TIFF):
        return False
    try:
        with Image.open(io.BytesIO(content)) as image:
            bits = getattr(image, 'tag_v2', {}).get(_BITS_PER_SAMPLE, (1,))
    except Exception:  # whatever a damaged head makes Pillow stumble over
        return True
    return max(bits) > 8
