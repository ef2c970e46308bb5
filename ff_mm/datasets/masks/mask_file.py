"""Reading mask files: what stands for which class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ff_mm.datasets.files.image_paths import cut_short, first_line
from ff_mm.datasets.tables.table_file import with_nearest
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.plain import first_few

#: The number of pixels of which nobody says what they are.
IGNORED = 255

# A colour is a value beyond all of 16 bits.
_COLOR = 1 << 24
_HEX = re.compile(r'#[0-9a-fA-F]{6}')
_EXIF_ORIENTATION = 0x0112


class MaskError(FFMMError):
    """A mask that cannot be used.

    Args:
        path: The file.
        problem: Why, as the rest of a sentence that begins with the file.

    Attributes:
        path: As given.
        problem: As given.
    """

    def __init__(self, path: str, problem: str) -> None:
        # Both go to the base class, so that the error survives pickling.
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    @property
    def lines(self) -> Sequence[str]:
        """The message."""
        return [f'{self.path}: {self.problem}']


def read_label_map(
    classes: Sequence[str], given: Mapping[object, object] | None
) -> dict[int, int]:
    """Returns which value of a mask is which class.

    Args:
        classes: All classes in the order of their numbers.
        given: Value -> class, by name or number; None: pixels that do not count. A
            value is a whole number, or a colour as ``'#ff0000'``. Values that are not
            named are the class of that number.

    Returns:
        Value -> number of the class, or :data:`IGNORED`. A colour is a value of its
        own, beyond all numbers.

    Raises:
        ConfigError: A value that is none, or a class that does not exist.
    """
    if len(classes) > IGNORED:
        raise ConfigError(f'classes: {len(classes)} of them, expected at most 255')
    numbers = {number: number for number in range(len(classes))}
    names = [str(name) for name in classes]
    for value, meant in (given or {}).items():
        numbers[_value(value)] = IGNORED if meant is None else _number(meant, names)
    return numbers


def read_mask(path: str, label_map: Mapping[int, int]) -> np.ndarray:
    """Reads a mask.

    Args:
        path: A file in grey (8 or 16 bits), black and white, with a palette (then the
            numbers in it are the values), or in colour.
        label_map: As :func:`read_label_map` gives it.

    Returns:
        Class numbers, uint8 of shape (H, W); :data:`IGNORED` where a pixel does not
        count.

    Raises:
        MaskError: The file cannot be read, is a JPEG, or has other values.
    """
    values = _read_values(path)
    found = _distinct(values)
    numbers = [label_map.get(value, _of_grey(value, label_map)) for value in found]
    unknown = [v for v, number in zip(found, numbers, strict=True) if number is None]
    if unknown:
        raise MaskError(path, f'has values that are no class: {_shown(unknown)}')
    return np.array(numbers, np.uint8)[np.searchsorted(found, values)]


def read_masks_of_classes(paths: Sequence[str], first: int = 1) -> np.ndarray:
    """Reads one mask of each class and puts them together.

    Args:
        paths: A file for each class, in the order of their numbers: 0 where a pixel is
            not of it, and one other value where it is.
        first: The number of the first class; all before it is what no mask claims.

    Returns:
        Class numbers, uint8 of shape (H, W).

    Raises:
        MaskError: A file that cannot be used, masks of different sizes, or a pixel that
            two of them claim.
    """
    together: np.ndarray | None = None
    for number, path in enumerate(paths, first):
        values = _read_values(path)
        found = np.array(_distinct(values))
        if len(found[_plain(found) != 0]) > 1:
            raise MaskError(
                path,
                f'has the values {_shown(found)}, where the mask of one class has 0 '
                'and one other',
            )
        if together is None:
            together = np.zeros(values.shape, np.uint8)
        if values.shape != together.shape:
            raise MaskError(path, 'is of another size than the mask of another class')
        claimed = _plain(values) != 0
        if (claimed & (together > 0)).any():
            raise MaskError(path, 'claims pixels that the mask of another class claims')
        together[claimed] = number
    assert together is not None  # there is a class besides the background
    return together


def size_of(path: str) -> tuple[int, int] | None:
    """Returns height and width of an image as it is shown; None if nobody knows."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) > 4
    except Exception:  # not one of Pillow's, such as DICOM, or damaged
        return None
    return (width, height) if turned else (height, width)


def _value(key: object) -> int:
    text = str(key).strip()
    if _HEX.fullmatch(text):
        return _COLOR + int(text[1:], 16)
    if not text.isdecimal() or int(text) >= _COLOR:
        raise ConfigError(
            f'label_map: {text!r} is no value of a mask: expected a whole number such '
            "as 255, or a colour such as '#ff0000'"
        )
    return int(text)


def _number(meant: object, names: Sequence[str]) -> int:
    text = str(meant).strip()
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise ConfigError(
        f'label_map: {with_nearest(text, names)} is no class: the classes are '
        f'{first_few(names, 20)}; or None for pixels that do not count'
    )


def _read_values(path: str) -> np.ndarray:
    """The values of all pixels, int64 of shape (H, W)."""
    try:
        content = Path(path).read_bytes()
        with Image.open(path) as image:
            kind = image.format
            image.load()
            pixels, mode = np.asarray(image), image.mode
    except Exception as error:  # whatever a decoder stumbles over
        reason = first_line(error).replace(path, '').strip(" :'")
        raise MaskError(path, f'cannot be read as an image ({reason})') from None
    if wrong := cut_short(content):
        raise MaskError(path, f'cannot be read as an image ({wrong})')
    if kind == 'JPEG':
        raise MaskError(
            path,
            'is a JPEG, which changes values where classes meet: save it as PNG from '
            'what it was made of',
        )
    if pixels.dtype.kind not in 'biu':
        problem = f'has values of type {pixels.dtype}, expected whole numbers'
        raise MaskError(path, problem)
    values = pixels.astype(np.int64)
    if values.ndim == 2:
        return values
    if mode in ('LA', 'RGBA') and (values[..., -1] != 255).any():
        problem = 'is transparent in part: save it without an alpha channel'
        raise MaskError(path, problem)
    if mode == 'LA':
        return values[..., 0]
    if values.shape[-1] not in (3, 4):
        raise MaskError(path, f'has {values.shape[-1]} channels ({mode})')
    red, green, blue = (values[..., channel] for channel in range(3))
    return _COLOR + (red << 16) + (green << 8) + blue


def _distinct(values: np.ndarray) -> list[int]:
    """All values that occur, sorted; of few possible ones without sorting pixels."""
    if values.max(initial=0) < 1 << 16:
        return np.flatnonzero(np.bincount(values.ravel())).tolist()
    return np.unique(values).tolist()


def _of_grey(value: int, label_map: Mapping[int, int]) -> int | None:
    """The class of a colour that is grey, which a plain number may name as well."""
    plain = int(_plain(np.array(value)))
    return label_map.get(plain) if plain != value else None


def _plain(values: np.ndarray) -> np.ndarray:
    """The values, of those colours that are grey the number."""
    color = values - _COLOR
    grey = (values >= _COLOR) & (color % 0x10101 == 0)
    return np.where(grey, color // 0x10101, values)


def _shown(values: Sequence[int] | np.ndarray) -> str:
    plain = _plain(np.asarray(values))
    text = [f'#{v - _COLOR:06x}' if v >= _COLOR else str(v) for v in plain]
    return first_few(text, 5)
