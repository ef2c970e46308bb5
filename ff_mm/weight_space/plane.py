"""The plane through three models, and where others lie as seen from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Of the distance of the third model from the line through the first two, in relation to
# their distances: below that it is rounding.
_FLAT = 1e-6
# In relation to the distances of the models, how far a model may be off their plane and
# still count as in it.
_ROUNDED = 1e-4


@dataclass(frozen=True)
class Plane:
    """The plane through three models in weight space.

    Garipov et al., "Loss surfaces, mode connectivity, and fast ensembling of DNNs",
    NeurIPS 2018, section 3: with models w1, w2, w3 the origin is w1, the first axis
    points to w2, the second is the part of w3 - w1 orthogonal to it; both have length
    1, so that distances in the plane are distances in weight space.

    All that is needed of the models are their distances; a point of the plane is an
    affine combination of them.

    Attributes:
        second: x of the second model; its y is 0.
        third: (x, y) of the third model, y > 0.
    """

    second: float
    third: tuple[float, float]

    @classmethod
    def through(
        cls, distances: np.ndarray, names: Sequence[str] = ('1', '2', '3')
    ) -> Plane:
        """Makes the plane.

        Args:
            distances: Between the three models, (3, 3).
            names: Of the models, for the error.

        Raises:
            ValueError: The models lie on a line, or two of them are equal.
        """
        d12, d13, d23 = float(distances[0][1]), float(distances[0][2]), distances[1][2]
        if d12 > 0:
            x = _along(d12, d13, float(d23))
            height = math.sqrt(max(d13 * d13 - x * x, 0))
            if height > _FLAT * max(d12, d13):
                return cls(d12, (x, height))
        raise ValueError(
            f'the models {", ".join(names)} lie on one line, so there is no plane '
            'through them; choose others'
        )

    @property
    def models(self) -> list[tuple[float, float]]:
        """(x, y) of the three models."""
        return [(0.0, 0.0), (self.second, 0.0), self.third]

    def coefficients(self, x: float, y: float) -> tuple[float, float, float]:
        """Returns what a point consists of: a * w1 + b * w2 + c * w3, a + b + c = 1."""
        c = y / self.third[1]
        b = (x - c * self.third[0]) / self.second
        return 1 - b - c, b, c

    def project(self, distances: Sequence[float]) -> tuple[float, float, float]:
        """Says where another model lies.

        Args:
            distances: From each of the three models.

        Returns:
            (x, y) of the nearest point of the plane, and how far it is from there.
        """
        d1, d2, d3 = (float(d) for d in distances)
        x = _along(self.second, d1, d2)
        to_third = math.hypot(*self.third)
        # Inner product with the third model's displacement.
        product = (d1 * d1 + to_third * to_third - d3 * d3) / 2
        y = (product - x * self.third[0]) / self.third[1]
        off = math.sqrt(max(d1 * d1 - x * x - y * y, 0))
        # A mean of the three is rounded when it is written.
        within = off < _ROUNDED * max(self.second, to_third)
        return x, y, 0.0 if within else off

    def grid(self, points: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns coordinates of a grid around the three models.

        Args:
            points: How many along each axis.
            margin: How far it goes beyond the models on each side, as a share of the
                extent that they have along the axis.

        Returns:
            x of the columns and y of the rows, (points,) each.
        """
        xs, ys = zip(*self.models, strict=True)
        return _axis(min(xs), max(xs), points, margin), _axis(0, ys[2], points, margin)


def _axis(low: float, high: float, points: int, margin: float) -> np.ndarray:
    room = margin * (high - low)
    return np.linspace(low - room, high + room, points)


def _along(base: float, left: float, right: float) -> float:
    """How far along a triangle's base its top is, seen from the left."""
    return (base * base + left * left - right * right) / (2 * base)
