"""Images of 16 bits of which only some are used: nearly black if read as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from ff_mm.datasets.checks.truth import image_path, says_cases
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.deep_images import FULL, peak

# Images of a data set that are looked at before training, all along it.
_SAMPLE = 16


def names_by_bits(steps: Mapping[str, Any]) -> dict[int, list[str]]:
    """Gives the names of data sets by the bits that their loading steps take."""
    names = defaultdict(list)
    for name, step in steps.items():
        # All 16 bits go through the pipeline then, and what becomes of them is its own.
        if getattr(step, 'color_type', None) != 'unchanged':
            names[getattr(step, 'bits', FULL)].append(name)
    return dict(names)


def note_unused_bits(
    names: str, peaks: Sequence[int], bits: int, notes: Problems
) -> None:
    """Notes that 16-bit images use fewer bits than are taken, or more.

    Args:
        names: Of the data sets.
        peaks: The largest value of each image of 16 bits.
        bits: That the loading step takes.
        notes: Takes the note.
    """
    top = max(peaks, default=0)
    used = top.bit_length()
    if not top or used == bits:
        return
    taken = 2**bits - 1
    loss = f'training sees at most {top * 255 // taken} of 255'
    if used > bits:
        loss = f'what is above {taken} is white'
    notes.add(
        f'{len(peaks)} images of {names} have 16 bits a pixel with values from 0 to '
        f'{top} ({used} bits) and are read as 0 to {taken}: {loss}. Read them by their '
        f"range, load=[dict(type='LoadDICOM', bits={used})] in the file of the data "
        f'set, or --cfg-options load.0.type=LoadDICOM load.0.bits={used}.'
    )


def note_sampled_bits(
    datasets: Mapping[str, BaseDataset], steps: Mapping[str, Any], notes: Problems
) -> None:
    """Notes it of some images of each data set, which takes a moment only.

    Args:
        datasets: By name.
        steps: The loading step of each.
        notes: Takes the notes.
    """
    for bits, names in names_by_bits(steps).items():
        found = [top for name in names for top in _sample(datasets[name])]
        note_unused_bits(', '.join(names), found, bits, notes)


def _sample(dataset: BaseDataset) -> Iterable[int]:
    count = len(dataset) if says_cases(dataset) else 0
    for index in np.unique(np.linspace(0, count - 1, min(_SAMPLE, count)).astype(int)):
        path = image_path(dataset.get_data_info(int(index)))
        found = _peak_of(path) if path else None
        if found is not None:
            yield found


def _peak_of(path: str) -> int | None:
    try:
        with open(path, 'rb') as file:
            return peak(file.read())
    except OSError:  # elsewhere, or gone, which others say
        return None
