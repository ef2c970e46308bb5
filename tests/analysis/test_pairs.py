"""What two ingredients differ in, and samples of pairs."""

from __future__ import annotations

from collections import Counter

import pytest

from ff_mm.analysis.pairs import Pair, all_pairs, choose, ends, kinds
from ff_mm.errors import ConfigError


def _hyper(lr=1e-3, seed=0, augmentation='heavy', stage='base', cycle=None, **more):
    return {
        'lr': lr,
        'seed': seed,
        'augmentation': augmentation,
        'stage': stage,
        'cycle': cycle,
        'parent': f'{stage}_{lr}',
        **more,
    }


def _snapshot(cycle=1, **more):
    return _hyper(stage='fission', cycle=cycle, **more)


@pytest.mark.parametrize(
    ('a', 'b', 'expected'),
    [
        (_hyper(), _hyper(lr=2e-3), 'lr'),
        (_hyper(), _hyper(seed=1), 'seed'),
        (_hyper(), _hyper(augmentation='minimal'), 'augmentation'),
        (_hyper(), _hyper(augmentation='x', seed=1, lr=1), 'lr + seed + augmentation'),
        (_hyper(decay=1, momentum=2), _hyper(lr=1), 'lr + decay + momentum'),
        (_snapshot(1), _snapshot(2), 'cycle'),
        (_hyper(), _snapshot(), 'base to snapshot'),
        (_hyper(), _hyper(stage='probe'), 'stage'),
        (_hyper(), _hyper(parent='another'), 'nothing'),
        (_snapshot(1), _snapshot(2, lr=1), 'lr + cycle'),
        (_hyper(), _snapshot(1, lr=1), 'lr + stage'),
        (_snapshot(3), _snapshot(3, lr=1), 'lr'),
        ({}, {}, 'nothing'),
        ({}, {'lr': None}, 'lr'),
        ({'lr': 1}, {'lr': 1.0}, 'nothing'),
        ({'mixup': 1}, {'mixup': True}, 'mixup'),
        ({'size': [8, 8], 'o': {'a': 1}}, {'size': (8, 8), 'o': {'a': 1}}, 'nothing'),
        ({'size': [8, 8]}, {'size': [8, 9]}, 'size'),
    ],
)
def test_names_what_differs_in_either_order(a, b, expected):
    assert kinds(a, b) == kinds(b, a) == expected


def test_pairs_come_in_the_order_of_the_pool():
    pairs = all_pairs({'z': _hyper(), 'a': _hyper(lr=1), 'm': _hyper(seed=1)})
    assert pairs == [
        Pair('z', 'a', 'lr'),
        Pair('z', 'm', 'seed'),
        Pair('a', 'm', 'lr + seed'),
    ]


def _pool(lrs=(1, 2, 3), seeds=range(4)):
    return {f'{lr}-{seed}': _hyper(lr, seed) for lr in lrs for seed in seeds}


def test_takes_at_most_so_many_of_each_kind_in_order():
    pairs = all_pairs(_pool())
    chosen = choose(pairs, None, 5, seed=0)
    assert Counter(p.differ for p in chosen) == {'lr': 5, 'seed': 5, 'lr + seed': 5}
    assert chosen == [pair for pair in pairs if pair in chosen]
    assert choose(pairs, None, None, seed=0) == pairs


def test_samples_differ_between_seeds_only():
    pairs = all_pairs(_pool())
    assert choose(pairs, None, 5, 0) == choose(pairs, None, 5, 0)
    assert choose(pairs, None, 5, 0) != choose(pairs, None, 5, 1)


def test_the_sample_of_a_kind_depends_on_no_other_kind_and_grows():
    pairs = all_pairs(_pool())
    lr = choose(pairs, ['lr'], 3, seed=7)
    both = choose(pairs, ['seed', 'lr'], 3, seed=7)
    assert [pair for pair in both if pair.differ == 'lr'] == lr
    assert set(lr) < set(choose(pairs, ['lr'], 6, seed=7))


def test_an_unknown_kind_is_an_error_that_lists_those_there_are():
    with pytest.raises(ConfigError, match=r"'augment'.*'lr \+ seed' \(36\).*'seed'"):
        choose(all_pairs(_pool()), ['augment'], None, 0)
    with pytest.raises(ConfigError, match='none'):
        choose([], ['lr'], None, 0)


@pytest.mark.parametrize(
    ('a', 'b', 'expected'),
    [
        (_hyper(lr=1, seed=1), _hyper(lr=2), ('lr', 1, 2)),
        (_snapshot(1), _snapshot(2), ('cycle', 1, 2)),
        (_hyper(), _snapshot(), ('stage', 'base', 'fission')),
        (_hyper(), _hyper(), ('', None, None)),
        ({}, {'lr': 2}, ('lr', None, 2)),
    ],
)
def test_ends_are_told_apart_by_the_first_difference(a, b, expected):
    hypers = {'a': a, 'b': b}
    assert ends(all_pairs(hypers)[0], hypers) == expected
