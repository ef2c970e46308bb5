from __future__ import annotations

import pytest

from ff_mm.comparison.method import Method, read_methods, read_pools
from ff_mm.errors import ConfigError

GOG = dict(title='GoG', pool='fgg', runner_type='GoGSoupRunner')


def test_a_pool_is_one_run_and_a_list_is_several():
    pools = read_pools(dict(gs='a.json', fgg=['b.json', ['c.json', 'd.json']], no=None))
    assert pools == dict(gs=['a.json'], fgg=['b.json', ['c.json', 'd.json']])


def test_checkpoints_with_hyper_parameters_are_a_pool():
    source = dict(file='runs/*.pth', lr=1e-4)
    assert read_pools(dict(own=source)) == dict(own=[source])


@pytest.mark.parametrize(
    ('pools', 'message'),
    [
        ('x.json', r"pools='x\.json': expected names"),
        (dict(gs=None), 'there are none'),
        (dict(gs=[]), r'pools\.gs: the list is empty'),
    ],
)
def test_pools_that_are_none(pools, message):
    with pytest.raises(ConfigError, match=message):
        read_pools(pools)


def test_methods_keep_their_order_and_those_without_a_pool_are_left_out():
    methods = dict(
        b=GOG, off=None, other=dict(GOG, pool='gs'), a=dict(pool='fgg', ensemble=True)
    )
    read = read_methods(methods, dict(fgg=['x.json']))
    assert read == [
        Method('b', 'GoG', 'fgg', 'GoGSoupRunner'),
        Method('a', 'a', 'fgg'),
    ]
    assert [method.is_ensemble for method in read] == [False, True]


@pytest.mark.parametrize(
    ('methods', 'message'),
    [
        (['gog'], 'expected names and their methods'),
        (dict(gog='GoGSoupRunner'), r'methods\.gog: expected such as'),
        (dict(gog=dict(GOG, pool=3)), r'methods\.gog: expected such as'),
        (dict(gog=dict(GOG, group_by='lr')), r"methods\.gog: unknown key 'group_by'"),
        (dict(gog=dict(GOG, ensemble=True)), r'methods\.gog: give runner_type'),
        (dict(gog=dict(pool='fgg')), r'methods\.gog: give runner_type'),
        *(
            (
                dict(gog=dict(GOG, selection=selection)),
                r"methods\.gog\.selection=.*expected dict\(metric='soft_",
            )
            for selection in ('loss', dict(rule='less'), dict(metric='loss', on='test'))
        ),
        (
            dict(all=dict(pool='fgg', ensemble=True, selection=dict(metric='loss'))),
            r'methods\.all: give runner_type',
        ),
        (
            dict(all=dict(pool='fgg', ensemble=True, soup=dict(group_by='lr'))),
            r'methods\.all: give runner_type',
        ),
        (dict(gog=dict(GOG, pool='gs')), r"none takes its ingredients from.*\['fgg'\]"),
        ({}, 'none takes its ingredients'),
    ],
)
def test_methods_that_are_none(methods, message):
    with pytest.raises(ConfigError, match=message):
        read_methods(methods, dict(fgg=['x.json']))


@pytest.mark.parametrize(
    ('given', 'rule'),
    [
        (dict(metric='class_balanced_loss'), 'less'),
        (dict(metric='soft_macro_recall'), 'greater'),
        (dict(metric='ece', rule='less'), 'less'),
    ],
    ids=str,
)
def test_a_method_may_choose_by_a_metric_of_its_own(given, rule):
    (method,) = read_methods(dict(gog=dict(GOG, selection=given)), dict(fgg=['x']))
    assert method.selection == dict(metric=given['metric'], rule=rule)
