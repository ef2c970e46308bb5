"""Which file a config's name means, and what to say where there is none.

A config is a path, or the name of one that comes with ff_mm, with no checkout too:
``fgg_digits_resnet18``, ``configs/fgg_digits_resnet18.py``, and in ``_base_`` of a
config of one's own ``ff_mm::fgg_digits_resnet18.py``, as with OpenMMLab's packages. A
file that is there wins over a name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from ff_mm.errors import ConfigError
from ff_mm_commands.folders import config_names, shipped, soup_names

SCOPE = 'ff_mm::'
_NONE = 'no such config file'


def find_config(name: str | Path) -> Path:
    """Returns the file that a name means.

    Args:
        name: A path; or what comes with ff_mm: a path below its ``configs/``, with or
            without that word, ``ff_mm::`` and ``.py``, or the last part of one.

    Raises:
        ConfigError: None; where it is now, or what is called nearly so.
    """
    text = str(name)
    if not text.startswith(SCOPE) and Path(text).is_file():
        return Path(text)
    own = text.removeprefix(SCOPE).removeprefix('configs/').removesuffix('.py')
    if (found := _shipped_file(own)) is not None:
        return found
    if not Path(text).is_absolute() and not _is_beside_bases(Path(text)):
        why = _where(shipped('configs') / f'{own}.py')
    else:
        why = _where(Path(text))
    raise ConfigError(f'{text}: {why if why != _NONE else _NONE + _hint(text)}')


def where_now(path: Path) -> str:
    """What to say of a config that is not there: where it is, if it has moved."""
    why = _where(path)
    return why if why != _NONE else _NONE + _hint(str(path))


def split_name(stem: str, soups: Iterable[str]) -> tuple[str, str]:
    """``'gog_x'`` -> ``('gog', 'x')``; where no soup comes first ``('', 'x')``."""
    leading = [soup for soup in soups if stem.startswith(f'{soup}_')]
    soup = max(leading, key=len, default='')
    return soup, stem[len(soup) + 1 :] if soup else stem


def _shipped_file(name: str) -> Path | None:
    folder = shipped('configs')
    if (file := folder / f'{name}.py').is_file() and '..' not in Path(name).parts:
        return file
    if '/' in name:
        return None
    return next(iter(sorted(folder.glob(f'*/{name}.py'))), None) if name else None


def _is_beside_bases(path: Path) -> bool:
    return any((root / '_base_').is_dir() for root in list(path.parents)[:3])


def _where(path: Path) -> str:
    for root in list(path.parents)[:3]:  # of a base two levels up
        if (root / '_base_').is_dir():
            return _find_below(root, path.stem)
    return _NONE


def _find_below(root: Path, stem: str) -> str:
    soups = soup_names(root / '_base_' / 'soups')
    own, run = split_name(stem, soups)
    options = {stem: ''}
    if own:  # it is made of the config of any other soup
        options |= {f'{s}_{run}': f' --soup {own}' for s in soups if s != own}
    # At the front door first: the folders have special ones, too.
    for where in ('', '*/'):
        for name, option in options.items():
            for file in sorted(root.glob(f'{where}{name}.py')):
                return f'moved to {file}{option}'
    return _NONE


def _hint(text: str) -> str:
    """What is called nearly so: beside it, or among those that come with ff_mm."""
    path = Path(text.removeprefix(SCOPE))
    beside = {file.stem: file for file in sorted(path.parent.glob('*.py'))}
    if close := difflib.get_close_matches(path.stem, beside, n=1, cutoff=0.8):
        return f'; did you mean {beside[close[0]]}?'
    last = {name.rpartition('/')[2]: name for name in config_names()}
    close = difflib.get_close_matches(path.stem, last, n=1, cutoff=0.8)
    return f'; did you mean {last[close[0]]}?' if close else ''
