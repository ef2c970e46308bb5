"""The figure of masks over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ff_mm.datasets.masks.mask_file import IGNORED
from ff_mm.display.figures import COLOURS, PAGE, RC, legend_below

_BETTER, _WORSE, _OTHER = '#009e73', '#d55e00', '#f0e442'
_ALPHA = 0.5


class Overlay(NamedTuple):
    """An image and its masks.

    Attributes:
        title: What to call it.
        image: uint8 of shape (H, W, 3), RGB.
        truth: Class numbers of shape (H, W), 255 where a pixel does not count.
        single: What the single model says.
        soup: What the soup says.
    """

    title: str
    image: np.ndarray
    truth: np.ndarray
    single: np.ndarray
    soup: np.ndarray


def overlay_plot(overlays: Sequence[Overlay], single: str, soup: str) -> Figure:
    """Draws a row an image: as it is, truth, single model, soup, what the soup changes.

    Args:
        overlays: What to draw.
        single: Name of the single model.
        soup: Name of the soup.
    """
    columns = ('image', 'truth', single, soup, 'change')
    with rc_context(RC):
        height = PAGE / len(columns) * len(overlays)
        figure = Figure((PAGE, height + 0.4), layout='constrained')
        grid = figure.subplots(len(overlays), len(columns), squeeze=False)
        for axes, overlay in zip(grid, overlays, strict=True):
            pictures = (
                overlay.image,
                *(over(overlay.image, m) for m in (overlay.truth, *overlay[3:])),
                change(overlay),
            )
            for place, picture in zip(axes, pictures, strict=True):
                _draw(place, picture)
            axes[0].set_ylabel(_short(overlay.title), fontsize=6)
        for axes, name in zip(grid[0], columns, strict=True):
            axes.set_title(_short(name), fontsize=7)
        legend_below(figure, _legends())
    return figure


def over(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns an image under the colours of a mask; the first class has none."""
    found = image.astype(np.float64) / 255
    for number in np.unique(mask):
        if number == 0:
            continue
        color = '#808080' if number == IGNORED else COLOURS[(number - 1) % len(COLOURS)]
        place = mask == number
        found[place] = (1 - _ALPHA) * found[place] + _ALPHA * np.array(to_rgb(color))
    return found


def change(overlay: Overlay) -> np.ndarray:
    """Returns the grey image, with what the soup mends, spoils, or says otherwise."""
    grey = overlay.image.mean(axis=2, keepdims=True) / 255
    found = np.repeat(0.6 * grey, 3, axis=2)
    known = overlay.truth != IGNORED
    differ = known & (overlay.single != overlay.soup)
    better = differ & (overlay.soup == overlay.truth)
    worse = differ & (overlay.single == overlay.truth)
    for place, color in (
        (differ & ~better & ~worse, _OTHER),
        (better, _BETTER),
        (worse, _WORSE),
    ):
        found[place] = to_rgb(color)
    return found


def _draw(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, interpolation='nearest')
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _legends() -> list[dict]:
    names = {'mended by the soup': _BETTER, 'spoilt': _WORSE, 'wrong in both': _OTHER}
    handles = [Patch(color=color, label=name) for name, color in names.items()]
    return [dict(handles=handles, ncols=3)]


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f'...{name[-most + 3 :]}'
