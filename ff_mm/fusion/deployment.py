"""The config with which a model's own library uses it, without ff_mm."""

from __future__ import annotations

import math
from typing import Any

from mmengine.config import Config

from ff_mm.tasks import task_of


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
