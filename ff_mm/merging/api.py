"""A soup of any torch models in one call, without config files and without MMEngine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ff_mm.errors import ConfigError
from ff_mm.files import PathLike
from ff_mm.merging.hierarchical import Level, bou, gog, gou, hierarchical
from ff_mm.merging.ingredient import Ingredient, check_ingredients
from ff_mm.merging.methods import Supply
from ff_mm.merging.recipe import leaf_weights
from ff_mm.merging.safetensors_file import write_safetensors
from ff_mm.merging.scorer import Candidate, Rule, Scorer, Step
from ff_mm.merging.soup import Soup
from ff_mm.merging.state_dict import StateDict, write_checkpoint
from ff_mm_commands.table import called

#: What a soup can be made of: a checkpoint, a state dict, or a module.
Model = PathLike | Mapping[str, Any] | nn.Module

_OF_GROUPS = dict(gog=gog, gou=gou, bou=bou)
_ALONE = ('best', 'uniform', 'greedy', 'pruned')
_GROUP = 'group'
_FILE = (str, os.PathLike)


@dataclass(frozen=True)
class SoupResult:
    """A soup that was made.

    Attributes:
        soup: Its members and decisions.
        score: What it has scored; None: it was not, as nothing had to be chosen.
        weights: How much of each model is in it, by name; None of one that was merged
            and not added.
        table: A row a decision: ``candidate``, ``score``, ``kept``, ``reason``; what
            ``pandas.DataFrame`` takes.
    """

    soup: Soup
    score: float | None
    weights: dict[str, float | None]
    table: list[dict[str, Any]]

    @property
    def state_dict(self) -> StateDict:
        """The weights, computed anew each time."""
        return self.soup.load()

    def save(self, file: PathLike) -> None:
        """Writes the weights: as safetensors if the file is called so, else by torch.

        The file is written atomically.

        Raises:
            ConfigError: safetensors is not installed.
        """
        if Path(file).suffix == '.safetensors':
            write_safetensors(self.state_dict, file)
            return
        weights = {key: value.contiguous() for key, value in self.state_dict.items()}
        write_checkpoint(dict(state_dict=weights), file)

    def __str__(self) -> str:
        """A line a decision."""
        return '\n'.join(
            f'{row["candidate"]}: '
            + ('' if row['score'] is None else f'{row["score"]:.4f} ')
            + ('kept' if row['kept'] else 'left out')
            + f' ({row["reason"]})'
            for row in self.table
        )


def soup(
    models: Sequence[Model] | Mapping[str, Model],
    method: str | Mapping[str, Any] = 'greedy',
    score: Callable[[StateDict], float] | None = None,
    *,
    rule: Rule = 'greater',
    merge: str | Mapping[str, Any] = 'mean',
    groups: Sequence[Any] | None = None,
    scores: Sequence[float] | None = None,
    origin: Model | None = None,
    accept_ties: bool = False,
) -> SoupResult:
    """Makes one model of several of the same architecture.

    Files are read with ``weights_only=True``, one at a time. Batch norm's statistics
    are averaged like weights; re-estimate them on training images afterwards
    (:func:`torch.optim.swa_utils.update_bn`), or within ``score``.

    Args:
        models: Checkpoints of any library (.pth, .safetensors), state dicts or modules;
            with names of their own if it is a mapping.
        method: Which go in: ``'uniform'`` (all), ``'greedy'`` (Wortsman et al. 2022),
            ``'best'`` (one), ``'pruned'``; of groups ``'gog'``, ``'gou'``
            (FissionFusion) and ``'bou'``; or ``dict(type=..., ...)`` with options.
        score: Evaluates weights on validation data; they are not to be changed. Not
            needed by ``'uniform'``.
        rule: Whether a ``'greater'`` or a ``'less'`` score is better.
        merge: How they are combined, a key of
            :data:`ff_mm.merging.methods.METHODS`, such as ``'ties'``, or
            ``dict(type=..., ...)`` with options.
        groups: The group of each model, such as its learning rate.
        scores: What ``score`` gives of each model, if it is known.
        origin: What the training of all models began with, for merges that need it.
        accept_ties: Whether an equal score is good enough to be kept.

    Returns:
        The soup, its score, and what was decided.

    Raises:
        ConfigError: Something is missing, unknown, or does not fit.
        CheckpointError: A file cannot be read, or models differ in architecture.

    Examples:
        >>> found = ff_mm.soup(['a.pth', 'b.pth'], 'greedy', score=accuracy)
        >>> net.load_state_dict(found.state_dict)
    """
    named = list(_named(models))
    levels = _levels(method, merge, groups)
    if score is None and _chooses(levels):
        raise ConfigError(
            f'soup: method={method!r} chooses, so give score=FUNCTION, which takes a '
            'state dict and returns a number; only the uniform soup needs none'
        )
    hyper = _by_model('groups', groups, named)
    known = _by_model('scores', scores, named)
    ingredients = [
        _ingredient(name, model, {} if groups is None else {_GROUP: group}, value)
        for (name, model), group, value in zip(named, hyper, known, strict=True)
    ]
    check_ingredients(ingredients)
    for level in levels:
        level.how.check(ingredients[0].outline(), ingredients[0].name)
    steps: list[Step] = []
    scorer = Scorer(
        lambda candidate, _: _score(score, candidate),
        rule=rule,
        accept_ties=accept_ties,
        on_step=steps.append,
    )
    supplies = {}
    if origin is not None:
        start = _ingredient('origin', origin, {}, None)
        supplies['origin'] = Supply(start, 'origin')
    made = hierarchical(ingredients, levels, scorer, supplies=supplies)
    return SoupResult(
        soup=made,
        score=None if score is None else made.score,
        weights=leaf_weights(made.recipe),
        table=[_row(step, scored=score is not None) for step in steps],
    )


def _named(
    models: Sequence[Model] | Mapping[str, Model],
) -> Iterator[tuple[str, Model]]:
    """Names models that have none: by their file, or by their number."""
    if isinstance(models, Mapping):
        yield from models.items()
        return
    stems = [Path(m).stem if isinstance(m, _FILE) else None for m in models]
    for number, (model, stem) in enumerate(zip(models, stems, strict=True)):
        if stem is None:
            yield f'model{number}', model
        else:
            yield (stem if stems.count(stem) == 1 else str(model)), model


def _by_model(
    option: str, values: Sequence[Any] | None, named: Sequence[tuple[str, Model]]
) -> Sequence[Any]:
    if values is None:
        return [None] * len(named)
    if len(values) != len(named):
        raise ConfigError(
            f'soup: {option} has {len(values)} values, expected one for each of the '
            f'{len(named)} models'
        )
    return values


def _ingredient(
    name: str, model: Model, hyper: Mapping[str, Any], score: float | None
) -> Ingredient:
    if isinstance(model, _FILE):
        return Ingredient.from_file(model, name=name, hyper=hyper, score=score)
    weights = model.state_dict() if isinstance(model, nn.Module) else model
    if not isinstance(weights, Mapping):
        raise ConfigError(
            f'soup: {name} is a {type(model).__name__}, expected a file, a state dict '
            'or a module'
        )
    for key, value in weights.items():
        if not isinstance(value, Tensor):
            raise ConfigError(
                f'soup: {name}: {key!r} is a {type(value).__name__} and no tensor; '
                'give the state dict alone, or the file that has it'
            )
    kept = {key: value.detach() for key, value in weights.items()}
    return Ingredient(name, lambda: kept, hyper=hyper, score=score)


def _levels(
    method: str | Mapping[str, Any],
    merge: str | Mapping[str, Any],
    groups: Sequence[Any] | None,
) -> list[Level]:
    options = {'type': method} if isinstance(method, str) else dict(method)
    name = options.pop('type', None)
    if name in _OF_GROUPS:
        if groups is None:
            raise ConfigError(
                f'soup: {name} makes soups of groups, so give groups=[...], such as '
                'the learning rate of each model'
            )
        return _OF_GROUPS[name](group_by=_GROUP, merge=merge, **options)
    if name not in _ALONE:
        raise ConfigError(
            f'soup: method={name!r}: expected one of {", ".join(_ALONE)}, '
            f'{", ".join(_OF_GROUPS)}; others ask validation for more than a score, '
            f'which {called("soup")} can answer'
        )
    return [Level(dict(options, type=name), None, merge)]


def _chooses(levels: Sequence[Level]) -> bool:
    """Whether there is anything to choose, soups or numbers."""
    return any(
        level.which.type != 'uniform' or len(level.variants) > 1 for level in levels
    )


def _score(score: Callable[[StateDict], float] | None, candidate: Candidate) -> float:
    return math.nan if score is None else float(score(candidate.load()))


def _row(step: Step, scored: bool) -> dict[str, Any]:
    return dict(
        candidate=step.candidate,
        score=step.score if scored else None,
        kept=step.accepted,
        reason=step.reason,
    )
