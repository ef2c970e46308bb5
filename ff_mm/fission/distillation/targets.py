"""What a teacher says of each view of each training image, kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ff_mm.errors import FFMMError
from ff_mm.evaluation.arrays import MADE_ANEW, damaged_as, read_arrays
from ff_mm.files import PathLike, atomic_write

TARGETS = 'targets.npz'
_KINDS = dict(probabilities=['f4'], checksums=['u4'], key='U', seconds='fi')


class TargetsError(FFMMError):
    """Targets that are damaged, or not of what is shown in training."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Averaged probabilities, and what they are of.

    Attributes:
        probabilities: Float32 of shape (views, images, classes or labels).
        checksums: Of what the teacher was shown, uint32 of shape (views, images).
        key: What identifies teacher and views.
        seconds: How long it took; 0 where that is of no interest.
    """

    probabilities: np.ndarray
    checksums: np.ndarray
    key: str
    seconds: float = 0.0

    def write(self, path: PathLike) -> None:
        """Writes the file, atomically; equal targets are equal bytes."""
        arrays: dict[str, Any] = dict(
            probabilities=self.probabilities.astype(np.float32),
            checksums=self.checksums.astype(np.uint32),
            key=np.array(self.key),
        )
        if self.seconds:
            arrays['seconds'] = np.array(self.seconds)
        with atomic_write(path) as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: PathLike) -> Targets:
        """Reads what :meth:`write` wrote.

        Raises:
            TargetsError: There is no such file, or it is damaged.
        """
        with damaged_as(TargetsError, path, 'targets', MADE_ANEW):
            return cls(**_read(path))

    def of(self, view: int, index: int, checksum: int, what: str) -> np.ndarray:
        """Returns the probabilities of a view of an image.

        Args:
            view: Its number.
            index: That of the image.
            checksum: Of what is shown in training.
            what: How to call the image.

        Raises:
            TargetsError: The teacher was shown something else.
        """
        views, images = self.checksums.shape
        if view >= views or index >= images:
            raise TargetsError(
                f'{what}: the teacher was not shown view {view} of image {index}; it '
                f'was shown {views} views of {images} images'
            )
        if int(self.checksums[view, index]) != checksum:
            raise TargetsError(
                f'{what}: view {view} is not what the teacher was shown (checksums '
                'differ): images, a version of a library, or a transform with a '
                'generator of its own; a new --work-dir has the teacher look again'
            )
        return self.probabilities[view, index]


def _read(path: PathLike) -> dict[str, Any]:
    found = read_arrays(path, _KINDS)
    probabilities, checksums = found['probabilities'], found['checksums']
    if probabilities.ndim != 3 or probabilities.shape[:2] != checksums.shape:
        raise ValueError('arrays that do not belong together')
    return dict(
        probabilities=probabilities,
        checksums=checksums,
        key=str(found['key']),
        seconds=float(found.get('seconds', 0.0)),
    )
