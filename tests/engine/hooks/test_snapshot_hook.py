from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ff_mm.engine.hooks.snapshot_hook import snapshots
from ff_mm.files import sha256

CYCLE = dict(
    type='CyclicalLR', max_value=0.01, min_value=1e-5, by_epoch=True, phase=0.25
)
ITERATIONS = dict(CYCLE, cycle=4, convert_to_iter_based=True)


def snapshot_run(toy_runner, scheduler=ITERATIONS, epochs=17, **changes):
    hook = dict(type='SnapshotHook', name='fission', meta=dict(hyper=dict(lr=0.01)))
    options = dict(param_scheduler=scheduler, custom_hooks=[hook])
    return toy_runner(epochs=epochs, **{**options, **changes})


@HOOKS.register_module()
class Validated(Hook):
    """Notes the epochs that are validated."""

    def __init__(self):
        self.epochs = []

    def after_val_epoch(self, runner, metrics=None):
        self.epochs.append(runner.epoch)


def validated(runner):
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, Validated))
    return hook.epochs


def saved(runner):
    folder = runner.work_dir + '/ingredients'
    return {
        n: torch.load(f'{folder}/fission_cycle{n}.pth', weights_only=True)
        for n in range(1, len(snapshots(runner)) + 1)
    }


@pytest.mark.parametrize(
    'scheduler', [ITERATIONS, dict(CYCLE, cycle=4), dict(CYCLE, cycle=12, by_epoch=0)]
)
def test_the_published_epochs_are_saved_with_their_own_metrics(toy_runner, scheduler):
    values = [i / 100 for i in range(17)]
    metric = dict(type='ScriptedMetric', values=values)
    runner = snapshot_run(toy_runner, scheduler, val_evaluator=metric)
    runner.train()
    found = {n: c['meta']['ingredient'] for n, c in saved(runner).items()}
    assert {n: m['epoch'] for n, m in found.items()} == {1: 1, 2: 5, 3: 9, 4: 13, 5: 17}
    for meta in found.values():
        assert meta['metrics'] == {'score': values[meta['epoch'] - 1]}


def test_without_a_phase_17_epochs_give_four(toy_runner):
    runner = snapshot_run(toy_runner, dict(ITERATIONS, phase=0))
    runner.train()
    assert [record['epoch'] for record in snapshots(runner)] == [2, 6, 10, 14]


def test_the_last_minimum_on_the_end_of_training_is_the_final_model(toy_runner):
    runner = snapshot_run(toy_runner, epochs=5)
    runner.train()
    last = saved(runner)[2]['state_dict']
    for key, value in runner.model.state_dict().items():
        assert torch.equal(last[key], value), key


def test_a_snapshot_says_what_it_is_and_holds_no_optimizer(toy_runner):
    runner = snapshot_run(toy_runner, epochs=1)
    runner.train()
    (checkpoint,) = saved(runner).values()
    assert set(checkpoint) == {'meta', 'state_dict'}
    assert checkpoint['meta']['dataset_meta'] == {'classes': ('below', 'above')}
    meta = checkpoint['meta']['ingredient']
    assert meta == dict(
        name='fission_cycle1',
        hyper=dict(lr=0.01),
        cycle=1,
        epoch=1,
        metrics=dict(score=0.0),
    )
    (record,) = snapshots(runner)
    file = f'{runner.work_dir}/ingredients/{record["file"]}'
    assert record == dict(meta, file='fission_cycle1.pth', sha256=sha256(file))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(scheduler=None), 'exactly one CyclicalLR in param_scheduler, got 0'),
        (dict(scheduler=[ITERATIONS, ITERATIONS]), 'got 2'),
        (
            dict(train_cfg=dict(by_epoch=True, max_epochs=17, val_interval=2)),
            r'epochs \[1, 5, 9, 13\] end a cycle but are not validated',
        ),
        (
            dict(
                train_cfg=dict(
                    by_epoch=True, max_epochs=17, val_interval=1, val_begin=2
                )
            ),
            r'epochs \[1\]',
        ),
        (dict(scheduler=dict(ITERATIONS, phase=0), epochs=1), 'no minimum'),
        (
            dict(scheduler=dict(CYCLE, cycle=2, by_epoch=False, phase=0)),
            'two minima within one epoch',
        ),
        (
            dict(
                scheduler=dict(CYCLE, cycle=4, by_epoch=False),
                train_cfg=dict(by_epoch=False, max_iters=4, val_interval=1),
            ),
            'by_epoch=True',
        ),
        (
            dict(val_dataloader=None, val_cfg=None, val_evaluator=None),
            'are not validated',
        ),
    ],
)
def test_what_would_lose_a_snapshot_is_said_before_training(
    toy_runner, changes, message
):
    runner = snapshot_run(toy_runner, **changes)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0


SPARSE = [dict(type='SnapshotHook', name='fission'), dict(type='Validated')]


@pytest.mark.parametrize(
    'scheduler', [ITERATIONS, dict(CYCLE, cycle=4), dict(CYCLE, cycle=12, by_epoch=0)]
)
def test_only_epochs_with_a_snapshot_are_validated(toy_runner, scheduler):
    values = [i / 100 for i in range(18)]
    runner = snapshot_run(
        toy_runner,
        scheduler,
        epochs=18,  # the last has no snapshot
        val_cfg=dict(type='SnapshotValLoop'),
        val_evaluator=dict(type='ScriptedMetric', values=values),
        custom_hooks=SPARSE,
    )
    runner.train()
    assert validated(runner) == [1, 5, 9, 13, 17]
    for record in snapshots(runner):
        assert record['metrics'] == {'score': values[record['epoch'] - 1]}


def test_it_changes_nothing_about_the_snapshots(toy_runner):
    def train(name, loop):
        runner = snapshot_run(
            toy_runner,
            name=name,
            val_cfg=loop,
            val_evaluator=dict(type='ScriptedMetric', values=[0.5] * 17),
            custom_hooks=[*SPARSE, dict(type='EpochSeedHook')],
        )
        runner.train()
        return len(validated(runner)), snapshots(runner)

    every, sparse = train('a', dict()), train('b', dict(type='SnapshotValLoop'))
    assert (every[0], sparse[0]) == (17, 5)
    assert every[1] == sparse[1]  # the hash sums too


def test_a_resumed_run_validates_the_same_epochs(toy_runner, interrupt):
    def build(**changes):
        hooks = ['SafeCheckpointHook', 'ResumeStateHook', 'EpochSeedHook', 'Interrupt']
        return snapshot_run(
            toy_runner,
            val_cfg=dict(type='SnapshotValLoop'),
            custom_hooks=[*SPARSE, *(dict(type=name) for name in hooks)],
            **changes,
        )

    interrupt.moment = ('toy', 8, 'training')
    runner = build()
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert validated(runner) == [1, 5]
    runner.release()
    # The state is there though the epoch before was not validated.
    runner = build(resume=True, load_from=f'{runner.work_dir}/state_epoch_7.pth')
    runner.train()
    assert validated(runner) == [9, 13, 17]
    assert [record['epoch'] for record in snapshots(runner)] == [1, 5, 9, 13, 17]


def test_without_training_the_loop_validates_when_it_is_run(toy_runner):
    runner = toy_runner(val_cfg=dict(type='SnapshotValLoop'))
    runner.message_hub.update_info('epoch', 0)
    assert runner.val() == dict(score=0.0)


def test_an_interval_that_would_lose_a_snapshot_is_refused_all_the_same(toy_runner):
    runner = snapshot_run(
        toy_runner,
        val_cfg=dict(type='SnapshotValLoop'),
        train_cfg=dict(by_epoch=True, max_epochs=17, val_interval=2),
    )
    with pytest.raises(ValueError, match=r'epochs \[1, 5, 9, 13\] end a cycle'):
        runner.train()
