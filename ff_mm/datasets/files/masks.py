"""Masks and annotations that lie beside or below the images that they belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ff_mm.datasets.files.finding import without_extension
from ff_mm.plain import first_few

_WORD = (
    r'(?:masks?|segs?|segmentations?|segmented|gts?|ground[ _-]?truths?|annotations?|'
    r'annotated|contours?|overlays?|heat[ _-]?maps?|labels?)'
)
_BETWEEN = r'[ _.\-]+'
# x_mask, x_mask_1 and mask_x belong to x.
_AFTER = re.compile(rf'(.+?){_BETWEEN}({_WORD})(?:[ _.\-]*\d+)?', re.IGNORECASE)
_BEFORE = re.compile(rf'({_WORD}){_BETWEEN}(.+)', re.IGNORECASE)
_FOLDER = re.compile(rf'(?:.+{_BETWEEN})?{_WORD}', re.IGNORECASE)


def note_masks(paths: Sequence[str]) -> list[str]:
    """Says how many images look like masks of others, if any do.

    Args:
        paths: Of all images, with slashes.

    Returns:
        A sentence or two, or nothing. That a file is a mask only its name tells, so
        that nothing is left out here.
    """
    found = find_masks(paths)
    if not found:
        return []
    patterns = ', '.join(map(repr, sorted(set(found.values()))[:3]))
    return [
        f'{len(found)} of {len(paths)} images look like masks of others, by '
        f'their names ({first_few([*found], 5)}). Leave them out with '
        f'exclude=[{patterns}].'
    ]


def find_masks(paths: Sequence[str]) -> dict[str, str]:
    """Gives the images that look like masks of others, each with a pattern for it."""
    whole = [without_extension(path) for path in paths]
    stems = set(whole)
    folders = {path: _mask_folder(path) for path in paths}
    # What lies outside of such folders, by name.
    outside = {
        stem.rpartition('/')[2]
        for path, stem in zip(paths, whole, strict=True)
        if not folders[path]
    }
    found = {}
    for path, stem in zip(paths, whole, strict=True):
        folder, slash, name = stem.rpartition('/')
        others = _belongs_to(name)
        for other, pattern in others.items():
            if folder + slash + other in stems:
                found[path] = pattern
        if folders[path] and outside & {name, *others}:
            found[path] = folders[path]
    return found


def _belongs_to(name: str) -> dict[str, str]:
    """Gives the names of which this may be the mask, with a pattern for such masks."""
    others = {}
    if after := _AFTER.fullmatch(name):
        others[after[1]] = f'*{name[len(after[1])]}{after[2]}*'
    if before := _BEFORE.fullmatch(name):
        others[before[2]] = f'{before[1]}{name[len(before[1])]}*'
    return others


def _mask_folder(path: str) -> str:
    return next(filter(_FOLDER.fullmatch, path.split('/')[:-1]), '')
