from __future__ import annotations

import pytest
import torch

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging import Ingredient, Level, Scorer, gog, gou, hierarchical, tree
from ff_mm.merging.soups.choice import Choice

# The mean is to be near 0: each but the last makes it better at first.
VALUES = dict(a=1.0, b=-2.0, c=3.0, d=40.0)


def pool():
    return [
        Ingredient(name, lambda v=value: dict(w=torch.tensor([v])), score=-abs(value))
        for name, value in VALUES.items()
    ]


def value(candidate):
    return float(candidate.load()['w'])


class Margins:
    """The more it is better by, the surer; each pair that was asked for is noted."""

    def __init__(self):
        self.asked = []

    def agreement(self, new, old):
        self.asked.append((round(value(new), 3), round(value(old), 3)))
        gain = abs(value(old)) - abs(value(new))
        assert gain > 0
        return min(1.0, 0.5 + gain / 10)


def scorer(margins=None, steps=None):
    return Scorer(
        lambda candidate, _: -abs(value(candidate)),
        margins=margins,
        on_step=None if steps is None else steps.append,
    )


def make(soup, margins, **options):
    level = Level(dict(type=soup, **options))
    using = scorer(margins)
    return hierarchical(pool(), [level], using), using


def names(soup):
    return [member.name for member in soup.members]


def test_a_greedy_soup_takes_what_is_better_surely():
    margins = Margins()
    soup, using = make('greedy', margins, accept=0.54)
    # (1 - 2) / 2 is 0.5 better than 1; then (1 - 2 + 3) / 3 is worse.
    assert names(soup) == ['a', 'b'] and soup.score == -0.5
    assert margins.asked == [(-0.5, 1.0)]
    assert (using.margin_asked, using.margin_refused) == (1, 0)
    assert soup.steps[1].agreement == pytest.approx(0.55)
    assert soup.steps[1].reason == 'better in 55.0% of resamples'


def test_what_is_not_sure_stays_out_and_what_follows_is_judged_without_it():
    margins = Margins()
    soup, using = make('greedy', margins, accept=0.56)
    assert names(soup) == ['a'] and soup.score == -1.0
    refused = soup.steps[1]
    assert not refused.accepted and refused.score == -0.5
    assert refused.reason == 'better in 55.0% of resamples only'
    # Not against the soup that was refused: (1 + 3) / 2 is worse than 1.
    assert margins.asked == [(-0.5, 1.0)]
    assert (using.margin_asked, using.margin_refused) == (1, 1)


def test_a_pruned_soup_drops_only_what_it_is_surely_better_without():
    margins = Margins()
    kept, _ = make('pruned', margins, accept=1.0)
    assert names(kept) == ['a', 'b', 'c'] and kept.steps[1].agreement == 1.0
    assert margins.asked[0] == (round(2 / 3, 3), 10.5)
    (dropped,) = (s for s in kept.steps if s.candidate == 'd')
    assert dropped.reason == 'better in 100.0% of resamples, without'
    # Without c it would be 0.5 instead of 2/3: by chance, for all one knows.
    refused = next(s for s in kept.steps if s.candidate == 'c')
    assert refused.accepted and refused.reason.endswith('of resamples only, without')
    free, _ = make('pruned', None)
    assert names(free) == ['a', 'b']


@pytest.mark.parametrize('soup', ['greedy', 'pruned'])
def test_without_a_margin_nobody_is_asked_and_the_tree_is_as_ever(soup):
    made, using = make(soup, None)
    assert using.margin_asked == 0
    assert all('agreement' not in step for step in tree(made)['steps'])
    with_one, _ = make(soup, Margins(), accept=0.01)
    assert names(with_one) == names(made) and with_one.score == made.score
    steps = tree(with_one)['steps']
    assert any('agreement' in step for step in steps)


@pytest.mark.parametrize('levels', [gou, gog])
def test_of_groups_the_top_has_the_margin(levels):
    below, top = levels('lr', accept=0.9)
    assert not below.has_margin and top.has_margin
    assert top.describe()['options'] == dict(accept=0.9)
    assert levels('lr')[1].describe() == dict(soup='greedy', group_by=None)


@pytest.mark.parametrize('value', [0, 1.1, -0.9, '0.9', True, float('nan')], ids=str)
def test_values_that_are_none(value):
    with pytest.raises(ConfigError, match=r"'greedy': accept=.*such as 0\.9"):
        Choice('greedy', dict(accept=value))


def test_a_scorer_that_knows_no_resamples_says_so():
    with pytest.raises(FFMMError, match=r'needs resamples of validation.*margins='):
        make('greedy', None, accept=0.9)
