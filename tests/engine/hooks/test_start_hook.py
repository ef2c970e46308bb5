from __future__ import annotations

import torch
from toys import toy_config

from ff_mm.engine.hooks.start_hook import start_of
from ff_mm.engine.quiet_runner import QuietRunner
from ff_mm.files import sha256


def train(work_dir, name, **changes):
    hook = dict(type='StartHook', out_dir='../start', name=name)
    cfg = toy_config(work_dir, epochs=1, custom_hooks=[hook], **changes)
    runner = QuietRunner.from_cfg(cfg)
    weights = {key: v.clone() for key, v in runner.model.state_dict().items()}
    runner.train()
    runner.release()
    return start_of(runner), weights, runner.model.state_dict()


def test_what_runs_of_one_start_keep_is_one_file_of_the_weights_before_training(
    tmp_path,
):
    first, weights, trained = train(tmp_path / 'a', 'a')
    faster = dict(optimizer=dict(type='AdamW', lr=0.5))
    second, _, _ = train(tmp_path / 'b', 'b', optim_wrapper=faster)
    assert first == second
    (file,) = (tmp_path / 'start').iterdir()
    assert file.name == first['file'] == f'start_{first["sha256"][:16]}.pth'
    assert sha256(file) == first['sha256']
    kept = torch.load(file, weights_only=True)['state_dict']
    assert list(kept) == list(weights)
    assert all(torch.equal(kept[key], weights[key]) for key in weights)
    assert not torch.equal(kept['fc.weight'], trained['fc.weight'])


def test_runs_of_other_starts_are_told_apart(tmp_path):
    first, _, _ = train(tmp_path / 'a', 'a')
    second, _, _ = train(tmp_path / 'b', 'b', randomness=dict(seed=7))
    assert first['sha256'] != second['sha256']
    assert len(list((tmp_path / 'start').iterdir())) == 2
