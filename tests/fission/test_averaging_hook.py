"""Averages as ingredients of a generation, on real runs."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from trained_plans import train

from ff_mm.errors import ConfigError
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json, sha256
from ff_mm.fission import FGGPlan, SWAPlan
from ff_mm.merging.state_dict import read_state_dict

SEEN: dict[str, list[dict[str, torch.Tensor]]] = {}

AVERAGES = dict(
    plan__type='FGGPlan',
    plan__lrs=[1e-2],
    plan__probe__epochs=1,
    plan__fission=None,
    plan__base=dict(
        epochs=4,
        patience=None,
        averages=[
            dict(type='ema', decay=0.5),
            dict(type='lawa', last=2),
            dict(type='swad', converge=1, overfit=1, tolerance=9.0, bn_samples=0),
        ],
    ),
    custom_hooks=[dict(type='Interrupt'), dict(type='Witness')],
)


@HOOKS.register_module()
class Witness(Hook):
    """Keeps the weights after each step, and where an epoch begins."""

    def after_train_iter(self, runner, *_, **__):
        steps = SEEN.setdefault(Path(runner.work_dir).name, [])
        steps.append({k: v.clone() for k, v in runner.model.state_dict().items()})


def entries(work_dir):
    manifest = read_json(Path(work_dir) / 'ingredients.json')
    return {entry['name']: entry for entry in manifest['ingredients']}


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, generation_config):
    work_dir = tmp_path_factory.mktemp('averages')
    SEEN.clear()
    train(generation_config(work_dir, **AVERAGES))
    return work_dir, SEEN['base_lr0.01']


def test_averages_stand_beside_the_base(unbroken):
    work_dir, _ = unbroken
    found = entries(work_dir)
    assert list(found) == [
        'base_lr0.01',
        'base_lr0.01_ema',
        'base_lr0.01_lawa',
        'base_lr0.01_swad',
    ]
    ema = found['base_lr0.01_ema']
    assert ema['hyper'] == dict(lr=0.01, seed=0, augmentation='medium', average='ema')
    assert (ema['epoch'], ema['cycle'], ema['parent']) == (4, None, 'probe')
    assert sha256(work_dir / ema['file']) == ema['sha256']


def test_they_are_what_they_are_called(unbroken):
    work_dir, steps = unbroken
    a_step = len(steps) // 4
    ends = steps[a_step - 1 :: a_step]
    key = 'head.fc.weight'

    def mean(models):
        return torch.stack([model[key].double() for model in models]).mean(0)

    ema = steps[0][key].double()
    for model in steps[1:]:
        ema = 0.5 * ema + 0.5 * model[key]
    wanted = dict(ema=ema, lawa=mean(ends[-2:]), swad=mean(steps))
    for name, value in wanted.items():
        file = work_dir / 'ingredients' / f'base_lr0.01_{name}.pth'
        assert torch.allclose(read_state_dict(file)[key].double(), value, atol=1e-7)


def test_their_metrics_are_those_that_fusion_finds(unbroken, generation_config):
    work_dir, _ = unbroken
    cfg = generation_config(work_dir / 'evaluation', **AVERAGES)
    evaluator = ModelEvaluator(cfg)
    for entry in entries(work_dir).values():
        evaluator.load(read_state_dict(work_dir / entry['file']))
        assert evaluator.evaluate('val') == pytest.approx(entry['metrics'], rel=1e-6)
    evaluator.close()


@pytest.mark.parametrize('moment', [(3, 'training'), (4, 'validated')])
def test_an_interrupted_run_yields_the_same_files(
    unbroken, tmp_path, generation_config, moment
):
    work_dir, _ = unbroken
    cfg = generation_config(tmp_path, **AVERAGES)
    HOOKS.get('Interrupt').moment = ('base_lr0.01', *moment)
    with pytest.raises(KeyboardInterrupt):
        train(cfg)
    train(cfg)
    assert {n: e['sha256'] for n, e in entries(tmp_path).items()} == {
        n: e['sha256'] for n, e in entries(work_dir).items()
    }


def test_swa_goes_on_from_the_base_and_re_estimates_batch_norm(
    tmp_path, generation_config
):
    options = dict(
        plan=dict(
            _delete_=True,
            type='SWAPlan',
            lrs=[1e-2],
            probe=dict(epochs=1),
            base=dict(epochs=1, patience=None),
            swa=dict(epochs=4, lr=5e-3, min_lr=1e-3, cycle=2),
        ),
        custom_hooks=[dict(type='Interrupt'), dict(type='Witness')],
    )
    SEEN.clear()
    cfg = generation_config(tmp_path / 'a', **copy.deepcopy(options))
    manifest = train(cfg)
    assert [e['name'] for e in manifest['ingredients']] == [
        'base_lr0.01',
        'swa_lr0.01_swa',
    ]
    assert manifest['cost']['epochs'] == 1 + 1 + 4
    steps = SEEN['swa_lr0.01']
    ends = steps[len(steps) // 4 - 1 :: len(steps) // 4]
    weights = read_state_dict(tmp_path / 'a' / 'ingredients' / 'swa_lr0.01_swa.pth')
    key = 'head.fc.weight'
    mean = (ends[1][key].double() + ends[3][key]) / 2
    assert torch.allclose(weights[key].double(), mean, atol=1e-7)
    variances = [k for k in weights if k.endswith('running_var')]
    assert variances  # the network has batch norm, or this would show nothing
    averaged = (ends[1][variances[0]].double() + ends[3][variances[0]]) / 2
    assert not torch.allclose(weights[variances[0]].double(), averaged, rtol=1e-3)

    cfg = generation_config(tmp_path / 'b', **copy.deepcopy(options))
    HOOKS.get('Interrupt').moment = ('swa_lr0.01', 3, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(cfg)
    again = train(cfg)
    assert [e['sha256'] for e in again['ingredients']] == [
        e['sha256'] for e in manifest['ingredients']
    ]


def test_frozen_batch_norm_keeps_the_statistics_and_trains_on(
    tmp_path, generation_config
):
    train(
        generation_config(
            tmp_path,
            plan__lrs=[1e-2],
            plan__probe__epochs=1,
            plan__fission=None,
            plan__base=dict(epochs=1, freeze_batch_norm=True),
        )
    )
    start = read_state_dict(tmp_path / 'origin' / 'probe.pth')
    base = read_state_dict(tmp_path / 'ingredients' / 'base_lr0.01.pth')
    statistics = [key for key in base if key.endswith(('running_mean', 'running_var'))]
    assert statistics and all(torch.equal(start[key], base[key]) for key in statistics)
    changed = [key for key in base if not torch.equal(start[key], base[key])]
    assert any('.bn' in key and key.endswith('.weight') for key in changed)


def test_the_rates_of_swa():
    (trial,) = [
        t for t in SWAPlan([1e-3], swa=dict(lr=1e-4)).trials() if t.stage == 'swa'
    ]
    assert trial.overrides['optim_wrapper.optimizer.lr'] == 1e-4
    assert trial.overrides['param_scheduler'] == []
    assert (trial.parent, trial.inherit_optimizer) == ('base_lr0.001', True)
    (trial,) = SWAPlan([1e-3]).trials()[2:]
    assert trial.overrides['optim_wrapper.optimizer.lr'] == 1e-3
    swad = SWAPlan([1e-3], swa=dict(averages=[dict(type='swad')])).trials()[2]
    assert swad.validates == 'every_epoch'


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (
            lambda: FGGPlan([1e-3], base=dict(averages=[dict(type='sma')])),
            "plan.base: averages: no average 'sma'",
        ),
        (
            lambda: FGGPlan([1e-3], base=dict(averages=dict(type='ema'))),
            'plan.base: averages=.*expected a list',
        ),
        (
            lambda: FGGPlan([1e-3], base=dict(averages=[dict(type='ema')] * 2)),
            'two have one name',
        ),
        (
            lambda: SWAPlan([1e-3], swa=dict(epochs=2, cycle=3)),
            'plan.swa: cycle=3 does not end within 2',
        ),
        (
            lambda: SWAPlan(
                [1e-3], swa=dict(averages=[dict(type='swa', bn_samples=-1)])
            ),
            'bn_samples=-1',
        ),
    ],
)
def test_mistakes_are_said_before_training(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
