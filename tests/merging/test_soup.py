from __future__ import annotations

import math
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toys import Loads

from ff_mm.errors import FFMMError
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.ingredient import Ingredient
from ff_mm.merging.mean import RunningMean
from ff_mm.merging.scorer import Candidate, Scorer
from ff_mm.merging.soup import Soup
from ff_mm.merging.soups import SOUPS as ALL
from ff_mm.merging.soups.best import best
from ff_mm.merging.soups.greedy import greedy
from ff_mm.merging.soups.uniform import uniform

SIZE = 5
#: Those that need no more of validation than scores.
SOUPS = {
    name: make
    for name, make in ALL.items()
    if name not in ('ensemble_selection', 'learned')
}


def ingredient(name, values, score=None, **hyper):
    tensor = torch.as_tensor(values, dtype=torch.float32)
    return Ingredient(name, lambda: {'w': tensor.clone()}, hyper, score)


def random_ingredients(seed, count, spread=1.0):
    """Models scattered around the optimum 0 of the quadratic score, and off it."""
    generator = np.random.default_rng(seed)
    centre = generator.normal(size=SIZE) * 0.5
    points = centre + spread * generator.normal(size=(count, SIZE))
    return [ingredient(f'm{i}', point) for i, point in enumerate(points)]


def quadratic(state_dict):
    """Minus the loss; the best model is 0, so means of good ones are often better."""
    return -float((state_dict['w'].double() ** 2).sum())


def make_scorer(score, **options):
    """A scorer by a function of the weights alone."""
    return Scorer(lambda candidate, _: score(candidate.load()), **options)


def arrays(ingredients):
    return [i.load()['w'].double().numpy() for i in ingredients]


def greedy_by_hand(models, score, accept):
    """The greedy soup as in the paper, on lists of arrays; indices in order."""
    ranked = sorted(range(len(models)), key=lambda i: -score(models[i]))
    kept = ranked[:1]
    top = score(models[kept[0]])
    for i in ranked[1:]:
        new = score(np.mean([models[j] for j in [*kept, i]], axis=0))
        if accept(new, top):
            kept, top = [*kept, i], new
    return kept, top


# Against brute force


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_greedy_is_the_greedy_soup_by_hand(seed, count):
    ingredients = random_ingredients(seed, count)
    soup = greedy(ingredients, make_scorer(quadratic), 'soup')
    kept, top = greedy_by_hand(
        arrays(ingredients), lambda w: -(w**2).sum(), lambda new, old: new > old
    )
    assert [member.name for member in soup.members] == [f'm{i}' for i in kept]
    assert soup.score == pytest.approx(top, rel=1e-5)


def test_the_choice_by_hand_is_no_trivial_one():
    """Else the test above would pass with a greedy soup that keeps one, or all."""
    sizes = Counter(
        len(greedy(random_ingredients(seed, 6), make_scorer(quadratic), 's').members)
        for seed in range(40)
    )
    assert len(sizes) >= 4


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_uniform_and_best_by_hand(seed, count):
    ingredients = random_ingredients(seed, count)
    models = arrays(ingredients)
    soup = uniform(ingredients, make_scorer(quadratic), 'soup')
    np.testing.assert_allclose(
        soup.load()['w'], np.mean(models, axis=0), rtol=1e-6, atol=1e-7
    )
    assert soup.score == quadratic(soup.load())
    single = best(ingredients, make_scorer(quadratic), 'soup')
    (winner,) = single.members
    assert winner.name == f'm{np.argmin([(w**2).sum() for w in models])}'
    assert single.score == quadratic(single.load())
    assert len(single.rejected) == count - 1


def test_networks_with_batch_norm():
    """Real networks, a real loss, integer buffers; `less` is better."""
    torch.manual_seed(0)
    inputs, targets = torch.randn(64, 4), torch.randint(3, (64,))
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    start = {key: value.clone() for key, value in net.state_dict().items()}
    ingredients = []
    for i in range(5):
        net.load_state_dict(start)
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1 * (i + 1))
        for _ in range(i + 2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs), targets).backward()
            optimizer.step()
        state = {key: value.clone() for key, value in net.state_dict().items()}
        ingredients.append(Ingredient(f'net{i}', partial(dict, state)))

    @torch.no_grad()
    def loss(state_dict):
        net.load_state_dict(state_dict)
        return nn.functional.cross_entropy(net.eval()(inputs), targets).item()

    scorer = make_scorer(loss, rule='less')
    soup = greedy(ingredients, scorer, 'soup')
    singles = [loss(i.load()) for i in ingredients]
    first = soup.members[0]
    assert first.name == f'net{np.argmin(singles)}'
    assert soup.score <= min(singles)
    assert soup.score == loss(soup.load())
    number = soup.load()['1.num_batches_tracked']
    assert number.dtype == torch.int64
    assert number == first.load()['1.num_batches_tracked']
    everything = uniform(ingredients, scorer, 'all')
    assert everything.load()['1.num_batches_tracked'] == 2  # that of net0


# The weights of a soup


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7))
def test_greedy_returns_the_very_weights_that_were_scored(seed, count):
    scored = []

    def score(state_dict):
        scored.append((quadratic(state_dict), state_dict))
        return scored[-1][0]

    soup = greedy(random_ingredients(seed, count, 2.0), make_scorer(score), 'soup')
    assert any(
        value == soup.score and torch.equal(weights['w'], soup.load()['w'])
        for value, weights in scored
    )


def soups_of(leaves):
    """Soups of soups of these ingredients, several levels deep."""

    def soup(members):
        return Soup('s', 'uniform', tuple(members))

    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.lists(inner, min_size=1, max_size=4).map(soup),
        max_leaves=12,
    )


@settings(max_examples=60, deadline=None)
@given(soups_of(random_ingredients(0, 5)))
def test_the_recipe_is_what_load_computes(soup):
    leaves = {i.name: i.load()['w'].double() for i in random_ingredients(0, 5)}
    assert sum(soup.recipe.values()) == pytest.approx(1, abs=1e-12)
    expected = sum(weight * leaves[name] for name, weight in soup.recipe.items())
    torch.testing.assert_close(
        soup.load()['w'].double(), expected, rtol=1e-5, atol=1e-6
    )


def test_a_shared_ingredient_weighs_the_sum():
    a, b = ingredient('a', [1.0]), ingredient('b', [5.0])
    soup = Soup('s', 'uniform', (Soup('t', 'uniform', (a, b)), a))
    assert soup.recipe == {'a': 0.75, 'b': 0.25}
    assert soup.load()['w'].item() == 2
    assert soup.level == 2


def test_48_equal_models_make_that_model():
    values = torch.randn(50)
    models = [ingredient(f'm{i}', values) for i in range(48)]
    scorer = make_scorer(quadratic, accept_ties=True)
    for make in (uniform, greedy):
        soup = make(models, scorer, 's')
        assert len(soup.members) == 48
        assert torch.equal(soup.load()['w'], values)


def test_loading_holds_one_member_at_a_time():
    loads = Loads()
    leaves = [Ingredient(str(i), loads) for i in range(9)]
    groups = [Soup('g', 'uniform', tuple(leaves[i : i + 3])) for i in (0, 3, 6)]
    Soup('top', 'uniform', tuple(groups)).load()
    assert len(loads.most) == 9
    assert max(loads.most) == 1


def test_a_soup_fills_what_it_is_given():
    a, b = ingredient('a', [1.0, 2.0]), ingredient('b', [5.0, 8.0])
    for soup in (Soup('s', 'uniform', (a, b)), Soup('t', 'uniform', (a,))):
        out = {'w': torch.zeros(2, 2)[:, 0]}
        assert soup.load(out) is out
        assert torch.equal(out['w'], soup.load()['w'])
        assert torch.equal(soup.in_passing()['w'], soup.load()['w'])
        with pytest.raises(ValueError, match='out differs in shape'):
            soup.load({'w': torch.zeros(3)})


def test_the_next_file_is_asked_for_while_one_is_at_work(tmp_path, monkeypatch):
    told = []

    def note(self, what):
        told.append((what, self.path.stem))

    for what in ('prefetch', 'in_passing'):
        real = getattr(CheckpointFile, what)
        monkeypatch.setattr(
            CheckpointFile,
            what,
            lambda self, what=what, real=real: (note(self, what), real(self))[1],
        )
    members = []
    for name in 'abc':
        torch.save({'w': torch.ones(2)}, tmp_path / f'{name}.pth')
        members.append(Ingredient.from_file(tmp_path / f'{name}.pth'))
    Soup('s', 'uniform', tuple(members)).load()
    assert [f'{what[0]}{name}' for what, name in told] == [
        'pa',
        'pb',
        'ia',
        'pc',
        'ib',
        'ic',
    ]


def test_a_written_soup_is_read_from_its_file(tmp_path):
    models = random_ingredients(0, 4)
    soup = Soup('s', 'uniform', tuple(models))
    written = soup.written(tmp_path / 'x.pth')
    assert (written.name, written.members) == (soup.name, soup.members)
    assert soup.checkpoint is None
    assert torch.equal(written.load()['w'], soup.load()['w'])
    assert torch.equal(written.in_passing()['w'], soup.load()['w'])
    out = {'w': torch.zeros(SIZE)}
    assert written.load(out) is out and torch.equal(out['w'], soup.load()['w'])
    written.prefetch()
    torch.save({'state_dict': {'w': torch.ones(1)}}, tmp_path / 'x.pth')
    assert written.load()['w'] == 1  # it is the file that counts
    assert soup.written(None) is soup
    alone = Soup('t', 'uniform', (models[0],))
    assert alone.written(tmp_path / 'y.pth') is alone
    assert not (tmp_path / 'y.pth').exists()


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('method', SOUPS)
def test_a_file_changes_nothing_in_a_soup(tmp_path, method, seed):
    models = random_ingredients(seed, 5)
    plain = SOUPS[method](models, make_scorer(quadratic), 's')
    kept = SOUPS[method](models, make_scorer(quadratic), 's', tmp_path / 'x.pth')
    assert (plain.recipe, plain.score, plain.steps) == (
        kept.recipe,
        kept.score,
        kept.steps,
    )
    assert torch.equal(plain.load()['w'], kept.load()['w'])
    assert (kept.checkpoint is not None) is (len(kept.members) > 1)
    assert (tmp_path / 'x.pth').exists() is (len(kept.members) > 1)


def test_members_agree_on_their_hyper_parameters():
    a = ingredient('a', [1], lr=1e-3, seed=0, size=[1, 2], flag=True)
    b = ingredient('b', [1], lr=0.001, seed=1, size=(1, 2), flag=1)
    assert Soup('s', 'uniform', (a, b)).hyper == {'lr': 0.001, 'size': [1, 2]}
    assert Soup('s', 'uniform', (a,)).hyper == a.hyper
    assert Soup('s', 'uniform', (a, ingredient('c', [1]))).hyper == {}


# Order, ties, NaN


def test_equal_candidates_keep_their_order():
    models = [ingredient(f'm{i}', [i], score=0.5) for i in (3, 1, 2)]
    models.insert(1, ingredient('top', [0], score=0.9))
    scorer = make_scorer(lambda _: 0.0)
    assert [i.name for i in scorer.order(models)] == ['top', 'm3', 'm1', 'm2']
    less = make_scorer(lambda _: 0.0, rule='less')
    assert [i.name for i in less.order(models)] == ['m3', 'm1', 'm2', 'top']
    steps = greedy(models, scorer, 's').steps
    assert [step.candidate for step in steps] == ['top', 'm3', 'm1', 'm2']


@pytest.mark.parametrize(('accept', 'kept'), [(False, 1), (True, 3)])
def test_ties(accept, kept):
    models = [ingredient(f'm{i}', [i], score=0.5) for i in range(3)]
    soup = greedy(models, make_scorer(lambda _: 0.5, accept_ties=accept), 's')
    assert len(soup.members) == kept
    assert len(soup.rejected) == 3 - kept
    reason = 'a tie, accepted' if accept else 'a tie, not better'
    assert [step.reason for step in soup.steps[1:]] == [reason] * 2


@pytest.mark.parametrize('accept', [False, True])
@pytest.mark.parametrize('rule', ['greater', 'less'])
def test_what_improves(rule, accept):
    scorer = make_scorer(quadratic, rule=rule, accept_ties=accept)
    assert scorer.improves(2, 1) is (rule == 'greater')
    assert scorer.improves(1, 2) is (rule == 'less')
    assert scorer.improves(1, 1) is accept
    assert scorer.improves(math.nan, 1) is False
    assert scorer.improves(math.nan, math.nan) is False
    assert scorer.improves(1, math.nan) is True


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_less_is_greater_of_the_negative(seed):
    models = random_ingredients(seed, 6)
    a = greedy(models, make_scorer(quadratic), 's')
    b = greedy(models, make_scorer(lambda w: -quadratic(w), rule='less'), 's')
    assert a.recipe == b.recipe
    assert a.score == -b.score


@pytest.mark.parametrize('rule', ['greater', 'less'])
def test_nan_is_last_and_never_accepted(rule):
    def score(state_dict):
        value = state_dict['w'].item()
        return math.nan if value == 5 else value  # 5 is the mean of a and b

    models = [
        ingredient('nan', [math.nan], score=math.nan),
        ingredient('a', [4]),
        ingredient('b', [6]),
    ]
    scorer = make_scorer(score, rule=rule, accept_ties=True)
    assert scorer.order(models)[-1].name == 'nan'
    soup = greedy(models, scorer, 's')
    assert soup.recipe == ({'b': 1.0} if rule == 'greater' else {'a': 1.0})
    assert [step.reason for step in soup.steps[1:]] == [
        'the score is NaN',
        'its own score is NaN',
    ]
    assert not any(step.accepted for step in soup.steps[1:])


@pytest.mark.parametrize('make', [greedy, best])
def test_nothing_but_nan_is_an_error_that_names_them(make):
    models = [ingredient(name, [1], score=math.nan) for name in ('one', 'two')]
    with pytest.raises(FFMMError, match=r"'lr=1'.* NaN: one, two"):
        make(models, make_scorer(quadratic), 'lr=1')


def test_a_uniform_soup_may_score_nan():
    """So that one diverged group does not end a hierarchical soup."""
    models = [ingredient('a', [1]), ingredient('b', [math.nan])]
    assert math.isnan(uniform(models, make_scorer(quadratic), 's').score)


# Evaluations


def test_known_scores_are_not_evaluated_and_equal_recipes_once():
    models = [ingredient(f'm{i}', [i - 2.5], score=-abs(i - 2.5)) for i in range(6)]
    scorer = make_scorer(lambda w: -abs(w['w'].item()))
    first = greedy(models, scorer, 'a')
    assert scorer.evaluations == 5
    again = greedy(models, scorer, 'b')
    assert scorer.evaluations == 5
    assert again.recipe == first.recipe
    everything = uniform(models, scorer, 'c')
    assert scorer.evaluations == 6
    assert (
        scorer.score(Soup('d', 'uniform', tuple(reversed(models)))) == everything.score
    )
    nested = [Soup('e', 'uniform', tuple(models[i : i + 2])) for i in (0, 2, 4)]
    scorer.score(Soup('f', 'uniform', tuple(nested)))
    assert scorer.evaluations == 6


def test_unknown_scores_are_evaluated_once_each():
    models = random_ingredients(1, 4)
    scorer = make_scorer(quadratic)
    best(models, scorer, 's')
    assert scorer.evaluations == 4
    greedy(models, scorer, 's')
    assert scorer.evaluations == 7


def test_different_weights_are_different_recipes():
    a, b = ingredient('a', [0]), ingredient('b', [1])
    scorer = make_scorer(lambda w: w['w'].item())
    half = Soup('s', 'uniform', (a, b))
    assert scorer.score(half) == 0.5
    assert scorer.score(Soup('t', 'uniform', (half, a))) == 0.25


@pytest.mark.parametrize('method', ALL)
def test_a_group_of_one_is_that_ingredient_and_costs_nothing(method):
    def load():
        raise AssertionError('was loaded')

    lone = Ingredient('lone', load, {'lr': 1}, score=0.25)
    scorer = make_scorer(quadratic)
    soup = ALL[method]([lone], scorer, 's')
    assert scorer.evaluations == 0
    assert soup.members == (lone,)
    assert (soup.score, soup.recipe, soup.hyper) == (0.25, {'lone': 1.0}, {'lr': 1})
    assert soup.method == method


@pytest.mark.parametrize('method', SOUPS)
def test_steps_are_told_as_they_happen(method):
    told = []
    soup = SOUPS[method](
        random_ingredients(3, 4), make_scorer(quadratic, on_step=told.append), 's'
    )
    assert tuple(told) == soup.steps
    assert soup.steps[0].accepted
    if method == 'greedy':
        accepted = [step.candidate for step in soup.steps if step.accepted]
        assert accepted == [member.name for member in soup.members]
        scores = [step.score for step in soup.steps if step.accepted]
        assert scores == sorted(scores) and scores[-1] == soup.score


def test_a_step_is_told_before_the_next_evaluation():
    order = []

    def score(state_dict):
        order.append('evaluation')
        return quadratic(state_dict)

    models = [ingredient(f'm{i}', [i], score=-float(i)) for i in range(3)]
    greedy(models, make_scorer(score, on_step=lambda step: order.append('step')), 's')
    assert order == ['step', 'evaluation', 'step', 'evaluation', 'step']


# Refusing


@pytest.mark.parametrize('method', ALL)
def test_no_ingredients_and_names_that_are_not_unique(method):
    scorer = make_scorer(quadratic)
    with pytest.raises(FFMMError, match='no ingredients'):
        ALL[method]([], scorer, 's')
    twins = [ingredient('a', [1]), Soup('g', 'uniform', (ingredient('a', [2]),))]
    with pytest.raises(FFMMError, match="two ingredients are called 'a'"):
        ALL[method](twins, scorer, 's')
    assert scorer.evaluations == 0


@pytest.mark.parametrize('method', ['uniform', 'greedy'])
def test_two_architectures_do_not_mix(method):
    a = ingredient('a', [1, 2], score=0.1)
    b = ingredient('b', [1, 2, 3], score=0.2)
    with pytest.raises(ValueError, match=r'w \('):
        SOUPS[method]([a, b], make_scorer(quadratic), 's')


def test_greedy_needs_no_more_than_its_mean(monkeypatch):
    """One accumulator for the kept ones, however many candidates are tried."""
    made = []
    monkeypatch.setattr(
        'ff_mm.merging.methods.mean.RunningMean',
        lambda: made.append(1) or RunningMean(),
    )
    greedy(random_ingredients(0, 8), make_scorer(quadratic), 's')
    assert len(made) == 1


def test_recipes_are_equal_up_to_rounding_and_no_further():
    scorer = make_scorer(lambda w: w['w'].item())

    def score(a, b):
        load = partial(dict, w=torch.tensor(b))
        return scorer.evaluate(Candidate('ab', {'a': a, 'b': b}, load))

    assert 0.1 + 0.2 != 0.3
    score(0.3, 0.7)
    score(0.1 + 0.2, 0.7)
    assert scorer.evaluations == 1
    score(0.3 + 1e-6, 0.7 - 1e-6)
    score(0.7, 0.3)
    assert scorer.evaluations == 3
