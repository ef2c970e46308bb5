"""FissionFusion for MMEngine and MMPretrain: fission, fusion, one model.

Importing the package registers its components in MMEngine's and MMPretrain's
registries; configs do that with ``custom_imports = dict(imports=['ff_mm'])``.
"""

import warnings

from ff_mm.environment import check_environment

check_environment()

with warnings.catch_warnings():
    # mmcv-lite is what classification needs; mmcv says on import what it is not.
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformable')
    from ff_mm import (
        analysis,
        comparison,
        datasets,
        engine,
        evaluation,
        fission,
        fusion,
        models,
    )
from ff_mm.version import __version__  # noqa: E402

__all__ = [
    '__version__',
    'analysis',
    'comparison',
    'datasets',
    'engine',
    'evaluation',
    'fission',
    'fusion',
    'models',
]
