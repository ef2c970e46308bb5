"""Models of a cross-validation: which images they have seen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm_commands.table import called

#: The hyper-parameter that says which fold an ingredient was validated on.
FOLD = 'fold'


@dataclass(frozen=True)
class Folds:
    """How the training and validation images of a plan were cut.

    Attributes:
        number: How many folds there are.
        seed: Of the cut.
        cases: What identifies the cases of each.
    """

    number: int
    seed: int
    cases: tuple[str, ...]


def recipe_by_name(name: str, fold: Any) -> str:
    """Tells what models of all folds have in common by what one of them is called.

    For manifests of versions that did not write it down.

    Args:
        name: That of an ingredient.
        fold: The fold that it was validated on.
    """
    parts = re.split(rf'_fold{fold}(?=_|$)', name)
    return name if len(parts) < 2 else f'_fold{fold}'.join(parts[:-1]) + parts[-1]


def has_seen_validation(meta: Mapping[str, Any]) -> bool:
    """Says whether a file is of a model that was trained on validation images.

    Args:
        meta: That of an ingredient of folds, of a soup of these, or of any file.
    """
    hyper = _map(_map(meta, 'ingredient'), 'hyper')
    return hyper.get(FOLD) is not None or bool(_map(_map(meta, 'soup'), 'folds'))


def _map(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def refuse_folds(names: Sequence[str]) -> None:
    """Refuses to validate models on images that some of them were trained on.

    Args:
        names: Of the models that have seen validation images.

    Raises:
        ConfigError: There are some.
    """
    if names:
        more = f' (one of {len(names)})' if names[1:] else ''
        raise ConfigError(
            f'ingredients: {names[0]!r}{more} was trained in folds, of which all but '
            'one have seen each image of val_dataloader: a score there says nothing; '
            f'take {called("soup")} --soup folds with their ingredients.json, or, if '
            'val_dataloader is of images that no fold has, name the files: '
            "ingredients=dict(file='ingredients/*.pth', fold=None)"
        )
