"""``--dry-run``: what a plan will cost, with nothing left behind."""

from __future__ import annotations

import re
import time

import pytest
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.files import read_json
from ff_mm.fission import dry_run as module
from ff_mm.fission.disk import DiskError
from ff_mm.fission.dry_run import dry_run
from ff_mm.fission.pace import Pace, _StopWatchHook, measure_pace
from ff_mm.fission.trial import trial_config
from ff_mm.merging import CheckpointError

SHORT = dict(plan__lrs=[1e-2, 1e-3], plan__probe__epochs=1, plan__base__epochs=3)
PACE = Pace(start=1.0, epoch=10.0, validation=2.0, steps=5, seen='2 steps', memory=None)


def run(cfg, seconds=0.1):
    runner = RUNNERS.build(cfg)
    return dry_run(cfg, runner.trials, runner.chosen, seconds)


@pytest.fixture
def known_pace(monkeypatch):
    """Each kind of trial is of the pace :data:`PACE`; gives those measured."""
    measured = []
    monkeypatch.setattr(
        module, 'measure_pace', lambda cfg, _: measured.append(cfg) or PACE
    )
    return measured


def test_a_dry_run_leaves_nothing_and_says_what_there_is(
    tmp_path, generation_config, capsys
):
    assert run(generation_config(tmp_path / 'w', **SHORT)) > 0
    assert list(tmp_path.iterdir()) == []
    out = capsys.readouterr().out
    assert 'to train: 5 trials (1 probe, 2 base, 2 fission), ' in out
    assert re.search(r'disk: [\d.]+ MB in .*: 7 models of .*GB are free', out)
    assert re.search(r'probe: \d+ s an epoch, \d+ s a validation', out)
    assert re.search(r'time: about \d+ ', out)


def test_time_is_counted_up_from_what_was_measured(
    tmp_path, generation_config, known_pace, capsys
):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    epochs = [t.epochs for t in RUNNERS.build(cfg).trials]
    assert epochs[:3] == [1, 3, 3]
    validated = 1 + 3 + 3 + 2 + 2  # of a fission its two snapshots
    assert run(cfg) == 5 * 1 + sum(epochs) * 10 + validated * 2
    # Here the probe trains the whole network, as all others.
    assert len(known_pace) == 1
    cfg.plan.probe['freeze'] = True
    run(cfg)
    assert [c.model.type for c in known_pace[1:]] == [
        'mmengine.LinearProbe',
        'ImageClassifier',
    ]


def test_no_weights_are_fetched_to_measure(
    tmp_path, generation_config, known_pace, capsys
):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    place = 'https://nowhere.invalid/such.pth'
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=place)
    cfg.load_from = 'no/such.pth'
    run(cfg)
    assert f'{place}: not looked at, as they may have to be' in capsys.readouterr().out
    (measured,) = known_pace
    assert measured.load_from is None and 'such.pth' not in str(measured.model)


def test_a_file_of_weights_that_is_not_there_is_said_before_anything_is_measured(
    tmp_path, generation_config, known_pace
):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='no/such.pth')
    with pytest.raises(CheckpointError, match=r"'no/such.pth': no such file"):
        run(cfg)
    assert known_pace == []


def test_only_what_is_left_counts(tmp_path, generation_config, known_pace, capsys):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    cfg.trials = ['probe']
    RUNNERS.build(cfg).train()
    before = sorted(tmp_path.rglob('*'))
    cfg.trials = None
    assert run(cfg) > 0
    assert 'to train: 4 trials (2 base, 2 fission)' in capsys.readouterr().out
    cfg.trials = ['probe']
    assert run(cfg) == 0
    assert 'nothing is left to train' in capsys.readouterr().out
    assert sorted(tmp_path.rglob('*')) == before
    assert read_json(tmp_path / 'w' / 'ledger.json')['trials'][1]['state'] == 'planned'


@pytest.mark.parametrize('seconds', [0, -1, float('inf'), float('nan')])
def test_no_time_to_measure_is_one_line(tmp_path, generation_config, seconds):
    with pytest.raises(ConfigError, match=r'--dry-run .*: expected seconds'):
        run(generation_config(tmp_path / 'w'), seconds)


def test_a_full_disk_is_found(tmp_path, generation_config, known_pace, monkeypatch):
    monkeypatch.setattr('ff_mm.fission.disk.free_space', lambda _: 1000)
    with pytest.raises(DiskError, match=r'take .* free there'):
        run(generation_config(tmp_path / 'w', **SHORT))
    assert not known_pace


def test_of_a_long_epoch_some_steps_are_timed(tmp_path, generation_config):
    cfg = generation_config(tmp_path / 'w', **SHORT)
    cfg.train_dataloader.batch_size = 2
    trial = RUNNERS.build(cfg).trials[0]
    pace = measure_pace(trial_config(cfg, trial, tmp_path / 'a'), 1e-9)
    assert re.fullmatch(rf'\d of {pace.steps} steps', pace.seen)
    assert pace.epoch > 0 and pace.validation > 0 and pace.start > 0
    assert not list(tmp_path.glob('a/*.pth'))
    # With time for it, whole epochs.
    cfg.train_dataloader.batch_size = 32
    pace = measure_pace(trial_config(cfg, trial, tmp_path / 'b'), 3600)
    assert re.fullmatch(rf'epoch \d of {pace.steps} steps', pace.seen)


class Runner:
    train_dataloader = range(4)


def test_of_two_epochs_the_second_counts_and_of_one_its_first_step_does_not():
    watch = _StopWatchHook(3600.0, time.perf_counter())
    watch.steps = [11.0, 12.0, 13.0, 14.0]
    watch._first_epoch_began = 1.0  # ten seconds until the first step
    watch.epochs, watch.validations = [20.0], [5.0]
    assert watch.pace(Runner()).epoch == 20 - 10 + 1 - 5
    watch.epochs = [20.0, 9.0]
    assert watch.pace(Runner()).epoch == 9 - 5
    watch.epochs = []
    watch.estimated = 7.0
    pace = watch.pace(Runner())
    assert (pace.epoch, pace.validation) == (4 * 1.0, 7.0)
    assert pace.seen == '1 of 4 steps'
