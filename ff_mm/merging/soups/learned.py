"""The learned soup: how much of each goes in is learned by the loss on validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import PathLike
from ff_mm.merging.candidate import Candidate
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Scorer, Step
from ff_mm.merging.soup import MEAN, Soup, require_distinct_names
from ff_mm.merging.soups.options import check_number, check_one_of, check_whole
from ff_mm.merging.validation import Fold, Losses, Slopes, provided

_NAME = 'learned'
# Of less than this nothing goes in: recipes do not tell it from 0.
_LEAST = 1e-12
# Into how many folds validation is cut where it must be, and after how many steps that
# are no better for the cases held out learning ends.
_FOLDS, _PATIENCE = 5, 10


@dataclass(frozen=True)
class LearnedOptions:
    """The options of :func:`learned`.

    Attributes:
        steps: How many steps are taken at most.
        lr: The learning rate of AdamW, for the logarithms of the coefficients.
        tolerance: Learning ends once a step moves no coefficient, nor the temperature,
            further than this; 0: all steps are taken.
        temperature: Whether a temperature of the logits is learned with them.
        by: ``'ingredient'``: one coefficient each; ``'tensor'``: one for each tensor of
            each, which needs folds.
        folds: Into how many folds validation is cut, by groups: all but one are learned
            from, until that one has not got better for 10 steps, and the coefficients
            of all are averaged. None: no folds, and 5 by tensor.

    Raises:
        ConfigError: A value out of its range.
    """

    steps: int = 100
    lr: float = 0.05
    tolerance: float = 1e-4
    temperature: bool = False
    by: str = 'ingredient'
    folds: int | None = None

    def __post_init__(self) -> None:
        check_whole(_NAME, 'steps', self.steps, 0)
        check_number(_NAME, 'lr', self.lr)
        check_number(_NAME, 'tolerance', self.tolerance, zero=True)
        check_one_of(_NAME, 'temperature', self.temperature, (True, False))
        check_one_of(_NAME, 'by', self.by, ('ingredient', 'tensor'))
        if self.folds is not None:
            check_whole(_NAME, 'folds', self.folds, 2)

    def check(self, merge: Merge) -> None:
        """Check that it is the mean, of which the weights are learned."""
        if merge != MEAN:
            raise ConfigError(
                f'soup={_NAME!r} learns the weights of the mean, and cannot with '
                f'merge={merge.type!r}: leave merge out'
            )

    @property
    def cuts(self) -> list[Fold | None]:
        """What is held out, one after the other."""
        count = self.folds or (_FOLDS if self.by == 'tensor' else 0)
        return [Fold(number, count) for number in range(count)] or [None]


def learned(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
    options: LearnedOptions | None = None,
) -> Soup:
    r"""Make the learned soup (Wortsman et al. 2022, appendix I).

    The weights are :math:`\theta(\alpha) = \sum_i \alpha_i \theta_i` with
    :math:`\alpha = \mathrm{softmax}(a)`, and :math:`a` is learned by the loss of the
    model's own head on validation, all cases as one batch, from equal coefficients on.
    With :math:`g` the gradient of the loss with regard to the weights,
    :math:`\partial L / \partial a_i = \alpha_i \langle g, \theta_i - \theta(\alpha)
    \rangle`: a step is a forward and a backward pass of one network, and an inner
    product with each ingredient, read one by one. Statistics of batch norm are the same
    combination, and take part in the gradient. Of all steps the one with the least loss
    counts, with folds that of the cases held out.

    Memory: one network, a gradient, and what merging takes, for any number of
    ingredients. Cost: see :class:`~ff_mm.merging.validation.Losses`, for each step; and
    one evaluation.

    Args:
        ingredients: Ingredients or soups.
        scorer: Has ``losses``; scores the soup.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.
        merge: Must be the mean.
        options: The options. With no steps it is the uniform soup, bit for bit.

    Returns:
        The soup. The temperature is told in its details, and is no part of it.

    Raises:
        ConfigError: ``merge`` is not the mean.
        FFMMError: If there are no ingredients, two different ones share a name, the
            scorer has no losses, or the loss of the mean is not finite.
    """
    require_distinct_names(ingredients, name)
    options = options or LearnedOptions()
    options.check(merge)
    if len(ingredients) == 1 or options.steps == 0:
        soup, why = Soup(name, _NAME, tuple(ingredients)), 'nothing was learned'
    else:
        losses = provided(scorer.losses, name, 'gradients', 'losses')
        soup, why = _learned(ingredients, losses, name, options)
    soup = soup.written(file)
    score = scorer.score(soup.members[0] if soup.is_its_member else soup)
    step = scorer.report(Step(name, score, None, True, why))
    return replace(soup, score=score, steps=(step,))


def _learned(
    ingredients: Sequence[AnyIngredient],
    losses: Losses,
    name: str,
    options: LearnedOptions,
) -> tuple[Soup, str]:
    by_tensor = options.by == 'tensor'
    everything = Soup(name, _NAME, tuple(ingredients))
    names = losses.tensors(_candidate(everything)) if by_tensor else []

    def slopes(alpha: Tensor, scale: float, fold: Fold | None) -> Slopes:
        model = _candidate(_mixture(name, ingredients, alpha, names))
        return losses.slopes(model, ingredients, scale, fold, by_tensor)

    found: list[_Learned] = []
    for cut in options.cuts:
        shape = (len(ingredients), len(names) or 1)
        found.append(_learn(partial(slopes, fold=cut), shape, options))
        if not math.isfinite(found[-1].loss):
            raise FFMMError(
                f'soup {name!r}: the loss of the mean of all is {found[-1].loss} on '
                'validation; leave out what has diverged, or begin with a pruned soup'
            )
    alpha = torch.stack([one.alpha for one in found]).mean(0)
    details = dict(
        steps=sum(one.steps for one in found),
        loss=fmean(one.loss for one in found),
        loss_of_equal=fmean(one.first for one in found),
    )
    what = 'loss of cases held out' if options.cuts != [None] else 'loss'
    why = f'{what} {details["loss_of_equal"]:.4f} -> {details["loss"]:.4f}'
    if options.temperature:
        details['temperature'] = 1 / fmean(one.scale for one in found)
        why += f', temperature {details["temperature"]:.4f}'
    why += f', {details["steps"]} steps'
    soup = _mixture(name, ingredients, alpha, names)
    return replace(soup, details=details), why


@dataclass(frozen=True)
class _Learned:
    """What was learned.

    Attributes:
        alpha: The coefficients with the least loss.
        scale: What the logits were multiplied by.
        loss: The loss.
        first: The loss of equal coefficients.
        at: The step that led to it.
        steps: How many were taken.
    """

    alpha: Tensor
    scale: float
    loss: float
    first: float
    at: int
    steps: int


def _learn(
    slopes: Callable[[Tensor, float], Slopes],
    shape: tuple[int, int],
    options: LearnedOptions,
) -> _Learned:
    """Learn coefficients, of shape (members, 1 or tensors)."""
    logits = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    learned = [logits, log_scale] if options.temperature else [logits]
    optimizer = torch.optim.AdamW(learned, lr=options.lr, weight_decay=0.0)
    alpha, scale, best = logits.detach().softmax(0), 1.0, None
    for step in range(options.steps + 1):
        found = slopes(alpha, scale)
        loss = found.loss if found.held_out is None else found.held_out
        first = loss if best is None else best.first
        if best is None or loss < best.loss:
            best = _Learned(alpha, scale, loss, first, step, step)
        best = replace(best, steps=step)
        waited = found.held_out is not None and step - best.at >= _PATIENCE
        if waited or step == options.steps or not math.isfinite(loss):
            break
        mean = (alpha * found.members).sum(0)
        logits.grad = alpha * (found.members - mean)
        log_scale.grad = torch.tensor(scale * found.scale, dtype=torch.float64)
        optimizer.step()
        before = torch.cat([alpha.reshape(-1), torch.tensor([scale])])
        alpha, scale = logits.detach().softmax(0), log_scale.detach().exp().item()
        after = torch.cat([alpha.reshape(-1), torch.tensor([scale])])
        if (after - before).abs().max() <= options.tolerance > 0:
            break
    assert best is not None
    return best


def _candidate(soup: Soup) -> Candidate:
    return Candidate(soup.name, soup.recipe, soup.load)


def _mixture(
    name: str,
    ingredients: Sequence[AnyIngredient],
    alpha: Tensor,
    names: Sequence[str],
) -> Soup:
    """The soup of some coefficients, of all tensors or of each."""
    if len({tuple(row) for row in alpha.tolist()}) == 1:
        return Soup(name, _NAME, tuple(ingredients))
    if names:
        shares = dict(zip(names, alpha.T.tolist(), strict=True))
        merge = Merge('by_tensor', dict(shares=shares))
        weights = tuple(alpha.mean(1).tolist())
        return Soup(name, _NAME, tuple(ingredients), merge=merge, weights=weights)
    pairs = list(zip(ingredients, alpha[:, 0].tolist(), strict=True))
    kept = [(one, weight) for one, weight in pairs if weight >= _LEAST]
    return Soup(
        name,
        _NAME,
        tuple(one for one, _ in kept),
        rejected=tuple(one for one, weight in pairs if weight < _LEAST),
        weights=tuple(weight for _, weight in kept),
    )
