from __future__ import annotations

import csv

import numpy as np
import pytest
from rich.console import Console

from ff_mm.analysis.trajectory.diversity import Diversity
from ff_mm.analysis.trajectory.pair_relations import PairRelations, relations_table
from ff_mm.weight_space.geometry import Geometry

HYPERS = {
    'base_a': dict(lr=1e-3, stage='base', cycle=None),
    'a1': dict(lr=1e-3, stage='fission', cycle=1),
    'a2': dict(lr=1e-3, stage='fission', cycle=2),
    'base_b': dict(lr=1e-4, stage='base', cycle=None),
}
DISTANCES = np.array(
    [[0, 1, 2, 10], [1, 0, 1.5, 11], [2, 1.5, 0, 12], [10, 11, 12, 0.0]]
)
DISAGREEMENT = DISTANCES / 100


def relations(
    distances=DISTANCES, disagreement=DISAGREEMENT, hypers=HYPERS, errors=None
):
    number = len(hypers)
    cosines = 1 - distances / 20
    errors = np.full(number, 0.25) if errors is None else errors
    return PairRelations(
        hypers,
        Geometry(distances, cosines, np.ones(number)),
        Diversity(disagreement, errors),
        'test',
        'weights',
    )


def test_a_row_a_pair():
    rows = relations().rows
    assert len(rows) == 6
    assert rows[2] == dict(
        a='base_a',
        b='base_b',
        differ='lr',
        distance=10,
        cosine=0.5,
        disagreement=pytest.approx(0.1),
        normalised=pytest.approx(0.4),
    )
    assert rows[0]['differ'] == 'base to snapshot'
    assert rows[3]['differ'] == 'cycle'


def test_kinds_come_from_near_to_far_and_all_at_the_end():
    rows = relations().by_difference()
    # Of two kinds that are equally far the order is that of the pool.
    assert [row['differ'] for row in rows] == [
        'base to snapshot',
        'cycle',
        'lr',
        'lr + stage',
        'all',
    ]
    assert rows[0]['distance'] == pytest.approx(1.5)
    assert rows[0]['disagreement'] == pytest.approx(0.015)
    assert sum(row['pairs'] for row in rows[:-1]) == rows[-1]['pairs'] == 6
    assert rows[-1]['spearman'] == relations().correlation == pytest.approx(1)
    assert rows[1]['spearman'] is None  # of one pair


def test_the_rank_correlation_is_of_ranks():
    upside_down = 1 - np.log1p(DISTANCES) / 10
    assert relations(disagreement=upside_down).correlation == pytest.approx(-1)
    assert relations(disagreement=np.full((4, 4), 0.1)).correlation is None


def test_what_is_not_known_is_empty_and_left_out_of_means():
    disagreement = DISAGREEMENT.copy()
    disagreement[3] = disagreement[:, 3] = np.nan
    found = relations(disagreement=disagreement)
    assert [row['disagreement'] is None for row in found.rows] == [
        *(False, False, True),
        *(False, True, True),
    ]
    by_kind = {row['differ']: row for row in found.by_difference()}
    assert by_kind['lr']['disagreement'] is None
    assert by_kind['lr']['distance'] == 10
    assert by_kind['all']['disagreement'] == pytest.approx(4.5 / 300)


def test_files_hold_the_numbers(tmp_path):
    disagreement = DISAGREEMENT.copy()
    disagreement[0, 1] = disagreement[1, 0] = np.nan
    found = relations(disagreement=disagreement)
    files = found.write(tmp_path)
    assert set(files) == {file for file in tmp_path.rglob('*') if file.is_file()}
    assert {str(file.relative_to(tmp_path)) for file in files} == {
        *('test/pairs.csv', 'test/by_difference.csv'),
        *('distance.png', 'distance.svg', 'cosine.png', 'cosine.svg'),
        *('test/diversity.png', 'test/diversity.svg'),
    }
    with open(tmp_path / 'test' / 'pairs.csv') as file:
        rows = list(csv.DictReader(file))
    assert [row['differ'] for row in rows] == [row['differ'] for row in found.rows]
    assert rows[0]['disagreement'] == ''
    assert float(rows[2]['distance']) == 10
    svg = (tmp_path / 'test' / 'diversity.svg').read_text()
    assert '5 pairs, Spearman correlation 1.00' in svg
    assert 'share of test predicted differently' in svg
    assert 'cosine similarity of weights' in (tmp_path / 'cosine.svg').read_text()


def test_two_equal_models_can_be_shown(tmp_path):
    zeros = np.zeros((2, 2))
    hypers = {name: {} for name in ('x', 'y')}
    found = relations(zeros, zeros, hypers, errors=np.zeros(2))
    assert found.correlation is None
    assert found.rows[0]['differ'] == 'nothing'
    assert [row['differ'] for row in found.by_difference()] == ['nothing']
    found.write(tmp_path)


def test_the_folder_of_ingredients_is_no_part_of_a_name(tmp_path):
    hypers = {
        f'{folder}/ingredients/{name}': dict(hyper, seed=seed)
        for seed, folder in enumerate(('fgg', 'other'))
        for name, hyper in HYPERS.items()
    }
    distances = np.abs(np.subtract.outer(np.arange(8.0), np.arange(8.0)))
    relations(distances, distances / 10, hypers).write(tmp_path)
    svg = (tmp_path / 'distance.svg').read_text()
    assert 'other/base_b' in svg
    assert 'ingredients' not in svg


def test_the_table_shows_all_kinds():
    console = Console(record=True, width=120)
    relations_table(relations().by_difference(), 'test', console)
    text = console.export_text()
    assert 'predictions on test' in text
    for word in ('base to snapshot', 'lr + stage', 'all', '1.5000', '-'):
        assert word in text
