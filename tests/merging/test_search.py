"""Coefficients that are searched on validation, by levels of any soup."""

from __future__ import annotations

import pytest
import torch

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging import (
    Ingredient,
    Level,
    NoBetterThan,
    Scorer,
    gog,
    gou,
    hierarchical,
    tree,
    uniform,
)
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Supply

VALUES = dict(a=4.0, b=8.0)


def model(name, value, **hyper):
    return Ingredient(name, lambda: {'w': torch.tensor([value])}, hyper)


ORIGIN = dict(origin=Supply(model('origin', 0.0), 'origin'))
POOL = [model(name, value, lr=0.1) for name, value in VALUES.items()]
# The mean task vector is 6.
SCALES = dict(type='task_arithmetic', scale=[0.5, 1.0, 2.0, 1.5])


class Nearness:
    """The nearer the weight to a target, the better; what cannot win is cut short."""

    def __init__(self, target, at_once=0, **options):
        self.target, self.asked, self.steps = target, [], []
        many = self.many if at_once else None
        self.scorer = Scorer(
            lambda candidate, to_beat: self.many([candidate], to_beat)[0],
            on_step=self.steps.append,
            score_many=many,
            at_once=at_once,
            **options,
        )

    def many(self, candidates, to_beat):
        found = []
        for candidate in candidates:
            weight = candidate.load()['w'].item()
            self.asked.append((weight, to_beat))
            score = -abs(weight - self.target)
            worse = to_beat is not None and not self.scorer.improves(score, to_beat)
            found.append(NoBetterThan(score) if worse else score)
        return found


def made(levels, nearness, pool=POOL, **rest):
    return hierarchical(pool, levels, nearness.scorer, supplies=ORIGIN, **rest)


@pytest.mark.parametrize('at_once', [0, 1, 2, 5])
def test_the_best_is_taken_and_what_cannot_win_is_cut_short(at_once):
    nearness = Nearness(10.0, at_once)
    soup = made([Level('uniform', merge=SCALES)], nearness)
    assert soup.load()['w'] == 9 and soup.score == -1
    if at_once < 2:
        assert nearness.asked == [(3.0, None), (6.0, -7.0), (12.0, -4.0), (9.0, -2.0)]
    described = tree(soup)
    assert described['merge'] == dict(type='task_arithmetic', scale=1.5)
    steps = [[s['candidate'], s['accepted']] for s in described['steps']]
    tried = [f'scale={value}' for value in SCALES['scale']]
    assert steps == [*([name, True] for name in tried), ['soup', True]]
    assert [step.candidate for step in nearness.steps] == [*tried, 'soup']
    # Each of them is one evaluation, the chosen one none more.
    assert nearness.scorer.evaluations == 4 + len(nearness.scorer.in_vain)


@pytest.mark.parametrize('accept_ties', [True, False])
def test_of_equal_ones_the_first_is_taken(accept_ties):
    nearness = Nearness(9.0, accept_ties=accept_ties)
    soup = made(
        [Level('uniform', merge=dict(SCALES, scale=[2.0, 1.0]))], nearness
    )  # 12 and 6
    assert soup.merge.options['scale'] == 2.0
    assert soup.steps[1].reason in ('a tie, not better', 'cannot be better')
    assert not soup.steps[1].accepted


def test_by_the_rule_of_the_scorer():
    scorer = Scorer(lambda candidate, _: candidate.load()['w'].item(), 'less')
    level = Level('uniform', merge=SCALES)
    soup = hierarchical(POOL, [level], scorer, supplies=ORIGIN)
    assert soup.merge.options['scale'] == 0.5


def test_a_score_that_is_nan_never_wins():
    values = iter([float('nan'), 0.5, float('nan'), 0.4])
    scorer = Scorer(lambda candidate, _: next(values))
    level = Level('uniform', merge=SCALES)
    soup = hierarchical(POOL, [level], scorer, supplies=ORIGIN)
    assert soup.merge.options['scale'] == 1.0 and soup.score == 0.5
    reasons = [step.reason for step in soup.steps[:4]]
    assert reasons == ['the first one', 'better', 'the score is NaN', 'worse']


def test_each_combination_is_tried_in_order():
    merge = dict(type='ties', scale=[0.5, 1.0], keep=[1.0, 0.0])
    soup = made([Level('uniform', merge=merge)], Nearness(6.0))
    names = [step.candidate for step in soup.steps[:-1]]
    assert names == [
        'scale=0.5, keep=1.0',
        'scale=0.5, keep=0.0',
        'scale=1.0, keep=1.0',
        'scale=1.0, keep=0.0',
    ]
    assert soup.merge.options == dict(scale=1.0, keep=1.0)


def test_a_greedy_soup_is_made_with_each_and_the_best_one_kept():
    # Alone 8 is the nearest; both together are 9 at a scale of 1.5.
    nearness = Nearness(9.25)
    soup = made([Level('greedy', merge=SCALES)], nearness)
    assert soup.load()['w'] == 9 and soup.merge.options['scale'] == 1.5
    assert [m.name for m in soup.members] == ['b', 'a']
    assert [s.accepted for s in soup.steps] == [True, False, False, True, True, True]


def test_groups_are_searched_each_for_itself_and_losers_leave_no_files(tmp_path):
    pool = [*POOL, model('c', 40.0, lr=0.2), model('d', 20.0, lr=0.2)]
    for levels in (gou(merge=SCALES), gog(merge=SCALES)):
        soup = made(levels, Nearness(15.0), pool, store=tmp_path / levels[0].soup)
        below = [*soup.members, *soup.rejected]
        chosen = {s.name: s.merge.options.get('scale') for s in below}
        assert chosen == {'lr=0.1': 2.0, 'lr=0.2': 0.5}
        files = {s.checkpoint.path for s in below if s.checkpoint}
        assert set((tmp_path / levels[0].soup).iterdir()) == files


def test_what_is_a_list_by_nature_is_no_search():
    merge = Merge.read(dict(type='ties', leave_out=['a.*', 'b'], keep=(0.2,)))
    (only,) = merge.variants()
    assert only.own_options == dict(keep=0.2, scale=1.0)
    assert only.left_out == ('a.*', 'b')


def test_the_best_ingredient_is_not_searched():
    nearness = Nearness(9.0)
    soup = made([Level('best', merge=SCALES)], nearness)
    assert [step.candidate for step in soup.steps] == ['b', 'a']
    assert nearness.scorer.evaluations == 2


def test_a_search_without_levels_is_refused():
    merge = Merge.read(SCALES).supplied(ORIGIN)
    with pytest.raises(FFMMError, match='values to be tried are for the levels'):
        uniform(POOL, Nearness(1.0).scorer, 's', merge=merge)


@pytest.mark.parametrize('values', [[], [0.5, 'x'], [0.5, float('nan')], [True]])
def test_lists_of_other_things_than_numbers_are_refused(values):
    with pytest.raises(ConfigError, match=r"'task_arithmetic': scale=.*list of these"):
        Level('uniform', merge=dict(SCALES, scale=values))
