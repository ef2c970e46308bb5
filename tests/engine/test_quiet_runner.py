from __future__ import annotations

import os
from multiprocessing import active_children

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from mmengine.visualization import Visualizer
from toys import toy_loader

from ff_mm.datasets.sharing import forget_datasets

LOGGING = dict(checkpoint=None, logger=dict(type='LoggerHook', interval=1))


def tables():
    classes = (MMLogger, MessageHub, DefaultScope, Visualizer)
    return {cls.__name__: len(cls._instance_dict) for cls in classes}


def test_runs_leave_no_open_file_and_no_global_instance(toy_runner, tmp_path):
    hooks = [
        dict(type='BestCheckpointHook', monitor='score', rule='greater'),
        dict(type='SafeCheckpointHook'),
    ]

    def run(name):
        runner = toy_runner(name, custom_hooks=hooks)
        runner.train()
        runner.release()
        return len(os.listdir('/proc/self/fd')), tables()

    first = run('first')
    assert [run(f'trial{i}') for i in range(3)] == [first] * 3


def test_the_data_workers_of_a_run_end_with_it(toy_runner):
    loader = toy_loader(workers=2)
    before = set(active_children())
    runner = toy_runner(epochs=2, train_dataloader=loader, val_dataloader=loader)
    runner.train()
    assert len(set(active_children()) - before) == 4
    runner.release()
    assert set(active_children()) == before


def test_the_log_file_is_complete_after_release(toy_runner, tmp_path):
    runner = toy_runner(default_hooks=LOGGING)
    runner.train()
    runner.release()
    (log,) = (tmp_path / 'toy').glob('*/*.log')
    assert 'Epoch(train) [4][3/3]' in log.read_text()


def test_the_config_is_not_written_through_a_link(toy_runner, tmp_path):
    victim = tmp_path / 'victim'
    victim.write_text('mine')
    runner = toy_runner()
    (tmp_path / 'toy.py').write_text('epochs = 3')
    runner.cfg = Config.fromfile(tmp_path / 'toy.py')
    (tmp_path / 'toy' / 'toy.py').symlink_to(victim)
    runner.dump_config()
    runner.release()
    assert victim.read_text() == 'mine'
    assert Config.fromfile(tmp_path / 'toy' / 'toy.py').epochs == 3


def test_the_console_gets_warnings_only(toy_runner, capfd):
    runner = toy_runner(default_hooks=LOGGING)
    runner.train()
    runner.logger.warning('look here')
    out, err = capfd.readouterr()
    assert 'look here' in out + err
    assert 'Epoch(train)' not in out + err


def test_the_best_of_one_run_does_not_leak_into_the_next(toy_runner, tmp_path):
    def run(name, values):
        runner = toy_runner(
            name,
            epochs=2,
            val_evaluator=dict(type='ScriptedMetric', values=values),
            custom_hooks=[
                dict(type='BestCheckpointHook', monitor='score', rule='greater'),
                dict(type='SafeCheckpointHook'),
            ],
        )
        runner.train()
        runner.release()
        return runner.message_hub.get_info('best')

    assert run('same', [0.9, 0.8])['metrics'] == dict(score=0.9)
    # Within the same second and under the same name.
    assert run('same', [0.1, 0.2]) == dict(epoch=2, metrics=dict(score=0.2))


def test_the_text_of_the_config_is_laid_out_once_and_is_the_same(
    toy_runner, tmp_path, monkeypatch
):
    calls = []

    def lay_out(text, **_):
        calls.append(text)
        return f'# laid out\n{text}', True

    for module in ('mmengine.config.config', 'yapf.yapflib.yapf_api'):
        monkeypatch.setattr(f'{module}.FormatCode', lay_out, raising=False)
    hooks = [
        dict(type='BestCheckpointHook', monitor='score', rule='greater'),
        dict(type='SafeCheckpointHook'),
    ]
    runner = toy_runner(custom_hooks=hooks)
    runner.train()
    assert len(calls) == 1
    content = torch.load(tmp_path / 'toy' / 'best.pth', weights_only=True)
    text = content['meta']['cfg']
    assert text.startswith('# laid out')
    assert Config.fromstring(text, '.py').to_dict() == runner.cfg.to_dict()
    assert runner.cfg.custom_hooks[1].type == 'SafeCheckpointHook'


@DATASETS.register_module()
class ToyPoints(BaseDataset):
    """Points in the plane, with a pipeline; counts its scans."""

    METAINFO = {'classes': ('below', 'above')}
    scans = 0

    def load_data_list(self):
        ToyPoints.scans += 1
        points = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
        return [dict(inputs=p, labels=int(p.sum() > 0)) for p in points]


@TRANSFORMS.register_module()
class Scaled:
    """Multiplies a point, and notes by what."""

    seen = []

    def __init__(self, by):
        self.by = by

    def __call__(self, results):
        Scaled.seen.append(self.by)
        point = torch.from_numpy(results['inputs'] * self.by)
        return dict(inputs=point, labels=results['labels'])


@pytest.fixture
def points():
    """A function that gives the config of a data loader."""
    forget_datasets()
    ToyPoints.scans, Scaled.seen = 0, []

    def loader(by, shuffle=False, **options):
        pipeline = [dict(type='Scaled', by=by)]
        return dict(
            batch_size=4,
            num_workers=0,
            dataset=dict(type='ToyPoints', pipeline=pipeline, **options),
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            collate_fn=dict(type='default_collate'),
        )

    yield loader
    forget_datasets()


def test_runs_share_a_data_set_but_neither_its_pipeline_nor_changes(toy_runner, points):
    def train(name, by):
        Scaled.seen.clear()
        runner = toy_runner(
            name,
            epochs=1,
            train_dataloader=points(by, shuffle=True),
            val_dataloader=points(1, indices=5),
        )
        runner.train()
        runner.release()
        return runner, list(Scaled.seen)

    first, seen = train('first', 2)
    assert seen == [2] * 12 + [1] * 5
    first.train_dataloader.dataset.get_subset_(3)
    second, seen = train('second', 3)
    assert seen == [3] * 12 + [1] * 5
    assert ToyPoints.scans == 2  # train and val, once each
    assert second.train_dataloader.dataset is not first.train_dataloader.dataset
    shared = (first.val_dataloader.dataset, second.val_dataloader.dataset)
    assert shared[0].data_bytes is shared[1].data_bytes


def test_sharing_a_data_set_changes_nothing_about_a_run(toy_runner, points):
    def weights(name):
        loader = points(0.5, shuffle=True)
        runner = toy_runner(name, epochs=2, train_dataloader=loader)
        runner.train()
        return runner.model.state_dict()

    built, shared = weights('built'), weights('shared')
    assert ToyPoints.scans == 1
    assert all(torch.equal(built[key], shared[key]) for key in built)


@pytest.fixture
def compiled():
    """Forgets compiled code before and after a test."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    yield lambda: torch._dynamo.utils.counters['stats']['unique_graphs']
    torch.compiler.reset()


def test_a_compiled_run_is_the_same_run_and_the_next_uses_its_code(
    toy_runner, compiled, tmp_path
):
    hooks = [
        dict(type='BestCheckpointHook', monitor='score', rule='greater'),
        dict(type='SafeCheckpointHook'),
    ]

    def train(name, **options):
        runner = toy_runner(name, epochs=2, custom_hooks=hooks, **options)
        runner.train()
        runner.release()
        return torch.load(tmp_path / name / 'best.pth', weights_only=True)

    plain = train('plain')['state_dict']
    assert compiled() == 0
    first = train('first', compile=dict(backend='eager'))['state_dict']
    graphs = compiled()
    assert graphs > 0
    second = train('second', compile=dict(backend='eager'))['state_dict']
    assert compiled() == graphs
    assert list(plain) == list(first) == list(second)  # no prefix
    for key, value in plain.items():
        assert torch.equal(value, first[key]) and torch.equal(value, second[key])
