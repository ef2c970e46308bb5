"""Where in an image a prediction comes from, as pictures beside the input."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from ff_mm.display.figures import COLOUR_MAP, RC, rendered
from ff_mm.errors import ConfigError
from ff_mm.files import atomic_write
from ff_mm.inference.trained_model import TrainedModel
from ff_mm.one_line import one_line

METHODS = ('auto', 'gradcam', 'occlusion')
# Of an image's side: the square that occlusion covers, and how far it moves.
_SQUARE, _STEP = 6, 12
_INCHES = 3.0
# Places along a side; fewer say nothing of where.
_LEAST = 4


class Attribution:
    """Says which parts of an image a class was predicted from.

    - ``'gradcam'`` (Selvaraju et al. 2017): the last feature maps, each as much as the
      logit of the class rises with it; where that is negative it is left out. It is as
      coarse as these: of 224 pixels 7 x 7 places, of 64 pixels 2 x 2.
    - ``'occlusion'`` (Zeiler and Fergus 2014): by how much the probability falls while
      a grey square covers a place. It takes about 150 passes an image, and suits any
      model.

    Args:
        model: The model.
        method: One of them; ``'auto'``: the first if the model has feature maps of
            4 x 4 places or more.

    Raises:
        ConfigError: An unknown method, one that does not suit the model, or captum is
            not installed.
    """

    def __init__(self, model: TrainedModel, method: str = 'auto') -> None:
        if method not in METHODS:
            raise ConfigError(
                f'--attribution {method}: expected one of {", ".join(METHODS)}'
            )
        try:
            import captum.attr as captum
        except ImportError as error:
            raise ConfigError(
                "--attribution needs captum: pip install 'ff_mm[attribution]'"
            ) from error
        self._captum = captum
        self.model, self.method = model, method
        self._probabilities = _Probabilities(model.network, model.is_multilabel)

    def map(self, inputs: Tensor, target: int) -> np.ndarray:
        """Returns a map of one image.

        Args:
            inputs: As it comes out of the pipeline, uint8 (channels, height, width).
            target: The number of the class or label.

        Returns:
            Float32 of shape (height, width), from 0 to 1 with the largest value at 1;
            all 0 where nothing speaks for the class.

        Raises:
            ConfigError: Grad-CAM of a model without feature maps.
        """
        network = self.model.network
        batch = dict(inputs=inputs[None].to(self.model.device))
        shown = network.data_preprocessor(batch, False)['inputs']
        if self.method == 'auto':
            fine = _places(network, shown) >= _LEAST
            self.method = 'gradcam' if fine else 'occlusion'
        with self.model.options.precision(self.model.device), warnings.catch_warnings():
            # Of hooks, which captum sets by intent.
            warnings.simplefilter('ignore')
            if self.method == 'gradcam':
                found = self._gradcam(shown, target)
            else:
                found = self._occlusion(shown, target)
        found = found.clamp(min=0)
        most = float(found.max())
        return (found / most if most > 0 else found).float().cpu().numpy()

    def _gradcam(self, shown: Tensor, target: int) -> Tensor:
        network = self.model.network
        if not _places(network, shown):
            raise ConfigError(
                '--attribution gradcam: this model has no feature maps (it is a '
                'transformer, or an ensemble): take occlusion'
            )
        layer = _LastMap(network.backbone)
        model = _Logits(network, layer)
        cam = self._captum.LayerGradCam(model, layer)
        found = cam.attribute(shown, target=target, relu_attributions=True)
        size = shown.shape[-2:]
        resized = F.interpolate(found, size, mode='bilinear', align_corners=False)
        return resized.detach()[0, 0]

    def _occlusion(self, shown: Tensor, target: int) -> Tensor:
        channels, height, width = shown.shape[1:]
        square = [max(1, side // _SQUARE) for side in (height, width)]
        step = [max(1, side // _STEP) for side in (height, width)]
        with torch.no_grad():
            found = self._captum.Occlusion(self._probabilities).attribute(
                shown,
                sliding_window_shapes=(channels, *square),
                strides=(channels, *step),
                target=target,
                # What normalization makes of the mean grey.
                baselines=0,
                perturbations_per_eval=16,
            )
        return found.sum(dim=1)[0]


def _places(network: Any, shown: Tensor) -> int:
    """How many places the last feature maps tell apart, along the shorter side."""
    with torch.no_grad():
        features = network.backbone(shown)
    last = features[-1] if isinstance(features, (tuple, list)) else features
    has_maps = isinstance(last, Tensor) and last.ndim == 4
    return min(last.shape[-2:]) if has_maps else 0


class _LastMap(nn.Module):
    """A backbone whose output is its last feature map alone, for hooks to see."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.backbone(inputs)
        return features[-1] if isinstance(features, (tuple, list)) else features


class _Logits(nn.Module):
    """A classifier from images to logits, through a layer that hooks can see."""

    def __init__(self, network: Any, layer: _LastMap) -> None:
        super().__init__()
        self.layer, self.network = layer, network

    def forward(self, inputs: Tensor) -> Tensor:
        features: Any = (self.layer(inputs),)
        if self.network.with_neck:
            features = self.network.neck(features)
        return self.network.head(features)


class _Probabilities(nn.Module):
    """A classifier from images to probabilities."""

    def __init__(self, network: Any, multilabel: bool) -> None:
        super().__init__()
        self.network, self.multilabel = network, multilabel

    def forward(self, inputs: Tensor) -> Tensor:
        logits = self.network(inputs, mode='tensor')
        return logits.sigmoid() if self.multilabel else logits.softmax(dim=1)


def picture(inputs: Tensor, found: np.ndarray, title: str) -> Figure:
    """Draws an image as the model has seen it, and beside it the map upon it.

    Args:
        inputs: As it comes out of the pipeline, uint8 (channels, height, width), BGR.
        found: As :meth:`Attribution.map` returns it.
        title: What was predicted; names of anyone may be in it.
    """
    image = inputs.permute(1, 2, 0).cpu().numpy()[..., ::-1]
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    with rc_context(RC):
        figure = Figure(
            figsize=(2 * _INCHES + 0.5, _INCHES + 0.4), layout='constrained'
        )
        left, right = figure.subplots(1, 2)
        left.imshow(image, interpolation='nearest')
        left.set_title('as the model sees it')
        right.imshow(image.mean(axis=2), cmap='gray', vmin=0, vmax=255)
        drawn = right.imshow(found, cmap=COLOUR_MAP, alpha=0.55, vmin=0, vmax=1)
        right.set_title(one_line(title))
        for axes in (left, right):
            axes.set_axis_off()
        bar = figure.colorbar(drawn, ax=right, fraction=0.046, ticks=[0, 1])
        bar.ax.set_yticklabels(['none', 'most'])
    return figure


def write_picture(path: Path, inputs: Tensor, found: np.ndarray, title: str) -> None:
    """Writes :func:`picture` as a PNG file."""
    with atomic_write(path) as file:
        file.write(rendered(picture(inputs, found, title), 'png'))
