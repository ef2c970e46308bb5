"""From which probability on a class is said: a file of thresholds, or the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ff_mm.errors import ConfigError
from ff_mm.files import PathLike, read_json

_HALF = 0.5
_EXPECTED = 'expected a JSON file such as {"melanoma": 0.3}'


@dataclass(frozen=True)
class Thresholds:
    """What is said of probabilities.

    Of several labels, each is said whose probability reaches its threshold, 0.5 if it
    has none. Of classes of which an image has one, the most probable is said; a class
    with a threshold is said as soon as its probability reaches it, of several such the
    one that exceeds its threshold most (as a ratio); and if none reaches its own, the
    most probable of those without one. If each class has a threshold and none is
    reached, none is said.

    Attributes:
        classes: Names of the classes or labels.
        multilabel: Whether an image can have several.
        of: Class -> threshold, above 0 and up to 1.
    """

    classes: Sequence[str]
    multilabel: bool
    of: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(
        cls, path: PathLike, classes: Sequence[str], multilabel: bool
    ) -> Thresholds:
        """Reads a JSON file: ``{"class": threshold}``.

        Raises:
            ConfigError: No such file, a class that the model does not have, or a
                threshold that is no probability.
        """
        try:
            found = read_json(path)
        except FileNotFoundError:
            raise ConfigError(f'{path}: no such file of thresholds') from None
        except ValueError as error:
            raise ConfigError(f'{error}; {_EXPECTED}') from error
        if not isinstance(found, dict) or not found:
            raise ConfigError(f'{path}: {_EXPECTED}')
        for name, value in found.items():
            if name not in classes:
                raise ConfigError(
                    f'{path}: the model has no class {name!r}, it has {list(classes)}'
                )
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 < value <= 1:
                raise ConfigError(
                    f'{path}: {name!r}: expected a probability above 0 and up to 1, '
                    f'got {value!r}'
                )
        return cls(tuple(classes), multilabel, found)

    def said(self, scores: np.ndarray) -> list[str]:
        """Returns the classes or labels that are said of one image.

        Args:
            scores: Probabilities, of shape (classes,).
        """
        # As written in the file, and not as float32 has it.
        values = np.asarray(scores, np.float64)
        if self.multilabel:
            pairs = zip(self.classes, values, strict=True)
            return [name for name, v in pairs if v >= self.of.get(name, _HALF)]
        limits = np.array([self.of.get(name, np.inf) for name in self.classes])
        if (values >= limits).any():
            return [self.classes[int((values / limits).argmax())]]
        free = np.isinf(limits)
        if not free.any():
            return []
        return [self.classes[int(np.where(free, values, -1).argmax())]]
