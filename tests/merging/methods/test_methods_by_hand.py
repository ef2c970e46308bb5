"""Each method that needs no statistics against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from small_models import member, merged, merged_w, vectors

from ff_mm.errors import FFMMError

close = pytest.approx


# Task arithmetic (Ilharco et al.)

AB = vectors([2.0, 1.0], [1.0, 3.0])
ORIGIN = member('origin', w=[1.0, 1.0])


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(scale=2.0), [2, 3]),  # the paper's lambda is 1
        (dict(), [1.5, 2]),
        (dict(scale=0.0), [1, 1]),
        (dict(scale=1.0, coefficients=dict(m0=-2.0, m1=0.0)), [0, 1]),  # negation
        (dict(coefficients=dict(m1=3.0)), [1.5, 4]),  # others' are 1
    ],
)
def test_task_arithmetic(options, expected):
    merge = dict(type='task_arithmetic', **options)
    assert merged_w(merge, AB, ORIGIN) == close(expected)


def test_task_arithmetic_takes_counters_from_the_first_and_no_negative_variance():
    def model(name, mean, variance, count):
        return member(
            name,
            bn__running_mean=[mean],
            bn__running_var=[variance],
            bn__num_batches_tracked=torch.tensor(count),
        )

    origin = model('origin', 0.0, 1.0, 7)
    members = [model('a', 1.0, 0.4, 8), model('b', 2.0, 0.3, 9)]
    beyond = merged(dict(type='task_arithmetic', scale=2.0), members, origin)
    assert beyond['bn.running_var'].item() == close(0.35)  # and not -0.3
    assert beyond['bn.running_mean'].item() == close(1.5)
    assert beyond['bn.num_batches_tracked'] == 8
    # Of a convex combination the statistics are the same one, with the origin in it.
    half = merged(dict(type='task_arithmetic', scale=0.5), members, origin)
    assert half['bn.running_var'].item() == close(0.5 + 0.5 * 0.35)


def test_wise_ft_is_task_arithmetic_of_the_mean():
    found = merged_w(dict(type='wise_ft', alpha=0.25), AB, ORIGIN)
    assert found == close([1.125, 1.25])
    assert merged_w(dict(type='task_arithmetic', scale=0.25), AB, ORIGIN) == found
    assert merged_w(dict(type='wise_ft', alpha=1.0), AB, ORIGIN) == [1.5, 2.0]
    assert merged_w(dict(type='wise_ft', alpha=0.0), AB, ORIGIN) == [1.0, 1.0]


# TIES (Yadav et al.)

TAU = ([4, -1, 2, 0.5, -3], [-1, 5, 1.5, -2, 0.3], [2, -3, 0.1, 3.5, -1])
ZERO = member('origin', w=[0.0] * 5)


@pytest.mark.parametrize(
    ('keep', 'expected'),
    [
        (0.6, [3, 5, 1.75, 3.5, -3]),
        (0.2, [4, 5, 0, 3.5, 0]),
        (0.4, [4, 5, 0, 3.5, -3]),
        (1.0, [3, 5, 1.2, 2, -2]),
        (0.0, [0, 0, 0, 0, 0]),
        (0.19, [0, 0, 0, 0, 0]),
    ],
)
def test_ties(keep, expected):
    found = merged_w(dict(type='ties', keep=keep), vectors(*TAU), ZERO)
    assert found == close(expected)
    twice = merged_w(dict(type='ties', keep=keep, scale=2.0), vectors(*TAU), ZERO)
    assert twice == close([2 * value for value in expected])


def test_ties_counts_over_the_whole_vector_and_by_position():
    origin = member('origin', a=[0.0] * 3, n=torch.tensor(1), b=[0.0] * 2)
    one = member('one', a=[1.0, 2.0, -2.0], n=torch.tensor(2), b=[2.0, 3.0])
    found = merged(dict(type='ties', keep=0.6), [one], origin)
    # The 3, and the first two of the three of magnitude 2.
    assert found['a'].tolist() == [0, 2, -2] and found['b'].tolist() == [0, 3]
    assert found['n'] == 2


def test_ties_has_as_many_values_as_a_decimal_says():
    # 0.29 * 100 is 28.999999999999996.
    (one,) = vectors(list(range(1, 101)))
    origin = member('origin', w=[0.0] * 100)
    found = merged_w(dict(type='ties', keep=0.29), [one], origin)
    assert found == [0.0] * 71 + list(range(72, 101))


def test_ties_elects_no_sign_where_the_sum_is_0():
    pair = vectors([1.0, 2.0], [-1.0, 1.0])
    zero = member('origin', w=[0.0, 0.0])
    assert merged_w(dict(type='ties', keep=1.0), pair, zero) == [0.0, 1.5]


def test_ties_respects_how_much_of_each_is_wanted():
    pair = vectors([1.0, 2.0], [-2.0, 4.0])
    zero = member('origin', w=[0.0, 0.0])
    found = merged_w(dict(type='ties', keep=1.0), pair, zero, weights=[3.0, 1.0])
    assert found == [1.0, 2.5]
    with pytest.raises(FFMMError, match=r"merge='ties': the weights.*\[3.0, -1.0\]"):
        merged_w(dict(type='ties'), pair, zero, weights=[3.0, -1.0])


def test_ties_is_exact_on_many_values_that_are_nearly_alike():
    generator = torch.Generator().manual_seed(0)
    values = 1 + torch.randint(0, 50, (100_000,), generator=generator).double() * 1e-9
    tau = values * torch.randn(100_000, generator=generator).sign()
    assert len(set(tau.abs().tolist())) == 50
    origin, (one,) = member('origin', w=torch.zeros(100_000).double()), vectors(tau)
    found = merged(dict(type='ties', keep=0.37), [one], origin)['w']
    order = torch.sort(tau.abs(), descending=True, stable=True).indices[:37_000]
    expected = torch.zeros_like(tau)
    expected[order] = tau[order]
    assert torch.equal(found, expected)


# Model Stock (Jang et al.)


def test_model_stock():
    zero = member('origin', w=[0.0] * 3)
    pair = vectors([1.0, 1.0, 0.0], [1.0, 0.0, 1.0])
    assert merged_w('model_stock', pair, zero) == close([2 / 3, 1 / 3, 1 / 3])
    same = vectors([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert merged_w('model_stock', same, zero) == [1.0, 2.0, 3.0]
    across = vectors([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    assert merged_w('model_stock', across, zero) == [0.0] * 3
    away = vectors([1.0, 0.0, 0.0], [-1.0, 0.5, 0.0])
    assert merged_w('model_stock', away, zero) == [0.0] * 3
    # Three of pairwise cosines 1, 1/2 and 1/2: their mean is 2/3, t is 2 / (7/3).
    three = vectors([1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0])
    expected = [6 / 7, 6 / 7 * 2 / 3, 6 / 7 / 3]
    assert merged_w('model_stock', three, zero) == close(expected)


def test_model_stock_has_one_ratio_a_layer_and_one_a_lone_entry():
    def model(name, weight, bias, token, variance):
        return member(
            name,
            fc__weight=weight,
            fc__bias=bias,
            token=token,
            fc__running_var=variance,
        )

    origin = model('o', [0.0, 0.0], [0.0], [0.0, 0.0], [3.0])
    pair = [
        model('a', [1.0, 1.0], [0.0], [1.0, 0.0], [1.0]),
        model('b', [1.0, 0.0], [1.0], [2.0, 0.0], [2.0]),
    ]
    found = merged('model_stock', pair, origin)
    assert found['fc.weight'].tolist() == close([2 / 3, 1 / 3])
    assert found['fc.bias'].tolist() == close([1 / 3])
    assert found['token'].tolist() == close([1.5, 0.0])
    assert found['fc.running_var'].tolist() == close([2 / 3 * 1.5 + 1 / 3 * 3])


# DARE (Yu et al.)


def test_dare_drops_a_share_and_makes_up_for_it():
    tau = torch.ones(40_000, dtype=torch.float64)
    origin, (one,) = member('origin', w=torch.zeros_like(tau)), vectors(tau)
    found = merged(dict(type='dare', drop=0.75), [one], origin)['w']
    assert sorted(set(found.tolist())) == [0.0, 4.0]
    assert found.mean().item() == close(1.0, abs=0.05)
    assert merged(dict(type='dare', drop=0.0), [one], origin)['w'].tolist() == [
        1.0
    ] * len(tau)
    assert not merged(dict(type='dare', drop=1.0), [one], origin)['w'].any()


def test_dare_comes_to_the_task_vector_over_seeds():
    one, origin = member('a', w=[1.0, -2.0]), member('origin', w=[0.0, 0.0])
    runs = [
        merged(dict(type='dare', drop=0.5, seed=seed), [one], origin)['w']
        for seed in range(400)
    ]
    assert torch.stack(runs).mean(0).tolist() == close([1.0, -2.0], abs=0.25)


def test_dare_goes_by_member_and_entry_whatever_the_order():
    def model(name):
        return member(name, v=[1.0] * 200, w=[1.0] * 200)

    origin = member('origin', v=[0.0] * 200, w=[0.0] * 200)
    a, b = model('a'), model('b')
    merge = dict(type='dare', drop=0.5)
    alone = [merged(merge, [one], origin) for one in (a, b)]
    both, turned = merged(merge, [a, b], origin), merged(merge, [b, a], origin)
    for key in ('v', 'w'):
        assert torch.equal(both[key], (alone[0][key] + alone[1][key]) / 2)
        assert torch.equal(both[key], turned[key])
    masks = [alone[0]['v'], alone[0]['w'], alone[1]['v'], alone[1]['w']]
    assert len({tuple(mask.tolist()) for mask in masks}) == 4
    again = merged(dict(merge, seed=1), [a], origin)['v']
    assert not torch.equal(again, alone[0]['v'])


# LiNeS (Wang et al.)

RESNET = ['conv1.weight', 'layer1.0.conv1.weight', 'layer1.1.bn1.weight']
RESNET += ['layer1.1.bn1.running_var', 'layer2.0.conv1.weight', 'fc.bias']


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (RESNET, [0.5, 0.5, 0.75, 0.75, 1.0, 0.5]),
        (
            [
                'backbone.cls_token',
                'backbone.layers.0.ffn.layers.0.0.weight',
                'backbone.layers.2.ln1.weight',
                'backbone.layers.10.ffn.layers.1.weight',
                'backbone.ln1.weight',
                'head.layers.0.weight',
            ],
            [0.5, 0.5, 0.75, 1.0, 0.5, 0.5],
        ),
        (
            [
                'backbone.timm_model.conv_stem.weight',
                'backbone.timm_model.blocks.0.0.conv.weight',
                'backbone.timm_model.blocks.1.0.conv.weight',
                'backbone.timm_model.blocks.1.1.conv.weight',
            ],
            [0.5, 0.5, 0.75, 1.0],
        ),
        # No blocks: the layers in their order.
        (['norm.weight', 'norm.bias', 'fc.weight'], [0.5, 0.5, 1.0]),
        (['a', 'b', 'c'], [0.5, 0.75, 1.0]),
        (['fc.weight'], [1.0]),
    ],
)
def test_lines(names, expected):
    one = member('a', **{name.replace('.', '__'): [2.0] for name in names})
    origin = member('o', **{name.replace('.', '__'): [1.0] for name in names})
    found = merged('lines', [one], origin)
    assert [found[name].item() - 1 for name in names] == close(expected)
    assert merged(dict(type='lines', alpha=1.0, beta=0.0), [one], origin) == {
        name: torch.tensor([2.0]) for name in names
    }


def test_lines_beyond_the_mean_leaves_the_mean_of_variances():
    one = member('a', fc__running_var=[0.2], fc__weight=[2.0])
    origin = member('o', fc__running_var=[1.0], fc__weight=[1.0])
    found = merged(dict(type='lines', alpha=1.0, beta=2.0), [one], origin)
    assert found['fc.running_var'].item() == close(0.2)
    assert found['fc.weight'].item() == close(4.0)


# Weights by name


def test_weighted():
    merge = dict(type='weighted', weights=dict(m0=1.0, m1=3.0, m2=0.0))
    three = vectors([1.0], [5.0], [100.0])
    assert merged_w(merge, three) == [4.0]
    assert merged_w(merge, [three[0], three[2]]) == [1.0]
    # How much of each is wanted comes on top.
    assert merged_w(merge, three[:2], weights=[3.0, 1.0]) == [3.0]
    with pytest.raises(FFMMError, match="weights: 'm3' must have one, too"):
        merged_w(merge, [*three, member('m3', w=[1.0])])
    nothing = dict(type='weighted', weights=dict(m0=0.0, m1=0.0))
    with pytest.raises(FFMMError, match='m0, m1 have a weight of 0'):
        merged_w(nothing, three[:2])
