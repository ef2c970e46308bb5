"""Averages of one run's weights, against numbers worked by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ff_mm.errors import ConfigError
from ff_mm.merging.averages import MovingAverage, build_average


def weights(value, dtype=torch.float32):
    return {'w': torch.tensor([float(value)], dtype=dtype), 'n': torch.tensor(3)}


def watched(values, losses=None, **options):
    """What comes of a run of one step an epoch; and of one that was resumed."""
    average = build_average(options)
    for epoch, value in enumerate(values, start=1):
        resumed = build_average(options)
        resumed.load_state(average.state(), weights(0))
        average = resumed
        average.after_step(weights(value))
        average.after_epoch(epoch, weights(value))
        if losses is not None:
            average.after_validation(losses[epoch - 1])
    return average.result(weights(0))


def test_an_exponential_average_of_decay_0_is_the_last_iterate():
    assert watched([1, 5, 9], type='ema', decay=0.0)['w'] == 9
    # 1; then 3/4 of that and 1/4 of 5; then 3/4 of 2 and 1/4 of 10.
    assert watched([1, 5, 10], type='ema', decay=0.75)['w'] == 4


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=20))
def test_swa_is_the_mean_of_the_ends_of_epochs(values):
    found = watched(values, type='swa')['w'].item()
    assert found == pytest.approx(sum(values) / len(values), abs=1e-5)


def test_the_mean_of_1_to_n_and_of_two_reflections():
    assert watched(range(1, 8), type='swa')['w'] == 4  # (n + 1) / 2
    assert watched([3, -3], type='swa')['w'] == 0  # one step with rate 2 / curvature


def test_swa_begins_and_samples_as_it_is_told():
    assert watched(range(1, 11), type='swa', begin=4, every=3)['w'] == 7  # 4, 7, 10
    assert watched([1, 2], type='swa', begin=4) is None


def test_lawa_is_the_mean_of_the_last_epochs():
    assert watched(range(1, 8), type='lawa', last=3)['w'] == 6
    assert watched(range(1, 8), type='lawa', last=1)['w'] == 7
    assert watched([4], type='lawa', last=3)['w'] == 4


def test_swad_averages_the_valley_of_the_loss():
    # Of 3 in a row the third epoch's loss is the first that is the least: it begins
    # there. The limit is 1.1 times the mean of 1, 1.2 and 1.4: 1.32. It ends before
    # the first two in a row above that: epochs 6 and 7.
    losses = [3, 2, 1, 1.2, 1.4, 1.5, 9, 9]
    options = dict(type='swad', converge=3, overfit=2, tolerance=0.1)
    # Epoch 4 goes in (1.2 or 1.4 is below the limit), 5 does not (1.4 and 1.5).
    assert watched(range(1, 9), losses, **options)['w'] == 3.5  # epochs 3 and 4


def test_swad_of_a_run_that_ends_in_the_valley_or_never_gets_there():
    options = dict(type='swad', converge=2, overfit=3, tolerance=0.5)
    assert watched([1, 2, 3, 4], [3, 1, 1.1, 1.2], **options)['w'] == 3  # 2, 3, 4
    falling = [5.0, 4.0, 3.0, 2.0]
    assert watched([1, 2, 3, 4], falling, **options)['w'] == 4  # the last segment


def test_swad_weighs_segments_by_their_steps():
    average = build_average(dict(type='swad', converge=1, overfit=1, tolerance=9.0))
    for values, loss in (([0, 0, 0], 1.0), ([4], 1.0)):
        for value in values:
            average.after_step(weights(value))
        average.after_validation(loss)
    assert average.result(weights(0))['w'] == 1


@pytest.mark.parametrize('kind', ['ema', 'swa', 'lawa'])
def test_dtypes_integers_and_equal_weights_stay(kind):
    average = build_average(dict(type=kind))
    model = {
        'h': torch.tensor([1 / 3, -0.0], dtype=torch.bfloat16),
        'n': torch.tensor(7),
        'd': torch.tensor([1 / 3], dtype=torch.float64),
    }
    for epoch in range(1, 20):
        average.after_step(model)
        average.after_epoch(epoch, model)
    result = average.result(model)
    for key, value in model.items():
        assert result[key].dtype == value.dtype
        assert torch.equal(result[key], value)
    assert result['h'][1].signbit()


def test_the_sum_is_in_double_precision():
    mean = MovingAverage()
    for value in [1e8, *[1.0] * 99]:
        mean.add(weights(value))
    assert mean.result(weights(0))['w'].item() == pytest.approx(1e6 + 0.99, rel=1e-7)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(type='sma'), "no average 'sma'; there are last, ema, swa, lawa, swad"),
        (dict(), 'no average None'),
        (dict(type='ema', decay=1.0), 'decay=1'),
        (dict(type='ema', decay=float('nan')), 'decay=nan: expected 0 to 1'),
        (dict(type='ema', momentum=0.1), "average 'ema'.*momentum"),
        (dict(type='swa', begin=0), 'begin=0: expected a whole number'),
        (dict(type='lawa', last=2.5), 'last=2.5: expected a whole number'),
        (dict(type='swad', tolerance=-1), 'tolerance=-1: expected 0'),
    ],
)
def test_what_makes_no_average_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        build_average(options)
