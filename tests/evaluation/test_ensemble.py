from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_outputs import of_classes, of_labels
from scipy.special import expit, softmax

from ff_mm.comparison import PredictionsError, logit_ensemble

#: A relative error of float32.
CLOSE = dict(rtol=1e-5, atol=1e-7)

models = st.integers(1, 5)
seeds = st.integers(0, 10**6)
spreads = st.sampled_from([0.1, 1.0, 5.0])


def logits_of(cases, models, seed, spread):
    shape = (models, *cases.scores.shape)
    return np.random.default_rng(seed).normal(scale=spread, size=shape)


@settings(deadline=None)
@given(models, seeds, spreads)
def test_of_classes_it_is_the_softmax_of_the_mean_logits(models, seed, spread):
    cases = of_classes(cases=10)
    logits = logits_of(cases, models, seed, spread)
    each = [replace(cases, scores=softmax(of_model, axis=1)) for of_model in logits]
    found = logit_ensemble(each)
    np.testing.assert_allclose(
        found.scores, softmax(logits.mean(axis=0), axis=1), **CLOSE
    )
    assert found.scores.dtype == np.float32
    assert found.cases == cases.cases


@settings(deadline=None)
@given(models, seeds, st.sampled_from([0.1, 1.0, 2.0]))
def test_of_labels_it_is_the_sigmoid_of_the_mean_logits(models, seed, spread):
    cases = of_labels(cases=10)
    logits = logits_of(cases, models, seed, spread)
    each = [replace(cases, scores=expit(of_model)) for of_model in logits]
    found = logit_ensemble(each)
    # Next to 1 float32 has few digits left of a logit.
    np.testing.assert_allclose(found.scores, expit(logits.mean(axis=0)), atol=1e-5)


@settings(deadline=None)
@given(seeds, st.booleans())
def test_one_model_gives_itself(seed, several):
    alone = (of_labels if several else of_classes)(cases=10, seed=seed)
    for together in ([alone], [alone, alone, alone]):
        np.testing.assert_allclose(
            logit_ensemble(together).scores, alone.scores, **CLOSE
        )


@settings(deadline=None)
@given(seeds, st.permutations(range(4)), st.booleans())
def test_the_order_does_not_matter(seed, order, several):
    make = of_labels if several else of_classes
    each = [make(cases=10, seed=seed, model=model) for model in range(4)]
    shuffled = logit_ensemble([each[number] for number in order])
    np.testing.assert_allclose(
        shuffled.scores, logit_ensemble(each).scores, rtol=1e-6, atol=0
    )


def test_what_underflowed_neither_breaks_nor_decides_alone():
    cases = of_classes(cases=2, classes=2)
    sure = replace(cases, scores=np.array([[1, 0], [0, 1]]))
    unsure = replace(cases, scores=np.array([[0.5, 0.5], [0.5, 0.5]]))
    opposite = replace(cases, scores=sure.scores[::-1])
    assert np.isfinite(logit_ensemble([sure, unsure]).scores).all()
    assert logit_ensemble([sure, sure]).scores == pytest.approx(sure.scores)
    assert logit_ensemble([sure, opposite]).scores == pytest.approx(unsure.scores)


def test_of_labels_neither_end_outweighs_the_other():
    cases = of_labels(cases=1, labels=2, missing=0)
    yes = replace(cases, scores=np.array([[1.0, 0.0]]))
    no = replace(cases, scores=np.array([[0.0, 1.0]]))
    assert logit_ensemble([yes, no]).scores == pytest.approx(np.full((1, 2), 0.5))


def test_a_model_that_diverged_spoils_its_cases_alone():
    one, other = of_classes(cases=3), of_classes(cases=3, model=1)
    scores = other.scores.copy()
    scores[1] = np.nan
    found = logit_ensemble([one, replace(other, scores=scores)]).scores
    assert np.isnan(found).any(axis=1).tolist() == [False, True, False]


def test_models_of_different_cases():
    with pytest.raises(PredictionsError, match=r'model 1: .* truth'):
        logit_ensemble([of_classes(), of_classes(seed=1)])
    with pytest.raises(PredictionsError, match='one model or more'):
        logit_ensemble([])
