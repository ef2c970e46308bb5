"""Decisions against scipy, brute force, values by hand, and a leak on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom
from sklearn.metrics import f1_score, log_loss, recall_score

from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions import fitting
from ff_mm.evaluation.decisions.decision import Decision, Outputs
from ff_mm.evaluation.decisions.fitting import cross_fitted, decided_by_others, fit
from ff_mm.evaluation.decisions.folds import folds
from ff_mm.evaluation.decisions.optima import best_cut, best_scale
from ff_mm.evaluation.decisions.steps import TAUS, Step, loss_falls, read_steps
from ff_mm.plain import MISSING


def single(cases=200, classes=3, seed=0, strength=1.0):
    """Cases whose true class has the larger logit, mostly."""
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=cases)
    logits = random.normal(size=(cases, classes)) + 1.5 * np.eye(classes)[truth]
    return Outputs(strength * logits, truth)


def labelled(cases=60, labels=3, seed=0):
    """Cases of several labels, some of them missing."""
    random = np.random.default_rng(seed)
    truth = random.integers(2, size=(cases, labels)).astype(np.int8)
    logits = random.normal(size=truth.shape) + 1.2 * truth - 2
    truth[random.random(truth.shape) < 0.2] = MISSING
    return Outputs(logits, truth)


def macro_recall(outputs):
    predicted = outputs.scores.argmax(1)
    return recall_score(outputs.truth, predicted, average='macro', zero_division=0)


def nothing(outputs):
    return 0.0


def fitted(outputs, score=nothing, *steps):
    return fit(outputs, read_steps(list(steps), 'soup.decision'), score)


def loss_of(outputs, scale):
    return outputs.decided(Decision(scale)).costs.sum()


@pytest.mark.parametrize('strength', [0.3, 1.0, 4.0])
@pytest.mark.parametrize('make', [single, labelled])
def test_the_temperature_has_the_least_loss(make, strength):
    plain = make()
    outputs = Outputs(strength * plain.logits, plain.truth)
    found = minimize_scalar(
        lambda u: loss_of(outputs, float(np.exp(u))), bounds=(-3, 3), method='bounded'
    )
    assert best_scale(outputs) == pytest.approx(np.exp(found.x), rel=2e-3)


def test_the_loss_is_that_of_scikit_learn():
    outputs = single()
    assert outputs.costs.mean() == pytest.approx(
        log_loss(outputs.truth, outputs.scores)
    )


def test_a_temperature_is_kept_where_it_helps_and_only_there():
    wrong = fitted(single(strength=4.0), nothing, 'temperature')
    assert wrong.steps[0]['kept'] and wrong.decision.scale < 0.5
    calibrated = single()
    scale = best_scale(single(100_000))
    right = Outputs(scale * calibrated.logits, calibrated.truth)
    found = fitted(right, nothing, 'temperature')
    assert not found.steps[0]['kept'] and found.decision == Decision()
    asked = fitted(right, nothing, dict(type='temperature', accept=0))
    assert asked.decision.scale == best_scale(right)


def test_cases_without_a_mistake_have_a_finite_temperature():
    outputs = Outputs(np.eye(2).repeat(5, 0) * 3, np.array([0, 1]).repeat(5))
    assert best_scale(outputs) == pytest.approx(20)


def test_the_prior_takes_away_tau_log_frequency():
    outputs = single(classes=2)
    prior = dict(type='prior', tau=0.5, frequencies=[900, 100])
    found = fitted(outputs, nothing, prior)
    expected = outputs.logits - 0.5 * np.log([0.9, 0.1])
    np.testing.assert_allclose(found.decision.apply(outputs.logits), expected)
    assert found.steps == [
        dict(type='prior', tau=0.5, fitted=False, frequencies=[900, 100])
    ]


def test_of_labels_the_prior_is_the_log_odds():
    outputs = labelled(labels=2)
    prior = dict(type='prior', tau=1, frequencies=[0.2, 0.5])
    bias = fitted(outputs, nothing, prior).decision.bias
    assert bias == pytest.approx([np.log(4), 0])


def imbalanced(cases=3000, seed=0):
    """Of nine cases in ten the first class, and the logits are the log posteriors."""
    random = np.random.default_rng(seed)
    truth = (random.random(cases) < 0.1).astype(int)
    seen = random.normal(size=cases) + truth
    likelihoods = -0.5 * (seen[:, None] - np.arange(2)) ** 2
    return Outputs(likelihoods + np.log([0.9, 0.1]), truth)


def test_a_fitted_tau_aims_at_what_is_selected_by():
    outputs = imbalanced()
    prior = dict(type='prior', tau='fitted', frequencies=[9, 1])
    for score in (macro_recall, lambda outputs: outputs.accuracy):
        found, logs = fitted(outputs, score, prior), np.log([0.9, 0.1])
        by_hand = {
            tau: score(Outputs(outputs.logits - tau * logs, outputs.truth))
            for tau in TAUS
        }
        assert found.steps[0]['tau'] == max(by_hand, key=by_hand.get)
    assert fitted(outputs, macro_recall, prior).steps[0]['tau'] in (0.75, 1.0, 1.25)
    assert fitted(outputs, lambda o: o.accuracy, prior).steps[0]['tau'] <= 0.25


@pytest.mark.parametrize('value', [0.5, float('nan')])
def test_of_equal_taus_it_is_the_least(value):
    found = fitted(
        imbalanced(), lambda _: value, dict(type='prior', frequencies=[9, 1])
    )
    assert found.steps[0]['tau'] == 0 and found.decision.bias == pytest.approx([0, 0])


def test_thresholds_by_hand():
    logits = np.array([3.0, 1.0, 0.5, -1.0, -2.0])
    present = np.array([True, False, True, True, False])
    assert best_cut(logits, present, 'f1') == pytest.approx(-1.5)
    # Recall 1 and specificity 1/2; above 2 they are 1/3 and 1.
    assert best_cut(logits, present, 'balanced_accuracy') == pytest.approx(-1.5)
    assert best_cut(-logits, ~present, 'accuracy') == pytest.approx(2.0 - 0.5)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('metric', ['f1', 'balanced_accuracy', 'accuracy'])
def test_no_threshold_is_better(metric, seed):
    """All cuts are tried, of logits with ties, by scikit-learn."""
    random = np.random.default_rng(seed)
    truth = random.integers(2, size=25)
    truth[:2] = 0, 1
    logits = np.round(random.normal(size=25) + truth, 1)

    def value(cut):
        found = logits >= cut
        if metric == 'f1':
            return f1_score(truth, found, zero_division=0)
        if metric == 'accuracy':
            return (found == truth).mean()
        return recall_score(truth, found, average='macro')

    found = best_cut(logits, truth == 1, metric)
    cuts = [*(np.unique(logits) - 1e-6), logits.max() + 1]
    assert value(found) == pytest.approx(max(map(value, cuts)))


def test_missing_labels_do_not_move_thresholds():
    outputs = labelled()
    outputs.truth[:, 2] = np.where(outputs.truth[:, 2] == 1, 1, MISSING)
    found = fitted(outputs, nothing, 'thresholds')
    for label in range(2):
        known = outputs.truth[:, label] != MISSING
        cut = best_cut(
            outputs.logits[known, label], outputs.truth[known, label] == 1, 'f1'
        )
        assert found.decision.bias[label] == pytest.approx(-cut)
        threshold = found.steps[0]['thresholds'][label]
        assert threshold == pytest.approx(1 / (1 + np.exp(-cut)))
    assert found.decision.bias[2] == 0  # never absent
    decided = outputs.decided(found.decision)
    by_threshold = 1 / (1 + np.exp(-outputs.logits)) >= found.steps[0]['thresholds']
    np.testing.assert_array_equal(decided.scores >= 0.5, by_threshold)
    known = outputs.truth != MISSING
    right = (by_threshold == (outputs.truth == 1))[known]
    assert decided.accuracy == pytest.approx(right.mean())


def test_steps_are_fitted_on_what_the_one_before_gives():
    outputs = single(strength=4.0)
    prior = dict(type='prior', tau=1, frequencies=[1, 2, 3])
    both = fitted(outputs, nothing, 'temperature', prior).decision
    scale = best_scale(outputs)
    log_frequencies = np.log(np.array([1, 2, 3]) / 6)
    np.testing.assert_allclose(
        both.apply(outputs.logits), scale * outputs.logits - log_frequencies
    )
    one, other = Decision(2.0, (1.0, 0.0)), Decision(3.0, (0.0, 5.0))
    logits = np.array([[1.0, 2.0]])
    np.testing.assert_allclose(
        one.then(other).apply(logits), other.apply(one.apply(logits))
    )


@pytest.mark.parametrize('make', [single, labelled])
def test_folds_are_whole_groups_and_every_case_is_in_one(make):
    plain = make(60)
    groups = np.arange(60) // 3 + 7
    outputs = Outputs(plain.logits, plain.truth, groups)
    masks = list(folds(outputs))
    assert len(masks) == 5
    np.testing.assert_array_equal(np.sum(masks, axis=0), 1)
    for mask in masks:
        assert not set(groups[mask]) & set(groups[~mask])
    again = list(folds(outputs))
    np.testing.assert_array_equal(masks, again)


def test_folds_spread_a_rare_class():
    truth = np.array([0] * 95 + [1] * 5)
    masks = folds(Outputs(np.zeros((100, 2)), truth))
    assert [truth[mask].sum() for mask in masks] == [1] * 5


def test_one_group_cannot_be_cross_fitted():
    plain = single(20)
    one = Outputs(plain.logits, plain.truth, np.zeros(20, int))
    with pytest.raises(ConfigError, match='too few groups'):
        cross_fitted(one, [], nothing)


class Spy(Step):
    """Notes which cases it is fitted on: their numbers are their first logits."""

    def __init__(self):
        self.seen = []

    def fit(self, outputs, score):
        self.seen.append(set(outputs.logits[:, 0].astype(int)))
        return Decision(1.0, (0.0, 1000.0 * len(self.seen))), {}


def test_no_fit_sees_a_case_that_it_decides_on_nor_another_of_its_group():
    truth, groups = np.arange(40) % 2, np.arange(40) // 3
    logits = np.stack([np.arange(40.0), np.zeros(40)], axis=1)
    spy = Spy()
    decided = cross_fitted(
        Outputs(logits, truth, groups), [('spy', spy)], nothing
    ).outputs
    fit_of = (decided.logits[:, 1] / 1000).astype(int) - 1
    assert sorted(set(fit_of)) == list(range(5))
    for case, number in enumerate(fit_of):
        assert not set(np.flatnonzero(groups == groups[case])) & spy.seen[number]
        assert len(spy.seen[number]) > 25


@pytest.mark.parametrize('step', ['temperature', 'prior', 'thresholds'])
def test_what_a_case_is_said_to_be_does_not_change_the_decision_on_it(
    step, monkeypatch
):
    plain = labelled(40) if step == 'thresholds' else single(40, strength=3.0)
    masks = list(folds(plain))
    monkeypatch.setattr(fitting, 'folds', lambda outputs: iter(masks))
    options = dict(type=step)
    if step == 'prior':
        options['frequencies'] = [1, 5, 50]
    if step == 'temperature':
        options['accept'] = 0

    def decide(truth):
        steps = read_steps(options, 'soup.decision')
        return cross_fitted(
            Outputs(plain.logits, truth), steps, macro_recall
        ).outputs.logits

    before, changed = decide(plain.truth), plain.truth.copy()
    changed[masks[0]] = 1 - changed[masks[0]] % 2
    after = decide(changed)
    np.testing.assert_array_equal(after[masks[0]], before[masks[0]])
    assert not np.array_equal(after, before)  # others see it


def test_cross_fitting_is_not_too_good():
    """Thresholds of noise: fitted on the cases themselves they look good."""
    random = np.random.default_rng(0)
    truth = random.integers(2, size=(30, 40)).astype(np.int8)
    outputs = Outputs(random.normal(size=truth.shape), truth)
    steps = read_steps(dict(type='thresholds', metric='accuracy'), 'soup.decision')
    seen = outputs.decided(fit(outputs, steps, nothing).decision)
    assert seen.accuracy > 0.6
    assert cross_fitted(outputs, steps, nothing).outputs.accuracy < 0.53


@pytest.mark.parametrize('make', [single, labelled])
def test_scores_of_the_file_give_those_of_cross_fitting(make):
    outputs = make()
    outputs.logits[:3] *= 300  # whose probabilities are 0 and 1
    step = 'thresholds' if outputs.is_multilabel else 'temperature'
    prior = dict(type='prior', tau=0.7, frequencies=[0.1, 0.3, 0.6])
    steps = read_steps([prior, step], 'soup.decision')
    decision = fit(outputs, steps, nothing).decision
    crossed = cross_fitted(outputs, steps, nothing)
    found = decided_by_others(
        outputs.decided(decision).scores,
        outputs.is_multilabel,
        decision,
        crossed.decisions,
        crossed.fold_of,
    )
    np.testing.assert_allclose(found, crossed.outputs.scores, atol=1e-5)


def test_agreement_counts_groups_and_not_cases():
    """One patient of many cases gains; two others lose a little."""
    truth = np.zeros(12, int)
    before = Outputs(np.zeros((12, 2)), truth, np.array([0] * 10 + [1, 2]))
    logits = np.zeros((12, 2))
    logits[:10, 0], logits[10:, 0] = 1, -1
    after = Outputs(logits, truth, before.groups)
    # It falls unless the one patient is not drawn: (2/3)^3.
    assert loss_falls(before, after) == pytest.approx(1 - (2 / 3) ** 3, abs=0.05)
    alone = Outputs(before.logits, truth)
    # Of twelve cases drawn, fewer than five may be of the two.
    few = binom.cdf(4, 12, 2 / 12)
    assert loss_falls(alone, Outputs(logits, truth)) == pytest.approx(few, abs=0.03)


def test_logits_that_are_not_finite_are_one_line():
    with pytest.raises(ConfigError, match='not finite on validation'):
        fit(Outputs(np.full((4, 2), np.nan), np.array([0, 1, 0, 1])), [], nothing)
