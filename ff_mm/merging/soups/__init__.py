"""Soups, WHICH ingredients go in and how much of each; a file a soup.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time", ICML 2022 (arXiv 2203.05482).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Scorer
from ff_mm.merging.soup import Soup
from ff_mm.merging.soups import best, greedy, pruned, uniform

SoupMethod = Callable[
    [Sequence[AnyIngredient], Scorer, str, PathLike | None, Merge], Soup
]

SOUPS: dict[str, SoupMethod] = dict(
    uniform=uniform.uniform,
    greedy=greedy.greedy,
    best=best.best,
    pruned=pruned.pruned,
)

__all__ = ['SOUPS', 'SoupMethod']
