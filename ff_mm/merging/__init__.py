"""Merging models, in pure torch: reading, averaging and souping state dicts."""

from ff_mm.merging.hierarchical import Level, bou, gog, gou, hierarchical, tree
from ff_mm.merging.ingredient import Ingredient, check_ingredients
from ff_mm.merging.mean import RunningMean
from ff_mm.merging.scorer import (
    Candidate,
    NoBetterThan,
    ScoreFunction,
    ScoreManyFunction,
    Scorer,
    Step,
)
from ff_mm.merging.soup import Soup
from ff_mm.merging.soups import SOUPS
from ff_mm.merging.soups.best import best
from ff_mm.merging.soups.greedy import greedy
from ff_mm.merging.soups.uniform import uniform
from ff_mm.merging.state_dict import (
    CheckpointError,
    StateDict,
    check_same_architecture,
    read_checkpoint,
    read_state_dict,
    write_checkpoint,
)

__all__ = [
    'SOUPS',
    'Candidate',
    'CheckpointError',
    'Ingredient',
    'Level',
    'NoBetterThan',
    'RunningMean',
    'ScoreFunction',
    'ScoreManyFunction',
    'Scorer',
    'Soup',
    'StateDict',
    'Step',
    'best',
    'bou',
    'check_ingredients',
    'check_same_architecture',
    'gog',
    'gou',
    'greedy',
    'hierarchical',
    'read_checkpoint',
    'read_state_dict',
    'tree',
    'uniform',
    'write_checkpoint',
]
