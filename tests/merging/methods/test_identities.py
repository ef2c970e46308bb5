"""What must hold of every merge, whatever the numbers; a new one is tested by being.

What a method needs besides the origin is here the same of all members.
"""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.merging import Ingredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import METHODS, Supply
from ff_mm.merging.recipe import identity

NAMES = ('a', 'b', 'c', 'd')
# With these a method gives a lone ingredient back.
NEUTRAL = dict(
    ties=dict(keep=1.0),
    wise_ft=dict(alpha=1.0),
    dare=dict(drop=0.0),
    lines=dict(alpha=1.0, beta=0.0),
    weighted=dict(weights=dict.fromkeys(NAMES, 1.0)),
)
# With these it does whatever it is that it does.
TYPICAL = dict(
    ties=dict(keep=0.5, scale=0.7),
    dare=dict(drop=0.4, seed=3),
    weighted=dict(weights=dict(zip(NAMES, (1.0, 2.0, 0.5, 3.0), strict=True))),
    task_arithmetic=dict(scale=1.5, coefficients=dict(a=-0.5)),
    lines=dict(alpha=0.2, beta=1.1),
    gradient_matching=dict(alpha=0.8, weight_decay=0.1),
)
# The mean, with these options.
MEANS = dict(mean={}, task_arithmetic={}) | {n: NEUTRAL[n] for n in NEUTRAL}
del MEANS['ties']
MEANS |= dict(fisher={}, gradient_matching={}, regmean={})

methods = pytest.mark.parametrize('method', list(METHODS))
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


class Models:
    """Random members of one architecture, and their origin."""

    def __init__(self, seed, count, dtype=torch.float64):
        random = torch.Generator().manual_seed(seed)

        # Sixteenths, of which no sum is rounded: signs are then what they are.
        def values(*shape):
            return torch.randint(-40, 41, shape, generator=random) / 16

        def model(number):
            return {
                'backbone.layer1.0.conv.weight': values(3, 2).to(dtype),
                'backbone.layer1.0.bn.running_mean': values(3).to(dtype),
                'backbone.layer1.0.bn.running_var': values(3).abs().to(dtype) + 0.1,
                'backbone.layer1.0.bn.num_batches_tracked': torch.tensor(number),
                'backbone.layer2.0.conv.weight': values(3, 2).to(dtype),
                'backbone.mask': torch.tensor([0.0, -torch.inf], dtype=dtype),
                'head.fc.weight': values(2, 3).to(dtype),
                'head.fc.bias': values(2).to(dtype),
            }

        self.weights = {name: model(i) for i, name in enumerate(NAMES[:count])}
        self.origin = model(9)

    def change(self, function):
        """The same change of all models."""
        changed = copy.copy(self)
        changed.weights = {name: function(m) for name, m in self.weights.items()}
        changed.origin = function(self.origin)
        return changed

    def merge(self, method, options, weights=None, order=None):
        members = [ingredient(n, self.weights[n]) for n in order or self.weights]
        made = supplied(Merge(method, options), self.origin)
        return made.load(members, weights or [1.0] * len(members))


def ingredient(name, weights):
    return Ingredient(name, lambda: weights)


def supplied(merge, origin):
    def ones(member):
        return {key: torch.ones_like(v) for key, v in member.load().items()}

    def gram(member):
        layers = {k: v for k, v in member.load().items() if v.ndim == 2}
        return {k: torch.eye(v.shape[1])[None] + 0.5 for k, v in layers.items()}

    given = dict(fisher=Supply(ones, 'fisher'), gram=Supply(gram, 'gram'))
    given['origin'] = Supply(ingredient('origin', origin), 'origin')
    return merge.supplied(given)


def require_same(one, other, tolerance=1e-12):
    assert list(one) == list(other)
    for key, value in one.items():
        torch.testing.assert_close(
            value,
            other[key],
            rtol=tolerance,
            atol=tolerance,
            msg=lambda m, k=key: m + k,
        )


def typical(method):
    return TYPICAL.get(method, {})


seeds, counts = st.integers(0, 10**6), st.integers(1, 4)
some = settings(max_examples=15, deadline=None)


@methods
@some
@given(seed=seeds, dtype=st.sampled_from(DTYPES))
def test_a_lone_ingredient_is_given_back(method, seed, dtype):
    models = Models(seed, 1, dtype)
    merged = models.merge(method, NEUTRAL.get(method, {}))
    for key, value in models.weights['a'].items():
        assert merged[key].dtype == value.dtype
        if not key.endswith(('running_mean', 'running_var')):
            assert torch.equal(merged[key], value), key


@methods
@some
@given(seed=seeds, count=counts)
def test_equal_ingredients_are_given_back(method, seed, count):
    models = Models(seed, count)
    models.weights = {name: models.weights['a'] for name in models.weights}
    merged = models.merge(method, NEUTRAL.get(method, {}))
    require_same(merged, models.weights['a'])


@pytest.mark.parametrize('method', list(MEANS))
@some
@given(seed=seeds, count=counts, shares=st.lists(st.integers(1, 9), min_size=4))
def test_many_settings_are_the_mean(method, seed, count, shares):
    models = Models(seed, count)
    shares = [float(share) for share in shares[:count]]
    expected = models.merge('mean', {}, shares)
    require_same(models.merge(method, MEANS[method], shares), expected)


@some
@given(seed=seeds, count=counts, scale=st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_ties_of_like_signs_is_task_arithmetic_of_the_same_scale(seed, count, scale):
    models = Models(seed, count).change(
        lambda m: {k: v.abs() if v.is_floating_point() else v for k, v in m.items()}
    )
    models.origin = {
        k: v if 'running' in k or 'mask' in k else v - 5
        for k, v in models.origin.items()
    }
    options = dict(keep=1.0, scale=scale)
    ties = models.merge('ties', options)
    expected = models.merge('task_arithmetic', dict(scale=scale))
    for key in ties:
        if 'running' not in key:
            torch.testing.assert_close(ties[key], expected[key])


@some
@given(seed=seeds, count=counts, keep=st.floats(0, 1))
def test_ties_stays_among_the_trimmed_task_vectors(seed, count, keep):
    models = Models(seed, count)
    merged = models.merge('ties', dict(keep=keep))
    for key, start in models.origin.items():
        if key.endswith(('weight', 'bias')):
            moves = [weights[key] - start for weights in models.weights.values()]
            rows = torch.stack([*moves, torch.zeros_like(start)])
            found = merged[key] - start
            assert (found <= rows.amax(0) + 1e-12).all()
            assert (found >= rows.amin(0) - 1e-12).all()


@methods
@some
@given(seed=seeds, order=st.permutations(NAMES))
def test_the_order_of_ingredients_has_no_effect(method, seed, order):
    if METHODS[method].ordered:
        pytest.skip('its members are in an order')
    models = Models(seed, 4)
    for model in models.weights.values():
        model['backbone.layer1.0.bn.num_batches_tracked'] = torch.tensor(5)
    options = typical(method)
    merged, turned = (models.merge(method, options, order=o) for o in (NAMES, order))
    require_same(merged, turned)
    made = supplied(Merge(method, options), models.origin)
    recipes = [
        made.recipe([ingredient(n, {}) for n in names], [1.0] * 4)
        for names in (NAMES, order)
    ]
    assert identity(recipes[0]) == identity(recipes[1])


@methods
@some
@given(seed=seeds, factor=st.sampled_from([0.25, 2.0, -4.0]))
def test_what_is_scaled_before_is_scaled_after(method, seed, factor):
    def scaled(model):
        return {
            key: value * abs(factor)
            if 'running' in key
            else value * factor
            if value.is_floating_point() and 'mask' not in key
            else value
            for key, value in model.items()
        }

    models, options = Models(seed, 3), typical(method)
    require_same(
        models.change(scaled).merge(method, options),
        scaled(models.merge(method, options)),
    )


@methods
@some
@given(seed=seeds, channels=st.permutations(range(3)))
def test_channels_can_be_in_any_order(method, seed, channels):
    channels = torch.tensor(channels)

    def permuted(model):
        return {
            key: value.index_select(1 if key.startswith('head') else 0, channels)
            if 3 in value.shape
            else value
            for key, value in model.items()
        }

    # What is dropped goes by position, and so do equal magnitudes.
    other = dict(dare=dict(drop=0.0), ties=dict(keep=1.0)).get(method)
    options = typical(method) if other is None else other
    models = Models(seed, 3)
    require_same(
        models.change(permuted).merge(method, options),
        permuted(models.merge(method, options)),
    )


@methods
@some
@given(seed=seeds, count=counts, dtype=st.sampled_from(DTYPES))
def test_what_is_no_weight_or_equal_in_all_stays_and_variances_are_positive(
    method, seed, count, dtype
):
    models = Models(seed, count, dtype)
    for model in [*models.weights.values(), models.origin]:
        model['head.fc.bias'] = models.origin['head.fc.bias']
    merged = models.merge(method, typical(method))
    first = models.weights['a']
    kept = ['backbone.mask', 'head.fc.bias', 'backbone.layer1.0.bn.num_batches_tracked']
    for key in kept:
        assert torch.equal(merged[key], first[key]), key
    assert (merged['backbone.layer1.0.bn.running_var'] > 0).all()


@methods
@some
@given(seed=seeds, count=counts)
def test_what_is_left_out_is_the_first_ones_and_has_no_say(method, seed, count):
    models, options = Models(seed, count), typical(method)
    merged = models.merge(method, dict(options, leave_out=['head', '*.layer1.0.bn.*']))
    assert list(merged) == list(models.origin)
    left = [key for key in merged if key.startswith('head') or '.bn.' in key]
    for key in left:
        assert torch.equal(merged[key], models.weights['a'][key])
    rest = models.change(lambda m: {k: v for k, v in m.items() if k not in left})
    expected = rest.merge(method, options)
    require_same({key: merged[key] for key in expected}, expected)


@methods
@some
@given(seed=seeds, leave_out=st.sampled_from([None, ['head.*']]))
def test_one_after_the_other_and_into_other_tensors_is_bit_for_bit_the_same(
    method, seed, leave_out
):
    models = Models(seed, 3)
    options = typical(method) | (dict(leave_out=leave_out) if leave_out else {})
    merge = supplied(Merge(method, options), models.origin)
    members = [ingredient(name, model) for name, model in models.weights.items()]
    expected = merge.load(members, [1.0] * 3)
    running = merge.start()
    for member in members[:2]:
        running.add(member)
    out = {key: torch.full_like(value, 3) for key, value in expected.items()}
    assert running.with_one_more(members[2], out) is out
    running = merge.start()
    for member in members:
        running.add(member)
    for found in (out, running.pop(copy.deepcopy(out))):
        for key, value in expected.items():
            assert torch.equal(found[key], value), key
