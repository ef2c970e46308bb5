"""How much of the disk a plan takes, against what it has then written."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from mmengine.registry import RUNNERS

from ff_mm.fission import disk
from ff_mm.fission.disk import DiskError, check_disk, disk_need, free_space, validations
from ff_mm.fission.plan_checks import trial_configs

Usage = namedtuple('Usage', 'total used free')
SHORT = dict(plan__lrs=[1e-2], plan__probe__epochs=1, plan__base__epochs=1)


def need_of(cfg, left=None, processes=1):
    runner = RUNNERS.build(cfg)
    configs = trial_configs(cfg, runner.trials, Path(cfg.work_dir))
    left = runner.trials if left is None else [runner.trials[i] for i in left]
    return disk_need(runner.trials, configs, left, processes)


@pytest.fixture
def full(monkeypatch):
    """A disk with one megabyte left."""
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: Usage(10**9, 10**9, 10**6))


def test_what_is_counted_is_what_is_written(tmp_path, generation_config):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    cfg.plan.base.averages = [dict(type='ema')]
    need = need_of(cfg)
    RUNNERS.build(cfg).train()
    models = [*tmp_path.glob('w/ingredients/*'), *tmp_path.glob('w/origin/*')]
    bests = [*tmp_path.glob('w/trials/*/best.pth')]
    assert (need.models, need.bests) == (len(models), len(bests))
    # What stands beside the weights is small for any network that is not a toy.
    assert max(f.stat().st_size for f in models) < need.model + 100_000
    assert need.model < max(f.stat().st_size for f in models)
    assert need.best < max(f.stat().st_size for f in bests) < need.best + 150_000


def test_what_is_finished_is_not_needed_again(tmp_path, generation_config):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    whole, rest = need_of(cfg), need_of(cfg, left=[2])
    assert (whole.models, whole.bests) == (4, 2)  # origin, base, two snapshots
    assert (rest.models, rest.bests) == (2, 0)
    assert need_of(cfg, left=[]).models == 0


def test_each_process_has_states_of_its_own(tmp_path, generation_config):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    one, three = need_of(cfg), need_of(cfg, processes=3)
    assert three.total - one.total == 4 * one.best


def test_a_frozen_network_and_an_optimizer_without_state_take_less(
    tmp_path, generation_config
):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
    with_momentum = need_of(cfg)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.1)
    without = need_of(cfg)
    assert without.best == without.model < with_momentum.best <= 2 * without.model
    cfg.optim_wrapper.optimizer = dict(type='AdamW', lr=0.1)
    assert need_of(cfg).best > with_momentum.best
    cfg.plan.probe['freeze'] = True
    probe = need_of(cfg, left=[0])
    assert probe.model < probe.best < 1.5 * probe.model  # the head's moments alone


def test_only_snapshots_are_validated(tmp_path, generation_config):
    runner = RUNNERS.build(generation_config(tmp_path / 'w', **SHORT))
    configs = trial_configs(runner.cfg, runner.trials, runner.work_dir)
    counted = list(map(validations, runner.trials, configs))
    assert counted == [1, 1, 2]


def test_too_little_space_is_one_line_before_any_training(
    tmp_path, generation_config, full
):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    cfg.model.backbone.base_channels = 64
    with pytest.raises(DiskError) as error:
        check_disk(disk.DiskNeed(3, 4 * 10**6, 1, 10**7, 22 * 10**6), tmp_path / 'w')
    assert str(error.value) == (
        f'{tmp_path}/w: 3 models of 4.0 MB and 1 best epoch with the optimizer of 10 '
        'MB take 22 MB, but only 1.0 MB are free there: free some, or give --work-dir '
        'on a larger disk'
    )


def test_a_plan_is_refused_before_any_training(
    tmp_path, generation_config, full, monkeypatch
):
    monkeypatch.setattr(disk, 'size', lambda number: f'{number} B')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: Usage(10**9, 10**9, 1000))
    cfg = generation_config(tmp_path / 'w', **SHORT)
    with pytest.raises(DiskError, match='but only 1000 B are free'):
        RUNNERS.build(cfg).train()
    assert not list(tmp_path.glob('w/trials/*'))


def test_space_is_looked_for_where_the_folder_is_to_be(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: asked.append(path) or Usage(9, 4, 5)
    )
    assert free_space(tmp_path / 'a' / 'b') == 5
    assert asked == [tmp_path]


def test_a_file_system_that_does_not_say_what_is_free_refuses_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: Usage(0, 0, 0))
    assert free_space(tmp_path) is None
    check_disk(disk.DiskNeed(3, 4 * 10**6, 1, 10**7, 22 * 10**6), tmp_path)


def test_a_network_that_logs_what_it_is_does_not(tmp_path, generation_config, capfd):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    name = 'test_efficientnet'
    backbone = dict(type='TIMMBackbone', model_name=name, features_only=True)
    cfg.model = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=None,
        head=dict(type='LinearClsHead', num_classes=10, in_channels=8),
    )
    assert need_of(cfg, left=[0]).model > 0
    out, err = capfd.readouterr()
    assert 'feature_info' not in out + err
