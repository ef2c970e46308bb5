from __future__ import annotations

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

HOOKS = [
    dict(type='BestCheckpointHook', monitor='score', rule='greater'),
    dict(type='SafeCheckpointHook'),
    dict(type='EpochSeedHook'),
    dict(type='ResumeStateHook'),
    dict(type='Interrupt'),
]
CHANNELS_LAST = [*HOOKS, dict(type='ChannelsLastHook')]


@MODELS.register_module()
class ToyConvolutions(BaseModel):
    """All kinds of 4-d weights: full, depthwise, pointwise; and no image data."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layers = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        )

    def forward(self, inputs, labels, mode='tensor'):
        images = inputs[:, :, None, None] * torch.linspace(-1, 1, 25).view(5, 5)
        scores = self.layers(images)
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(scores, labels))
        return scores


def build(toy_runner, name='toy', hooks=CHANNELS_LAST, fused=False, lr=0.1, **changes):
    optimizer = dict(type='AdamW', lr=lr, fused=fused)
    return toy_runner(
        name,
        model=dict(type='ToyConvolutions'),
        custom_hooks=hooks,
        optim_wrapper=dict(optimizer=optimizer),
        **changes,
    )


def is_converted(tensor):
    return tensor.stride() == tensor.to(memory_format=torch.channels_last).stride()


def tensors(value):
    if torch.is_tensor(value):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    nested = isinstance(value, (dict, list, tuple))
    return [t for item in values for t in tensors(item)] if nested else []


def test_weights_and_moments_are_computed_with_in_channels_last(toy_runner):
    runner = build(toy_runner)
    runner.train()
    first = runner.model.layers[0].weight
    assert first.stride() == (18, 1, 6, 2)
    state = runner.optim_wrapper.optimizer.state[first]
    assert state['exp_avg'].stride() == state['exp_avg_sq'].stride() == first.stride()
    assert runner.model.layers[-1].weight.is_contiguous()


def test_files_hold_torchs_own_order_and_the_model_stays_as_it_is(
    toy_runner, interrupt
):
    interrupt.moment = ('toy', 3, 'training')
    runner = build(toy_runner)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    for name in ('best.pth', 'state_epoch_2.pth'):
        content = torch.load(f'{runner.work_dir}/{name}', weights_only=True)
        found = tensors(content['state_dict']) + tensors(content['optimizer'])
        assert len(found) > 20
        for tensor in found:
            assert tensor.stride() == torch.empty(tensor.shape).stride()
    weights = [p for p in runner.model.parameters() if p.dim() == 4]
    assert len(weights) == 3 and all(map(is_converted, weights))


def test_the_values_of_a_file_are_those_of_the_model(toy_runner):
    runner = build(toy_runner)
    runner.train()
    content = torch.load(f'{runner.work_dir}/best.pth', weights_only=True)
    for key, value in runner.model.state_dict().items():
        assert torch.equal(content['state_dict'][key], value), key
    states = runner.optim_wrapper.optimizer.state_dict()['state']
    for index, state in states.items():
        for key, value in state.items():
            assert torch.equal(content['optimizer']['state'][index][key], value)


@pytest.mark.parametrize('fused', [False, True])
def test_a_run_taken_up_again_ends_bit_for_bit_like_an_unbroken_one(
    toy_runner, interrupt, fused
):
    unbroken = build(toy_runner, 'unbroken', fused=fused)
    unbroken.train()
    interrupt.moment = ('broken', 3, 'training')
    broken = build(toy_runner, 'broken', fused=fused)
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    broken.release()
    state = f'{broken.work_dir}/state_epoch_2.pth'
    resumed = build(toy_runner, 'broken', fused=fused, resume=True, load_from=state)
    resumed.train()
    for key, value in unbroken.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value), key
    for parameter, other in zip(
        unbroken.model.parameters(), resumed.model.parameters(), strict=True
    ):
        one = unbroken.optim_wrapper.optimizer.state[parameter]
        two = resumed.optim_wrapper.optimizer.state[other]
        assert one['exp_avg'].stride() == two['exp_avg'].stride()
        assert torch.equal(one['exp_avg'], two['exp_avg'])


@pytest.mark.parametrize('fused', [False, True])
def test_the_moments_of_a_parent_are_taken_up_in_the_right_places(toy_runner, fused):
    parent = build(toy_runner, 'parent', hooks=HOOKS, fused=fused)
    parent.train()

    def child(name, hooks):
        runner = build(
            toy_runner,
            name,
            hooks=[*hooks, dict(type='WarmStartHook', optimizer=True)],
            fused=fused,
            lr=1e-3,
            load_from=f'{parent.work_dir}/best.pth',
            epochs=1,
        )
        runner.train()
        return runner.model.state_dict()

    plain, converted = child('plain', HOOKS), child('converted', CHANNELS_LAST)
    for key, value in plain.items():
        torch.testing.assert_close(converted[key], value, atol=1e-5, rtol=1e-4)


def test_a_network_without_convolutions_is_left_alone(toy_runner):
    plain = toy_runner('plain', custom_hooks=HOOKS).train().state_dict()
    converted = toy_runner('other', custom_hooks=CHANNELS_LAST).train().state_dict()
    assert all(torch.equal(plain[key], converted[key]) for key in plain)


def test_several_optimizers_are_all_seen_to(toy_runner):
    # What MMEngine builds for several optimizers cannot be saved by it, nor trained
    # with by most models; only the conversion is looked at.
    from mmengine.optim import OptimWrapper, OptimWrapperDict

    from ff_mm.engine import ChannelsLastHook

    runner = build(toy_runner, hooks=[])
    first, last = runner.model.layers[0], runner.model.layers[4]
    wrappers = {}
    for name, layer in dict(first=first, last=last).items():
        optimizer = torch.optim.AdamW(layer.parameters())
        layer.weight.grad = torch.ones_like(layer.weight)
        optimizer.step()
        wrappers[name] = OptimWrapper(optimizer)
    runner.optim_wrapper = OptimWrapperDict(**wrappers)
    ChannelsLastHook().before_train(runner)
    for name, layer in dict(first=first, last=last).items():
        state = wrappers[name].optimizer.state[layer.weight]
        assert state['exp_avg'].stride() == layer.weight.stride()
        assert is_converted(layer.weight)
