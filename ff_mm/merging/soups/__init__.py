"""Soups, WHICH ingredients go in and how much of each; a file a soup.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time", ICML 2022 (arXiv 2203.05482).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ff_mm.merging.soup import Soup
from ff_mm.merging.soups import (
    best,
    ensemble_selection,
    greedy,
    learned,
    pruned,
    uniform,
)

#: ``(ingredients, scorer, name, file=None, merge=MEAN)``, and ``options`` of those that
#: stand in :data:`OPTIONS`.
SoupMethod = Callable[..., Soup]

SOUPS: dict[str, SoupMethod] = dict(
    uniform=uniform.uniform,
    greedy=greedy.greedy,
    best=best.best,
    pruned=pruned.pruned,
    ensemble_selection=ensemble_selection.ensemble_selection,
    learned=learned.learned,
)

#: A dataclass that checks its values.
OPTIONS: dict[str, type[Any]] = dict(
    greedy=greedy.GreedyOptions,
    pruned=pruned.PrunedOptions,
    ensemble_selection=ensemble_selection.EnsembleSelectionOptions,
    learned=learned.LearnedOptions,
)

__all__ = ['OPTIONS', 'SOUPS', 'SoupMethod']
