"""Where the configs and tools are that come with ff_mm."""

from __future__ import annotations

import runpy
from importlib.util import find_spec
from pathlib import Path


def package() -> Path:
    """Returns the folder of the package ``ff_mm``, without importing it."""
    spec = find_spec('ff_mm')
    if spec is None or spec.origin is None:
        raise ImportError('ff_mm is not installed: pip install "ff_mm[openmmlab]"')
    return Path(spec.origin).parent


def shipped(name: str) -> Path:
    """Returns a folder that comes with ff_mm.

    Args:
        name: ``'configs'`` or ``'tools'``.

    Returns:
        In what was installed from a wheel the one in ``.mim``, where OpenMMLab's
        packages have them; in a checkout the one beside the package.
    """
    inside = package() / '.mim' / name
    return inside if inside.is_dir() else package().parent / name


def config_names() -> list[str]:
    """Returns the configs that come with ff_mm, such as ``'ham10000/fgg_x'``."""
    folder = shipped('configs')
    files = [*sorted(folder.glob('*.py')), *sorted(folder.glob('[!_]*/*.py'))]
    return [file.relative_to(folder).with_suffix('').as_posix() for file in files]


def soup_names(soups: Path) -> list[str]:
    """Returns the soups that there are: each file of ``_base_/soups/`` is one."""
    return sorted(file.stem for file in soups.glob('*.py'))


def version() -> str:
    """Returns the version of ff_mm."""
    return str(runpy.run_path(str(package() / 'version.py'))['__version__'])
