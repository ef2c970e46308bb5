"""The config with which a model's own library uses it, without ff_mm."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ff_mm.tasks import task_of

# In a pipeline as text, with one number or one for each side.
_SIZE = re.compile(r'\b(?:scale|crop_size|size)=(?:\([^)]*\)|[\w.]+)')


def deployment_config(cfg: Config) -> Config:
    """Reduces a config to what inference needs (:meth:`ff_mm.tasks.Task.deployment`).

    Args:
        cfg: A resolved config with ``model`` and a test or validation data loader.

    Returns:
        What its library takes; what that does not do, :func:`deployment_notes` says.
    """
    return Config(_readable(task_of(cfg).deployment(cfg)))


def deployment_notes(cfg: Config) -> list[str]:
    """Says in a line each what the library does not do as ff_mm does.

    Args:
        cfg: As for :func:`deployment_config`.
    """
    return task_of(cfg).notes(cfg)


def note_other_size(cfg: Config, meta: Mapping[str, Any]) -> str | None:
    """Says if a config shows images in another size than a soup was chosen with.

    Args:
        cfg: The config by which it is evaluated, resolved.
        meta: What the soup's file says of itself: its ``deploy.py``, as text that is
            searched and not run.

    Returns:
        A note; None: the sizes are the same, or nothing is known.
    """
    text = meta.get('cfg')
    if 'soup' not in meta or not isinstance(text, str):
        return None
    then, now = _sizes(text), _sizes(deployment_config(cfg).pretty_text)
    if not then or then == now:
        return None
    return (
        f'its images had {", ".join(then)}, in this config it is {", ".join(now)}; '
        'unless that is meant, give the same image_size as in training'
    )


def _sizes(text: str) -> list[str]:
    # A tuple may be printed over several lines, with a comma at its end.
    found = (''.join(size.split()) for size in _SIZE.findall(text))
    return [size.replace(',)', ')').replace(',', ', ') for size in found]


class _NotFinite(float):
    """A number that Python does not read as it writes it."""

    def __repr__(self) -> str:
        return f"float('{float(self)!r}')"

    __str__ = __repr__


def _readable(value: Any) -> Any:
    """Has infinity and NaN, at any depth, written as what can be read."""
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_readable(item) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        return _NotFinite(value)
    return value
