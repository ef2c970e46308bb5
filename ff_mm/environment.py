"""The check of installed versions, made before anything of OpenMMLab is imported.

Uses only the metadata of installed distributions, so that it can speak even where
importing MMEngine or torch would fail.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

TORCH_MINIMUM = (2, 6)
# What came as a wheel has its configs within the package; else this is a checkout.
_IS_WHEEL = (Path(__file__).parent / '.mim').is_dir()
_NAME = 'ff_mm' if _IS_WHEEL else '.'
INSTALL = f'pip install {"" if _IS_WHEEL else "-e "}"{_NAME}[openmmlab]"'


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
            return f'{module} is not installed: {INSTALL} (or "{_NAME}[onedl]")'
    if installed('mmengine') and installed('onedl-mmengine'):
        return (
            'mmengine and onedl-mmengine are both installed, under one import name: '
            f'use an environment for each, with "{_NAME}[openmmlab]" or '
            f'"{_NAME}[onedl]"'
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


def _release(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``'2.14.1+cpu'``."""
    major, minor = text.split('.')[:2]
    return int(major), int(''.join(c for c in minor if c.isdigit()))
