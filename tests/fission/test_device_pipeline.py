"""Whole plans whose training images are augmented in batches."""

from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from trained_plans import digests, train, write_images

from ff_mm.errors import ConfigError, LedgerError
from ff_mm.files import read_json
from ff_mm.fission.ledger import comparable

SHORT = dict(
    plan__lrs=[1e-2],
    plan__probe=None,
    plan__fission=None,
    plan__base=dict(epochs=2, _delete_=True),
    custom_hooks=[dict(type='Interrupt')],
)
RESIDENT = dict(images='device')


def with_workers(number):
    return dict(SHORT, train_dataloader__num_workers=number)


@pytest.fixture(scope='module')
def files_config(tmp_path_factory, generation_config):
    """A function that gives the config of a plan on image files of several sizes."""
    root = tmp_path_factory.mktemp('images')
    write_images(root, 60, (20, 40))

    def config(work_dir, **options):
        cfg = generation_config(work_dir, **SHORT | options)
        load = dict(type='LoadImageFromFile')
        cfg.train_pipeline = [load, *cfg.train_pipeline[1:]]
        cfg.test_pipeline = [load, *cfg.test_pipeline]
        pipelines = dict(train='${train_pipeline}', val='${test_pipeline}')
        for name, pipeline in pipelines.items():
            cfg[f'{name}_dataloader'].dataset = dict(
                type='FolderDataset',
                data_root=str(root),
                split=name,
                pipeline=pipeline,
                shares=(3, 1, 0),
            )
        cfg.test_dataloader = None
        return cfg

    return config


@pytest.mark.parametrize('option', [True, RESIDENT], ids=['cache', 'resident'])
@pytest.mark.parametrize('level', ['medium', 'heavy'])
def test_images_come_out_of_a_cache_which_is_removed_in_the_end(
    tmp_path, files_config, monkeypatch, capsys, option, level
):
    decoded = []
    load = LoadImageFromFile.transform

    def transform(self, results):
        decoded.append(results['img_path'])
        return load(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', transform)
    cfg = files_config(tmp_path, device_pipeline=option, augmentation=level)
    manifest = train(cfg)
    assert np.isfinite(manifest['ingredients'][0]['metrics']['loss'])
    # Once to estimate the room that is needed, once to decode.
    assert max(map(decoded.count, decoded)) == 2
    assert 'cache_images: 60 images' in capsys.readouterr().out
    assert not (tmp_path / 'image_cache').exists()


def test_with_resident_images_workers_change_nothing(tmp_path, generation_config):
    for number in (0, 2):
        options = with_workers(number) | dict(device_pipeline=RESIDENT)
        train(generation_config(tmp_path / str(number), **options))
    assert digests(tmp_path / '0') == digests(tmp_path / '2')


@pytest.mark.parametrize('option', [True, RESIDENT], ids=['cache', 'resident'])
def test_with_workers_an_interrupted_plan_ends_bit_for_bit(
    tmp_path, files_config, interrupt, option
):
    options = with_workers(2) | dict(device_pipeline=option, augmentation='heavy')
    train(files_config(tmp_path / 'unbroken', **options))
    interrupt.moment = ('base_lr0.01', 2, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(files_config(tmp_path / 'broken', **options))
    train(files_config(tmp_path / 'broken', **options))
    assert digests(tmp_path / 'broken') == digests(tmp_path / 'unbroken')


def test_batch_norm_is_re_estimated_on_batches_as_they_train(
    tmp_path, generation_config
):
    averages = [dict(type='ema', bn_samples=64)]
    options = SHORT | dict(
        plan__base=dict(epochs=1, averages=averages, _delete_=True),
        device_pipeline=RESIDENT,
    )
    train(generation_config(tmp_path, **options))
    assert any('ema' in name for name in digests(tmp_path))


def test_an_unknown_step_is_named_before_any_training(tmp_path, generation_config):
    cfg = generation_config(tmp_path, **SHORT, device_pipeline=True)
    cfg.train_pipeline.insert(1, dict(type='RandomErasing'))
    with pytest.raises(ConfigError, match=r"trial 'base_lr0.01': .* RandomErasing of"):
        train(cfg)
    assert not (tmp_path / 'trials').exists()


def test_folds_and_balanced_classes_are_augmented_in_batches(
    tmp_path, generation_config
):
    options = SHORT | dict(plan__folds=2, class_balance='sampling')
    options |= dict(plan__base=dict(epochs=1, patience=None, _delete_=True))
    manifest = train(generation_config(tmp_path, **options, device_pipeline=RESIDENT))
    assert len(manifest['ingredients']) == 2


def test_the_ledger_records_the_option(tmp_path, generation_config):
    train(generation_config(tmp_path, **SHORT, device_pipeline=RESIDENT))
    recorded = read_json(tmp_path / 'ledger.json')['config']['device_pipeline']
    assert recorded == RESIDENT
    with pytest.raises(LedgerError, match=r'device_pipeline.images: device -> cache'):
        cache = dict(images='cache')
        train(generation_config(tmp_path, **SHORT, device_pipeline=cache))


@pytest.mark.parametrize('off', [False, None, {}])
def test_left_off_it_is_as_good_as_absent(off):
    assert comparable(dict(device_pipeline=off, a=1)) == comparable(dict(a=1))
