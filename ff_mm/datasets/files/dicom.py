"""DICOM and 16-bit images as a display shows them, and as a step of a pipeline."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.files.deep_images import FULL, check_bits, read_deep, to_8_bits
from ff_mm.datasets.files.finding import DICOM_EXTENSIONS, is_image

if TYPE_CHECKING:
    from pydicom import Dataset

#: What to do about a file of which :func:`needs_load_dicom` is true.
USE_LOAD_DICOM = (
    "DICOM is read with load=[dict(type='LoadDICOM')] in the file of the data "
    'set, or --cfg-options load.0.type=LoadDICOM'
)

# No pixel is as dark or as bright.
_FAR = 1e9

# Where the word stands by which a file with a preamble is known.
_WORD = (128, b'DICM')
# The groups with which one without begins, little-endian, and the byte that follows.
_GROUPS = (b'\x02\x00', b'\x08\x00')


@TRANSFORMS.register_module()
class LoadDICOM(LoadImageFromFile):
    """Loads an image from a DICOM file, or any image that MMCV reads.

    What is DICOM is told by the extension (.dcm, .dicom), and by the content where the
    extension is none of an image, so that one pipeline reads a data set as it was
    downloaded and as a converter has left it. A DICOM image comes out as
    :func:`read_dicom` shows it, in three channels, as all images do::

        train_pipeline = [dict(type='LoadDICOM'), ...]

    Required keys: ``img_path``. Added keys: ``img``, uint8 of shape (H, W, 3), BGR;
    ``img_shape`` and ``ori_shape``, (H, W).

    Args:
        to_float32: Whether ``img`` is float32 instead, still from 0 to 255.
        imdecode_backend: What decodes images other than DICOM, see
            :func:`mmcv.imfrombytes`.
        backend_args: Where files are read from, see :func:`mmengine.fileio.get`.
        bits: Of other images with 16 bits a channel, how many are used: with 12 the
            values from 0 to 4095 become 0 to 255. All 16 is what OpenCV takes, which
            leaves 16 grey levels of 12-bit images.

    Raises:
        ValueError: ``bits`` is none from 1 to 16.
        DatasetError: A DICOM file that cannot be shown; names the file and the remedy.
    """

    def __init__(
        self,
        to_float32: bool = False,
        imdecode_backend: str = 'cv2',
        backend_args: dict | None = None,
        bits: int = FULL,
    ) -> None:
        self.bits = check_bits(bits)
        super().__init__(
            to_float32=to_float32,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Adds the image to ``results``."""
        path = results['img_path']
        image = self._read(path)
        if image is None:
            return super().transform(results)
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str) -> np.ndarray | None:
        """Reads what MMCV would not, or not so; None of all other images."""
        if is_image(path) and not is_dicom(path) and self.bits == FULL:
            return None
        content = fileio.get(path, backend_args=self.backend_args)
        if not is_dicom(path) and not is_dicom_content(content):
            deep = read_deep(content)
            return None if deep is None else to_8_bits(deep, self.bits)
        image = read_dicom(content, path)
        if image.ndim == 2:
            image = np.stack([image] * 3, axis=-1)
        return np.ascontiguousarray(image[..., ::-1])  # RGB to BGR


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Tells by the extension whether a file is DICOM."""
    return os.path.splitext(path)[1].lower() in DICOM_EXTENSIONS


def is_dicom_content(content: bytes) -> bool:
    """Tells by its first bytes whether a file is DICOM, with a preamble or without."""
    start, word = _WORD
    return content[start : start + len(word)] == word or _lacks_preamble(content)


def needs_load_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file that MMCV could not load is there and is DICOM."""
    try:
        with open(path, 'rb') as file:
            head = file.read(_WORD[0] + len(_WORD[1]))
    except OSError:
        return False
    return is_dicom_content(head)


def _lacks_preamble(content: bytes) -> bool:
    # The elements of these groups have small even numbers, other files hardly.
    return content[:2] in _GROUPS and content[3:4] == b'\0'


def read_dicom(content: bytes, name: str) -> np.ndarray:
    """Decodes a DICOM file into the image that a display would show.

    Grey images go through the modality table or rescaling and then through the first
    VOI table or window, whose range becomes 0 to 255. Without either, 8-bit images
    stay as they are, and of deeper ones the range from the darkest to the brightest
    pixel becomes 0 to 255. MONOCHROME1, where the lowest value is white, is inverted.
    Colour images of 8 bits a channel stay as they are, as RGB.

    Grey pixels of the Pixel Padding Value, or from it to the Pixel Padding Range Limit,
    are no part of the image: they count for no range, and are black.

    Args:
        content: The file, with the preamble or without.
        name: What to call it in an error.

    Returns:
        uint8 of shape (H, W), or (H, W, 3) in RGB.

    Raises:
        DatasetError: pydicom or the decoder of this compression is missing, or the
            file is damaged, is no DICOM, holds no image or several, or colours of
            another kind.

    References:
        DICOM PS3.3, C.11.1 (modality LUT), C.11.2 (VOI LUT), C.7.6.3.1.2 (photometric
        interpretation), C.7.5.1.1.2 (pixel padding).
    """
    require_pydicom(name)
    import pydicom

    try:
        bare = _lacks_preamble(content)
        dataset = pydicom.dcmread(io.BytesIO(content), force=bare)
        return _show(_with_syntax(dataset) if bare else dataset)
    # pydicom and its decoders raise whatever a damaged file makes them stumble over.
    except Exception as error:
        raise DatasetError(f'{name}: {_explain(error)}') from error


def require_pydicom(name: str) -> None:
    """Checks that pydicom is there.

    Args:
        name: What is to be read, for the error.

    Raises:
        DatasetError: It is not, or it is older than version 3.
    """
    try:
        import pydicom.pixels  # noqa: F401, older versions do not have it
    except ImportError:
        raise DatasetError(
            f'{name}: reading DICOM needs pydicom: pip install "pydicom>=3"'
        ) from None


def _explain(error: Exception) -> str:
    reason = str(error).split('\n', 1)[0].rstrip(':')
    if 'missing dependencies' in reason:
        return f'{reason}: pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg'
    return f'cannot be read as a DICOM image: {reason}'


def _show(dataset: Dataset) -> np.ndarray:
    frames = int(dataset.get('NumberOfFrames') or 1)
    if frames > 1:
        raise ValueError(f'it has {frames} frames, expected 1')
    kind = dataset.PhotometricInterpretation
    # pydicom turns the YBR kinds into RGB.
    if dataset.SamplesPerPixel == 3 and dataset.BitsAllocated == 8:
        return dataset.pixel_array
    if kind not in ('MONOCHROME1', 'MONOCHROME2'):
        raise ValueError(f'expected grey or 8-bit RGB, got {kind}')
    padded = _padding(dataset)
    grey = _scale(*_window(dataset, ~padded))
    image = 255 - grey if kind == 'MONOCHROME1' else grey
    image[padded] = 0
    return image


def _with_syntax(dataset: Dataset) -> Dataset:
    """Adds to a file without its head how its pixels are written."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = getattr(dataset, 'file_meta', None) or FileMetaDataset()
    if 'TransferSyntaxUID' not in meta:
        implicit = dataset.original_encoding[0]
        meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    dataset.file_meta = meta
    return dataset


def _padding(dataset: Dataset) -> np.ndarray:
    """Tells for each stored pixel whether it is padding."""
    stored = dataset.pixel_array
    value = dataset.get('PixelPaddingValue')
    limit = dataset.get('PixelPaddingRangeLimit')
    limit = value if limit is None else limit
    if not isinstance(value, int) or not isinstance(limit, int):
        return np.zeros(stored.shape, dtype=bool)
    # Some write -2000 as 63536: it wraps around as the pixels do.
    low, high = np.sort(np.array([value, limit]).astype(stored.dtype))
    return (stored >= low) & (stored <= high)


def _window(dataset: Dataset, valid: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Gives the values to show, and those that are to become 0 and 255."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

    values = apply_modality_lut(dataset.pixel_array, dataset)
    # The very same array if there is neither a table nor a window.
    shown = apply_voi_lut(values, dataset)
    if dataset.get('VOILUTSequence'):
        return shown, 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    if shown is not values:
        # What range a window yields depends on bits, sign and rescaling.
        with np.errstate(over='ignore'):
            low, high = apply_windowing(np.array([-_FAR, _FAR]), dataset)
        return shown, low, high
    if dataset.BitsStored == 8 and dataset.PixelRepresentation == 0:
        ends = apply_modality_lut(np.array([0, 255]), dataset)
        return shown, ends.min(), ends.max()
    inside = shown[valid] if valid.any() else shown
    return shown, inside.min(), inside.max()


def _scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Spreads values from low to high over 0 to 255, uint8; one value only is 0."""
    if high == low:
        return np.zeros(values.shape, dtype=np.uint8)
    share = (values.astype(np.float32) - low) / (high - low)
    return np.rint(share.clip(0, 1) * 255).astype(np.uint8)
