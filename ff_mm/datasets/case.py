"""One image as the files of a data set describe it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A path; pixels; or where a data set finds these.
Image = str | np.ndarray | tuple


class Case(NamedTuple):
    """One image as the files of a data set describe it.

    Attributes:
        image_id: Unique within the data set.
        label: The number of its class, or for several labels one score each: 1, 0, or
            -1 where it is not known.
        group: What must not be cut apart by a split: the patient, the lesion. None
            where it is not known.
        split: ``'train'``, ``'val'`` or ``'test'`` where the files say so; None where a
            split is to be made, and ``'trainval'`` where only val is to be cut off.
        image: Path of the image, where a copy may have another extension; or its
            pixels, uint8 (height, width, 3), BGR; or their place, from which a subclass
            takes them. None: it is looked for by ``image_id`` below ``data_root``.
    """

    image_id: str
    label: int | tuple[float, ...]
    group: str | None = None
    split: str | None = None
    image: Image | None = None
