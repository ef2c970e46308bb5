"""Starting torch.distributed, and what is said of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from many_processes import PATIENCE, make
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import set_random_seed
from torch import nn
from toys import toy_config

from ff_mm.engine import QuietRunner, distributed
from ff_mm.engine.distributed import (
    _group_options,
    any_rank,
    describe_data_parallel,
    init_distributed,
    is_time_to_agree,
    model_wrapper,
    use_port,
)
from ff_mm.engine.hooks.resume_state_hook import find_state
from ff_mm.engine.memory_format import to_channels_last
from ff_mm.errors import ConfigError, TrialDiverged
from ff_mm.parallel.team import Team
from ff_mm.parallel.termination import Terminated, deferred, termination_as_exception


def training(batch_size: int = 32, **changes) -> Config:
    return Config(dict(train_dataloader=dict(batch_size=batch_size), **changes))


def test_without_a_launcher_there_is_no_group():
    init_distributed(Config(dict()))
    init_distributed(Config(dict(launcher='none')))
    assert not is_distributed()


def test_a_process_that_no_launcher_has_started_is_told_so(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ConfigError, match='RANK is not set'):
        init_distributed(Config(dict(launcher='pytorch')))
    assert not is_distributed()


@pytest.mark.parametrize('unused', [False, True])
def test_the_wrapper_for_cpus_has_no_device(monkeypatch, unused):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert model_wrapper(Config(dict(launcher='none'))) is None
    cfg = Config(dict(launcher='pytorch', find_unused_parameters=unused))
    wrapper = model_wrapper(cfg)
    assert wrapper['device_ids'] is None
    assert wrapper['find_unused_parameters'] == unused


def test_the_wrapper_for_gpus_has_the_one_of_this_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 3)
    assert model_wrapper(Config(dict(launcher='slurm')))['device_ids'] == [3]


def test_ranks_keep_their_own_buffers_during_an_epoch():
    wrapper = model_wrapper(Config(dict(launcher='pytorch')))
    names = {'forward_sync_buffers', 'broadcast_buffers'}
    assert [wrapper[name] for name in names & set(wrapper)] == [False]


def test_what_mmengine_says_of_a_group_is_understood(monkeypatch):
    said = dict(port=29511, timeout=90, init_backend='torch', backend='nccl')
    cfg = Config(dict(launcher='slurm', env_cfg=dict(dist_cfg=said)))
    assert _group_options(cfg) == dict(timeout=timedelta(seconds=90))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert _group_options(cfg)['backend'] == 'nccl'


def test_the_port_is_where_processes_meet_unless_torchrun_has_one(monkeypatch):
    monkeypatch.setenv('MASTER_PORT', '1')
    cfg = Config(dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(port=29511))))
    use_port(cfg)
    assert os.environ['MASTER_PORT'] == '1'
    for launcher in ('slurm', 'mpi'):
        os.environ['MASTER_PORT'] = '1'
        cfg.launcher = launcher
        use_port(cfg)
        assert os.environ['MASTER_PORT'] == '29511'


@pytest.mark.parametrize(
    ('said', 'line'),
    [
        (dict(port=0), 'dist_cfg.port=0: expected'),
        (dict(port='x'), "dist_cfg.port='x': expected"),
        (dict(timeout='long'), "dist_cfg.timeout='long': expected seconds"),
        (dict(timeout=0), 'dist_cfg.timeout=0: expected seconds'),
        (dict(timeuot=9), 'dist_cfg.timeuot: no option .* timeout'),
        (dict(rank=1), 'dist_cfg.rank: no option'),
        (dict(init_backend='deepspeed'), "init_backend='deepspeed'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_what_no_group_takes_is_said(said, line):
    cfg = Config(dict(launcher='slurm', env_cfg=dict(dist_cfg=said)))
    with pytest.raises(ConfigError, match=line):
        use_port(cfg)
        _group_options(cfg)


def test_a_group_of_gpus_is_told_the_device(monkeypatch):
    made = {}
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 2)
    monkeypatch.setattr(
        dist, 'init_process_group', lambda backend, **options: made.update(options)
    )
    Team.alone().join()
    assert made.pop('device_id') == torch.device('cuda', 2)
    Team.alone().join('gloo')
    assert made['world_size'] == 1 and made.get('backend') is None


def test_batch_size_and_learning_rates_are_said():
    assert describe_data_parallel(training(), 4) == (
        'data parallel: 4 processes x batch_size 32 = 128 images a step; learning '
        'rates are those of the config, not scaled'
    )
    assert 'l: 1 process x batch_size 8 = 8 ' in describe_data_parallel(training(8), 1)


def test_accumulated_steps_count():
    cfg = training(optim_wrapper=dict(accumulative_counts=2))
    line = describe_data_parallel(cfg, 4)
    assert 'x batch_size 32 x accumulative_counts 2 = 256 images a step' in line


def test_a_scaled_learning_rate_is_said_as_mmengine_scales_it():
    cfg = training(auto_scale_lr=dict(enable=True, base_batch_size=256))
    assert describe_data_parallel(cfg, 4).endswith('scaled by 128 / 256 = 0.5')
    cfg.auto_scale_lr.enable = False
    assert describe_data_parallel(cfg, 4).endswith('not scaled')


def test_references_are_followed():
    cfg = training('${size}', size=16)
    assert 'batch_size 16 = 32 images' in describe_data_parallel(cfg, 2)


def test_alone_every_iteration_is_one_and_the_flag_is_the_answer():
    assert any_rank(True) is True
    assert any_rank(False) is False
    assert all(is_time_to_agree(batch_idx, 10) for batch_idx in range(20))


def train_convolutions(unused):
    """Trains two steps in channels_last by DDP; what torch warns of."""
    init_distributed(Config(dict(launcher='pytorch')))
    set_random_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 2, 3))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    cfg = dict(custom_hooks=[dict(type='ChannelsLastHook')], launcher='pytorch')
    wrapper = model_wrapper(Config(dict(cfg, find_unused_parameters=unused)))
    ddp = MODEL_WRAPPERS.build(dict(wrapper, module=model))
    for key, value in model.state_dict().items():  # as it came
        assert torch.equal(value, before[key])
        assert value.stride() == before[key].stride()
    to_channels_last(ddp)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for _ in range(2):
            ddp(torch.ones(2, 3, 8, 8)).sum().backward()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize('unused', [False, True])
def test_gradients_in_channels_last_are_not_copied_to_be_sent(unused):
    for said in make(2, train_convolutions, unused):
        assert not [line for line in said if 'strides' in line]


def wait_for_a_silent_rank(port, rank, ready):
    """Both ranks are to meet in a collective, and the second never comes."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        TORCHELASTIC_USE_AGENT_STORE='True',
    )
    with termination_as_exception(), deferred():
        init_distributed(Config(dict(launcher='pytorch', plan={}, grace_period=0)))
        ready.wait()
        if rank == 0:
            dist.all_reduce(torch.ones(1))
        time.sleep(PATIENCE)


def test_a_dead_rank_leaves_no_other_waiting_beyond_its_grace(monkeypatch):
    monkeypatch.setattr(distributed, '_LEAST_PATIENCE', 0.5)
    store = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    fork = multiprocessing.get_context('fork')
    ready = fork.Barrier(3)
    ranks = [
        fork.Process(target=wait_for_a_silent_rank, args=(store.port, rank, ready))
        for rank in (0, 1)
    ]
    for rank in ranks:
        rank.start()
    try:
        ready.wait(PATIENCE)
        os.kill(ranks[0].pid, signal.SIGTERM)
        ranks[0].join(PATIENCE)
        assert ranks[0].exitcode == 0  # the same command goes on
    finally:
        for rank in ranks:
            rank.kill()


class Events(Hook):
    """Notes each iteration, and does one thing on rank 1 in one of them."""

    def __init__(self, at=None, action=None) -> None:
        self.at, self.action, self.last = at, action, None

    def after_train_iter(self, runner, batch_idx, *_, **__) -> None:
        self.last = (runner.epoch + 1, batch_idx + 1)
        if dist.get_rank() == 1 and self.last == self.at:
            self.action(runner)


def run(folder, name, grace, at, action):
    """Trains 4 epochs of 15 batches a rank; gives what ended it, where, and why."""
    hooks = [
        dict(type='DivergenceHook', patience=2, interval=4),
        dict(type='TerminationHook', grace=grace, interval=4),
        dict(type='SafeCheckpointHook'),
        dict(type='ResumeStateHook', interval=9),
    ]
    cfg = toy_config(folder / name, custom_hooks=hooks)
    cfg.train_dataloader.dataset.size = 120
    cfg.launcher = 'pytorch'
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    runner = QuietRunner.from_cfg(cfg)
    events = Events(at, action)
    runner.register_hook(events, 'LOWEST')
    outcome = 'trained'
    try:
        with termination_as_exception(), deferred():
            runner.train()
    except TrialDiverged as error:
        outcome = f'diverged {error.epoch} {error.iteration} {error.what}'
    except Terminated:
        outcome = 'terminated'
    runner.release()
    state = find_state(folder / name)
    return dict(outcome=outcome, last=events.last, state=state and state.name)


def terminate(_):
    os.kill(os.getpid(), signal.SIGTERM)


def spoil_loss(runner):
    """From now on this rank's loss is infinite, and its gradients are as before."""
    model = runner.model.module
    parse = model.parse_losses

    def parse_losses(losses):
        loss, log = parse(losses)
        return loss, dict(log, loss=loss + torch.inf)

    model.parse_losses = parse_losses


def spoil_buffer(runner):
    """A statistic of this rank alone is NaN, which training does not read."""
    runner.model.module.norm.running_mean[0] = torch.nan


def work(folder):
    """All that two ranks are to show, one run after the other."""
    dist.init_process_group('gloo')
    rank = dist.get_rank()
    return dict(
        agreement=[any_rank(rank == 1), any_rank(rank == 0), any_rank(False)],
        due=[batch_idx for batch_idx in range(12) if is_time_to_agree(batch_idx, 4)],
        loss=run(folder, 'loss', 9, (2, 2), spoil_loss),
        loss_late=run(folder, 'loss_late', 9, (2, 12), spoil_loss),
        buffer=run(folder, 'buffer', 9, (3, 15), spoil_buffer),
        at_once=run(folder, 'at_once', 0, (2, 5), terminate),
        epoch=run(folder, 'epoch', 1e9, (2, 5), terminate),
        last=run(folder, 'last', 1e9, (4, 5), terminate),
        plain=run(folder, 'plain', 9, None, None),
    )


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What the two ranks say."""
    return make(2, work, tmp_path_factory.mktemp('ranks'))


def test_what_one_rank_says_all_know(ranks):
    for rank in ranks:
        assert rank['agreement'] == [True, True, False]
        assert rank['due'] == [3, 7, 11]


def test_nothing_happens_without_a_reason(ranks):
    for rank in ranks:
        assert rank['plain'] == dict(outcome='trained', last=(4, 15), state=None)


def test_both_ranks_stop_where_they_next_agree(ranks):
    first, second = ranks
    # Rank 1's loss is infinite from iteration 3 on; they agree at 4.
    why = 'the loss was not finite in 2 iterations in a row'
    assert second['loss']['outcome'] == f'diverged 2 4 {why}'
    assert first['loss']['outcome'] == 'diverged 2 4 another rank has found it'
    for rank in ranks:  # in iteration 8, before it is noted
        assert rank['at_once'] == dict(outcome='terminated', last=(2, 7), state=None)


def test_both_ranks_stop_at_the_end_of_the_epoch(ranks):
    first, second = ranks
    # From iteration 13 of 15 on: they agree at 12 and at the end.
    assert second['loss_late']['outcome'].startswith('diverged 2 15 the loss')
    assert first['loss_late']['outcome'].startswith('diverged 2 15 another')
    assert second['buffer']['outcome'].startswith('diverged 3 15 ')
    assert second['buffer']['outcome'].endswith('norm.running_mean is not finite')
    assert first['buffer']['outcome'] == 'diverged 3 15 another rank has found it'
    for rank in ranks:
        expected = dict(outcome='terminated', last=(2, 15), state='state_epoch_2.pth')
        assert rank['epoch'] == expected
        # Nothing is left to stop, but no rank goes on alone after the run.
        assert rank['last'] == dict(outcome='terminated', last=(4, 15), state=None)
