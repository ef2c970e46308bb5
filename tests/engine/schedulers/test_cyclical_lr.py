from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from ff_mm.engine import CyclicalLR
from ff_mm.engine.schedulers import CyclicalParamScheduler, SawtoothLR
from ff_mm.engine.schedulers.cycle import Sawtooth
from ff_mm.errors import ConfigError

EPOCHS, LENGTH, MAX, MIN = 17, 7, 1e-5, 1e-8


def closed_form(i, cycle, phase, high=MAX, low=MIN):
    """METHOD.md, section 3, word for word."""
    t = ((i + phase * cycle) % cycle) / cycle
    if t < 0.5:
        return (1 - 2 * t) * high + 2 * t * low
    return (2 - 2 * t) * low + (2 * t - 1) * high


def optimizer(lr=MAX, groups=1):
    params = [dict(params=[nn.Parameter(torch.zeros(1))]) for _ in range(groups)]
    return torch.optim.SGD(params, lr=lr)


def published(optim, phase=0.25, epochs=EPOCHS, **changes):
    """As a trial builds it: given in epochs, stepped by iteration."""
    arguments = dict(max_value=MAX, min_value=MIN, cycle=4, end=epochs) | changes
    return CyclicalLR.build_iter_from_epoch(
        optim, phase=phase, epoch_length=LENGTH, **arguments
    )


def step(optim, scheduler):
    optim.step()
    scheduler.step()


def run(optim, scheduler, steps):
    """The learning rates with which iterations 0, 1, ... are trained."""
    rates = []
    for _ in range(steps):
        rates.append(optim.param_groups[0]['lr'])
        step(optim, scheduler)
    return rates


@pytest.mark.parametrize('phase', [0.25, 0, 0.6])
def test_every_iteration_of_17_epochs_is_the_published_formula(phase):
    optim = optimizer()
    rates = run(optim, published(optim, phase), EPOCHS * LENGTH)
    expected = [closed_form(i, 4 * LENGTH, phase) for i in range(EPOCHS * LENGTH)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_the_rate_stays_between_the_two_values_and_reaches_both():
    optim = optimizer()
    rates = run(optim, published(optim, phase=0), EPOCHS * LENGTH)
    assert max(rates) == MAX and min(rates) == pytest.approx(MIN, rel=1e-12)


@pytest.mark.parametrize(
    ('phase', 'expected'), [(0.25, [1, 5, 9, 13, 17]), (0, [2, 6, 10, 14])]
)
@pytest.mark.parametrize('length', [1, 2, 5, 7, 313])
def test_minima_fall_at_the_ends_of_the_published_epochs(phase, expected, length):
    scheduler = CyclicalLR.build_iter_from_epoch(
        optimizer(), MAX, MIN, cycle=4, phase=phase, end=EPOCHS, epoch_length=length
    )
    found = {}
    for epoch in range(1, EPOCHS + 1):
        for number in scheduler.minima_between((epoch - 1) * length, epoch * length):
            found[number] = epoch
    assert list(found.values()) == expected
    assert list(found) == list(range(1, len(expected) + 1))


def test_minima_are_where_the_formula_is_lowest():
    scheduler = published(optimizer(), phase=0.25)
    for epoch in (1, 5, 9, 13, 17):
        i = epoch * LENGTH
        assert scheduler.minima_between(i - 1, i)
        assert closed_form(i, 4 * LENGTH, 0.25) == pytest.approx(MIN, rel=1e-9)


def test_by_epoch_without_conversion_has_the_same_minima():
    scheduler = CyclicalLR(optimizer(), MAX, MIN, cycle=4, end=EPOCHS)
    epochs = [e for e in range(1, 18) if scheduler.minima_between(e - 1, e)]
    assert epochs == [1, 5, 9, 13, 17]


@given(
    cycle=st.one_of(st.integers(2, 60), st.floats(2, 60)),
    phase=st.floats(0, 1, exclude_max=True),
    begin=st.integers(0, 20),
    cuts=st.lists(st.integers(0, 300), max_size=12),
)
def test_any_cut_into_epochs_gives_each_minimum_once(cycle, phase, begin, cuts):
    scheduler = CyclicalParamScheduler(
        optimizer(), 'lr', MAX, MIN, cycle=cycle, phase=phase, begin=begin, end=300
    )
    bounds = sorted({0, 300, *cuts})
    pieces = [scheduler.minima_between(a, b) for a, b in itertools.pairwise(bounds)]
    assert [n for piece in pieces for n in piece] == scheduler.minima_between(0, 300)


@given(cycle=st.floats(2, 60), phase=st.floats(0, 1, exclude_max=True))
def test_minima_are_a_cycle_apart_and_the_first_is_within_one(cycle, phase):
    scheduler = CyclicalParamScheduler(
        optimizer(), 'lr', MAX, MIN, cycle=cycle, phase=phase, end=300
    )
    steps = [i for i in range(1, 301) if scheduler.minima_between(i - 1, i)]
    assert steps[0] <= cycle + 1
    gaps = [b - a for a, b in itertools.pairwise(steps)]
    assert all(abs(gap - cycle) < 1 + 1e-5 for gap in gaps)


def test_nothing_is_reached_beyond_the_end_or_before_the_begin():
    scheduler = CyclicalLR(optimizer(), MAX, MIN, cycle=4, phase=0, begin=10, end=20)
    steps = [i for i in range(1, 40) if scheduler.minima_between(i - 1, i)]
    assert steps == [12, 16, 20]


def test_a_later_begin_shifts_the_schedule():
    optim = optimizer(lr=0.5)
    scheduler = CyclicalLR(optim, MAX, MIN, cycle=6, phase=0, begin=3, end=20)
    rates = run(optim, scheduler, 15)
    assert rates[:3] == [0.5] * 3
    assert rates[3:] == pytest.approx([closed_form(i, 6, 0) for i in range(12)])


def test_parameter_groups_keep_their_ratio():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=MAX),
            paramwise_cfg=dict(custom_keys={'0.': dict(lr_mult=0.1)}),
        ),
    )
    scheduler = published(wrapper)
    for i in range(EPOCHS * LENGTH):
        rates = {group['lr'] for group in wrapper.optimizer.param_groups}
        value = closed_form(i, 4 * LENGTH, 0.25)
        assert sorted(rates) == pytest.approx([value / 10, value])
        step(wrapper.optimizer, scheduler)


@pytest.mark.parametrize('done', [1, 13, 60])
def test_resuming_goes_on_with_the_same_rates(done):
    whole = optimizer()
    expected = run(whole, published(whole), EPOCHS * LENGTH)
    first = optimizer()
    scheduler = published(first)
    head = run(first, scheduler, done)
    saved = first.state_dict(), scheduler.state_dict()

    second = optimizer()
    resumed = published(second)
    second.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    tail = run(second, resumed, EPOCHS * LENGTH - done)
    assert head + tail == pytest.approx(expected, rel=1e-12)


def test_a_run_resumed_with_a_later_end_does_not_freeze():
    optim = optimizer()
    scheduler = published(optim, epochs=2)
    run(optim, scheduler, 2 * LENGTH)
    longer = published(optim, epochs=4)
    longer.load_state_dict(scheduler.state_dict())
    assert longer.end == 4 * LENGTH
    rates = run(optim, longer, 2 * LENGTH)
    expected = [closed_form(i, 4 * LENGTH, 0.25) for i in range(14, 28)]
    # MMEngine had not written the value that fell on the old end.
    assert rates[1:] == pytest.approx(expected[1:])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(cycle=2), r'cycle was 28 and is 14'),
        (dict(max_value=1e-4), r'max_value was 1e-05 and is 0\.0001'),
        (dict(min_value=0), 'min_value'),
        (dict(phase=0), 'phase'),
        (dict(begin=1), 'begin'),
    ],
)
def test_a_changed_schedule_is_refused_on_resuming(change, message):
    saved = published(optimizer()).state_dict()
    changed = published(optimizer(), **change)
    with pytest.raises(ValueError, match=message):
        changed.load_state_dict(saved)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(cycle=1), 'cycle=1 steps is too short'),
        (dict(max_value=1e-8), 'minimum 1e-08 and maximum 1e-08'),
        (dict(min_value=-1e-8), 'minimum -1e-08'),
        (dict(phase=1), 'phase=1'),
        (dict(phase=-0.1), 'phase=-0.1'),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(change, message):
    arguments = dict(max_value=MAX, min_value=MIN, cycle=4) | change
    with pytest.raises(ValueError, match=message):
        CyclicalLR(optimizer(), **arguments)


def test_conversion_needs_the_length_of_an_epoch():
    with pytest.raises(ValueError, match='convert_to_iter_based'):
        CyclicalLR.build_iter_from_epoch(optimizer(), MAX, MIN, cycle=4)


def test_a_fraction_of_an_epoch_can_be_a_cycle():
    scheduler = PARAM_SCHEDULERS.build(
        dict(
            type='CyclicalLR',
            max_value=MAX,
            min_value=MIN,
            cycle=0.5,
            phase=0,
            end=2,
            by_epoch=True,
            convert_to_iter_based=True,
        ),
        default_args=dict(optimizer=optimizer(), epoch_length=8),
    )
    assert [i for i in range(1, 17) if scheduler.minima_between(i - 1, i)] == [
        2,
        6,
        10,
        14,
    ]


def test_a_sawtooth_is_the_formula_of_swa_and_ends_its_cycles_at_the_minimum():
    # Izmailov et al. 2018: t = ((i - 1) mod c + 1) / c, i from 1; here c = 4.
    tooth = Sawtooth(1.0, 0.2, 4)
    values = [tooth.value_at(i) for i in range(5)]
    assert values == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.8])
    assert tooth.minima_up_to(11) == [4, 8]
    with pytest.raises(ConfigError, match='minimum < maximum'):
        Sawtooth(1e-3, 1e-3, 4)


def test_a_sawtooth_schedules_a_real_optimizer():
    optim = optimizer(lr=1.0)
    schedule = SawtoothLR(optim, max_value=1.0, min_value=0.2, cycle=4)
    assert run(optim, schedule, 6) == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.8, 0.6])
