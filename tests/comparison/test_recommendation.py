from __future__ import annotations

import pytest

from ff_mm.comparison.recommendation import Choice, choose, in_words
from ff_mm.errors import FFMMError

NAN = float('nan')


def test_the_best_mean_over_runs_wins_and_its_best_run_is_taken():
    scores = dict(lucky=[0.9, 0.1], steady=[0.6, 0.7], single=[0.6])
    assert choose(scores, 'greater') == Choice('steady', 1, 0.7)
    assert choose(scores, 'less') == Choice('lucky', 1, 0.1)


def test_of_equal_ones_the_first_is_taken():
    assert choose(dict(a=[0.5, 0.5], b=[0.5]), 'greater') == Choice('a', 0, 0.5)


def test_what_has_no_score_is_not_chosen():
    assert choose(dict(a=[NAN], b=[0.1]), 'greater').method == 'b'
    assert choose(dict(a=[NAN, 0.9], b=[0.1]), 'less').method == 'b'
    with pytest.raises(FFMMError, match=r"every method is NaN: \['a'\]"):
        choose(dict(a=[NAN]), 'greater')


def recommendation(p, **changes):
    difference = dict(value=0.02, low=-0.01, high=0.05, p=p)
    return dict(
        dict(
            method='fgg_gog',
            title='FGG + GoG',
            best_single='gs_best',
            val=0.61,
            mean=0.61,
            run=0,
            runs=1,
            candidates=5,
            results=dict(test=dict(value=0.5, low=0.4, high=0.6)),
            differences=dict(test=difference),
            best_single_title='GS (best)',
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ('p', 'verdict'),
    [
        (0.2, 'cannot be told apart from GS (best) with these cases'),
        (0.05, 'cannot be told apart from GS (best) with these cases'),
        (None, 'cannot be told apart from GS (best) with these cases'),
        (0.01, 'differs from GS (best) by more than chance'),
    ],
)
def test_whether_it_is_better_is_said_first(p, verdict):
    compared, first, on_test, who = in_words(recommendation(p), 'macro_recall')
    assert compared.startswith(f'On test FGG + GoG {verdict}: the difference is +0.02')
    assert first == (
        'FGG + GoG has the best macro recall on validation, 0.6100, of 5 methods that '
        'leave one model.'
    )
    assert on_test == 'On test it has 0.5000 [0.4000, 0.6000].'
    # Of a pool of students, or of soups, that is no single run.
    assert 'single model' not in compared + who
    assert who.startswith('GS (best) is, on validation, the best of what is made of')


def test_of_several_runs_the_best_is_named_beside_their_mean():
    found = recommendation(0.2, runs=2, run=1, mean=0.58)
    _, first, second, *_ = in_words(found, 'macro_recall')
    assert 'validation, 0.5800, of 5 methods' in first
    assert (
        second == 'That is the mean of 2 runs; run 1 is the best of them with 0.6100.'
    )


def test_what_is_made_of_one_model_is_not_compared_with_itself():
    found = recommendation(0.2, differences={}, method='gs_best')
    *_, last = in_words(found, 'accuracy')
    assert 'made of one model of its pool' in last and 'single' not in last


def test_a_soup_without_a_rival_is_not_called_one_model():
    words = in_words(recommendation(0.2, differences={}, best_single=None), 'accuracy')
    assert len(words) == 2
