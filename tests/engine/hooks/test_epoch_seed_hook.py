from __future__ import annotations

import random
from itertools import chain

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from ff_mm.engine.hooks.resume_state_hook import find_state


@DATASETS.register_module()
class DrawnData(Dataset):
    """Images that are nothing but what the three generators draw."""

    metainfo = {'classes': ('a', 'b')}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        draws = [random.random(), np.random.rand(), torch.rand(()).item()]
        return dict(inputs=torch.tensor(draws[:2]), labels=index % 2, draws=draws)


class Recorder(Hook):
    def __init__(self):
        self.seen = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        draws = torch.stack(data_batch.pop('draws')).T.flatten().tolist()
        self.seen.setdefault(runner.epoch, []).extend(draws)


def record(toy_runner, name, workers, interrupt=None, **changes):
    loader = dict(
        batch_size=2,
        num_workers=workers,
        persistent_workers=False,
        dataset=dict(type='DrawnData'),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
        worker_init_fn=dict(type='seed_worker'),
    )
    hooks = [dict(type=t) for t in ('EpochSeedHook', 'SafeCheckpointHook')]
    hooks += [dict(type='ResumeStateHook'), dict(type='Interrupt')]
    runner = toy_runner(
        name, epochs=3, train_dataloader=loader, custom_hooks=hooks, **changes
    )
    recorder = Recorder()
    runner.register_hook(recorder)
    if interrupt is None:
        runner.train()
    else:
        interrupt.moment = (name, 3, 'training')
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    return recorder.seen


@pytest.mark.parametrize('workers', [0, 2])
def test_epochs_draw_anew_and_the_same_when_run_again(
    toy_runner, tmp_path, workers, interrupt
):
    whole = record(toy_runner, 'whole', workers)
    draws = [value for epoch in whole.values() for value in epoch]
    assert len(draws) == 3 * 8 * 3
    assert len(set(draws)) == len(draws)

    record(toy_runner, 'broken', workers, interrupt)
    state = find_state(tmp_path / 'broken')
    resumed = record(toy_runner, 'resumed', workers, resume=True, load_from=str(state))
    assert resumed == {2: whole[2]}


def test_another_seed_draws_something_else(toy_runner):
    one = record(toy_runner, 'one', 0)
    two = record(toy_runner, 'two', 0, randomness=dict(seed=1))
    assert not set(chain(*one.values())) & set(chain(*two.values()))
