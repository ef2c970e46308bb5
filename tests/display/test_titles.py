from __future__ import annotations

from ff_mm.display.titles import hyper_titles


def test_only_what_differs_is_said():
    same = dict(seed=0, augmentation='heavy', stage='base')
    hypers = [dict(lr=1e-3, **same), dict(lr=2e-4, **same, cycle=1)]
    assert hyper_titles(hypers) == ['lr 0.001', 'lr 0.0002']


def test_values_that_say_what_they_are_have_no_name():
    hypers = [dict(lr=1e-3, augmentation=name) for name in ('heavy', 'minimal')]
    assert hyper_titles(hypers) == ['heavy', 'minimal']


def test_one_that_is_not_given_differs():
    assert hyper_titles([dict(lr=1e-3), {}]) == ['lr 0.001', 'no lr']


def test_nothing_differs():
    assert hyper_titles([dict(lr=1.0), dict(lr=1, stage='base')]) == ['', '']
    assert hyper_titles([{}]) == ['']
    assert hyper_titles([]) == []
