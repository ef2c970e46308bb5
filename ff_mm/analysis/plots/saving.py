"""Figures as files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from ff_mm.analysis.plots.style import PAPER, RC
from ff_mm.files import atomic_write

_UNDATED = {'svg': {'Date': None}, 'pdf': {'CreationDate': None}, 'png': {}}


def save_figure(
    figure: Figure, stem: str | Path, suffixes: Sequence[str] = ('png', 'svg')
) -> list[Path]:
    """Writes a figure, with text as text where the format can.

    Args:
        figure: The figure.
        stem: The path without the suffix.
        suffixes: ``'png'`` (300 dpi), ``'svg'``, ``'pdf'``.

    Returns:
        The files.
    """
    files = []
    for suffix in suffixes:
        files.append(Path(f'{stem}.{suffix}'))
        with atomic_write(files[-1]) as file:
            file.write(rendered(figure, suffix))
    return files


def rendered(figure: Figure, suffix: str, background: str = PAPER) -> bytes:
    """Gives a figure as the content of a file; the same numbers, the same bytes.

    Args:
        figure: The figure.
        suffix: As of :func:`save_figure`.
        background: Its colour, or ``'none'``.
    """
    file = io.BytesIO()
    with rc_context(RC):
        figure.savefig(
            file,
            format=suffix,
            dpi=300,
            facecolor=background,
            metadata=_UNDATED[suffix],
        )
    return file.getvalue()
