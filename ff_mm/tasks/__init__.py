"""Tasks: one small thing for each kind of model, and which one a config means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import TASK_UTILS

from ff_mm.environment import import_problem
from ff_mm.errors import ConfigError
from ff_mm.tasks.base import KEY, MadeUp, Task, scope_of
from ff_mm.tasks.classification import Classification
from ff_mm.tasks.segmentation import Segmentation

#: The task of configs that say none, by their ``default_scope``; of others ``Task``.
OF_SCOPE = {'mmpretrain': 'Classification', 'mmseg': 'Segmentation'}


def task_of(cfg: Mapping[str, Any] | Config) -> Task:
    """Returns the task of a config.

    Args:
        cfg: Any config. ``task=dict(type='Task', heads=['fc'])`` names it.

    Raises:
        ConfigError: There is no such task, or it has no such argument; the library of
            its scope is installed and cannot be imported.
    """
    if problem := import_problem(scope_of(cfg)):
        raise ConfigError(f'default_scope={scope_of(cfg)!r}: {problem}')
    given = cfg.get(KEY)
    given = dict(type=OF_SCOPE.get(scope_of(cfg), 'Task')) if given is None else given
    if not isinstance(given, Mapping) or 'type' not in given:
        raise ConfigError(f"{KEY}={given!r}: expected dict(type='Task')")
    try:
        task = TASK_UTILS.build(dict(given))
    except (KeyError, TypeError) as error:
        raise ConfigError(f'{KEY}={dict(given)!r}: {error}') from error
    if not isinstance(task, Task):
        raise ConfigError(f'{KEY}.type={given["type"]!r}: is no task of ff_mm.tasks')
    return task


__all__ = [
    'KEY',
    'OF_SCOPE',
    'Classification',
    'MadeUp',
    'Segmentation',
    'Task',
    'scope_of',
    'task_of',
]
