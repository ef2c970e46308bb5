"""A model as an ONNX file that needs neither torch nor MMPretrain."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ff_mm.engine.precision import float32
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import atomic_write
from ff_mm.inference.trained_model import TrainedModel
from ff_mm.version import __version__

ONNX_FILE = 'model.onnx'
INPUT, OUTPUTS = 'images', ('probabilities', 'logits')
_NEEDS = "--to onnx needs onnx, onnxscript and onnxruntime: pip install 'ff_mm[onnx]'"


class ExportError(FFMMError):
    """A model that cannot be written in a format, or is another one there."""


class ForImages(nn.Module):
    """A classifier from 8-bit RGB images to probabilities and logits.

    What MMPretrain's data preprocessor does stands in it: the order of channels, mean
    and standard deviation. Resizing does not, since no two libraries do it alike.

    Args:
        model: The model.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.network = model.network
        before = model.network.data_preprocessor
        if getattr(before, 'pad_size_divisor', 1) > 1:
            raise ExportError('data_preprocessor.pad_size_divisor: not in ONNX')
        # MMPretrain's images are BGR, and some networks are shown them as such.
        self.flips = not before.to_rgb
        self.multilabel = model.is_multilabel
        self.normalizes = getattr(before, 'mean', None) is not None
        self.mean: Any = nn.Parameter(before.mean, False) if self.normalizes else None
        self.std: Any = nn.Parameter(before.std, False) if self.normalizes else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns probabilities and logits of (images, 3, height, width), uint8."""
        shown = images.float()
        if self.flips:
            shown = shown.flip(1)
        if self.normalizes:
            shown = (shown - self.mean) / self.std
        logits = self.network(shown, mode='tensor')
        sure = logits.sigmoid() if self.multilabel else logits.softmax(dim=1)
        return sure, logits


def write_onnx(model: TrainedModel, path: Path, size: tuple[int, int]) -> None:
    """Writes a model; any number of images may go through it at a time.

    Args:
        model: The model.
        path: The file, which has all weights in it.
        size: Height and width of images as they come out of the pipeline.

    Raises:
        ConfigError: onnx is not installed.
        ExportError: torch cannot export the network.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401, by which it is compared
        import onnxscript  # noqa: F401, by which torch exports
    except ImportError as error:
        raise ConfigError(_NEEDS) from error
    device = model.device
    example = torch.zeros((2, 3, *size), dtype=torch.uint8, device=device)
    batch = {INPUT: {0: torch.export.Dim('batch')}}
    with tempfile.TemporaryDirectory(prefix='ff_mm_') as folder:
        file = Path(folder) / ONNX_FILE
        try:
            with _quiet(), torch.no_grad(), float32():
                torch.onnx.export(
                    ForImages(model).eval(),
                    (example,),
                    file,
                    input_names=[INPUT],
                    output_names=list(OUTPUTS),
                    dynamic_shapes=batch,
                    dynamo=True,
                    external_data=False,
                    verbose=False,
                )
        except ExportError:
            raise
        except Exception as error:  # of many kinds, with pages of text
            reason = str(error).strip().split('\n', 1)[0][:200] or type(error).__name__
            raise ExportError(
                f'{model.files.config}: torch cannot export this network to ONNX: '
                f'{reason}'
            ) from error
        made = onnx.load(file)
    for key, value in describe(model, size).items():
        made.metadata_props.add(key=key, value=value)
    with atomic_write(path) as out:
        out.write(made.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what torch says of its own work."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def describe(model: TrainedModel, size: tuple[int, int]) -> dict[str, str]:
    """Returns what the file says of itself, as text by name."""
    steps = [dict(step) for step in model.cfg.pipeline]
    kind = 'several labels (sigmoid)' if model.is_multilabel else 'one class (softmax)'
    return dict(
        classes=json.dumps(list(model.classes)),
        predicts=kind,
        input=f'RGB, uint8 from 0 to 255, (images, 3, {size[0]}, {size[1]})',
        preprocessing='channel order, mean and std are in the graph; resizing is not',
        pipeline=json.dumps(steps, default=str),
        made_by=f'ff_mm {__version__}',
    )


class OnnxModel:
    """An ONNX file as onnxruntime runs it on a CPU.

    Args:
        path: A file of :func:`write_onnx`.
        threads: How many it may take; 0: its own choice.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(_NEEDS) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=['CPUExecutionProvider']
        )
        self.metadata: dict[str, str] = dict(
            self._session.get_modelmeta().custom_metadata_map
        )

    def probabilities(self, inputs: Tensor) -> np.ndarray:
        """Returns probabilities of images as MMPretrain's pipelines give them.

        Args:
            inputs: uint8 of shape (images, 3, height, width), BGR.
        """
        rgb = np.ascontiguousarray(inputs.cpu().numpy()[:, ::-1])
        return self._session.run(OUTPUTS[:1], {INPUT: rgb})[0]
