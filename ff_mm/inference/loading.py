"""How an image gets from its file into a model: as in evaluation, DICOM included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample
from torch import Tensor

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.files.dicom import LoadDICOM
from ff_mm.datasets.files.image_paths import file_cut_short, first_line
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import open_regular

# What loads a file; the first of them does all that the other does, and DICOM.
_LOADING = ('LoadDICOM', 'LoadImageFromFile')


def with_loading(
    pipeline: Sequence[Mapping[str, Any]], loading: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Returns a pipeline that begins with reading a file, DICOM too.

    Args:
        pipeline: That of evaluation. Of data in memory it loads nothing.
        loading: The step by which images were loaded, where ``deploy.py`` has stock
            MMPretrain's in its place; None: it is that of the pipeline.
    """
    steps = [dict(step) for step in pipeline]
    if not steps or str(steps[0].get('type')).rpartition('.')[2] not in _LOADING:
        return [dict(loading or dict(type='LoadDICOM')), *steps]
    first = dict(steps[0], type='LoadDICOM') if loading is None else dict(loading)
    return [first, *steps[1:]]


@dataclass(frozen=True)
class LoadedImage:
    """What became of a file.

    Attributes:
        path: The file.
        inputs: What the model's preprocessing takes, uint8 (channels, height, width);
            None: it could not be read.
        sample: Its data sample.
        problem: Why not, in one line.
    """

    path: str
    inputs: Tensor | None = None
    sample: DataSample | None = None
    problem: str = ''


class ImageLoader:
    """Sends files through the pipeline of a model.

    Args:
        pipeline: As :func:`with_loading` returns it.
    """

    def __init__(self, pipeline: Sequence[Mapping[str, Any]]) -> None:
        self._pipeline = Compose([TRANSFORMS.build(dict(step)) for step in pipeline])
        assert isinstance(self._pipeline.transforms[0], LoadDICOM)

    def load(self, path: str) -> LoadedImage:
        """Reads one file; what is wrong with it is part of the answer."""
        try:
            with open_regular(path):  # no pipe, which would be waited for
                pass
            if reason := file_cut_short(path):
                raise DatasetError(reason)
            packed = self._pipeline(dict(img_path=path))
        except FFMMError as error:
            return LoadedImage(path, problem=_without_path(str(error), path))
        except OSError as error:
            return LoadedImage(path, problem=error.strerror or first_line(error))
        except Exception as error:  # whatever a decoder stumbles over
            reason = first_line(error).replace(path, 'the file')[:160]
            return LoadedImage(path, problem=f'cannot be read as an image ({reason})')
        return LoadedImage(path, packed['inputs'], packed['data_samples'])

    def size(self) -> tuple[int, int]:
        """Returns height and width of images as they come out.

        Raises:
            ConfigError: That depends on the image.
        """
        seen = []
        for height, width in ((96, 128), (300, 200)):
            image = np.zeros((height, width, 3), np.uint8)
            info = dict(img=image, img_shape=(height, width), ori_shape=(height, width))
            packed: Any = dict(info, img_path='')
            for step in self._pipeline.transforms[1:]:
                packed = step(packed)
            seen.append(tuple(packed['inputs'].shape[-2:]))
        if seen[0] != seen[1]:
            raise ConfigError(
                'the test pipeline gives images of several sizes, a file is of one: '
                'resize them to one, such as by Resize'
            )
        return seen[0]


def _without_path(text: str, path: str) -> str:
    return text.replace('\n', '; ').removeprefix(f'{path}: ')


class ImageFiles:
    """Files as a data set of torch's, so that its workers decode them.

    Args:
        paths: The files.
        loader: Reads one.
    """

    def __init__(self, paths: Sequence[str], loader: ImageLoader) -> None:
        self._paths, self._loader = paths, loader

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> LoadedImage:
        return self._loader.load(self._paths[number])
