from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_outputs import of_classes, of_labels
from sklearn.metrics import roc_auc_score

from ff_mm.comparison import delong, delong_table

# 113 patients with a subarachnoid haemorrhage (Turck et al., Intensive Care Medicine
# 2010), as R's package pROC distributes them (Robin et al., BMC Bioinformatics 2011,
# data set aSAH): WFNS grade, S100-beta and NDKA of those with a good and those with a
# poor outcome.
ASAH = dict(
    good="""
    1,.13,3.01 1,.14,8.54 1,.1,8.09 1,.04,10.42 5,.47,6.0 1,.18,15.54 2,.1,6.01
    2,.1,17.86 1,.04,13.41 2,.08,20.75 2,.04,16.11 1,.09,49.94 1,.11,9.47 1,.07,6.29
    2,.17,12.53 1,.07,6.54 2,.11,6.3 1,.13,80.3 1,.19,12.8 3,.05,9.8 4,.16,9.81
    1,.14,18.21 4,.34,5.03 1,.09,8.02 5,.5,6.59 5,.46,9.63 1,.16,13.12 1,.07,7.96
    2,.43,14.34 4,.45,41.43 1,.11,7.63 1,.08,7.06 2,.09,12.59 2,.08,9.44 1,.06,7.66
    2,.13,12.98 1,.1,27.19 2,.14,22.27 2,.15,9.95 1,.06,11.73 1,.05,58.83 1,.09,6.39
    1,.04,17.21 2,.09,9.7 1,.08,10.51 2,.16,10.6 1,.09,14.57 1,.08,4.61 3,.33,17.3
    2,.11,12.71 4,.28,9.44 2,.07,11.07 1,.1,19.46 4,.32,10.83 1,.07,11.97 1,.05,7.75
    5,.24,9.83 4,.38,10.55 2,.1,28.49 2,.15,8.53 1,.08,12.57 1,.14,12.9 1,.1,46.83
    3,.07,11.68 1,.04,12.67 2,.19,9.01 2,.15,24.58 4,.47,10.33 4,.17,13.87
    1,.15,22.43 1,.5,6.79 1,.48,13.45
    """,
    poor="""
    3,.13,17.4 2,.1,12.75 4,.16,13.2 5,.12,15.96 5,.44,5.18 5,.71,8.9 5,.49,11.6
    2,.07,32.37 5,.33,54.82 2,.09,32.41 1,.07,40.34 2,.41,9.85 5,.35,14.04
    4,.48,21.93 4,.96,7.42 2,.25,8.38 5,.86,13.56 5,.52,3.87 5,2.07,419.19
    2,.07,21.22 5,.77,10.4 2,.3,11.09 5,.03,12.22 2,.09,13.67 4,.23,22.63 5,.7,12.9
    4,.27,21.57 4,.71,8.23 1,.08,72.57 4,.26,15.54 4,.13,5.19 2,.1,9.63 2,.11,21.48
    5,.22,5.37 5,.56,9.57 2,.14,34.06 2,.58,11.72 5,.32,14.26 5,.82,47.61
    5,.74,11.67 5,.44,15.89
    """,
)

# pROC: intervals of differences.
PROC_WFNS_S100B = 0.0104061769564846, 0.174214419249478
PROC_WFNS_NDKA = 0.0634011709339876, 0.3600405634833566
PROC_NDKA_S100B = -0.2876917446341914, 0.0488706064228094


def subarachnoid():
    values = {
        outcome: np.array([row.split(',') for row in text.split()], float)
        for outcome, text in ASAH.items()
    }
    truth = np.repeat([False, True], [len(values['good']), len(values['poor'])])
    return truth, np.concatenate([values['good'], values['poor']]).T


def test_the_published_example():
    # What pROC's own tests expect: tests/testthat/test-var.R, test-cov.R and
    # test-roc.test.R in github.com/xrobin/pROC.
    truth, scores = subarachnoid()
    assert (len(truth), truth.sum()) == (113, 41)
    found = delong(truth, scores)
    wfns, s100b, ndka = 0, 1, 2
    assert found.areas[[wfns, ndka]] == pytest.approx(
        [0.823678861788618, 0.611957994579946], rel=1e-12
    )
    assert np.diag(found.covariance) == pytest.approx(
        [0.00146991470882363, 0.00266868245717244, 0.0031908105493913], rel=1e-10
    )
    assert found.covariance[wfns, ndka] == pytest.approx(-0.000532967856762438)
    assert found.covariance[ndka, s100b] == pytest.approx(-0.000756164938056579)
    assert found.covariance[s100b, wfns] == pytest.approx(0.00119615567376754)
    for pair, z, p, low, high in (
        ((wfns, s100b), 2.20898359144091, 0.0271757822291882, *PROC_WFNS_S100B),
        ((wfns, ndka), 2.79777591868904, 0.00514557970691098, *PROC_WFNS_NDKA),
        ((ndka, s100b), -1.39077002573558, 0.164295175223054, *PROC_NDKA_S100B),
    ):
        assert found.test(*pair) == pytest.approx((z, p), rel=1e-10)
        assert found.difference(*pair)[1:] == pytest.approx((low, high), rel=1e-10)
    low, high = found.interval(ndka)
    assert (low, high) == pytest.approx(
        (0.501244999271703, 0.722670989888189), rel=1e-10
    )


def by_definition(truth, scores):
    """The formulas of 1988, word by word."""

    def psi(x, y):
        return 1.0 if y < x else 0.5 if y == x else 0.0

    positives, negatives = scores[:, truth], scores[:, ~truth]
    m, n = positives.shape[1], negatives.shape[1]
    models = range(len(scores))
    v10 = [
        [sum(psi(x, y) for y in negatives[r]) / n for x in positives[r]] for r in models
    ]
    v01 = [
        [sum(psi(x, y) for x in positives[r]) / m for y in negatives[r]] for r in models
    ]
    areas = [sum(v10[r]) / m for r in models]

    def s(v, r, k, size):
        pairs = zip(v[r], v[k], strict=True)
        return sum((a - areas[r]) * (b - areas[k]) for a, b in pairs) / (size - 1)

    covariance = [
        [s(v10, r, k, m) / m + s(v01, r, k, n) / n for k in models] for r in models
    ]
    return np.array(areas), np.array(covariance)


def make(seed, cases, models, digits):
    draw = np.random.default_rng(seed)
    truth = np.arange(cases) % 3 == 0
    scores = draw.normal(truth, size=(models, cases))
    return truth, scores if digits is None else scores.round(digits)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 10**6),
    st.integers(6, 25),
    st.integers(1, 4),
    st.sampled_from([None, 0, 1]),
)
def test_it_is_what_the_formulas_say(seed, cases, models, digits):
    truth, scores = make(seed, cases, models, digits)
    found = delong(truth, scores)
    areas, covariance = by_definition(truth, scores)
    np.testing.assert_allclose(found.areas, areas, atol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)
    for area, of_model in zip(found.areas, scores, strict=True):
        assert area == pytest.approx(roc_auc_score(truth, of_model), abs=1e-12)


def test_groups_of_one_case_are_no_groups():
    truth, scores = subarachnoid()
    groups = np.random.default_rng(0).permutation(113)
    found, alone = delong(truth, scores, groups), delong(truth, scores)
    np.testing.assert_allclose(found.covariance, alone.covariance, rtol=1e-10)


def test_patients_seen_twice_say_no_more_than_once():
    truth, scores = subarachnoid()
    twice = np.repeat(truth, 2), np.repeat(scores, 2, axis=1)
    groups = np.repeat(np.arange(113), 2)
    found, once = delong(*twice, groups), delong(truth, scores)
    np.testing.assert_allclose(found.areas, once.areas, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, once.covariance, rtol=1e-10)
    # Taken as independent they would say twice as much.
    assert delong(*twice).covariance[0, 0] < 0.55 * once.covariance[0, 0]


def test_groups_of_both_kinds_of_cases_against_the_bootstrap():
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 4)
    truth = draw.random(800) < 0.4
    of_group = np.repeat(draw.normal(size=(2, 200)), 4, axis=1)
    scores = truth + of_group + 0.5 * draw.normal(size=(2, 800))
    found = delong(truth, scores, groups)
    areas = []
    for _ in range(1000):
        drawn = draw.integers(200, size=200)
        cases = (drawn[:, None] * 4 + np.arange(4)).ravel()
        areas.append(delong(truth[cases], scores[:, cases]).areas)
    expected = np.cov(np.array(areas).T)
    # Of 1000 resamples a variance has a standard error of 4.5 %.
    assert np.diag(found.covariance) == pytest.approx(np.diag(expected), rel=0.18)
    # Were the groups not seen, it would be another.
    apart = np.diag(delong(truth, scores).covariance)
    assert apart != pytest.approx(np.diag(expected), rel=0.18)


def test_identical_models():
    truth, scores = make(0, 30, 1, None)
    found = delong(truth, np.concatenate([scores, scores, np.exp(scores)]))
    for other in (1, 2):
        assert found.test(0, other) == (0, 1)
        assert found.difference(0, other) == (0, 0, 0)


def test_the_sign_is_that_of_the_difference():
    found = delong(*subarachnoid())
    z, p = found.test(0, 1)
    assert z > 0
    assert found.test(1, 0) == pytest.approx((-z, p))
    value, low, high = found.difference(1, 0)
    assert (value < 0, low < value < high) == (True, True)


def test_more_confidence_is_a_wider_interval():
    found = delong(*subarachnoid())
    (low, high), (lower, higher) = found.interval(0, 0.9), found.interval(0, 0.99)
    assert lower < low < found.areas[0] < high < higher


def test_an_interval_ends_at_1():
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1], bool)
    found = delong(truth, np.array([[1, 2, 3, 5, 4, 6, 7, 8], range(8)]))
    assert found.interval(0)[1] == 1
    assert found.interval(1) == (1, 1)


def test_where_variances_are_zero_or_unknown():
    truth = np.array([0, 0, 1, 1], bool)
    found = delong(truth, np.array([[1, 2, 3, 4], [1, 1, 1, 1]]))
    assert found.areas.tolist() == [1, 0.5]
    assert np.isnan(found.test(0, 1)).all()
    lone = delong(truth[:3], np.array([[1, 3, 2.0], [1, 2, 3]]))
    assert lone.areas.tolist() == [0.5, 1]
    assert np.isnan([*lone.interval(0), *lone.test(0, 1)]).all()


def test_what_has_no_curve():
    with pytest.raises(ValueError, match='one kind of cases'):
        delong(np.ones(3, bool), np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r'\(1, 4\) for a truth of \(3,\)'):
        delong(np.ones(3, bool), np.zeros((1, 4)))


COLUMNS = [
    *('class', 'method', 'auroc', 'low', 'high'),
    *('difference', 'difference_low', 'difference_high', 'p'),
]


def test_a_table_of_classes_against_the_rest():
    methods = {f'm{i}': [of_classes(model=i), of_classes(model=9)] for i in range(3)}
    rows = delong_table(methods, dict(classes=('a', 'b', 'c')), 'm1')
    assert [(row['class'], row['method']) for row in rows] == [
        (name, method) for name in 'abc' for method in methods
    ]
    assert all(list(row) == COLUMNS for row in rows)
    for row in rows:
        first = methods[row['method']][0]
        label = 'abc'.index(row['class'])
        truth = first.truth == label
        area = roc_auc_score(truth, first.scores[:, label])
        assert row['auroc'] == pytest.approx(area)
        assert row['low'] < area < row['high']
        if row['method'] == 'm1':
            assert [row[key] for key in COLUMNS[5:]] == [None] * 4
            continue
        other = methods['m1'][0].scores[:, label]
        both = delong(truth, np.stack([first.scores[:, label], other]))
        assert row['p'] == both.test(0, 1)[1]
        assert row['difference'] == pytest.approx(area - roc_auc_score(truth, other))
        assert row['difference_low'] < row['difference'] < row['difference_high']


def test_a_table_of_two_classes_has_the_second():
    methods = dict(one=[of_classes(classes=2)], other=[of_classes(classes=2, model=1)])
    rows = delong_table(methods, dict(classes=('normal', 'pneumonia')), 'one')
    assert [row['class'] for row in rows] == ['pneumonia', 'pneumonia']


def test_a_table_of_labels_over_the_cases_that_are_known():
    one, other = of_labels(), of_labels(model=1)
    truth = one.truth.copy()
    truth[:, 1] = np.where(truth[:, 1] == 0, -1, truth[:, 1])
    methods = {
        'one': [replace(one, truth=truth)],
        'other': [replace(other, truth=truth)],
    }
    rows = delong_table(methods, None, 'one')
    # Label 1 is never absent.
    assert [row['class'] for row in rows] == ['0', '0', '2', '2']
    known = truth[:, 2] != -1
    area = roc_auc_score(truth[known, 2], other.scores[known, 2])
    assert rows[3]['auroc'] == pytest.approx(area)


def test_a_table_knows_of_groups():
    groups = np.repeat(np.arange(20), 3)
    widths = []
    for known in (None, groups):
        methods = dict(one=[of_classes(classes=2, groups=known)])
        (row,) = delong_table(methods, None, 'one')
        widths.append(row['high'] - row['low'])
    assert widths[0] != widths[1]


def test_a_model_that_diverged_has_no_area_and_the_others_have():
    broken = replace(of_classes(model=1), scores=np.full((60, 3), np.nan))
    rows = delong_table(dict(one=[of_classes()], broken=[broken]), None, 'one')
    assert np.isfinite([rows[0][key] for key in ('auroc', 'low', 'high')]).all()
    assert np.isnan([rows[1][key] for key in COLUMNS[2:]]).all()
