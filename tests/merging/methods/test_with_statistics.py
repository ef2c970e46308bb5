"""Fisher, gradient matching and RegMean: by hand, and what holds between them."""

from __future__ import annotations

import pytest
import torch

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging import Ingredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import METHODS, Supply

DOUBLE = torch.float64


def models(*values, key='w'):
    """Members of one entry each, or of the entries given."""
    dicts = [v if isinstance(v, dict) else {key: tensor(v)} for v in values]
    return [Ingredient(f'm{i}', lambda d=d: d) for i, d in enumerate(dicts)]


def tensor(value):
    return torch.as_tensor(value, dtype=DOUBLE)


def statistics(members, *values, key='w'):
    """A statistic of each member, as evaluation gives it."""
    dicts = [v if isinstance(v, dict) else {key: tensor(v)} for v in values]
    by_name = dict(zip([m.name for m in members], dicts, strict=True))
    return Supply(lambda member: by_name[member.name], 'content')


def merged(kind, members, weights=None, options=None, **supplies):
    merge = Merge(kind, options or {}).supplied(supplies)
    return merge.load(members, weights or [1.0] * len(members))


def random_pool(seed, count=3, dtype=DOUBLE):
    """Members, and a Fisher information of each, with entries of several kinds."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=DOUBLE)

    members = models(
        *(
            {
                'conv.weight': draw(2, 3, 2, 2).to(dtype),
                'bn.running_var': draw(3).square().to(dtype),
                'bn.num_batches_tracked': torch.tensor(7 + i),
                'mask': draw(2).to(dtype),  # a buffer: it has no Fisher information
            }
            for i in range(count)
        )
    )
    return members, [{'conv.weight': draw(2, 3, 2, 2).square()} for _ in members]


def close(one, other, **tolerance):
    assert list(one) == list(other)
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], **tolerance)


# -- By hand.


@pytest.mark.parametrize(
    ('second', 'normalize', 'expected'),
    [
        ((1, 3), False, (2, 3)),
        ((10, 30), False, (53 / 13, 120 / 31)),
        ((10, 30), True, (2, 3)),
    ],
)
def test_fisher_by_hand(second, normalize, expected):
    members = models((1, 0), (5, 4))
    fisher = statistics(members, (3, 1), second)
    soup = merged('fisher', members, options=dict(normalize=normalize), fisher=fisher)
    assert soup['w'].tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ('alpha', 'expected'), [(1.0, 3.2), (0.5, 8 / 3), (None, 8 / 3)]
)
def test_gradient_matching_by_hand(alpha, expected):
    members, (origin,) = models(3.0, 2.0), models(0.0)
    fisher = statistics(members, 3.0, 1.0)
    options = dict(alpha=alpha, delta=1.0)
    soup = merged(
        'gradient_matching',
        members,
        options=options,
        origin=Supply(origin, 'o'),
        fisher=fisher,
    )
    assert soup['w'].item() == pytest.approx(expected, rel=1e-12)


def test_gradient_matching_in_two_dimensions_has_the_diagonals_alone():
    members = models((19 / 11, 13 / 22), (-12 / 23, 44 / 23))
    (origin,) = models((0.5, -0.5))
    soup = merged(
        'gradient_matching',
        members,
        options=dict(alpha=1.0, delta=0.25, weight_decay=0.75),
        origin=Supply(origin, 'o'),
        fisher=statistics(members, (3, 2), (1, 2)),
    )
    assert soup['w'].tolist() == pytest.approx((1.073123, 1.602372), abs=1e-6)


def test_regmean_takes_of_each_what_its_own_inputs_reach():
    first, second = torch.arange(6.0).view(2, 3), torch.full((2, 3), 9.0)
    members = models(first, second)
    gram = statistics(
        members,
        [torch.diag(tensor([4.0, 1, 0])).tolist()],
        [torch.diag(tensor([0, 0, 2.0])).tolist()],
    )
    soup = merged('regmean', members, gram=gram)['w']
    expected = torch.cat([first[:, :2], second[:, 2:]], 1)
    torch.testing.assert_close(soup, expected.double(), rtol=0, atol=1e-12)


def test_regmean_by_hand_and_against_least_squares():
    # One input, so the Gram matrix is a number: (2 * 1 + 6 * 5) / 8 = 4.
    members = models([[1.0]], [[5.0]])
    gram = statistics(members, [[[2.0]]], [[[6.0]]])
    assert merged('regmean', members, gram=gram)['w'].item() == pytest.approx(4)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 20, 4, generator=generator, dtype=DOUBLE)
    layers = torch.randn(2, 3, 4, generator=generator, dtype=DOUBLE)
    members = models(*layers)
    gram = statistics(members, *(x.mT @ x for x in inputs[:, None]))
    soup = merged('regmean', members, options=dict(scale=1.0), gram=gram)
    outputs = torch.cat([x @ w.T for x, w in zip(inputs, layers, strict=True)])
    best = torch.linalg.lstsq(inputs.flatten(0, 1), outputs).solution.T
    torch.testing.assert_close(soup['w'], best)


def test_regmean_of_groups_is_regmean_of_each():
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(2, 4, 3, 2, 2, generator=generator, dtype=DOUBLE)
    inputs = torch.randn(2, 2, 30, 12, generator=generator, dtype=DOUBLE)
    grams = inputs.transpose(-1, -2) @ inputs
    members = models(*weights)
    soup = merged('regmean', members, gram=statistics(members, *grams))['w']
    for group, rows in enumerate((slice(0, 2), slice(2, 4))):
        parts = models(*weights[:, rows])
        gram = statistics(parts, *grams[:, group : group + 1])
        torch.testing.assert_close(soup[rows], merged('regmean', parts, gram=gram)['w'])


# -- Identities.


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('weights', [None, [1.0, 2.0, 0.5]], ids=['equal', 'weighted'])
def test_equal_information_is_the_mean(seed, weights):
    members, (f, *_) = random_pool(seed)
    mean = merged('mean', members, weights)
    fisher = statistics(members, f, f, f)
    origin = Supply(random_pool(9)[0][0], 'o')
    close(merged('fisher', members, weights, fisher=fisher), mean)
    close(
        merged('gradient_matching', members, weights, fisher=fisher, origin=origin),
        mean,
    )
    gram = {'conv.weight': torch.eye(12, dtype=DOUBLE)[None] + 0.5}
    grams = statistics(members, gram, gram, gram)
    close(merged('regmean', members, weights, gram=grams), mean)


@pytest.mark.parametrize('kind', ['fisher', 'gradient_matching', 'regmean'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, DOUBLE], ids=str)
def test_equal_members_are_that_member_bit_for_bit(kind, dtype):
    (first, *_), information = random_pool(3, dtype=dtype)
    members = models(*[first.load()] * 3)
    grams = [
        {'conv.weight': torch.diag(f['conv.weight'].flatten()[:12])[None]}
        for f in information
    ]
    given = dict(
        fisher=statistics(members, *information),
        gram=statistics(members, *grams),
        origin=Supply(random_pool(9, dtype=dtype)[0][0], 'o'),
    )
    supplies = {name: given[name] for name in METHODS[kind].needs}
    soup = merged(kind, members, [1.0, 2.0, 3.0], **supplies)
    assert all(torch.equal(soup[k], v) for k, v in first.load().items())


def test_a_lone_member_comes_back():
    members, information = random_pool(4, count=1)
    origin = Supply(random_pool(9)[0][0], 'o')
    fisher = statistics(members, *information)
    for alpha in (None, 1.0):
        soup = merged(
            'gradient_matching',
            members,
            options=dict(alpha=alpha, delta=0.1),
            fisher=fisher,
            origin=origin,
        )
        close(soup, members[0].load(), rtol=0, atol=0)
    close(merged('fisher', members, fisher=fisher), members[0].load(), rtol=0, atol=0)


@pytest.mark.parametrize('seed', range(3))
def test_neither_scale_nor_order_of_the_information_plays_a_role(seed):
    members, information = random_pool(seed)
    fisher = statistics(members, *information)
    usual = merged('fisher', members, [1.0, 2.0, 3.0], fisher=fisher)
    scaled = [{k: 1e-9 * v for k, v in f.items()} for f in information]
    close(
        merged('fisher', members, [2.0, 4.0, 6.0], fisher=statistics(members, *scaled)),
        usual,
    )
    turned = [*members[1:], members[0]]
    again = merged('fisher', turned, [2.0, 3.0, 1.0], fisher=fisher)
    close(
        {k: v for k, v in again.items() if 'num' not in k},
        {k: v for k, v in usual.items() if 'num' not in k},
    )
    # Linear in the weights.
    tripled = models(
        *(
            {k: 3 * v if v.is_floating_point() else v for k, v in m.load().items()}
            for m in members
        )
    )
    soup = merged('fisher', tripled, [1.0, 2.0, 3.0], fisher=fisher)
    torch.testing.assert_close(soup['conv.weight'], 3 * usual['conv.weight'])


@pytest.mark.parametrize('alpha', [None, 0.7])
def test_gradient_matching_without_a_prior_is_fisher_merging(alpha):
    members, information = random_pool(5)
    fisher = statistics(members, *information)
    plain = dict(normalize=False, floor=0)
    soup = merged(
        'gradient_matching',
        members,
        options=dict(alpha=alpha, delta=0.0),
        fisher=fisher,
        origin=Supply(random_pool(9)[0][0], 'o'),
    )
    close(soup, merged('fisher', members, options=plain, fisher=fisher))


def test_gradient_matching_with_a_strong_prior_is_task_arithmetic():
    members, information = random_pool(6)
    origin = random_pool(9)[0][0]
    soup = merged(
        'gradient_matching',
        members,
        options=dict(alpha=0.7, delta=1e13),
        fisher=statistics(members, *information),
        origin=Supply(origin, 'o'),
    )
    start = origin.load()['conv.weight']
    expected = start + sum(0.7 * (m.load()['conv.weight'] - start) for m in members)
    torch.testing.assert_close(soup['conv.weight'], expected)


def test_what_no_image_reaches_is_the_mean():
    members = models([1.0, 1.0], [3.0, 5.0])
    zero_first = statistics(members, [0.0, 1.0], [0.0, 3.0])
    options = dict(floor=0, normalize=False)
    soup = merged('fisher', members, [1.0, 3.0], options, fisher=zero_first)
    assert soup['w'].tolist() == [2.5, 4.6]
    members = models([[1.0, 1.0]], [[3.0, 5.0]])
    gram = statistics(members, [[[0.0, 0], [0, 1]]], [[[0.0, 0], [0, 3]]])
    assert merged('regmean', members, gram=gram)['w'][0].tolist() == pytest.approx(
        [2.0, 4.0]
    )


# -- What cannot be merged.


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        (((0.0, 0.0), (1.0, 1.0)), "of 'm0' is zero in all entries.*overfitted"),
        (((1.0, 1.0), (1.0,)), r"'m1': w is \(1,\), expected \(2,\) as the weights"),
        (((1.0, 1.0), (1.0, -1.0)), "'m1': w has values that are negative or"),
        (((1.0, 1.0), (float('nan'), 1.0)), "'m1': w has values that are negative or"),
        (((1.0, 1.0), {'v': tensor([1.0])}), "of 'm1' lacks the key 'w'"),
    ],
)
def test_information_that_does_not_fit_is_named(values, words):
    members = models((1.0, 2.0), (3.0, 4.0))
    fisher = statistics(members, *values)
    with pytest.raises(FFMMError, match=words):
        merged('fisher', members, fisher=fisher)
    origin = Supply(members[0], 'o')
    with pytest.raises(FFMMError, match=words):
        merged(
            'gradient_matching',
            members,
            options=dict(delta=0),
            fisher=fisher,
            origin=origin,
        )


@pytest.mark.parametrize(
    ('second', 'words'),
    [
        ([[1.0, 0]], r"'m1': w is \(1, 2\), expected \(groups, 2, 2\)"),
        ([[[float('inf'), 0], [0, 1.0]]], "'m1': w is not finite"),
        ({'v': tensor([1.0])}, "Gram matrices of 'm1' lack the key 'w'"),
    ],
)
def test_gram_matrices_that_do_not_fit_are_named(second, words):
    members = models([[1.0, 2.0]], [[3.0, 4.0]])
    gram = statistics(members, [[[1.0, 0], [0, 1]]], second)
    with pytest.raises(FFMMError, match=words):
        merged('regmean', members, gram=gram)


@pytest.mark.parametrize(
    ('kind', 'option', 'value'),
    [
        ('fisher', 'floor', -1),
        ('fisher', 'normalize', 'yes'),
        ('gradient_matching', 'delta', float('inf')),
        ('gradient_matching', 'alpha', -1),
        ('regmean', 'scale', 2),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_read(kind, option, value):
    with pytest.raises(ConfigError, match=f"{kind}': {option}=.*: expected"):
        Merge(kind, {option: value})


@pytest.mark.parametrize('weights', [[1.0, -1.0], [0.0, 0.0]], ids=str)
def test_weights_that_mean_nothing(weights):
    members = models(1.0, 3.0)
    with pytest.raises(FFMMError, match='knows positive ones alone'):
        merged('fisher', members, weights, fisher=statistics(members, 1.0, 1.0))


def test_what_is_left_out_counts_for_no_norm():
    members = models(
        {'body.w': tensor([1.0, 0]), 'head.w': tensor([9.0])},
        {'body.w': tensor([5.0, 4]), 'head.w': tensor([8.0])},
    )
    fisher = statistics(
        members,
        {'body.w': tensor([3.0, 1]), 'head.w': tensor([1e6])},
        {'body.w': tensor([10.0, 30]), 'head.w': tensor([1.0])},
    )
    soup = merged('fisher', members, options=dict(leave_out='head'), fisher=fisher)
    assert soup['body.w'].tolist() == pytest.approx([2, 3]) and soup['head.w'] == 9
