from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim.optimizer import amp_optimizer_wrapper

from ff_mm.merging import CheckpointError


@pytest.fixture
def parent(toy_runner):
    """The content of another run's best.pth, trained with weight decay 0.5."""
    runner = toy_runner(
        'parent',
        custom_hooks=[
            dict(type='BestCheckpointHook', monitor='score', rule='greater'),
            dict(type='SafeCheckpointHook'),
        ],
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.5)),
    )
    runner.train()
    return torch.load(f'{runner.work_dir}/best.pth', weights_only=True)


class AtStart(Hook):
    """Copies what the first iteration starts from."""

    def before_train(self, runner):
        model, optimizer = runner.model, runner.optim_wrapper.optimizer
        self.weights = copy.deepcopy(model.state_dict())
        self.optimizer = copy.deepcopy(optimizer.state_dict())


def start(toy_runner, tmp_path, checkpoint, optimizer=True, **changes):
    torch.save(checkpoint, tmp_path / 'parent.pth')
    runner = toy_runner(
        'child',
        load_from=str(tmp_path / 'parent.pth'),
        custom_hooks=[dict(type='WarmStartHook', optimizer=optimizer)],
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01)),
        **changes,
    )
    look = AtStart()
    runner.register_hook(look)
    runner.train()
    return look


def test_weights_and_moments_come_along_and_settings_do_not(
    toy_runner, tmp_path, parent
):
    look = start(toy_runner, tmp_path, parent)
    for key, value in parent['state_dict'].items():
        assert torch.equal(look.weights[key], value), key
    (group,) = look.optimizer['param_groups']
    assert (group['lr'], group['weight_decay']) == (1e-4, 0.01)
    saved = parent['optimizer']['state']
    assert saved.keys() == look.optimizer['state'].keys()
    for index, state in saved.items():
        for key in ('exp_avg', 'exp_avg_sq', 'step'):
            assert torch.equal(look.optimizer['state'][index][key], state[key])
    assert saved[0]['step'] == 12


def test_without_the_optimizer_only_weights_come_along(toy_runner, tmp_path, parent):
    look = start(toy_runner, tmp_path, parent, optimizer=False)
    assert torch.equal(look.weights['fc.weight'], parent['state_dict']['fc.weight'])
    assert look.optimizer['state'] == {}


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Has MMEngine's mixed precision run here, with the scaler of CPUs."""
    module = amp_optimizer_wrapper
    monkeypatch.setattr(module, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(module, 'GradScaler', partial(torch.amp.GradScaler, 'cpu'))


@pytest.mark.parametrize(
    ('scale', 'found'), [('dynamic', 2.0**20), (8.0, 8.0)], ids=['found', 'stated']
)
def test_the_scale_of_the_loss_comes_along_unless_the_config_states_one(
    toy_runner, tmp_path, parent, on_a_gpu, scale, found
):
    saved = dict(scale=2.0**20, growth_interval=3, _growth_tracker=2)
    parent['optimizer']['loss_scaler'] = saved
    torch.save(parent, tmp_path / 'parent.pth')
    wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=scale)
    runner = toy_runner(
        'child',
        load_from=str(tmp_path / 'parent.pth'),
        custom_hooks=[dict(type='WarmStartHook', optimizer=True)],
        optim_wrapper=dict(wrapper, optimizer=dict(type='AdamW', lr=1e-4)),
    )
    states = []
    hook = Hook()
    hook.before_train = lambda runner: states.append(
        runner.optim_wrapper.loss_scaler.state_dict()
    )
    runner.register_hook(hook)
    runner.train()
    assert states[0]['scale'] == found
    assert states[0]['growth_interval'] == 2000  # a setting, which is the config's
    assert states[0]['_growth_tracker'] == (2 if scale == 'dynamic' else 0)


def test_a_key_that_is_missing_or_too_many_is_named(toy_runner, tmp_path, parent):
    parent['state_dict']['fc.bias2'] = parent['state_dict'].pop('fc.bias')
    with pytest.raises(CheckpointError) as caught:
        start(toy_runner, tmp_path, parent)
    text = str(caught.value)
    assert 'parent.pth lacks keys (1), compared with the model: fc.bias' in text
    assert 'has extra keys (1), compared with the model: fc.bias2' in text


def test_a_head_of_another_size_is_an_error(toy_runner, tmp_path, parent):
    with pytest.raises(CheckpointError, match=r'fc\.weight \(2, 2\) instead of \(5, 2'):
        start(toy_runner, tmp_path, parent, model=dict(type='ToyModel', classes=5))


def test_a_parent_without_optimizer_is_an_error_where_one_is_wanted(
    toy_runner, tmp_path, parent
):
    del parent['optimizer']
    with pytest.raises(CheckpointError, match=r'parent\.pth: holds no optimizer state'):
        start(toy_runner, tmp_path, parent)


def test_an_optimizer_of_other_parameters_is_an_error(toy_runner, tmp_path, parent):
    parent['optimizer']['param_groups'][0]['params'].pop()
    with pytest.raises(CheckpointError, match='of 3 parameters, the model has 4'):
        start(toy_runner, tmp_path, parent)


@pytest.mark.parametrize(
    ('change', 'what'),
    [
        (lambda w: w * float('nan'), 'is NaN somewhere'),
        (lambda w: w / 0, 'is (NaN|infinite) somewhere'),
        (lambda w: w.to('meta'), 'has no values'),
        (lambda w: w.to_sparse(), 'holds a sparse'),
    ],
)
def test_weights_with_which_none_can_compute_are_named(
    toy_runner, tmp_path, parent, change, what
):
    key = next(iter(parent['state_dict']))
    parent['state_dict'][key] = change(parent['state_dict'][key])
    with pytest.raises(CheckpointError, match=rf"parent\.pth: .*'{key}' {what}"):
        start(toy_runner, tmp_path, parent)
