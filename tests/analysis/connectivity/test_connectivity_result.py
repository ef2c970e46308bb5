"""Barriers by what differs."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from ff_mm.analysis.connectivity.result import barrier_rows, barrier_table


def _pair(differ, **barrier):
    return {'differ': differ, 'barrier': barrier}


PAIRS = [
    _pair('seed', loss=0.1, recall=0.5),
    _pair('lr', loss=0.2, recall=None),
    _pair('seed', loss=0.3, recall=0.25),
    _pair('lr', loss=0.6, recall=0.75),
    _pair('seed', loss=0.2, recall=0.0),
    _pair('augmentation', loss=math.nan, recall=math.nan),
]


def test_figures_are_those_of_each_kind():
    lr, seed, augmentation = barrier_rows(PAIRS)
    assert (lr['differ'], lr['pairs'], lr['loss_known']) == ('lr', 2, 2)
    assert lr['loss_mean'] == pytest.approx(0.4)
    assert lr['loss_sd'] == pytest.approx(0.08**0.5)
    assert lr['loss_median'] == pytest.approx(0.4)
    assert lr['loss_most'] == 0.6
    assert (lr['recall_known'], lr['recall_mean'], lr['recall_sd']) == (1, 0.75, None)
    assert (seed['recall_median'], seed['recall_most']) == (0.25, 0.5)
    assert augmentation['pairs'] == 1
    assert augmentation['loss_known'] == 0
    assert augmentation['loss_mean'] is None


def test_the_highest_mean_of_the_first_metric_comes_first_unknown_last():
    assert [row['differ'] for row in barrier_rows(PAIRS)] == [
        'lr',
        'seed',
        'augmentation',
    ]


def test_an_infinite_barrier_counts():
    row = barrier_rows([_pair('lr', loss=math.inf), _pair('lr', loss=1.0)])[0]
    assert row['loss_mean'] == row['loss_most'] == math.inf
    assert row['loss_sd'] is None


def test_rows_have_the_same_keys_though_a_metric_is_missing():
    rows = barrier_rows([_pair('lr', loss=1.0), _pair('seed', recall=1.0)])
    assert rows[0].keys() == rows[1].keys()


def _printed(rows):
    console = Console(file=io.StringIO(), width=120)
    barrier_table(rows, 'loss barriers on val', console)
    return console.file.getvalue()


def test_the_table_shows_the_figures_and_of_how_many():
    text = _printed(barrier_rows(PAIRS))
    assert 'loss barriers on val' in text
    assert '0.4000 ± 0.2828' in text
    assert '0.7500 (of 1)' in text
    lines = text.splitlines()
    assert next(line for line in lines if 'augmentation' in line).count('-') >= 6


def test_no_pairs_are_an_empty_table():
    assert 'loss barriers on val' in _printed(barrier_rows([]))
