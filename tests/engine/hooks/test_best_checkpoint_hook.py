from __future__ import annotations

import math

import pytest
import torch

from ff_mm.engine.hooks.best_checkpoint_hook import best_epoch
from ff_mm.errors import ConfigError

NAN = math.nan


def best_run(toy_runner, values, rule, monitor='score', keep='best', **changes):
    runner = toy_runner(
        epochs=len(values),
        val_evaluator=dict(type='ScriptedMetric', values=values),
        custom_hooks=[
            dict(type='BestCheckpointHook', monitor=monitor, rule=rule, keep=keep),
            dict(type='SafeCheckpointHook'),
        ],
        **changes,
    )
    runner.train()
    return runner


@pytest.mark.parametrize(
    ('values', 'rule', 'epoch'),
    [
        ([0.3, 0.1, 0.2], 'less', 2),
        ([0.3, 0.1, 0.2], 'greater', 1),
        ([0.1, 0.2, 0.2, 0.2], 'greater', 2),
        ([0.2, 0.1, 0.1], 'less', 2),
        ([NAN, 0.2, NAN, 0.1], 'greater', 2),
        ([NAN, 0.2, NAN, 0.1], 'less', 4),
        ([-0.5, 0.0, -1.0], 'greater', 2),
    ],
)
def test_the_earliest_epoch_with_the_best_value_is_kept(
    toy_runner, values, rule, epoch
):
    runner = best_run(toy_runner, values, rule)
    metrics = dict(score=values[epoch - 1])
    assert best_epoch(runner) == dict(epoch=epoch, metrics=metrics)
    file = torch.load(f'{runner.work_dir}/best.pth', weights_only=True)
    assert file['meta']['epoch'] == epoch
    assert file['meta']['iter'] == 3 * epoch
    assert file['meta']['metrics'] == metrics


def test_the_last_epoch_of_a_finite_metric_is_kept_if_that_is_wanted(toy_runner):
    runner = best_run(toy_runner, [0.1, 0.3, 0.2, NAN], 'less', keep='last')
    assert best_epoch(runner) == dict(epoch=3, metrics=dict(score=0.2))


def test_the_file_holds_weights_and_optimizer_of_that_epoch(toy_runner):
    short = best_run(toy_runner, [1.0, 2.0], 'greater', name='short')
    long = best_run(toy_runner, [1.0, 2.0, 0.0, 0.5], 'greater', name='long')
    file = torch.load(f'{long.work_dir}/best.pth', weights_only=True)
    for key, value in short.model.state_dict().items():
        assert torch.equal(file['state_dict'][key], value), key
    assert file['optimizer']['state'][0]['step'] == 6


def test_a_metric_that_is_never_finite_leaves_no_file(toy_runner, tmp_path):
    runner = best_run(toy_runner, [NAN, NAN], 'less')
    assert best_epoch(runner) is None
    assert not (tmp_path / 'toy' / 'best.pth').exists()


def test_a_metric_that_is_not_computed_is_named_with_those_that_are(toy_runner):
    with pytest.raises(ConfigError, match=r"monitor='loss' .*\['score'\]"):
        best_run(toy_runner, [0.1], 'less', monitor='loss')


def test_a_rule_is_less_or_greater(toy_runner):
    with pytest.raises(ValueError, match="rule='max'"):
        best_run(toy_runner, [0.1], 'max')
