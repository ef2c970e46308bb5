"""The check of installed versions, made before anything of OpenMMLab is imported.

Uses only the metadata of installed distributions, so that it can speak even where
importing MMEngine or torch would fail; what other libraries assert is only known when
they are imported.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

TORCH_MINIMUM = (2, 6)
INSTALL = 'pip install -e ".[openmmlab]"'
# Packages of OpenMMLab that assert the version of mmcv when they are imported, and what
# of them runs beside the mmcv that ff_mm is used with.
_REMEDIES = dict(
    mmdet='pip install "mmcv>=2.0.0,<2.2.0", or onedl-mmdetection in its place',
    mmseg='pip install onedl-mmsegmentation in its place',
)
_UNKNOWN = 'install versions that go together'


def installed(distribution: str) -> str | None:
    """Returns the version of a distribution, or None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def importable(module: str) -> bool:
    """Tells whether a top-level module can be found, without importing it."""
    return find_spec(module) is not None


def find_problem(
    installed: Callable[[str], str | None] = installed,
    importable: Callable[[str], bool] = importable,
) -> str | None:
    """Returns one line with the remedy if this environment cannot work, else None.

    Args:
        installed: Maps a distribution's name to its version, None if missing.
        importable: Tells whether a top-level module exists.
    """
    torch = installed('torch')
    if torch is None:
        return f'torch is not installed: {INSTALL}'
    if _release(torch) < TORCH_MINIMUM:
        return (
            f'torch {torch} is too old, ff_mm needs 2.6 or newer (checkpoints are read '
            'with weights_only=True): pip install -U torch torchvision'
        )
    for module in ('mmengine', 'mmcv', 'mmpretrain'):
        if not importable(module):
            return f'{module} is not installed: {INSTALL} (or ".[onedl]")'
    if installed('mmengine') and installed('onedl-mmengine'):
        return (
            'mmengine and onedl-mmengine are both installed, under one import name: '
            'use an environment for each, with ".[openmmlab]" or ".[onedl]"'
        )
    if installed('mmengine') and not importable('pkg_resources'):
        return (
            f'mmengine {installed("mmengine")} needs pkg_resources, which setuptools '
            f'{installed("setuptools") or ">= 82"} no longer has: '
            'pip install "setuptools<82"'
        )
    return None


def check_environment() -> str | None:
    """Says whether all of ff_mm can work here.

    Returns:
        None: all of it; where there is no MMEngine, but torch, what to do for more than
        soups of state dicts.

    Raises:
        ImportError: With one line and its remedy, where it cannot work.
    """
    problem = find_problem()
    if problem is None:
        return None
    if importable('torch') and not importable('mmengine') and 'torch' not in problem:
        return f'ff_mm: {problem}'
    raise ImportError(f'ff_mm: {problem}')


def set_aside_broken() -> None:
    """Lets MMPretrain be imported beside a package that it looks for and is broken.

    MMPretrain takes mmdet if it is there, and expects an ImportError if not. mmdet 3.3
    asserts the version of mmcv, which is another error. It counts as absent then, and a
    warning says so.
    """
    problem = import_problem('mmdet')
    if problem is None:
        return
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmdet']:
        del sys.modules[name]
    sys.modules['mmdet'] = None  # type: ignore[assignment]
    _set_aside['mmdet'] = problem
    warnings.warn(f'ff_mm goes on without mmdet: {problem}', stacklevel=3)


_set_aside: dict[str, str] = {}


def import_problem(package: str) -> str | None:
    """Says in a line why a package that is installed cannot be imported.

    Args:
        package: Its import name.

    Returns:
        None where it can be, and where there is no such package.
    """
    if package in _set_aside:
        return _set_aside[package]
    if package in sys.modules or not importable(package):
        return None
    try:
        import_module(package)
    except ImportError as error:
        reason = f'{error}'
    except Exception as error:  # it may assert whatever it likes
        reason = f'{type(error).__name__}: {error}'
    else:
        return None
    remedy = _REMEDIES.get(package, _UNKNOWN)
    reason = ' '.join(reason.split())[:200]
    return f'{package} is installed and cannot be imported ({reason}): {remedy}'


def _release(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``'2.14.1+cpu'``."""
    major, minor = text.split('.')[:2]
    return int(major), int(''.join(c for c in minor if c.isdigit()))
