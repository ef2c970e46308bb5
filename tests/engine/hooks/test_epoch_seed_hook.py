from __future__ import annotations

import os
import random
from itertools import chain

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader, Dataset

from ff_mm.engine.hooks.epoch_seed_hook import SeededLoading
from ff_mm.engine.hooks.resume_state_hook import find_state


@DATASETS.register_module()
class DrawnData(Dataset):
    """Images that are nothing but what the three generators draw."""

    metainfo = {'classes': ('a', 'b')}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        draws = [random.random(), np.random.rand(), torch.rand(()).item()]
        draws.append(os.getpid())
        return dict(inputs=torch.tensor(draws[:2]), labels=index % 2, draws=draws)


@DATASETS.register_module()
class DrawnBatches(DrawnData):
    """The same, with a method of its own for a whole batch."""

    def __getitems__(self, indices):
        return [dict(self[index], batch=True) for index in indices]


class Recorder(Hook):
    """What is drawn in each epoch: in the data set, and in the main process."""

    def __init__(self):
        self.seen, self.main, self.processes = {}, {}, {}
        self.batches = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        *draws, processes = data_batch.pop('draws')
        drawn = torch.stack(draws).T.flatten().tolist()
        self.seen.setdefault(runner.epoch, []).extend(drawn)
        self.main.setdefault(runner.epoch, []).append(torch.rand(()).item())
        self.processes.setdefault(runner.epoch, set()).update(processes.tolist())
        self.batches.append('batch' in data_batch)
        data_batch.pop('batch', None)


def record(
    toy_runner,
    name,
    workers,
    interrupt=None,
    persist=False,
    dataset='DrawnData',
    by_batch=False,
    more=(),
    **changes,
):
    loader = dict(
        batch_size=2,
        num_workers=workers,
        persistent_workers=persist,
        dataset=dict(type=dataset),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    hooks = [dict(type='EpochSeedHook', by_batch=by_batch)]
    hooks.append(dict(type='SafeCheckpointHook'))
    hooks += [dict(type='ResumeStateHook'), dict(type='Interrupt'), *more]
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
    return recorder


@pytest.mark.parametrize(('workers', 'persist'), [(0, False), (2, False), (2, True)])
def test_epochs_draw_anew_and_the_same_when_run_again(
    toy_runner, tmp_path, workers, persist, interrupt
):
    whole = record(toy_runner, 'whole', workers, persist=persist)
    draws = [value for epoch in whole.seen.values() for value in epoch]
    assert len(draws) == 3 * 8 * 3
    assert len(set(draws)) == len(draws)

    record(toy_runner, 'broken', workers, interrupt, persist)
    state = str(find_state(tmp_path / 'broken'))
    options = dict(persist=persist, resume=True, load_from=state)
    resumed = record(toy_runner, 'resumed', workers, **options)
    assert resumed.seen == {2: whole.seen[2]}
    # Nor does what the workers draw when they start change what dropout draws.
    assert resumed.main == {2: whole.main[2]}


def test_workers_that_persist_draw_what_those_draw_that_start_anew(toy_runner):
    anew = record(toy_runner, 'anew', 2)
    persisting = record(toy_runner, 'persisting', 2, persist=True)
    assert persisting.seen == anew.seen
    assert persisting.main == anew.main
    assert len(set().union(*persisting.processes.values())) == 2
    assert len(set().union(*anew.processes.values())) == 6


def test_batches_that_are_seeded_draw_the_same_whoever_loads_them(
    toy_runner, tmp_path, interrupt
):
    options = dict(persist=True, by_batch=True)
    one, two = (record(toy_runner, f'{n}', n, **options) for n in (1, 2))
    assert one.seen == two.seen
    assert one.main == two.main
    draws = list(chain(*one.seen.values()))
    assert len(set(draws)) == len(draws) == 3 * 8 * 3

    record(toy_runner, 'broken', 1, interrupt, **options)
    state = str(find_state(tmp_path / 'broken'))
    resumed = record(toy_runner, 'on', 2, resume=True, load_from=state, **options)
    assert resumed.seen == {2: one.seen[2]}


@pytest.mark.parametrize('by_batch', [True, False])
def test_workers_that_begin_while_others_validate_draw_the_same(
    toy_runner, tmp_path, interrupt, by_batch
):
    options = dict(persist=True, by_batch=by_batch)
    late = record(toy_runner, 'late', 2, **options)
    options['more'] = [dict(type='EarlyWorkersHook')]
    early = record(toy_runner, 'early', 2, **options)
    assert (early.seen, early.main) == (late.seen, late.main)

    record(toy_runner, 'broken', 2, interrupt, **options)
    state = str(find_state(tmp_path / 'broken'))
    resumed = record(toy_runner, 'on', 2, resume=True, load_from=state, **options)
    assert resumed.seen == {2: late.seen[2]}


def test_a_data_set_that_loads_whole_batches_goes_on_doing_so(toy_runner):
    single = record(toy_runner, 'single', 2, persist=True)
    batches = record(toy_runner, 'batches', 2, persist=True, dataset='DrawnBatches')
    assert batches.seen == single.seen
    assert all(batches.batches) and not any(single.batches)


def test_another_seed_draws_something_else(toy_runner):
    one = record(toy_runner, 'one', 0)
    two = record(toy_runner, 'two', 0, randomness=dict(seed=1))
    assert not set(chain(*one.seen.values())) & set(chain(*two.seen.values()))


def test_whoever_asks_in_the_main_process_gets_the_cases_and_no_seed():
    class Cases(list):
        """Takes attributes, as data sets do."""

    loader = DataLoader(Cases([3, 1, 4]), num_workers=2)
    SeededLoading(loader).announce(0, 7)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert loader.dataset.__getitems__([2, 0]) == [4, 3]
    assert torch.equal(torch.get_rng_state(), before)
