from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from mmpretrain.registry import METRICS
from model_outputs import named, of_classes, of_labels
from scipy.stats import binom, bootstrap, norm
from sklearn.metrics import f1_score

from ff_mm.comparison import Predictions, PredictionsError, assess
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics

ACCURACY = PredictionMetrics(dict(type='MulticlassMetric', items=['accuracy']), None)
SEVERAL = PredictionMetrics(
    [dict(type='MulticlassMetric'), dict(type='AUROC'), dict(type='ValidationLoss')],
    dict(classes=('a', 'b', 'c')),
)


def answering(right, groups=None):
    """A model of two classes that is right where it is said to be."""
    truth = np.arange(len(right)) % 2
    said = np.where(right, truth, 1 - truth)
    return Predictions(np.eye(2)[said], truth, named(len(right)), groups)


def accuracy_of(methods, **options):
    found = assess(methods, ACCURACY, next(iter(methods)), **options)['results']
    return {method: result['accuracy'] for method, result in found.items()}


def flat(found):
    """All numbers of a result."""
    difference = found['difference'] or {}
    numbers = [*found.values(), *difference.values()]
    return [x for x in numbers if x is not None and not isinstance(x, dict)]


def test_the_form():
    methods = dict(
        one=[of_classes(groups=np.arange(60) // 3)],
        other=[of_classes(model=m, groups=np.arange(60) // 3) for m in (1, 2)],
    )
    found = assess(methods, SEVERAL, 'one', resamples=200)
    truth = methods['one'][0].truth
    assert {key: found[key] for key in ('cases', 'groups', 'redrawn', 'may_lack')} == {
        **dict(cases=60, groups=20, redrawn=0, may_lack=[])
    }
    assert found['classes'] == {
        name: int((truth == number).sum()) for number, name in enumerate('abc')
    }
    assert found['metrics'] == {
        method: [SEVERAL.evaluate(run) for run in runs]
        for method, runs in methods.items()
    }
    assert list(found['results']) == ['one', 'other']
    for method, results in found['results'].items():
        assert list(results) == [
            'accuracy',
            'macro_recall',
            'macro_f1',
            'auroc',
            'loss',
        ]
        for name, result in results.items():
            values = [metrics[name] for metrics in found['metrics'][method]]
            assert result['value'] == pytest.approx(np.mean(values))
            assert result['low'] < result['value'] < result['high']
            assert result['undefined'] == 0
    one, other = (found['results'][method]['loss'] for method in methods)
    assert (one['sd'], one['difference']) == (None, None)
    losses = [metrics['loss'] for metrics in found['metrics']['other']]
    assert other['sd'] == pytest.approx(np.std(losses, ddof=1))
    assert list(other['difference']) == ['value', 'low', 'high', 'p']
    # Less is better, and still it is the method less the baseline.
    assert other['difference']['value'] == pytest.approx(other['value'] - one['value'])
    json.dumps(found)


def test_independent_cases_have_no_groups():
    assert assess(dict(a=[of_classes()]), ACCURACY, 'a', 10)['groups'] is None


def test_of_labels_classes_counts_positives():
    metrics = PredictionMetrics(
        [dict(type='AUROC'), dict(type='MultilabelMetric')], None
    )
    one = of_labels()
    found = assess(dict(one=[one], other=[of_labels(model=1)]), metrics, 'one', 100)
    positives = (one.truth == 1).sum(axis=0).tolist()
    assert list(found['classes'].values()) == positives
    assert 'auroc' in found['results']['other']


def test_the_interval_of_an_accuracy_is_that_of_the_binomial():
    cases, hits = 400, 300
    right = np.random.default_rng(0).permutation(np.arange(cases) < hits)
    found = accuracy_of(dict(a=[answering(right)]), resamples=8000)['a']
    share = hits / cases
    exact = binom.ppf([0.025, 0.975], cases, share) / cases
    # One case, and the error of a quantile of 8000 resamples, 0.03 standard errors.
    assert [found['low'], found['high']] == pytest.approx(exact, abs=1.5 / cases)
    error = np.sqrt(share * (1 - share) / cases)
    normal = share + norm.ppf([0.025, 0.975]) * error
    assert [found['low'], found['high']] == pytest.approx(normal, abs=0.15 * error)


@pytest.mark.parametrize(('only_one', 'only_other'), [(60, 40), (30, 70), (80, 80)])
def test_the_difference_of_accuracies_is_that_of_the_two_by_two_table(
    only_one, only_other
):
    # McNemar: cases on which both are right, or both wrong, say nothing.
    cases, both = 500, 250
    kind = np.random.default_rng(0).permutation(np.arange(cases))
    one = kind < both + only_one
    other = (kind < both) | (
        (kind >= both + only_one) & (kind < both + only_one + only_other)
    )
    methods = dict(other=[answering(other)], one=[answering(one)])
    found = accuracy_of(methods, resamples=8000)['one']['difference']
    difference = (only_one - only_other) / cases
    variance = (only_one + only_other) / cases - difference**2
    error = np.sqrt(variance / cases)
    assert found['value'] == pytest.approx(difference)
    expected = difference + norm.ppf([0.025, 0.975]) * error
    assert [found['low'], found['high']] == pytest.approx(expected, abs=0.15 * error)
    p = 2 * norm.sf(abs(difference) / error)
    # No difference at all counts on both sides.
    no_difference = norm.pdf(difference / error) / (cases * error)
    assert found['p'] == pytest.approx(p + no_difference, rel=0.25, abs=0.01)


def test_against_scipy_with_a_score_of_scikit_learn():
    # Of many cases, so that no class is ever missing.
    one, other = of_classes(150), of_classes(150, model=1, skill=1.5)
    answers = [p.scores.argmax(axis=1) for p in (one, other)]

    def statistic(cases):
        scores = [
            f1_score(one.truth[cases], said[cases], average='macro') for said in answers
        ]
        return np.array([scores[1], scores[1] - scores[0]])

    expected = bootstrap(
        (np.arange(150),),
        statistic,
        n_resamples=1500,
        vectorized=False,
        method='percentile',
        rng=np.random.default_rng(0),
    )
    methods = dict(one=[one], other=[other])
    found = assess(methods, SEVERAL, 'one', resamples=6000)
    assert found['redrawn'] == 0
    result = found['results']['other']['macro_f1']
    ends = np.array([[r['low'], r['high']] for r in (result, result['difference'])])
    # The error of a 2.5 % quantile of 1500 resamples is 0.07 standard errors.
    for number, error in enumerate(expected.standard_error):
        interval = [end[number] for end in expected.confidence_interval]
        assert ends[number] == pytest.approx(interval, abs=0.25 * error)


def test_patients_seen_twice_say_no_more_than_once():
    once = dict(one=[of_classes()], other=[of_classes(model=1)])
    twice = {
        method: [
            Predictions(
                np.repeat(run.scores, 2, axis=0),
                np.repeat(run.truth, 2),
                named(120),
                np.repeat(np.arange(60), 2),
            )
        ]
        for method, (run,) in once.items()
    }
    expected = assess(once, SEVERAL, 'one', 300)['results']['other']
    found = assess(twice, SEVERAL, 'one', 300)['results']['other']
    for name in expected:
        assert flat(found[name]) == pytest.approx(flat(expected[name]))
    apart = {method: [replace(run, groups=None)] for method, (run,) in twice.items()}
    found = assess(apart, SEVERAL, 'one', 300)['results']['other']['loss']
    width = expected['loss']['high'] - expected['loss']['low']
    assert found['high'] - found['low'] < 0.85 * width


def test_identical_models_do_not_differ():
    runs = [of_classes(model=number) for number in range(3)]
    methods = dict(base=runs, same=runs)
    for result in assess(methods, SEVERAL, 'base', 100)['results']['same'].values():
        assert result['difference'] == dict(value=0, low=0, high=0, p=1)


def test_a_seed_gives_the_same_whatever_else_is_compared():
    methods = {f'm{i}': [of_classes(model=i)] for i in range(3)}
    every = assess(methods, SEVERAL, 'm0', 100)['results']
    two = {name: methods[name] for name in ('m2', 'm0')}
    again = assess(two, SEVERAL, 'm0', 100)['results']
    assert again == {name: every[name] for name in two}
    assert assess(two, SEVERAL, 'm0', 100, seed=1)['results'] != again


def test_models_that_err_alike_differ_with_more_certainty():
    # Paired: the same three cases more, whatever else is drawn.
    right = np.arange(200) % 2 == 0
    better = right.copy()
    better[[1, 3, 5]] = True
    shuffled = np.random.default_rng(0).permutation(better)
    methods = dict(base=[answering(right)], like=[answering(better)])
    methods['unlike'] = [answering(shuffled)]
    found = accuracy_of(methods, resamples=1000)
    widths = [
        found[name]['difference']['high'] - found[name]['difference']['low']
        for name in ('like', 'unlike')
    ]
    assert found['like']['value'] == found['unlike']['value']
    assert widths[0] < widths[1] / 3


def test_an_interval_over_runs_is_one_over_both():
    weak, strong = (answering(np.arange(400) % 10 < hits) for hits in (5, 9))
    found = accuracy_of(dict(base=[weak], both=[weak, strong]), resamples=2000)['both']
    assert found['value'] == pytest.approx(0.7)
    assert found['sd'] == pytest.approx(0.4 / np.sqrt(2))
    # In a quarter of the resamples both are the weak one, in a quarter the strong one.
    assert found['low'] == pytest.approx(0.5, abs=0.06)
    assert found['high'] == pytest.approx(0.9, abs=0.06)


def test_as_many_runs_are_averaged_as_there_are():
    runs = [answering(np.arange(4000) % 10 < hits) for hits in (5, 6, 7, 8)]
    found = accuracy_of(dict(runs=runs), resamples=2000)['runs']
    # Four draws of 0.5 to 0.8: 15 of 256 have a mean of 0.55 or less, 5 one less than
    # that. The cases add an error of 0.008.
    assert (found['low'], found['high']) == pytest.approx((0.55, 0.75), abs=0.025)


def test_runs_that_agree_are_as_sure_as_one():
    run = of_classes()
    methods = dict(alone=[run], thrice=[run, run, run])
    alone, thrice = accuracy_of(methods, resamples=200).values()
    assert thrice['sd'] == 0
    assert (thrice['low'], thrice['high']) == pytest.approx(
        (alone['low'], alone['high'])
    )


def test_confidence_widens_the_interval():
    methods = dict(a=[of_classes()])
    narrow, wide = (
        accuracy_of(methods, resamples=500, confidence=confidence)['a']
        for confidence in (0.5, 0.99)
    )
    assert wide['low'] < narrow['low'] < narrow['high'] < wide['high']


def test_a_class_too_rare_to_be_kept_is_named():
    truth = np.array([0] * 40 + [1] * 40 + list(range(2, 22)))
    scores = np.random.default_rng(0).dirichlet(np.ones(22), 100)
    models = Predictions(scores, truth, named(100))
    meta = dict(classes=[f'class {number}' for number in range(22)])
    metrics = PredictionMetrics(
        [dict(type='AUROC'), dict(type='MulticlassMetric')], meta
    )
    found = assess(dict(a=[models]), metrics, 'a', 50)
    assert found['may_lack']
    assert set(found['may_lack']) <= {f'class {number}' for number in range(2, 22)}
    assert np.isfinite(found['results']['a']['auroc']['low'])


@METRICS.register_module()
class RightOfTheFirst(METRICS.get('MulticlassMetric')):
    """The accuracy; undefined without a case of which it is known to be right."""

    def compute_metrics(self, results):
        right = [true == said for true, said in results]
        return {'right': float(np.mean(right)) if any(right) else float('nan')}


def test_resamples_without_a_value_are_left_out_and_counted():
    right = np.arange(40) == 0
    metrics = PredictionMetrics(dict(type='RightOfTheFirst'), None)
    methods = dict(a=[answering(right)], b=[answering(np.arange(40) < 20)])
    found = assess(methods, metrics, 'a', 1000)['results']
    result = found['a']['right']
    # So many have none of the first case.
    assert result['undefined'] == pytest.approx(1000 * (1 - 1 / 40) ** 40, abs=60)
    assert 0 < result['low'] <= 1 / 40 < result['high']
    difference = found['b']['right']['difference']
    assert np.isfinite(list(difference.values())).all()
    # The p value, too, is that of the others.
    assert difference['p'] > 2 / (1000 - result['undefined'] + 2)


def test_a_model_that_diverged_has_nan_throughout():
    scores = of_classes(model=1).scores.copy()
    scores[7] = np.nan
    broken = replace(of_classes(), scores=scores)
    found = assess(dict(a=[of_classes()], broken=[broken]), SEVERAL, 'a', 100)
    loss = found['results']['broken']['loss']
    # Not even from the resamples that happen to lack the case.
    assert 0 < loss['undefined'] < 100
    numbers = [loss['value'], loss['low'], loss['high'], *loss['difference'].values()]
    assert np.isnan(numbers).all()
    assert found['results']['a']['loss']['undefined'] == 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(baseline='c'), r"baseline='c': expected one of the methods \['a', 'b'\]"),
        (dict(resamples=0), 'resamples=0: expected 1 or more'),
        (dict(confidence=95), 'confidence=95: expected more than 0 and less than 1'),
        (dict(confidence=0), 'confidence=0'),
    ],
)
def test_what_cannot_be_asked(options, message):
    methods = dict(a=[of_classes()], b=[of_classes(model=1)])
    with pytest.raises(ConfigError, match=message):
        assess(methods, ACCURACY, **dict(dict(baseline='a'), **options))


def test_what_cannot_be_compared():
    with pytest.raises(ConfigError, match="method 'b' has no run"):
        assess(dict(a=[of_classes()], b=[]), ACCURACY, 'a')
    methods = dict(a=[of_classes()], b=[of_classes(), of_classes(seed=1)])
    with pytest.raises(PredictionsError, match=r'^b, run 1: .* truth .* in a, run 0'):
        assess(methods, ACCURACY, 'a')
    with pytest.raises(FFMMError, match='MultilabelMetric'):
        assess(dict(a=[of_labels()]), ACCURACY, 'a')
