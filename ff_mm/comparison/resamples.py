"""``resamples.npz``: the values from which the intervals of a comparison come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ff_mm.errors import FFMMError
from ff_mm.evaluation.arrays import damaged_as, read_arrays
from ff_mm.files import PathLike, atomic_write

RESAMPLES_FILE = 'resamples.npz'
_KINDS = dict(names=('U',), runs=('i8',), values=('f8',), seed=('i8',))

#: A set, a method and a metric.
Key = tuple[str, str, str]


class ResamplesError(FFMMError):
    """Resamples that are damaged, or missing."""


@dataclass(frozen=True, eq=False)
class Resamples:
    """Values of every model in each resample.

    Those of a set are paired: resample i is of the same cases for all methods and runs.

    Attributes:
        seed: Of the bootstrap; runs are drawn by it, too.
        values: By set, method and metric, float64 of shape (runs, resamples); NaN where
            a resample leaves the metric undefined.
    """

    seed: int
    values: Mapping[Key, np.ndarray]

    def save(self, path: PathLike) -> None:
        """Writes an npz file, atomically; equal resamples are equal bytes.

        In it are ``names`` (set, method, metric of each row), ``runs`` (the number of
        the run), ``values`` (rows, resamples) and ``seed``.

        Args:
            path: The file.
        """
        rows = [(key, run) for key, v in self.values.items() for run in range(len(v))]
        with atomic_write(path) as file:
            np.savez(
                file,
                names=np.array([key for key, _ in rows], np.str_).reshape(-1, 3),
                runs=np.array([run for _, run in rows], np.int64),
                values=np.concatenate([*self.values.values()] or [np.empty((0, 0))]),
                seed=np.array(self.seed, np.int64),
            )

    @classmethod
    def read(cls, path: PathLike) -> Resamples:
        """Reads what :meth:`save` wrote.

        Args:
            path: The file.

        Raises:
            ResamplesError: There is no such file, or it is damaged.
        """
        with damaged_as(ResamplesError, path, 'resamples'):
            return cls._of(**read_arrays(path, _KINDS))

    @classmethod
    def _of(
        cls, names: np.ndarray, runs: np.ndarray, values: np.ndarray, seed: np.ndarray
    ) -> Resamples:
        rows: dict[Key, list[np.ndarray]] = {}
        for (split, method, metric), run, row in zip(names, runs, values, strict=True):
            of_runs = rows.setdefault((str(split), str(method), str(metric)), [])
            if run != len(of_runs):
                raise ValueError('runs are not in order')
            of_runs.append(row)
        return cls(int(seed), {key: np.stack(each) for key, each in rows.items()})
