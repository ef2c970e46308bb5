from __future__ import annotations

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from ff_mm.engine.bfloat16_optim_wrapper import Bfloat16OptimWrapper


def build(model, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    config = dict(type='Bfloat16OptimWrapper', optimizer=optimizer, **options)
    return OPTIM_WRAPPERS.build(config)


def test_the_forward_pass_is_bfloat16_and_all_that_stays_is_float32():
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    wrapper = build(layer)
    assert isinstance(wrapper, Bfloat16OptimWrapper)
    with wrapper.optim_context(layer):
        scores = layer(torch.ones(4, 3))
    assert scores.dtype == torch.bfloat16
    assert layer(torch.ones(4, 3)).dtype == torch.float32
    wrapper.update_params(scores.float().square().mean())
    assert layer.weight.dtype == layer.weight.dtype == torch.float32
    assert not torch.equal(layer.weight, before)
    assert torch.isfinite(layer.weight).all()


def test_its_state_is_that_of_the_optimizer_alone():
    plain, wrapper = nn.Linear(3, 2), build(nn.Linear(3, 2))
    keys = set(torch.optim.SGD(plain.parameters(), lr=1).state_dict())
    assert set(wrapper.state_dict()) - keys <= {'base_param_settings'}


def test_gradients_accumulate_as_in_any_wrapper():
    layer = nn.Linear(3, 2, bias=False)
    before = layer.weight.detach().clone()
    wrapper = build(layer, accumulative_counts=2)
    wrapper.initialize_count_status(layer, 0, 4)

    def step():
        with wrapper.optim_context(layer):
            loss = layer(torch.ones(1, 3)).float().sum()
        wrapper.update_params(loss)
        return not torch.equal(layer.weight, before)

    assert [step(), step()] == [False, True]
    # The mean of two gradients that are all 1, at a learning rate of 0.5.
    torch.testing.assert_close(layer.weight, before - 0.5)


@pytest.mark.parametrize('validate_in_half', [False, True])
def test_validation_is_float32_unless_asked_for(toy_runner, validate_in_half):
    runner = toy_runner(
        epochs=1,
        optim_wrapper=dict(
            type='Bfloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.01)
        ),
        val_cfg=dict(fp16=validate_in_half),
    )
    dtypes = {True: set(), False: set()}
    runner.model.fc.register_forward_hook(
        lambda layer, _, scores: dtypes[layer.training].add(scores.dtype)
    )
    runner.train()
    assert dtypes[True] == {torch.bfloat16}
    assert dtypes[False] == {torch.bfloat16 if validate_in_half else torch.float32}
