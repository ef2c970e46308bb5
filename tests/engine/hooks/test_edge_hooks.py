"""What lies between two epochs is short."""

from __future__ import annotations

import time

import pytest
import torch
from many_processes import PATIENCE
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from toys import ToyData

from ff_mm.engine import data_loaders
from ff_mm.engine.data_loaders import EarlyLoader, KeepingLoader, forget_batches

# How many cases have been loaded, by whichever process.
LOADED = torch.zeros(2, dtype=torch.int64).share_memory_()
EARLY, KEPT = 'EarlyWorkersHook', dict(type='KeptValidationHook', memory=10**6)


@DATASETS.register_module()
class CountedData(ToyData):
    """Counts what is loaded, by one worker."""

    def __init__(self, train=False, **kwargs):
        super().__init__(**kwargs)
        self.number = int(train)

    def __getitem__(self, index):
        LOADED[self.number] += 1
        return super().__getitem__(index)


@pytest.fixture(autouse=True)
def nothing_kept():
    LOADED.zero_()
    yield
    forget_batches()


def counted(train=False, workers=0, **changes):
    """A data loader of 12 cases in three batches."""
    loader = dict(
        batch_size=4,
        num_workers=workers,
        persistent_workers=workers > 0,
        dataset=dict(type='CountedData', train=train),
        sampler=dict(type='DefaultSampler', shuffle=train),
        collate_fn=dict(type='default_collate'),
    )
    return {f'{"train" if train else "val"}_dataloader': dict(loader, **changes)}


class SeenInValidation(Hook):
    """What has been loaded of training once there is more, or at the end."""

    def __init__(self, waits_for):
        self.waits_for, self.seen = waits_for, []

    def after_val_epoch(self, runner, metrics=None):
        limit = time.monotonic() + PATIENCE
        while LOADED[1] < self.waits_for[runner.epoch] and time.monotonic() < limit:
            time.sleep(0.01)
        self.seen.append(int(LOADED[1]))


def test_the_next_epochs_images_are_loaded_during_validation(toy_runner):
    runner = toy_runner(
        epochs=2, custom_hooks=[dict(type=EARLY)], **counted(train=True, workers=1)
    )
    hook = SeenInValidation({1: 12 + 2 * 4, 2: 24})  # two batches a worker
    runner.register_hook(hook)
    runner.train()
    assert hook.seen == [20, 24]  # and nothing after the last epoch


class Again(Hook):
    """What training images give after training, as averages of weights see them."""

    priority = 'LOW'

    def after_train(self, runner):
        runner.train_dataloader.sampler.set_epoch(7)
        self.batches = [b['inputs'].tolist() for b in runner.train_dataloader]


class Stop(Hook):
    """Ends a run after its first validation."""

    def after_val_epoch(self, runner, metrics=None):
        runner.train_loop.stop_training = True


@pytest.mark.parametrize('workers', [0, 1])
def test_what_a_stopped_run_was_not_to_see_is_forgotten(toy_runner, workers):
    found = []
    for name, hooks in (('late', []), ('early', [dict(type=EARLY)])):
        hooks = [dict(type='EpochSeedHook'), *hooks]
        runner = toy_runner(
            name, custom_hooks=hooks, **counted(train=True, workers=workers)
        )
        again = Again()
        runner.register_hook(Stop())
        runner.register_hook(again)
        runner.train()
        takes = type(runner.train_dataloader) is EarlyLoader
        assert takes == (name == 'early' and workers > 0)
        found.append([point for batch in again.batches for point in batch])
    assert found[0] == found[1] and len(found[0]) == 12


@pytest.mark.parametrize('workers', [0, 1])
def test_validation_images_are_loaded_once_for_all_epochs_and_runs(toy_runner, workers):
    for name in ('one', 'two'):
        runner = toy_runner(name, custom_hooks=[KEPT], **counted(workers=workers))
        runner.train()
        assert LOADED[0] == 12
    assert runner.val_dataloader._iterator is None  # no workers any more
    (batches,) = data_loaders._kept.values()
    assert not any(batch['inputs'].is_shared() for batch in batches)
    points = torch.cat([batch['inputs'] for batch in batches])
    assert torch.equal(points, ToyData().points)


def test_a_batch_is_kept_as_it_was_loaded(toy_runner):
    class Spoil(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch, outputs=None):
            assert set(data_batch) == {'inputs', 'labels'}
            data_batch.clear()

    runner = toy_runner(custom_hooks=[KEPT], **counted())
    runner.register_hook(Spoil())
    runner.train()
    assert LOADED[0] == 12


@pytest.mark.parametrize(
    ('memory', 'changes'),
    [
        (12 * 16 - 1, {}),  # of 12 cases of 8 bytes, and labels of 8
        (10**6, dict(sampler=dict(type='DefaultSampler', shuffle=True))),
    ],
    ids=['too many', 'another order each time'],
)
def test_what_cannot_be_kept_is_loaded_anew(toy_runner, memory, changes):
    kept = dict(KEPT, memory=memory)
    toy_runner(epochs=3, custom_hooks=[kept], **counted(**changes)).train()
    assert LOADED[0] == 36
    assert not data_loaders._kept


def test_only_as_much_is_kept_as_there_is_memory_for(toy_runner):
    kept = dict(KEPT, memory=12 * 16 + 8)
    for size in (12, 10, 12):
        dataset = dict(type='CountedData', size=size)
        runner = toy_runner(
            f'{size}', custom_hooks=[kept], epochs=2, **counted(dataset=dataset)
        )
        runner.train()
        assert type(runner.val_dataloader) is KeepingLoader
        assert len(data_loaders._kept) == 1  # the last
    assert LOADED[0] == 12 + 10 + 12


def test_processes_of_a_machine_share_the_memory(toy_runner, monkeypatch):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    kept = dict(KEPT, memory=12 * 16)
    toy_runner(epochs=2, custom_hooks=[kept], **counted()).train()
    assert LOADED[0] == 24
