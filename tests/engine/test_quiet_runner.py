from __future__ import annotations

import os

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

LOGGING = dict(checkpoint=None, logger=dict(type='LoggerHook', interval=1))


def tables():
    classes = (MMLogger, MessageHub, DefaultScope, Visualizer)
    return {cls.__name__: len(cls._instance_dict) for cls in classes}


def test_runs_leave_no_open_file_and_no_global_instance(toy_runner, tmp_path):
    hooks = [
        dict(type='BestCheckpointHook', monitor='score', rule='greater'),
        dict(type='SafeCheckpointHook'),
    ]

    def run(name):
        runner = toy_runner(name, custom_hooks=hooks)
        runner.train()
        runner.release()
        return len(os.listdir('/proc/self/fd')), tables()

    first = run('first')
    assert [run(f'trial{i}') for i in range(3)] == [first] * 3


def test_the_log_file_is_complete_after_release(toy_runner, tmp_path):
    runner = toy_runner(default_hooks=LOGGING)
    runner.train()
    runner.release()
    (log,) = (tmp_path / 'toy').glob('*/*.log')
    assert 'Epoch(train) [4][3/3]' in log.read_text()


def test_the_console_gets_warnings_only(toy_runner, capfd):
    runner = toy_runner(default_hooks=LOGGING)
    runner.train()
    runner.logger.warning('look here')
    out, err = capfd.readouterr()
    assert 'look here' in out + err
    assert 'Epoch(train)' not in out + err


def test_the_best_of_one_run_does_not_leak_into_the_next(toy_runner, tmp_path):
    def run(name, values):
        runner = toy_runner(
            name,
            epochs=2,
            val_evaluator=dict(type='ScriptedMetric', values=values),
            custom_hooks=[
                dict(type='BestCheckpointHook', monitor='score', rule='greater'),
                dict(type='SafeCheckpointHook'),
            ],
        )
        runner.train()
        runner.release()
        return runner.message_hub.get_info('best')

    assert run('same', [0.9, 0.8])['metrics'] == dict(score=0.9)
    # Within the same second and under the same name.
    assert run('same', [0.1, 0.2]) == dict(epoch=2, metrics=dict(score=0.2))
