from __future__ import annotations

import pytest

from ff_mm.datasets.tables.several_rows import put_together

ROWS = [(1, 0, -1, 1), (1, 0, -1, 0), (0, 0, 1, 1), (1, 0, 0, 0)]


@pytest.mark.parametrize(
    ('way', 'labels'),
    [
        ('any', (1, 0, 1, 1)),
        ('all', (0, 0, 0, 0)),
        # The third and fourth are a tie: of the known ones one says 1, one 0.
        ('majority', (1, 0, -1, -1)),
    ],
)
def test_scores(way, labels):
    assert put_together(ROWS, 'abcd', way) == labels
    assert put_together(ROWS[::-1], 'abcd', way) == labels


@pytest.mark.parametrize(('way', 'number'), [('any', 2), ('all', 0), ('majority', 1)])
def test_classes(way, number):
    assert put_together([1, 2, 1, 0], 'abcd', way) == number


def test_rows_of_one_rater_are_one_voice():
    boxes = [(1, 0), (0, 1), (0, 1), (0, 1)]
    assert put_together(boxes, 'abbb', 'majority') == (-1, -1)
    assert put_together(boxes, 'aabc', 'majority') == (0, 1)
    assert put_together(boxes, 'abca', 'all') == (0, 1)
    assert put_together([1, 1, 1, 0, 0], 'aaabc', 'majority') == 0


def test_a_tie_of_classes_is_none():
    assert put_together([0, 1], 'ab', 'majority') is None
    assert put_together([0, 1], 'aa', 'majority') is None


def test_nothing_is_known():
    assert put_together([(-1.0,), (-1.0,)], 'ab', 'all') == (-1,)
