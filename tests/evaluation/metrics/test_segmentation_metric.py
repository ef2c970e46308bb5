from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from mask_samples import CLASSES, mask_sample, random_samples

from ff_mm.evaluation import MaskLoss, SegmentationMetric
from ff_mm.evaluation.metrics.attainable import AttainableScore
from ff_mm.evaluation.metrics.base import SampleError, stack
from ff_mm.evaluation.metrics.prediction_metrics import repeated

RATES = ('iou', 'dice', 'recall', 'precision')
ALL = (*RATES, *(f'case_{rate}' for rate in RATES))


def metric(kind: Any = SegmentationMetric, **options: Any) -> Any:
    built = kind(**options)
    built.dataset_meta = dict(classes=CLASSES)
    return built


def values_of(samples: list[dict], kind: Any = SegmentationMetric, **options: Any):
    built = metric(kind, **options)
    built.process(None, samples)
    return built.compute_metrics(built.results)


#: Two images of four pixels. Summed: background 1 of 3, disc 2 of 4, cup 1 of 3.
TWO = [
    mask_sample([[0, 0], [1, 1]], [[0, 1], [1, 1]]),
    mask_sample([[2, 2], [0, 255]], [[2, 1], [2, 0]]),
]


class TestByHand:
    def test_sums_over_the_set(self) -> None:
        found = values_of(TWO, per_class=RATES)
        assert found['iou/background'] == pytest.approx(1 / 3)
        # Intersection 2, true 2, predicted 4.
        assert found['iou/disc'] == pytest.approx(2 / 4)
        assert found['dice/disc'] == pytest.approx(4 / 6)
        assert found['recall/disc'] == 1
        assert found['precision/disc'] == pytest.approx(2 / 4)
        # Intersection 1, true 2, predicted 2.
        assert found['iou/cup'] == pytest.approx(1 / 3)
        assert found['miou'] == pytest.approx((1 / 3 + 1 / 2 + 1 / 3) / 3)
        assert found['mdice'] == pytest.approx((2 / 4 + 4 / 6 + 2 / 4) / 3)

    def test_mean_over_cases(self) -> None:
        found = values_of(TWO, per_class=('case_iou',))
        # The first: background 1/2, disc 2/3. The second: background 0, disc (which
        # is predicted and not true) 0, cup 1/3.
        assert found['case_miou'] == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 9) / 2)
        assert found['case_iou/background'] == pytest.approx(1 / 4)
        assert found['case_iou/cup'] == pytest.approx(1 / 3)  # of one case alone

    def test_classes_that_are_left_out_are_in_no_mean(self) -> None:
        found = values_of(TWO, leave_out=['background'])
        assert found['miou'] == pytest.approx((1 / 2 + 1 / 3) / 2)
        assert found['case_miou'] == pytest.approx((2 / 3 + 1 / 6) / 2)
        assert 'iou/background' in found

    def test_a_class_that_is_nowhere_does_not_count(self) -> None:
        found = values_of([mask_sample([[0, 1]], [[0, 1]])])
        assert found['miou'] == 1
        assert math.isnan(found['iou/cup'])

    def test_ignored_pixels_count_nowhere(self) -> None:
        known = values_of([mask_sample([[0, 1]], [[0, 0]])])
        more = values_of([mask_sample([[0, 1, 255, 255]], [[0, 0, 2, 1]])])
        assert repr(more) == repr(known)

    def test_a_case_of_which_nothing_is_known_does_not_count(self) -> None:
        alone = values_of(TWO[:1])
        beside = values_of([*TWO[:1], mask_sample([[255, 255]], [[1, 2]])])
        assert beside['case_miou'] == alone['case_miou']
        assert math.isnan(values_of([mask_sample([[255]], [[1]])])['miou'])


class TestOracle:
    def test_mmsegmentation_gives_the_same_in_percent(self) -> None:
        mmseg = pytest.importorskip('mmseg.evaluation')
        theirs = mmseg.IoUMetric(iou_metrics=['mIoU', 'mDice', 'mFscore'])
        theirs.dataset_meta = dict(classes=CLASSES)
        samples = random_samples(9)
        theirs.process(None, samples)
        percent = theirs.compute_metrics(theirs.results)
        found = values_of(samples, per_class=('recall', 'precision'))
        assert 100 * found['miou'] == pytest.approx(percent['mIoU'], abs=0.005001)
        assert 100 * found['mdice'] == pytest.approx(percent['mDice'], abs=0.005001)
        for name, of_theirs in (('recall', 'mRecall'), ('precision', 'mPrecision')):
            mean = np.mean([found[f'{name}/{each}'] for each in CLASSES])
            assert 100 * mean == pytest.approx(percent[of_theirs], abs=0.005001)

    def test_loss_is_the_cross_entropy_of_all_pixels(self) -> None:
        samples = random_samples(5)
        pixels, truths = [], []
        for sample in samples:
            pixels.append(sample['seg_logits']['data'].flatten(1).T)
            truths.append(sample['gt_sem_seg']['data'].flatten())
        loss = torch.nn.functional.cross_entropy(
            torch.cat(pixels), torch.cat(truths), ignore_index=255
        )
        found = values_of(samples, MaskLoss)['loss']
        assert found == pytest.approx(loss.item(), rel=1e-12)

    def test_loss_of_one_logit_is_binary(self) -> None:
        logit = np.array([[[2.0, -1.0]]])
        built = MaskLoss()
        built.dataset_meta = dict(classes=('no', 'yes'))
        built.process(None, [mask_sample([[1, 0]], [[1, 0]], logit)])
        found = built.compute_metrics(built.results)['loss']
        by_hand = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
        assert found == pytest.approx(by_hand)

    def test_a_diverged_model_has_no_loss(self) -> None:
        logits = np.full((3, 1, 2), np.nan)
        sample = mask_sample([[0, 1]], [[0, 0]], logits)
        assert math.isnan(values_of([*random_samples(2), sample], MaskLoss)['loss'])


@pytest.mark.parametrize('kind', [SegmentationMetric, MaskLoss])
class TestResamples:
    def test_are_those_of_the_cases_repeated(self, kind: Any) -> None:
        options = {} if kind is MaskLoss else dict(per_class=ALL)
        built = metric(kind, **options)
        built.process(None, random_samples(7))
        counts = np.random.default_rng(1).multinomial(7, [1 / 7] * 7, size=5)
        found = built.scores(*stack(built.results))(counts.astype(float))
        expected = repeated(built, built.results)(counts)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-12, err_msg=name)

    def test_a_diverged_case_that_is_not_drawn_leaves_the_others(
        self, kind: Any
    ) -> None:
        built = metric(kind)
        bad = mask_sample([[0, 1]], [[0, 1]], np.full((3, 1, 2), np.nan))
        built.process(None, [*random_samples(2), bad])
        found = built.scores(*stack(built.results))(np.array([[1.0, 1, 0]]))
        name = 'loss' if kind is MaskLoss else 'miou'
        assert np.isfinite(found[name]).all()


def scores_with_a_claim() -> list[tuple[str, str]]:
    items = ('miou', 'mdice', 'case_miou', 'case_mdice')
    of_classes = [f'{rate}/{name}' for rate in ALL for name in CLASSES]
    return [('loss', 'less'), *((name, 'greater') for name in (*items, *of_classes))]


@pytest.mark.parametrize(('name', 'rule'), scores_with_a_claim())
class TestEarlyExit:
    def build(self, name: str, rule: str, samples: list[dict]) -> Any:
        built = metric(MaskLoss) if name == 'loss' else metric(per_class=ALL)
        bound = AttainableScore.find([built], name, rule, samples)
        assert bound is not None
        return built, bound

    def test_no_masks_of_the_rest_are_better_than_the_bound(
        self, name: str, rule: str
    ) -> None:
        random = np.random.default_rng(2)
        for seed in range(3):
            samples = random_samples(6, seed, size=3)
            built, bound = self.build(name, rule, samples)
            for done in range(6):
                best = bound.best(list(range(done, 6)))
                for _ in range(3):
                    rest = [_guess(each, random) for each in samples[done:]]
                    other = metric(type(built), **_options(built))
                    other.process(None, [*samples[:done], *rest])
                    reached = other.compute_metrics(other.results)[name]
                    worse = reached >= best if rule == 'less' else reached <= best
                    assert worse or math.isnan(reached)
                built.process(None, samples[done : done + 1])

    def test_the_bound_comes_to_the_value(self, name: str, rule: str) -> None:
        samples = random_samples(6)
        built, bound = self.build(name, rule, samples)
        bounds = []
        for done in range(6):
            bounds.append(bound.best(list(range(done, 6))))
            built.process(None, samples[done : done + 1])
        value = built.compute_metrics(built.results)[name]
        assert bound.best([]) == value
        ordered = sorted(bounds, reverse=rule == 'greater')
        assert bounds == pytest.approx(ordered, abs=1e-9)
        assert bounds[0] == pytest.approx(0 if rule == 'less' else 1, abs=1e-9)

    def test_the_worse_rule_has_no_bound(self, name: str, rule: str) -> None:
        built = metric(MaskLoss) if name == 'loss' else metric(per_class=ALL)
        worse = 'less' if rule == 'greater' else 'greater'
        assert AttainableScore.find([built], name, worse, random_samples(3)) is None


def _options(built: Any) -> dict[str, Any]:
    return {} if isinstance(built, MaskLoss) else dict(per_class=ALL)


def _guess(sample: dict, random: np.random.Generator) -> dict:
    """Other predictions of a case; some of its pixels are right."""
    truth = sample['gt_sem_seg']['data'][0].numpy()
    wrong = random.integers(0, 3, truth.shape)
    keep = random.random(truth.shape) < random.random()
    said = np.where(keep & (truth != 255), truth, wrong)
    logits = 9.0 * (np.arange(3)[:, None, None] == said)
    return mask_sample(truth, said, logits)


class TestErrors:
    def test_hardest_cases_come_first(self) -> None:
        built = metric()
        built.process(None, [mask_sample([[0, 1]], p) for p in ([[0, 1]], [[1, 0]])])
        for name in ('miou', 'case_mdice', 'iou/disc', 'case_recall/cup'):
            right, wrong = built.errors(name, *stack(built.results))
            assert right == 0 < wrong

    def test_a_mask_with_a_value_that_is_no_class(self) -> None:
        with pytest.raises(SampleError, match=r'a\.png: a mask has the value 7'):
            values_of([mask_sample([[0, 7]], [[0, 1]])])

    def test_a_prediction_that_is_no_class(self) -> None:
        with pytest.raises(SampleError, match='class 3 is predicted, the data set has'):
            values_of([mask_sample([[0, 1]], [[0, 3]])])

    def test_a_mask_that_was_resized(self) -> None:
        with pytest.raises(SampleError, match=r'1 x 2 pixels, its prediction 2 x 2'):
            values_of([mask_sample([[0, 1]], [[0, 1], [0, 1]])])

    def test_data_samples_of_something_else(self) -> None:
        with pytest.raises(SampleError, match='no gt_sem_seg'):
            values_of([dict(gt_label=torch.tensor([1]))])

    def test_no_logits(self) -> None:
        with pytest.raises(SampleError, match='leave MaskLoss out'):
            values_of(TWO, MaskLoss)

    def test_logits_of_another_number_of_classes(self) -> None:
        sample = mask_sample([[0, 1]], [[0, 1]], np.zeros((2, 1, 2)))
        with pytest.raises(SampleError, match=r'expected \(3, 1, 2\)'):
            values_of([sample], MaskLoss)

    def test_no_classes(self) -> None:
        with pytest.raises(SampleError, match='names no classes'):
            SegmentationMetric().process(None, TWO)

    def test_unknown_scores_and_classes(self) -> None:
        with pytest.raises(ValueError, match='items must be some of'):
            SegmentationMetric(items=['mIoU'])
        with pytest.raises(ValueError, match='per_class must be some of'):
            SegmentationMetric(per_class=['miou'])
        with pytest.raises(SampleError, match=r"leave_out=\['backround'\]: the class"):
            values_of(TWO, leave_out=['backround'])
