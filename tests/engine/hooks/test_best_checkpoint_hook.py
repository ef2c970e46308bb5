from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import METRICS
from toys import ScriptedMetric

from ff_mm.engine.hooks.best_checkpoint_hook import best_epoch
from ff_mm.errors import ConfigError

NAN = math.nan


def best_run(
    toy_runner,
    values,
    rule,
    monitor='score',
    keep='best',
    metric='ScriptedMetric',
    **changes,
):
    runner = toy_runner(
        epochs=len(values),
        val_evaluator=dict(type=metric, values=values),
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


@METRICS.register_module()
class OddMetric(ScriptedMetric):
    """Gives what a test has written down, be it a number or not."""

    def compute_metrics(self, results):
        epoch = MessageHub.get_current_instance().get_info('epoch')
        return self.values[epoch]


def odd_run(toy_runner, values):
    return best_run(toy_runner, values, 'greater', metric='OddMetric')


def test_numbers_of_numpy_and_torch_become_plain(toy_runner):
    values = [
        dict(score=np.float32(0.25), table=np.arange(2)),
        dict(score=np.float64(0.5), table=torch.arange(2)),
    ]
    best = best_epoch(odd_run(toy_runner, values))
    assert json.loads(json.dumps(best)) == dict(
        epoch=2, metrics=dict(score=0.5, table=[0, 1])
    )


def test_an_epoch_of_which_metrics_say_nothing_is_not_the_best(toy_runner):
    best = best_epoch(odd_run(toy_runner, [{}, dict(score=0.1), {}]))
    assert best == dict(epoch=2, metrics=dict(score=0.1))


def test_what_is_no_number_cannot_be_monitored(toy_runner):
    with pytest.raises(ConfigError, match=r"'score' is \[1, 2\], .* \['loss'\]"):
        odd_run(toy_runner, [dict(score=[1, 2], loss=0.5)])
