"""FissionFusion for MMEngine and MMPretrain: fission, fusion, one model.

Importing the package registers its components in MMEngine's and MMPretrain's
registries; configs do that with ``custom_imports = dict(imports=['ff_mm'])``. Without
MMEngine there is :func:`ff_mm.soup`, and :mod:`ff_mm.merging`, which it comes from.
"""

import importlib
import warnings
from typing import NoReturn

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

__all__ = ['SoupResult', '__version__', 'soup']


def __getattr__(name: str) -> NoReturn:
    if name in _ROOMS and _ALL_BUT_SOUPS is not None:
        raise ImportError(_ALL_BUT_SOUPS)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
