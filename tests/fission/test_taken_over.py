"""A process that slept until another had taken its trial over, and comes back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, RUNNERS
from trained_plans import listed_digests

from ff_mm.fission.ledger import Ledger

BASE, FISSION = 'base_lr0.01', 'fission_lr0.01'


@HOOKS.register_module()
class Oversleep(Hook):
    """Has another process do the trial meanwhile, at the moment that a test has set."""

    priority = 'LOWEST'
    # Trial, its epoch from 1, the hook point, and what the other one does.
    moment = None

    def _at(self, runner, epoch, point):
        if Oversleep.moment and Oversleep.moment[:3] == (
            *(Path(runner.work_dir).name, epoch, point),
        ):
            *_, act = Oversleep.moment
            Oversleep.moment = None
            act()

    def after_train_iter(self, runner, *_, **__):
        self._at(runner, runner.epoch + 1, 'training')

    def after_val_iter(self, runner, *_, **__):
        self._at(runner, runner.epoch, 'validation')

    def after_val_epoch(self, runner, metrics=None):
        self._at(runner, runner.epoch, 'validated')

    def after_train(self, runner):
        self._at(runner, runner.epoch, 'trained')


def config(generation_config, folder):
    hooks = [dict(type='Oversleep')]
    return generation_config(folder, custom_hooks=hooks, plan__lrs=[1e-2])


@pytest.fixture(scope='module')
def whole(tmp_path_factory, generation_config):
    """What comes out if nobody sleeps."""
    folder = tmp_path_factory.mktemp('whole')
    RUNNERS.build(config(generation_config, folder)).train()
    return folder


def files_of(folder, trial):
    """Files that a trial leaves, which are other ones once they are written again."""
    found = [*folder.glob(f'ingredients/{trial}*'), *folder.glob(f'trials/{trial}/*')]
    kept = [path for path in found if path.suffix in ('.pth', '.json')]
    return {path.relative_to(folder): path.stat().st_ino for path in kept}


def take_over(whole, folder, trial, cfg, plan):
    """Does a trial as another process does whose machine has heard nothing for long."""
    claim = folder / 'claims' / f'{trial}.1'
    claim.write_text(claim.read_text().replace('"machine": "', '"machine": "other '))
    os.utime(claim, (0, 0))
    other = Ledger(folder, cfg.to_dict(), plan)
    assert other.take(trial)
    for path in files_of(whole, trial):
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy2(whole / path, folder / path)
    for state in folder.glob(f'trials/{trial}/state_*'):
        state.unlink()
    other.release(trial)


@pytest.mark.parametrize(
    ('trial', 'epoch', 'point'),
    [
        (BASE, 2, 'training'),
        (BASE, 2, 'validated'),
        (BASE, 3, 'trained'),
        (FISSION, 3, 'validation'),
    ],
)
def test_writes_nothing_and_goes_on(
    whole, tmp_path, generation_config, capsys, trial, epoch, point
):
    cfg = config(generation_config, tmp_path)
    runner = RUNNERS.build(cfg)
    of_the_other = {}

    def act():
        take_over(whole, tmp_path, trial, cfg, runner.trials)
        of_the_other.update(files_of(tmp_path, trial))

    Oversleep.moment = (trial, epoch, point, act)
    assert runner.train()['complete']
    assert len(of_the_other) >= 2
    assert files_of(tmp_path, trial) == of_the_other
    assert f"trial '{trial}' was taken over by another" in capsys.readouterr().out
    assert listed_digests(tmp_path) == listed_digests(whole)


def test_an_error_in_a_trial_of_another_is_none(whole, tmp_path, generation_config):
    cfg = config(generation_config, tmp_path)
    runner = RUNNERS.build(cfg)

    def act():
        take_over(whole, tmp_path, BASE, cfg, runner.trials)
        raise FileNotFoundError('the other has cleared it away')

    Oversleep.moment = (BASE, 2, 'training', act)
    assert runner.train()['complete']
