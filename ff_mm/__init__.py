"""FissionFusion for MMEngine and MMPretrain: fission, fusion, one model.

Importing the package registers its components in MMEngine's and MMPretrain's
registries; configs do that with ``custom_imports = dict(imports=['ff_mm'])``. Without
MMEngine there is :func:`ff_mm.soup`, and :mod:`ff_mm.merging`, which it comes from.
:func:`train`, :func:`fuse` and :func:`compare` are the commands as functions.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from ff_mm.environment import check_environment, set_aside_broken

_ALL_BUT_SOUPS = check_environment()
_ROOMS = (
    'analysis',
    'comparison',
    'datasets',
    'engine',
    'evaluation',
    'fission',
    'fusion',
    'models',
    'tasks',
)

if _ALL_BUT_SOUPS is None:
    with warnings.catch_warnings():
        # mmcv-lite is what classification needs; mmcv says on import what it is not.
        warnings.filterwarnings(
            'ignore', message='Fail to import ``MultiScaleDeformable'
        )
        set_aside_broken()
        for _room in _ROOMS:
            importlib.import_module(f'ff_mm.{_room}')

from ff_mm.merging.api import SoupResult, soup  # noqa: E402
from ff_mm.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from ff_mm.api import compare, fuse, train

__all__ = ['SoupResult', '__version__', 'compare', 'fuse', 'soup', 'train']

# Of the last room, which most who import ff_mm have no need of.
_CALLS = ('compare', 'fuse', 'train')


def __getattr__(name: str) -> Any:
    if name in (*_ROOMS, *_CALLS) and _ALL_BUT_SOUPS is not None:
        raise ImportError(_ALL_BUT_SOUPS)
    if name in _CALLS:
        return getattr(importlib.import_module('ff_mm.api'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
