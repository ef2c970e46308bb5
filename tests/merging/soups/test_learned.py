"""Learned soups against optima by hand, and gradients against finite differences."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging import Ingredient, Level, Scorer, hierarchical, tree, uniform
from ff_mm.merging.soups.choice import Choice
from ff_mm.merging.soups.learned import LearnedOptions, learned
from ff_mm.merging.validation import Slopes, inner_products


def ingredient(name, **tensors):
    weights = {k: torch.tensor(v, dtype=torch.float64) for k, v in tensors.items()}
    return Ingredient(name, lambda: dict(weights))


class Made:
    """A loss as a function of weights and of what logits are multiplied by.

    Attributes:
        asked: For each gradient: coefficients by name, scale and fold.
    """

    def __init__(self, loss, held_out=None):
        self.loss, self.held_out, self.asked = loss, held_out, []

    def tensors(self, model):
        return list(model.load())

    def slopes(self, model, members, scale=1.0, fold=None, by_tensor=False):
        self.asked.append((dict(model.recipe), scale, fold))
        weights = {k: v.clone().requires_grad_() for k, v in model.load().items()}
        scaled = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
        loss = self.loss(weights, scaled)
        loss.backward()
        gradient = {k: v.grad for k, v in weights.items()}
        held = None if fold is None else self.held_out(weights, fold).item()
        inner = inner_products(gradient, members, by_tensor)
        by_scale = 0.0 if scaled.grad is None else scaled.grad.item()
        return Slopes(loss.item(), held, by_scale, inner)


def to(*target):
    """Half the squared distance of ``w`` to a target."""
    centre = torch.tensor(target, dtype=torch.float64)
    return lambda weights, scale: 0.5 * (weights['w'] - centre).pow(2).sum()


PAIR = [ingredient('one', w=[2.0, 0.0]), ingredient('two', w=[0.0, 2.0])]


def make(loss, models=PAIR, **options):
    losses = loss if isinstance(loss, Made) else Made(loss)
    scorer = Scorer(
        lambda candidate, _: -losses.loss(candidate.load(), torch.tensor(1.0)).item(),
        losses=losses,
    )
    return learned(models, scorer, 's', options=LearnedOptions(**options)), losses


def test_the_optimum_by_hand():
    soup, _ = make(to(1.5, 0.5), steps=400, tolerance=0)
    one, two = soup.shares
    assert (one, two) == pytest.approx((0.75, 0.25), abs=1e-4)
    assert math.log(one / two) == pytest.approx(math.log(3), abs=1e-3)
    assert soup.load()['w'].tolist() == pytest.approx([1.5, 0.5], abs=1e-3)
    assert soup.recipe == pytest.approx(dict(one=one, two=two))


def test_it_ends_where_nothing_moves_any_more():
    soup, losses = make(to(1.5, 0.5), steps=400, tolerance=1e-3)
    assert soup.details['steps'] < 300
    assert soup.details['steps'] + 1 >= len(losses.asked)
    assert soup.shares == pytest.approx((0.75, 0.25), abs=0.02)


def test_what_lies_outside_is_approached_at_the_border():
    soup, _ = make(to(3.0, -1.0), steps=400, tolerance=0)
    assert soup.shares[0] > 0.997
    # One that is as good as absent is left out, and the other read alone.
    soup, _ = make(to(3.0, -1.0), steps=100, tolerance=0, lr=3.0)
    assert [m.name for m in soup.members] == ['one'] and soup.is_its_member
    assert [m.name for m in soup.rejected] == ['two']


def gradient_in_logits(losses, models, logits, by_tensor=False):
    """As a step has it."""
    alpha = logits.softmax(0)
    weights = {
        key: sum(
            a[number if by_tensor else 0] * m.load()[key]
            for a, m in zip(alpha, models, strict=True)
        )
        for number, key in enumerate(models[0].load())
    }
    model = Ingredient('mixture', lambda: dict(weights))
    found = losses.slopes(model, models, by_tensor=by_tensor)
    return alpha * (found.members - (alpha * found.members).sum(0)), found.loss


def test_the_first_gradient_by_hand():
    gradient, _ = gradient_in_logits(
        Made(to(1.5, 0.5)), PAIR, torch.zeros(2, 1, dtype=torch.float64)
    )
    assert gradient.flatten().tolist() == pytest.approx([-0.5, 0.5])


@pytest.mark.parametrize('by_tensor', [False, True])
def test_gradients_are_those_of_finite_differences(by_tensor):
    torch.manual_seed(0)
    models = [
        ingredient(f'm{i}', w=torch.randn(3, 4).tolist(), b=torch.randn(3).tolist())
        for i in range(4)
    ]
    inputs, labels = torch.randn(20, 4).double(), torch.randint(3, (20,))

    def loss(weights, scale):
        logits = scale * (inputs @ weights['w'].T + weights['b'])
        return nn.functional.cross_entropy(logits, labels)

    logits = torch.randn(4, 2 if by_tensor else 1, dtype=torch.float64)
    at = partial(gradient_in_logits, Made(loss), models, by_tensor=by_tensor)
    gradient, _ = at(logits)
    for index in range(logits.numel()):
        step = torch.zeros(logits.numel(), dtype=torch.float64)
        step[index] = 1e-5
        step = step.reshape(logits.shape)
        slope = (at(logits + step)[1] - at(logits - step)[1]) / 2e-5
        assert gradient.flatten()[index].item() == pytest.approx(slope, abs=1e-6)


def test_the_temperature_by_hand_and_told_beside_the_soup():
    """Margin 2 and three of four right: the scale is ln(3) / 2."""

    def loss(weights, scale):
        margins = weights['w'][0] * scale * torch.tensor([1.0, 1.0, 1.0, -1.0])
        return nn.functional.softplus(-margins).mean()

    models = [ingredient('one', w=[2.0]), ingredient('two', w=[2.0])]
    soup, losses = make(loss, models, temperature=True, steps=400, tolerance=0)
    assert 1 / soup.details['temperature'] == pytest.approx(0.549306, abs=1e-3)
    assert soup.load()['w'].tolist() == [2.0]  # is no part of it
    assert 'temperature 1.82' in soup.steps[0].reason
    soup, losses = make(loss, models, steps=3)
    assert 'temperature' not in soup.details
    assert {scale for _, scale, _ in losses.asked} == {1.0}


def test_without_steps_it_is_the_uniform_soup_bit_for_bit():
    torch.manual_seed(0)
    models = [ingredient(f'm{i}', w=torch.randn(50).tolist()) for i in range(7)]
    scorer = Scorer(lambda candidate, _: 0.0)
    soup = learned(models, scorer, 's', options=LearnedOptions(steps=0))
    everything = uniform(models, scorer, 'u')
    assert torch.equal(soup.load()['w'], everything.load()['w'])
    assert soup.recipe == everything.recipe and scorer.evaluations == 1


def test_of_equal_models_it_is_that_model_bit_for_bit():
    torch.manual_seed(0)
    values = torch.randn(50)
    models = [Ingredient(f'm{i}', lambda: dict(w=values.clone())) for i in range(5)]
    made = Made(lambda weights, scale: weights['w'].pow(2).sum())

    def slopes(model, members, scale, fold, by_tensor):
        return Slopes(1.0, None, 0.0, torch.randn(5, 1, dtype=torch.float64))

    made.slopes = slopes
    options = LearnedOptions(steps=5, tolerance=0)
    soup = learned(models, Scorer(lambda *_: 0.0, losses=made), 's', options=options)
    assert torch.equal(soup.load()['w'], values)


def test_it_starts_from_the_uniform_soup_and_takes_the_least_loss_on_the_way():
    soup, losses = make(to(1.5, 0.5), steps=60, tolerance=0, lr=3.0)
    assert losses.asked[0][0] == dict(one=0.5, two=0.5)
    assert len(losses.asked) == 61
    reached = [
        0.5 * ((2 * r.get('one', 0) - 1.5) ** 2 + (2 * r.get('two', 0) - 0.5) ** 2)
        for r, _, _ in losses.asked
    ]
    assert soup.details['loss'] == pytest.approx(min(reached))
    assert soup.details['loss_of_equal'] == pytest.approx(0.25)
    assert soup.score == pytest.approx(-min(reached))


def test_by_tensor_with_what_is_held_out():
    """Two tensors that want other members; one of two folds gets worse at once."""
    models = [ingredient('one', v=[1.0], w=[0.0]), ingredient('two', v=[0.0], w=[1.0])]

    def loss(weights, scale):
        return (weights['v'] - 1).pow(2).sum() + (weights['w'] - 1).pow(2).sum()

    def held_out(weights, fold):
        return loss(weights, 1) if fold.number == 0 else -loss(weights, 1)

    soup, losses = make(
        Made(loss, held_out), models, by='tensor', folds=2, steps=200, tolerance=0
    )
    # Of the first fold nearly 1 and 1, of the second the equal start.
    found = soup.load()
    assert found['v'].item() == pytest.approx(0.75, abs=0.03)
    assert found['w'].item() == pytest.approx(0.75, abs=0.03)
    assert soup.merge.type == 'by_tensor' and soup.weights == pytest.approx((0.5, 0.5))
    shares = soup.merge.options['shares']
    assert {key: sum(value) for key, value in shares.items()} == pytest.approx(
        dict(v=1, w=1)
    )
    # The second one waits for ten steps.
    assert sum(fold.number == 1 for _, _, fold in losses.asked) == 11
    assert 'held out' in soup.steps[0].reason
    assert soup.recipe != uniform(models, Scorer(lambda *_: 0.0), 'u').recipe


def test_by_tensor_is_cut_into_folds_and_by_ingredient_only_if_told():
    assert len(LearnedOptions(by='tensor').cuts) == 5
    assert LearnedOptions().cuts == [None]
    assert [cut.of for cut in LearnedOptions(folds=3).cuts] == [3, 3, 3]


def test_a_loss_that_is_not_finite_is_said():
    models = [ingredient('a', w=[1.0]), ingredient('b', w=[math.nan])]
    with pytest.raises(FFMMError, match="'s': the loss of the mean of all is nan"):
        make(lambda weights, scale: weights['w'].sum(), models)


def test_in_levels_and_in_the_tree():
    groups = [
        Ingredient(m.name, m.read, dict(lr=number)) for number, m in enumerate(PAIR)
    ]
    losses = Made(to(1.5, 0.5))
    scorer = Scorer(lambda candidate, _: 0.0, losses=losses)
    levels = [Level('uniform', 'lr'), Level(dict(type='learned', steps=5))]
    soup = hierarchical(groups, levels, scorer, 'top')
    node = tree(soup)
    assert node['weights'] == list(soup.weights)
    assert [m['weight'] for m in node['members']] == pytest.approx(soup.weights)
    assert node['details']['steps'] == 5
    assert node['members'][0]['name'] == 'lr=0'


def test_a_scorer_without_losses_is_refused_in_a_line():
    with pytest.raises(FFMMError, match=r"'s' needs gradients .*losses=") as error:
        learned(PAIR, Scorer(lambda *_: 0.0), 's')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('given', 'says'),
    [
        (dict(steps=-1), 'steps=-1: expected a whole number of at least 0'),
        (dict(lr=0), 'lr=0: expected a positive number$'),
        (dict(lr=math.inf), 'lr=inf: expected a positive'),
        (dict(tolerance='no'), "tolerance='no': expected a positive number or 0"),
        (dict(temperature=1), r'temperature=1: expected one of \[True, False\]'),
        (dict(by='layer'), r"by='layer': expected one of \['ingredient', 'tensor'\]"),
        (dict(folds=1), 'folds=1: expected a whole number of at least 2'),
        (dict(momentum=1), "no option 'momentum'"),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_bad_options(given, says):
    with pytest.raises(ConfigError, match=says):
        Choice('learned', given)


def test_only_means_have_weights_to_learn():
    with pytest.raises(ConfigError, match='weights of the mean'):
        Level('learned', merge=dict(type='by_tensor', shares={}))
