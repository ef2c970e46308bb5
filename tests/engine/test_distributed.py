"""Starting torch.distributed, and what is said of it."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import is_distributed

from ff_mm.engine.distributed import (
    describe_data_parallel,
    init_distributed,
    model_wrapper,
)
from ff_mm.errors import ConfigError


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
