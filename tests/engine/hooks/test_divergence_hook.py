from __future__ import annotations

import math
import pickle

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS

from ff_mm.engine.hooks.resume_state_hook import find_state
from ff_mm.errors import TrialDiverged, TrialError

STATE = [dict(type='SafeCheckpointHook'), dict(type='ResumeStateHook')]
BEST = dict(type='BestCheckpointHook', monitor='score', rule='greater')
NAN, INF = math.nan, math.inf


@MODELS.register_module()
class ScriptedLossModel(MODELS.get('ToyModel')):
    """Adds to the loss of each iteration what a test says; weights stay finite."""

    script: list[float] = []
    iteration = 0

    def train_step(self, *args, **kwargs):
        outputs = super().train_step(*args, **kwargs)
        added = dict(enumerate(self.script)).get(ScriptedLossModel.iteration, 0.0)
        ScriptedLossModel.iteration += 1
        return dict(outputs, loss=outputs['loss'] + added)


@MODELS.register_module()
class NoLossModel(MODELS.get('ToyModel')):
    """Reports a loss under a name of its own, and infinite."""

    def train_step(self, *args, **kwargs):
        return dict(mine=super().train_step(*args, **kwargs)['loss'] * INF)


@HOOKS.register_module()
class Spoil(Hook):
    """Puts one value into a tensor of the model after the last batch of an epoch."""

    def __init__(self, epoch: int, key: str, value: float) -> None:
        self.epoch, self.key, self.value = epoch, key, value

    def after_train_iter(self, runner, batch_idx, *_, **__) -> None:
        if (runner.epoch + 1, batch_idx) == (self.epoch, 2):
            with torch.no_grad():
                runner.model.state_dict()[self.key].view(-1)[0] = self.value


@pytest.fixture
def train(toy_runner, monkeypatch):
    """A function that trains four epochs of three batches with scripted losses."""

    def run(script=(), hook=None, others=(), **changes):
        monkeypatch.setattr(ScriptedLossModel, 'script', list(script))
        first = 3 * changes.pop('begun', 0)
        monkeypatch.setattr(ScriptedLossModel, 'iteration', first)
        hooks = [BEST, dict(hook or {}, type='DivergenceHook'), *others]
        changes = dict(dict(model=dict(type='ScriptedLossModel')), **changes)
        runner = toy_runner(custom_hooks=hooks, **changes)
        runner.train()
        return runner

    return run


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_losses_that_are_not_finite_end_the_run(train, tmp_path, value):
    with pytest.raises(TrialDiverged) as caught:
        train([0] + [value] * 11, others=STATE)
    error = caught.value
    # The fifth is batch 3 of epoch 2.
    assert (error.epoch, error.iteration) == (2, 3)
    assert str(error.loss) == str(value)
    assert 'epoch 2, iteration 3' in str(error)
    assert '5 iterations in a row' in str(error)
    assert str(value) in str(error)
    assert isinstance(error, TrialError)
    best = torch.load(tmp_path / 'toy' / 'best.pth', weights_only=True)
    assert best['meta']['epoch'] == 1  # of an epoch that was whole


def test_what_recovers_in_time_goes_on(train):
    assert train(([NAN] * 4 + [0]) * 2).epoch == 4
    assert train([0, NAN, 0, NAN, NAN, 0, INF, NAN] * 2, dict(patience=3)).epoch == 4


def test_patience_counts_to_the_iteration(train):
    with pytest.raises(TrialDiverged) as caught:
        train([0, NAN, 0], dict(patience=1))
    assert (caught.value.epoch, caught.value.iteration) == (1, 2)


def test_a_model_without_a_loss_is_passed_over(train):
    assert train(model=dict(type='NoLossModel')).epoch == 4


@pytest.mark.parametrize('key', ['fc.weight', 'norm.running_var'])
@pytest.mark.parametrize('value', [NAN, INF])
def test_weights_that_are_not_finite_are_not_kept(train, tmp_path, key, value):
    spoil = dict(type='Spoil', epoch=2, key=key, value=value)
    with pytest.raises(TrialDiverged, match=f'epoch 2, .*{key} is not finite') as error:
        train(others=[spoil, *STATE])
    assert math.isfinite(error.value.loss)
    for name in ('best.pth', 'state_epoch_1.pth'):
        content = torch.load(tmp_path / 'toy' / name, weights_only=True)
        assert content['meta']['epoch'] == 1
        assert all(v.isfinite().all() for v in content['state_dict'].values())
    assert find_state(tmp_path / 'toy').name == 'state_epoch_1.pth'


@MODELS.register_module()
class MaskedModel(MODELS.get('ToyModel')):
    """Has a mask, as transformers for text do."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.register_buffer('mask', torch.full((2, 2), -INF).triu(1))


def test_a_mask_of_infinities_is_no_divergence(train):
    assert train(model=dict(type='MaskedModel')).epoch == 4


@pytest.mark.parametrize('broken_off', [False, True])
def test_a_resumed_run_counts_on(train, tmp_path, interrupt, broken_off):
    # The last two of epoch 1 and the first three of epoch 2.
    script, others = [0] + [NAN] * 5, [*STATE, dict(type='Interrupt')]
    changes = {}
    if broken_off:
        # The state is written when epoch 2 begins.
        interrupt.moment = ('toy', 2, 'training')
        with pytest.raises(KeyboardInterrupt):
            train(script[:5], others=others)
        changes = dict(
            resume=True, load_from=str(find_state(tmp_path / 'toy')), begun=1
        )
    with pytest.raises(TrialDiverged) as caught:
        train(script, others=others, **changes)
    assert (caught.value.epoch, caught.value.iteration) == (2, 3)


@pytest.mark.parametrize('option', ['patience', 'interval'])
def test_options_are_checked(train, option):
    with pytest.raises(ValueError, match=f'{option}=0'):
        train(hook={option: 0})


def test_the_error_passes_between_processes():
    error = TrialDiverged('the reason', 3, 7, INF)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.epoch, again.iteration, again.loss) == (3, 7, INF)
