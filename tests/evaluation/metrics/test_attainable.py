from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import BaseMetric, Evaluator
from mmpretrain.evaluation import Accuracy
from scored_samples import multi_label, random_classes, random_labels, single_label

from ff_mm.evaluation import (
    AUROC,
    CalibrationMetric,
    MeanAveragePrecision,
    MulticlassMetric,
    MultilabelMetric,
    ValidationLoss,
)
from ff_mm.evaluation.metrics.attainable import AttainableScore
from ff_mm.evaluation.metrics.base import Claim
from ff_mm.evaluation.metrics.counts import RATES
from ff_mm.evaluation.metrics.multiclass import SCORES
from ff_mm.evaluation.metrics.multilabel import ITEMS
from ff_mm.evaluation.metrics.soft import kind_of, with_soft


def claimed(metric: type, names: Iterable[str]) -> list[str]:
    return [name for name in names if metric(items=[name]).claim(name)]


# Whatever claims to have a bound is tried, so that a claim is not made lightly.
CLASS_SCORES = claimed(MulticlassMetric, SCORES)
LABEL_SCORES = claimed(MultilabelMetric, ITEMS)
# What bounds whose sums do not round monotonically are loosened by, and rounding.
CLOSE = 1e-9


@dataclass(frozen=True)
class Tried:
    """A metric, one of its scores with the rule for it, and the kind of its data."""

    build: Any
    name: str
    rule: str = 'greater'
    several: bool = False

    def metric(self) -> BaseMetric:
        metric = self.build()
        metric.dataset_meta = dict(classes=['a', 'b', 'c', 'd'])
        return metric

    def value(self, samples: list[dict]) -> float:
        metric = self.metric()
        metric.process(None, samples)
        return metric.compute_metrics(metric.results)[self.name]

    def of(self, results: list) -> float:
        return self.metric().compute_metrics(results)[self.name]

    def beats(self, value: float, other: float) -> bool:
        return value > other if self.rule == 'greater' else value < other

    def wins(self, value: float, best: float, ties: bool) -> bool:
        return self.beats(value, best) or (ties and value == best)


def _multiclass(name: str) -> Any:
    return lambda: MulticlassMetric(items=[name])


def _multilabel(name: str) -> Any:
    return lambda: MultilabelMetric(items=[name], threshold=0.7)


def _one_label(rate: str) -> Any:
    return lambda: MultilabelMetric(items=['accuracy'], per_label=[rate])


def _balanced_loss() -> BaseMetric:
    return ValidationLoss(items=['class_balanced_loss'])


OF_CLASSES = [Tried(_multiclass(name), name) for name in CLASS_SCORES]
BY_KAPPA = [tried for tried in OF_CLASSES if 'kappa' in tried.name]
BY_CLASS = [tried for tried in OF_CLASSES if tried not in BY_KAPPA]
SOFT_CLASSES = [
    Tried(_multiclass(name), name) for name in with_soft(CLASS_SCORES) if kind_of(name)
]
SOFT_LABELS = [
    Tried(_multilabel(name), name, several=True)
    for name in with_soft(LABEL_SCORES)
    if kind_of(name)
] + [Tried(_one_label('soft_f1'), 'soft_f1/b', several=True)]
BY_LABEL = [Tried(_multilabel(name), name, several=True) for name in LABEL_SCORES] + [
    Tried(_one_label(rate), f'{rate}/b', several=True) for rate in RATES
]
BY_RANK = [
    Tried(metric, name, several=several)
    for metric in (AUROC, MeanAveragePrecision)
    for name, several in (
        (metric.name, False),
        (metric.name, True),
        (f'{metric.name}/b', True),
    )
]
BY_COST = [
    Tried(metric, name, 'less', several)
    for metric, name in (
        (ValidationLoss, 'loss'),
        (CalibrationMetric, 'brier'),
        (_balanced_loss, 'class_balanced_loss'),
    )
    for several in (False, True)
]
BY_PROBABILITY = SOFT_CLASSES + SOFT_LABELS
EXACT = BY_CLASS + BY_LABEL
ALL = EXACT + BY_KAPPA + BY_RANK + BY_COST + BY_PROBABILITY


def named(tried: Tried) -> str:
    several = 'labels' if tried.several else 'classes'
    return f'{type(tried.metric()).__name__}-{tried.name}-{several}'


def each(tried: list[Tried]) -> Any:
    return pytest.mark.parametrize('tried', tried, ids=named)


# Few values, so that there are ties, constant scores and scores at the threshold.
PROBABILITIES = st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9, 1.0])


@st.composite
def data_sets(draw: st.DrawFn, several: bool, most: int = 12) -> list[dict]:
    """Cases with random truth and scores, some classes absent, some labels missing."""
    cases = draw(st.integers(1, most))
    width = draw(st.integers(2, 4))
    scores = draw(_rows(cases, width, PROBABILITIES))
    if several:
        values = draw(st.sampled_from([(0, 1), (1, 0, -1), (0, -1), (1,)]))
        return multi_label(draw(_rows(cases, width, st.sampled_from(values))), scores)
    classes = draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=width))
    labels = draw(st.lists(st.sampled_from(classes), min_size=cases, max_size=cases))
    # Never all 0, which are no probabilities of classes.
    scores = np.array(scores) + 0.1
    return single_label(labels, scores / scores.sum(axis=1, keepdims=True))


def _rows(cases: int, width: int, values: st.SearchStrategy) -> st.SearchStrategy:
    row = st.lists(values, min_size=width, max_size=width)
    rows = st.lists(row, min_size=cases, max_size=cases)
    return rows.map(lambda given: np.array(given, dtype=np.float32))


def truths(samples: list[dict]) -> list[dict]:
    kept = ('gt_label', 'gt_score')
    return [{k: s[k] for k in kept if k in s} for s in samples]


def found(
    tried: Tried, samples: list[dict]
) -> tuple[AttainableScore | None, BaseMetric]:
    metric = tried.metric()
    metrics, known = [metric], truths(samples)
    return AttainableScore.find(metrics, tried.name, tried.rule, known), metric


def is_bounded(tried: Tried, samples: list[dict]) -> bool:
    score, _ = found(tried, samples)
    return score is not None


def walk(
    tried: Tried, samples: list[dict], order: Iterable[int], step: int = 1
) -> Iterator[float]:
    """The best attainable value before any case, after each batch, and at the end."""
    score, metric = found(tried, samples)
    order = list(order)
    for done in range(0, len(order), step):
        yield score.best(order[done:])
        metric.process(None, [samples[i] for i in order[done : done + step]])
    yield score.best([])


# --- sound, monotone, and the metric's own at the end ---------------------------------


@each(ALL)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_prefix_is_worse_than_the_end_and_none_better_than_one_before(tried, data):
    samples = data.draw(data_sets(tried.several))
    order = data.draw(st.permutations(range(len(samples))))
    step = data.draw(st.integers(1, 4))
    if not is_bounded(tried, samples):
        return
    *bounds, end = walk(tried, samples, order, step)
    final = tried.value([samples[i] for i in order])
    assert end == final or (math.isnan(end) and math.isnan(final))
    for bound in bounds:
        assert not tried.beats(final, bound)
    slack = 0 if tried in EXACT else 1e-12
    sign = 1 if tried.rule == 'greater' else -1
    for earlier, later in itertools.pairwise(bounds):
        assert sign * later <= sign * earlier + slack


@each(EXACT + BY_COST + BY_PROBABILITY)
def test_real_sizes(tried):
    if tried.several:
        samples = multi_label(*random_labels(700, 4, missing=0.3))
    else:
        samples = single_label(*random_classes(700, 4))
    order = np.random.default_rng(1).permutation(700)
    *bounds, end = walk(tried, samples, order, step=50)
    assert end == tried.value([samples[i] for i in order])
    assert not any(tried.beats(end, bound) for bound in bounds)
    sign = 1 if tried.rule == 'greater' else -1
    slack = 0 if tried in EXACT + BY_COST else 1e-12
    for earlier, later in itertools.pairwise(bounds):
        assert sign * later <= sign * earlier + slack


# --- tight: brute force over all that can still be predicted --------------------------


def predicted(truth: Iterable[int], classes: Iterable[int]) -> list[dict]:
    return [
        dict(gt_label=torch.tensor([t]), pred_label=torch.tensor([p]))
        for t, p in zip(truth, classes, strict=True)
    ]


def best_after(tried: Tried, samples: list[dict], done: int) -> float:
    score, metric = found(tried, samples)
    if done:
        metric.process(None, samples[:done])
    return score.best(range(done, len(samples)))


@each(BY_CLASS + BY_KAPPA)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_best_of_all_predictions_of_the_rest(tried, data):
    cases = data.draw(st.integers(1, 6))
    seen = cases - data.draw(st.integers(1, min(cases, 2)))
    classes = st.lists(st.integers(0, 3), min_size=cases, max_size=cases)
    truth, guesses = data.draw(classes), data.draw(classes)
    if not is_bounded(tried, predicted(truth, truth)):
        return
    bound = best_after(tried, predicted(truth, guesses), seen)
    # A quadratic kappa can be raised by predictions beyond all classes that occur.
    predictions = range(7 if tried.name == 'quadratic_kappa' else 5)
    values = [
        tried.of(list(zip(truth, [*guesses[:seen], *others], strict=True)))
        for others in itertools.product(predictions, repeat=cases - seen)
    ]
    best = max((v for v in values if not math.isnan(v)), default=-1)
    assert bound >= best
    if tried in BY_CLASS:
        assert bound == best
    elif best > 0.6:
        assert bound == pytest.approx(best, abs=CLOSE)


@each([tried for tried in BY_LABEL + BY_RANK + SOFT_LABELS if tried.several])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_best_of_all_scores_of_the_rest(tried, data):
    cases = data.draw(st.integers(2, 5))
    truth = data.draw(_rows(cases, 2, st.sampled_from([0, 1, -1])))
    scores = data.draw(_rows(cases, 2, st.sampled_from([0.3, 0.5, 0.8])))
    samples = multi_label(truth, scores)
    if not is_bounded(tried, samples):
        return
    seen = cases - data.draw(st.integers(1, 2))
    bound = best_after(tried, samples, seen)
    values = []
    # Below all scores so far, among them, and above.
    tried_scores = [0, 0.5, 1] if tried in SOFT_LABELS else [0.1, 0.5, 0.9]
    for others in itertools.product(tried_scores, repeat=2 * (cases - seen)):
        scores[seen:] = np.reshape(others, (-1, 2))
        metric = tried.metric()
        metric.process(None, multi_label(truth, scores))
        values.append(tried.of(metric.results))
    assert bound >= max(values)
    assert bound == pytest.approx(max(values), abs=CLOSE)


@each(SOFT_CLASSES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_best_of_all_probabilities_of_the_rest(tried, data):
    cases, width = data.draw(st.integers(2, 5)), 3
    truth = data.draw(
        st.lists(st.integers(0, width - 1), min_size=cases, max_size=cases)
    )
    scores = data.draw(_rows(cases, width, PROBABILITIES)) + 0.1
    scores /= scores.sum(axis=1, keepdims=True)
    if not is_bounded(tried, single_label(truth, scores)):
        return
    seen = cases - data.draw(st.integers(1, 2))
    bound = best_after(tried, single_label(truth, scores), seen)
    # Certain ones, undecided ones, and some of every kind.
    random = np.random.default_rng(0).dirichlet(np.ones(width) / 2, size=4)
    guesses = np.concatenate([np.eye(width), np.full((1, width), 1 / width), random])
    values = []
    for others in itertools.product(guesses, repeat=cases - seen):
        scores[seen:] = others
        values.append(tried.value(single_label(truth, scores)))
    best = max((v for v in values if not math.isnan(v)), default=-1)
    assert bound >= best
    if best > 0.6:
        # Single precision leaves the scores above next to what they were meant to be.
        assert bound == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    ('name', 'truth', 'seen', 'mistake'),
    [
        ('kappa', [0, 0, 1, 0], [1, 1, 0], 2),
        ('linear_kappa', [0, 0, 1, 0], [1, 1, 0], 2),
        ('quadratic_kappa', [1, 1, 1, 2], [1, 0, 0], 3),
    ],
)
def test_a_mistake_can_raise_a_kappa(name, truth, seen, mistake):
    # So the kappa with all others right is no bound on it.
    tried = Tried(_multiclass(name), name)
    right = tried.value(predicted(truth, [*seen, truth[-1]]))
    wrong = tried.value(predicted(truth, [*seen, mistake]))
    assert right < wrong <= best_after(tried, predicted(truth, [*seen, 0]), 3)


def test_a_mistake_can_raise_the_macro_specificity():
    # So it has no bound.
    truth, seen = [0, 0, 1, 1], [1, 0, 0]
    tried = Tried(_multiclass('macro_specificity'), 'macro_specificity')
    right = tried.value(predicted(truth, [*seen, 1]))
    assert tried.value(predicted(truth, [*seen, 2])) > right


# --- decisions ------------------------------------------------------------------------


def early(
    tried: Tried, candidates: list[list[dict]], ties: bool, step: int
) -> tuple[list[float | None], int]:
    """The scores of the candidates that win, None of the others; cases processed."""
    score, metric = found(tried, candidates[0])
    best, processed = -math.inf if tried.rule == 'greater' else math.inf, 0
    hardness = np.zeros(len(candidates[0]))
    scores: list[float | None] = []
    for candidate in candidates:
        order, done = np.argsort(-hardness, kind='stable'), 0
        metric.results.clear()
        attainable = math.nan
        while done < len(order):
            batch = order[done : done + step]
            metric.process(None, [candidate[i] for i in batch])
            done += len(batch)
            if done == len(order):
                # As a full pass has them: a sum of costs rounds by their order.
                by_case = np.argsort(order)
                metric.results[:] = [metric.results[i] for i in by_case]
                order = np.sort(order)
            attainable = score.best(order[done:])
            if not (math.isnan(attainable) or tried.wins(attainable, best, ties)):
                break
        hardness[order[:done]] += score.errors()
        processed += done
        won = done == len(order) and tried.wins(attainable, best, ties)
        scores.append(attainable if won else None)
        best = attainable if won else best
    return scores, processed


def full(tried: Tried, candidates: list[list[dict]], ties: bool) -> list[float | None]:
    best, scores = -math.inf if tried.rule == 'greater' else math.inf, []
    for candidate in candidates:
        value = tried.value(candidate)
        won = tried.wins(value, best, ties)
        scores.append(value if won else None)
        best = value if won else best
    return scores


@each(ALL)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), ties=st.booleans(), step=st.integers(1, 20))
def test_decisions_of_stopping_early_are_those_of_full_passes(tried, seed, ties, step):
    candidates = made_up_candidates(tried, seed, cases=30, number=6)
    if not is_bounded(tried, candidates[0]):
        return
    scores, _ = early(tried, candidates, ties, step)
    expected = full(tried, candidates, ties)
    assert scores == expected


@each(ALL)
def test_losers_are_dropped_early(tried):
    # The first is the best by far, and nothing is known yet of which cases are hard.
    candidates = [
        made_up_candidates(tried, seed=1, cases=300, number=1, noise=noise)[0]
        for noise in (0.1, 1, 1, 1, 1, 1)
    ]
    scores, processed = early(tried, candidates, ties=False, step=20)
    assert [score is None for score in scores] == [False] + 5 * [True]
    # Of probabilities of labels every case loses a little, so it takes more of them.
    most = 0.8 if tried in SOFT_LABELS else 0.6
    assert processed - 300 < most * 5 * 300


def made_up_candidates(
    tried: Tried, seed: int, cases: int, number: int, noise: float = 0.5
) -> list[list[dict]]:
    """Predictions that have mistakes in common, as those of one pool do; some equal."""
    draw = np.random.default_rng(seed)
    shape = (cases, 4)
    if tried.several:
        truth = draw.choice([0, 1, -1], shape, p=[0.5, 0.3, 0.2])
        target = truth.clip(0)
    else:
        truth = draw.integers(0, 4, cases)
        target = np.eye(4)[truth]
    common = 3 * target + draw.normal(size=shape)
    candidates: list[list[dict]] = []
    for _ in range(number):
        scores = torch.tensor(common + draw.normal(scale=noise, size=shape)).float()
        if candidates and draw.random() < 0.3:
            candidates.append(candidates[-1])
        elif tried.several:
            candidates.append(multi_label(truth, (scores - 1.5).sigmoid()))
        else:
            candidates.append(single_label(truth, scores.softmax(1)))
    return candidates


def made_up_samples(tried: Tried) -> list[dict]:
    return made_up_candidates(tried, seed=0, cases=40, number=1)[0]


def test_a_tie_is_known_before_the_end():
    # The same mistakes as the best one: no more can come, but it cannot win either.
    tried = BY_CLASS[-1]
    samples = predicted([0, 1, 1, 2], [1, 1, 1, 2])
    assert list(walk(tried, samples, range(4)))[1] == tried.value(samples)


# --- errors ---------------------------------------------------------------------------


def errors(tried: Tried, samples: list[dict]) -> list[float]:
    score, metric = found(tried, samples)
    metric.process(None, samples)
    return score.errors().tolist()


def test_errors_of_classes_and_kappas():
    samples = predicted([0, 1, 3], [0, 2, 0])
    assert errors(BY_CLASS[2], samples) == [0, 1, 1]
    assert [errors(tried, samples) for tried in BY_KAPPA] == [
        [0, 1, 1],
        [0, 1, 3],
        [0, 1, 9],
    ]


def test_errors_of_labels():
    samples = multi_label([[1, 0, -1], [1, 1, 0]], [[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]])
    assert errors(BY_LABEL[0], samples) == [1, 3]
    samples = multi_label([[1, 0, -1], [1, 1, -1]], [[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]])
    assert errors(BY_RANK[1], samples) == pytest.approx([0.9, 1.7])
    assert errors(BY_COST[1], samples) == pytest.approx(-np.log([0.9 * 0.2, 0.1 * 0.2]))
    assert errors(BY_COST[3], samples) == pytest.approx([0.65, 1.45])


@each(ALL)
def test_errors_are_finite_for_a_model_that_has_diverged(tried):
    bad = [[math.nan] * 4, [math.inf, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]]
    if tried.several:
        samples = multi_label([[1, 1, 0, -1], [1, 0, 1, 0], [0, 1, 0, 1]], bad)
    else:
        samples = single_label([1, 0, 3], bad)
    found = errors(tried, samples)
    assert len(found) == 3 and np.isfinite(found).all() and min(found) >= 0
    assert found[0] > 0


# --- scores that are not finite -------------------------------------------------------


@each(BY_LABEL + BY_RANK + BY_COST + BY_PROBABILITY)
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_not_finite_cannot_be_told(tried, value):
    samples = made_up_samples(tried)
    samples[0] = dict(samples[0], pred_score=torch.full((4,), value))
    if tried.several:
        samples[0]['gt_score'] = torch.ones(4)
    before, *others = walk(tried, samples, range(40), step=8)
    assert not math.isnan(before)
    assert all(math.isnan(bound) for bound in others)


def test_scores_of_what_is_missing_do_not_matter():
    samples = multi_label(
        [[1, -1], [0, 1], [1, 0]], [[0.9, math.nan], [0.5, 1], [1, 0]]
    )
    for tried in (BY_LABEL[0], BY_RANK[1], BY_COST[1]):
        assert not any(math.isnan(bound) for bound in walk(tried, samples, range(3)))


def test_cases_that_are_neither_processed_nor_to_come():
    samples = predicted([0, 1, 1], [0, 1, 0])
    metric = MulticlassMetric()
    score = AttainableScore.find([metric], 'accuracy', 'greater', truths(samples))
    metric.process(None, samples[:1])
    with pytest.raises(ValueError, match=r'1 cases processed .* rest of 1: expected 3'):
        score.best([2])


# --- what has no bound ----------------------------------------------------------------


class Negative(ValidationLoss):
    """A user's own, of which not holds what holds of what it derives from."""

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Any:
        scores = super().scores(truth, predicted)
        return lambda counts: {'loss': -scores(counts)['loss']}


class Doubled(ValidationLoss):
    """One that claims something, but of another definition than that of its value."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {'loss': -2 * super().compute_metrics(results)['loss']}

    def claim(self, name: str) -> Claim | None:
        return Claim('less')


def find(metrics: Any, name: str, rule: str = 'greater', several: bool = False) -> Any:
    if several:
        samples = multi_label([[1, 0, -1], [0, 1, -1], [1, 1, -1]], np.ones((3, 3)) / 2)
    else:
        samples = single_label([0, 1, 2], np.ones((3, 3)) / 3)
    metrics = metrics if isinstance(metrics, list) else [metrics]
    return AttainableScore.find(metrics, name, rule, truths(samples))


@each(ALL)
def test_not_by_the_other_rule(tried):
    samples = truths(made_up_samples(tried))
    other = 'less' if tried.rule == 'greater' else 'greater'
    for rule, found in ((tried.rule, True), (other, False), ('max', False)):
        score = AttainableScore.find([tried.metric()], tried.name, rule, samples)
        assert (score is not None) == found


def test_scores_and_metrics_without_a_bound():
    both = MulticlassMetric(
        items=['accuracy', 'macro_specificity'], per_class=['recall']
    )
    assert find(both, 'accuracy')
    assert not find(both, 'macro_specificity')
    assert not find(both, 'macro_f1')  # not among its items
    assert not find(both, 'recall/0')
    assert not find(CalibrationMetric(), 'ece', 'less')
    assert not find(CalibrationMetric(items=['ece']), 'brier', 'less')
    assert not find(Accuracy(), 'accuracy/top1')
    assert not find(Negative(), 'loss', 'less')
    assert not find(Doubled(), 'loss', 'less')
    assert not find([], 'accuracy')
    assert not find(AUROC(), 'auroc_left_out')
    assert find(AUROC(per_label=True), 'auroc/1')


def test_of_labels_without_a_bound():
    metric = MultilabelMetric(items=['macro_f1'], per_label=['recall'])
    assert find(metric, 'recall/0', several=True)
    assert not find(metric, 'accuracy', several=True)
    assert not find(metric, 'precision/0', several=True)
    assert not find(metric, 'recall/2', several=True)  # never known
    assert not find(metric, 'recall/3', several=True)
    assert not find(metric, 'macro_f1')  # the data are not multi-label
    assert find(AUROC(), 'auroc/0', several=True)
    assert not find(AUROC(), 'auroc/2', several=True)
    assert not find(AUROC(), '0', several=True)
    assert not find(AUROC(), 'average_precision/0', several=True)
    assert not find(AUROC(per_label=False), 'auroc/0', several=True)
    assert not find(MulticlassMetric(), 'accuracy', several=True)


def test_undefined_on_the_truth():
    samples = truths(multi_label([[1, -1], [1, -1]], np.ones((2, 2)) / 2))
    for metric in (AUROC(), MeanAveragePrecision()):
        assert not AttainableScore.find([metric], metric.name, 'greater', samples)
    nothing = truths(multi_label([[-1, -1]] * 2, np.ones((2, 2)) / 2))
    for metric, name, rule in (
        (ValidationLoss(), 'loss', 'less'),
        (CalibrationMetric(), 'brier', 'less'),
        (MultilabelMetric(), 'macro_f1', 'greater'),
    ):
        assert not AttainableScore.find([metric], name, rule, nothing)
    for odd in ([], [{}], [dict(gt_label=torch.tensor([1, 2]))], [*samples, {}]):
        assert not AttainableScore.find([ValidationLoss()], 'loss', 'less', odd)


def test_prefixes_and_an_evaluator_of_several_metrics():
    metrics = [Accuracy(), ValidationLoss(), MulticlassMetric(prefix='val')]
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dict(classes=['a', 'b', 'c'])
    assert not find(evaluator.metrics, 'macro_recall')
    score = find(evaluator.metrics, 'val/macro_recall')
    samples = single_label([0, 1, 2], np.eye(3, dtype=np.float32)[[0, 0, 2]])
    evaluator.process(samples)
    best = score.best([])
    assert best == evaluator.evaluate(3)['val/macro_recall'] == pytest.approx(2 / 3)
    assert score.best(range(3)) == 1
