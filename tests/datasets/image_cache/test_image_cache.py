from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
from cached_data import (
    LOAD,
    TRAIN,
    VAL,
    build,
    config,
    make_cache,
    read,
    same,
    use,
    write_dicoms,
    write_images,
)
from ham_files import write_image
from many_processes import PATIENCE
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmpretrain.registry import TRANSFORMS
from rich.console import Console

from ff_mm.datasets.checks.check import inner_datasets
from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.files.dicom import LoadDICOM
from ff_mm.datasets.image_cache import image_cache
from ff_mm.datasets.image_cache.image_cache import CacheOptions, ImageCache
from ff_mm.errors import ConfigError


@pytest.fixture
def images(tmp_path):
    write_images(tmp_path / 'images')
    return tmp_path / 'images'


@pytest.fixture
def no_files(monkeypatch):
    """A function after which no loading step may be called any more."""

    def forbid():
        def transform(self, results):
            raise AssertionError(f'{results["img_path"]} was decoded')

        monkeypatch.setattr(LoadImageFromFile, 'transform', transform)
        monkeypatch.setattr(LoadDICOM, 'transform', transform)

    return forbid


FLOAT_VAL = [dict(type='Resize', scale=8), VAL[-1]]


def wrap_in(kind, **arguments):
    return lambda dataset: dict(type=kind, dataset=dataset, **arguments)


def concatenate(dataset):
    other = dict(dataset, pipeline=[dict(LOAD, to_float32=True), *FLOAT_VAL])
    return dict(type='ConcatDataset', datasets=[dataset, other])


WRAPPERS = {
    'none': lambda dataset: dataset,
    'repeat': wrap_in('RepeatDataset', times=2),
    'balanced': wrap_in('ClassBalancedDataset', oversample_thr=0.9),
    'fold': wrap_in('KFoldDataset', fold=1, num_splits=3, seed=0),
    'concatenated': concatenate,
    'nested': lambda dataset: wrap_in('RepeatDataset', times=2)(concatenate(dataset)),
}


@pytest.mark.parametrize('name', WRAPPERS)
def test_pipelines_give_the_same_bits_and_decode_nothing(
    tmp_path, images, no_files, name
):
    cfg = config(images, wrap=WRAPPERS[name])
    plain = {key: read(dataset) for key, dataset in build(cfg).items()}
    cache, _ = make_cache(cfg, tmp_path / 'run')
    no_files()
    for key, dataset in build(use(cache, cfg)).items():
        assert same(read(dataset), plain[key])


@pytest.mark.parametrize('workers', [1, 2])
def test_data_workers_give_the_same_bits(tmp_path, images, no_files, workers):
    cfg = config(images)
    plain = {key: read(dataset, workers) for key, dataset in build(cfg).items()}
    cache, _ = make_cache(cfg, tmp_path / 'run')
    no_files()
    for key, dataset in build(use(cache, cfg)).items():
        assert same(read(dataset, workers), plain[key])


@pytest.mark.parametrize(
    'load',
    [
        dict(LOAD, to_float32=True),
        dict(LOAD, color_type='grayscale'),
        dict(LOAD, color_type='unchanged'),
        dict(LOAD, imdecode_backend='pillow'),
    ],
)
def test_whatever_the_loading_step_makes(tmp_path, images, no_files, load):
    cfg = config(images, load=load, train=FLOAT_VAL, val=FLOAT_VAL)
    plain = read(build(cfg)['val'])
    cache, _ = make_cache(cfg, tmp_path / 'run')
    no_files()
    assert same(read(build(use(cache, cfg))['val']), plain)


def test_images_of_16_bits(tmp_path, no_files):
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30), dtype=np.uint16)
    write_image(tmp_path / 'images' / 'a' / 'shallow.png')
    cv2.imwrite(str(tmp_path / 'images' / 'a' / 'deep.png'), deep)
    load = dict(LOAD, color_type='unchanged')
    cfg = config(tmp_path / 'images', load=load, val=FLOAT_VAL)
    cache, _ = make_cache(cfg, tmp_path / 'run')
    no_files()
    dataset = build(use(cache, cfg))['train']
    loaded = [
        dataset.pipeline.transforms[0](dataset.get_data_info(i))['img']
        for i in range(len(dataset))
    ]
    assert [image.dtype for image in loaded] == [np.uint16, np.uint8]
    assert (loaded[0] == deep).all()


def test_bits_of_16_that_are_used(tmp_path, no_files):
    deep = np.random.default_rng(0).integers(0, 4096, (20, 30), dtype=np.uint16)
    (tmp_path / 'images' / 'a').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'images' / 'a' / 'deep.png'), deep)
    load = dict(type='LoadDICOM', bits=12)
    cfg = config(tmp_path / 'images', load=load)
    plain = read(build(cfg)['val'])
    assert plain[0]['inputs'][0].max() > 100  # 16 grey levels end at 15
    cache, _ = make_cache(cfg, tmp_path / 'run')
    no_files()
    assert same(read(build(use(cache, cfg))['val']), plain)


def test_dicom(tmp_path, no_files):
    write_dicoms(tmp_path / 'images')

    def wrap(dataset):
        return dict(dataset, extensions=('.dcm',))

    cfg = config(tmp_path / 'images', load=dict(type='LoadDICOM'), wrap=wrap)
    plain = {key: read(dataset) for key, dataset in build(cfg).items()}
    cache, _ = make_cache(cfg, tmp_path / 'run')
    no_files()
    for key, dataset in build(use(cache, cfg)).items():
        assert same(read(dataset), plain[key])


def test_validation_is_kept_at_the_size_in_which_it_is_shown(tmp_path, images):
    cfg = config(images)
    cache, _ = make_cache(cfg, tmp_path / 'run')
    kept = {key: build(use(cache, cfg))[key].pipeline for key in ('train', 'val')}
    assert len(kept['train'].transforms) == len(TRAIN) + 1
    assert len(kept['val'].transforms) == len(VAL)
    path = str(images / 'a' / '0.png')
    shown = kept['val'].transforms[0](dict(img_path=path))
    assert shown['img'].shape == (8, 8, 3)
    full = cv2.imread(path)
    assert shown['ori_shape'] == full.shape[:2]
    assert (kept['train'].transforms[0](dict(img_path=path))['img'] == full).all()


class TestAnotherRun:
    def test_images_of_a_run_that_goes_on_are_used_again(
        self, tmp_path, images, no_files
    ):
        cfg = config(images)
        _, said = make_cache(cfg, tmp_path)
        assert 'cache_images: 24 images, 0 MB in' in said and ', made in 0 s' in said
        files = {p: p.stat().st_mtime_ns for p in (tmp_path / 'image_cache').iterdir()}
        assert len(files) == 4
        no_files()
        _, said = make_cache(cfg, tmp_path)
        assert ', found in 0 s' in said
        again = (tmp_path / 'image_cache').iterdir()
        assert {p: p.stat().st_mtime_ns for p in again} == files

    @pytest.mark.parametrize('change', ['content', 'time', 'removed'])
    def test_what_has_changed_is_made_anew(self, tmp_path, images, change):
        cfg = config(images)
        make_cache(cfg, tmp_path)
        before = set((tmp_path / 'image_cache').iterdir())
        path = images / 'a' / '0.png'
        if change == 'content':
            write_image(path, value=200)
        elif change == 'time':
            os.utime(path, ns=(0, 12345))
        else:
            path.unlink()
        cache, said = make_cache(cfg, tmp_path)
        assert 'made in' in said
        after = set((tmp_path / 'image_cache').iterdir())
        assert len(after) == 4 and not after & before
        for key, dataset in build(use(cache, cfg)).items():
            assert same(read(dataset), read(build(cfg)[key]))

    def test_other_steps_are_other_images(self, tmp_path, images):
        make_cache(config(images), tmp_path)
        before = set((tmp_path / 'image_cache').iterdir())
        cfg = config(images, load=dict(LOAD, imdecode_backend='pillow'))
        cache, said = make_cache(cfg, tmp_path)
        assert 'made in' in said
        assert not before & set((tmp_path / 'image_cache').iterdir())
        assert same(read(build(use(cache, cfg))['val']), read(build(cfg)['val']))

    def test_one_of_two_files_is_missing(self, tmp_path, images):
        cfg = config(images)
        make_cache(cfg, tmp_path)
        folder = tmp_path / 'image_cache'
        largest = max(folder.glob('*.pixels'), key=lambda path: path.stat().st_size)
        kept = {
            p: p.stat().st_mtime_ns for p in folder.iterdir() if p.stem != largest.stem
        }
        largest.write_bytes(b'cut short')
        cache, _ = make_cache(cfg, tmp_path)
        assert all(p.stat().st_mtime_ns == at for p, at in kept.items())
        assert same(read(build(use(cache, cfg))['train']), read(build(cfg)['train']))

    def test_what_a_killed_run_has_left_is_never_used(self, tmp_path, images):
        cfg = config(images)
        process = multiprocessing.get_context('fork').Process(
            target=die_while_caching, args=(cfg, tmp_path)
        )
        process.start()
        folder = tmp_path / 'image_cache'
        deadline = time.monotonic() + PATIENCE
        while not (list(folder.glob('.*.part'))) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        left = set(folder.iterdir())
        assert len(left) == 1
        cache, said = make_cache(cfg, tmp_path)
        assert 'made in' in said
        assert not left & set(folder.iterdir()) and len(list(folder.iterdir())) == 4
        assert same(read(build(use(cache, cfg))['train']), read(build(cfg)['train']))


def die_while_caching(cfg: Config, work_dir: Path) -> None:
    load = LoadImageFromFile.transform

    def load_slowly(self, results):
        if list((work_dir / 'image_cache').glob('.*.part')):
            time.sleep(PATIENCE)
        return load(self, results)

    LoadImageFromFile.transform = load_slowly
    make_cache(cfg, work_dir)


class TestShortSide:
    def test_training_images_are_shrunk_and_validation_is_not(self, tmp_path, images):
        cfg = config(images)
        cache, said = make_cache(cfg, tmp_path, dict(short_side=10))
        assert 'those of train shrunk to 10 pixels' in said
        datasets = build(use(cache, cfg))
        shrunk = config(images, train=[dict(type='ShrinkImage', short_side=10), *TRAIN])
        assert same(read(datasets['train']), read(build(shrunk)['train']))
        assert not same(read(datasets['train']), read(build(cfg)['train']))
        assert same(read(datasets['val']), read(build(cfg)['val']))
        loader = datasets['train'].pipeline.transforms[0]
        paths = [
            info['img_path'] for info in map(datasets['train'].get_data_info, range(12))
        ]
        for path in paths:
            loaded = loader(dict(img_path=path))
            height, width = cv2.imread(path).shape[:2]
            assert min(loaded['img'].shape[:2]) == min(10, height, width)
            assert loaded['ori_shape'] == (height, width)
            assert loaded['img_shape'] == loaded['img'].shape[:2]

    def test_another_short_side_is_made_anew(self, tmp_path, images):
        cfg = config(images)
        make_cache(cfg, tmp_path, dict(short_side=10))
        _, said = make_cache(cfg, tmp_path, dict(short_side=11))
        assert 'made in' in said

    def test_an_image_that_is_not_in_the_cache_is_shrunk_too(self, tmp_path, images):
        cfg = config(images)
        cache, _ = make_cache(cfg, tmp_path, dict(short_side=10))
        write_images(tmp_path / 'others', seed=1)
        other = config(tmp_path / 'others')
        shrunk = [dict(type='ShrinkImage', short_side=10), *TRAIN]
        expected = read(build(config(tmp_path / 'others', train=shrunk))['train'])
        assert same(read(build(use(cache, other))['train']), expected)

    def test_images_that_cannot_be_shrunk_are_one_clear_error(self, tmp_path, images):
        load = dict(LOAD, to_float32=True)
        cfg = config(images, load=load, val=FLOAT_VAL)
        with pytest.raises(ConfigError, match='an image is float32 of shape'):
            make_cache(cfg, tmp_path, dict(short_side=10))
        make_cache(cfg, tmp_path)


Usage = namedtuple('Usage', 'total used free')


class TestRoom:
    def test_what_does_not_fit_is_refused_before_anything_is_decoded(
        self, tmp_path, images, monkeypatch
    ):
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage(9, 9, 5000))
        message = (
            r'image_cache: 24 images take about 0 MB, but only 0 MB are free there\. '
            r'Give cache_images\.short_side, .* cache_images\.dir'
        )
        with pytest.raises(DatasetError, match=message):
            make_cache(config(images), tmp_path)
        assert not list((tmp_path / 'image_cache').iterdir())

    def test_what_is_there_needs_no_more_room(self, tmp_path, images, monkeypatch):
        make_cache(config(images), tmp_path)
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage(9, 9, 0))
        _, said = make_cache(config(images), tmp_path)
        assert 'found in' in said

    def test_caches_of_other_images_make_room_first(
        self, tmp_path, images, monkeypatch
    ):
        make_cache(config(images), tmp_path)
        left = []

        def look(path):
            left.extend(Path(path).iterdir())
            return Usage(9, 9, 10**9)

        monkeypatch.setattr(shutil, 'disk_usage', look)
        cfg = config(images, load=dict(LOAD, imdecode_backend='pillow'))
        make_cache(cfg, tmp_path)
        assert left == []

    def test_a_disk_that_fills_up_is_one_clear_error(
        self, tmp_path, images, monkeypatch
    ):
        def write(path, records):
            raise OSError(28, 'No space left on device')

        monkeypatch.setattr(image_cache, 'write_records', write)
        with pytest.raises(DatasetError, match=r'No space left on device\. Give cache'):
            make_cache(config(images), tmp_path)

    def test_a_folder_that_cannot_be_made(self, tmp_path, images):
        (tmp_path / 'file').write_text('')
        option = dict(dir=str(tmp_path / 'file'))
        with pytest.raises(DatasetError, match=r'file/image_cache_.*cannot be cached'):
            make_cache(config(images), tmp_path, option)

    def test_more_than_memory_is_said(self, tmp_path, images, monkeypatch):
        monkeypatch.setattr(image_cache, 'memory_of_machine', lambda: 1000)
        _, said = make_cache(config(images), tmp_path)
        assert 'every epoch reads images from disk' in said


class TestPlace:
    def test_another_disk(self, tmp_path, images):
        option = dict(dir=str(tmp_path / 'fast'))
        caches = [make_cache(config(images), tmp_path / n, option)[0] for n in 'ab']
        assert {cache.folder for cache in caches} <= set((tmp_path / 'fast').iterdir())
        assert not (tmp_path / 'a').exists()
        cfg = use(caches[0], config(images))
        assert str(tmp_path / 'fast') in str(cfg.train_dataloader)
        caches[0].remove()
        assert not caches[0].folder.exists() and caches[1].folder.exists()
        caches[1].remove()
        assert not list((tmp_path / 'fast').iterdir())

    def test_nothing_is_left_in_the_end(self, tmp_path, images):
        cache, _ = make_cache(config(images), tmp_path / 'run')
        assert (tmp_path / 'run' / 'image_cache').is_dir()
        cache.remove()
        assert not list((tmp_path / 'run').iterdir())
        cache.remove()

    def test_one_that_is_no_longer_asked_for_is_removed_too(self, tmp_path, images):
        make_cache(config(images), tmp_path / 'run')
        cache, said = make_cache(config(images), tmp_path / 'run', False)
        assert said == ''
        cache.remove()
        assert not list((tmp_path / 'run').iterdir())


class TestWhatIsNotCached:
    def test_a_config_without_the_option_stays_as_it_is(self, tmp_path, images):
        cache, said = make_cache(config(images), tmp_path / 'run', {})
        assert use(cache, config(images)).to_dict() == config(images).to_dict()
        assert said == '' and not (tmp_path / 'run').exists()

    @pytest.mark.parametrize('option', [True, dict(short_side=4)])
    def test_images_in_memory(self, tmp_path, option):
        loader = dict(dataset=dict(type='Digits', pipeline=VAL))
        cfg = Config(dict(train_dataloader=loader, val_dataloader=loader))
        cache, said = make_cache(cfg, tmp_path / 'run', option)
        assert said.count('\n') == 1 and 'there is nothing to cache' in said
        assert use(cache, cfg).to_dict() == cfg.to_dict()
        assert not (tmp_path / 'run').exists()

    def test_one_data_set_in_memory_and_one_in_files(self, tmp_path, images, no_files):
        cfg = config(images)
        cfg.val_dataloader = dict(dataset=dict(type='Digits', pipeline=VAL))
        cache, said = make_cache(cfg, tmp_path)
        assert 'cache_images: 12 images' in said
        no_files()
        used = use(cache, cfg)
        assert used.val_dataloader == cfg.val_dataloader
        assert read(build(used)['train'])

    def test_a_stage_with_other_images_loads_them_as_ever(self, tmp_path, images):
        write_images(tmp_path / 'others', count=5, seed=1)
        cache, _ = make_cache(config(images), tmp_path)
        other = config(tmp_path / 'others')
        assert same(
            read(build(use(cache, other))['train']), read(build(other)['train'])
        )

    def test_images_that_the_loading_step_leaves_out(self, tmp_path, images):
        (images / 'a' / '0.png').write_bytes(b'')
        cfg = config(images, load=dict(LOAD, ignore_empty=True))
        cache, _ = make_cache(cfg, tmp_path)
        assert same(read(build(use(cache, cfg))['train']), read(build(cfg)['train']))

    def test_images_with_boxes_are_loaded_by_the_steps(self, tmp_path, images):
        cfg = config(images)
        cache, _ = make_cache(cfg, tmp_path)
        loader = build(use(cache, cfg))['val'].pipeline.transforms[0]
        path = str(images / 'a' / '0.png')
        results = loader(dict(img_path=path, gt_bboxes=np.ones((1, 4))))
        assert not (results['gt_bboxes'] == 1).all()


def test_sizes_of_all_stages_are_cached(tmp_path, images, no_files):
    small, large = config(images), config(images)
    large.val_dataloader.dataset.pipeline[1].scale = 16
    cache, _ = make_cache(small, tmp_path)
    cache.fill(build(small), [small, large])
    no_files()
    for cfg, side in ((small, 8), (large, 16)):
        batches = read(build(use(cache, cfg))['val'])
        assert batches[0]['inputs'][0].shape == (3, side, side)


def test_all_images_that_cannot_be_read_are_named_before_training(tmp_path, images):
    (images / 'a' / '0.png').write_bytes(b'no image')
    (images / 'b' / '1.png').write_bytes(b'')
    with pytest.raises(DatasetError) as caught:
        make_cache(config(images), tmp_path)
    text = str(caught.value)
    assert 'images that cannot be read: 2 (' in text
    assert str(images / 'a' / '0.png') in text and str(images / 'b' / '1.png') in text
    assert not list((tmp_path / 'image_cache').iterdir())


def test_many_images_are_decoded_by_many_processes(tmp_path, monkeypatch):
    write_images(tmp_path / 'images', count=40)
    monkeypatch.setattr(image_cache, '_A_PROCESS', 15)
    monkeypatch.setattr(image_cache, '_HANDED_OVER', 1)
    monkeypatch.setattr(image_cache, 'allowed_cores', lambda: 2)
    cfg = config(tmp_path / 'images')
    cache, _ = make_cache(cfg, tmp_path / 'run')
    for key, dataset in build(use(cache, cfg)).items():
        assert same(read(dataset), read(build(cfg)[key]))


def test_a_step_that_does_not_fit_is_not_the_fault_of_the_images(tmp_path, images):
    cfg = config(images, load=dict(LOAD, to_float32=True))
    with pytest.raises(AssertionError, match='only support uint8'):
        make_cache(cfg, tmp_path)


@TRANSFORMS.register_module()
class LoadWithMask(LoadImageFromFile):
    """Loads more than an image."""

    def transform(self, results):
        results = super().transform(results)
        results['mask'] = results['img'] > 0
        return results


def test_a_loading_step_that_does_more_is_refused(tmp_path, images):
    cfg = config(images, load=dict(type='LoadWithMask'))
    with pytest.raises(ConfigError, match='besides the pixels cannot be kept'):
        make_cache(cfg, tmp_path)


def test_inner_data_sets_of_what_was_built(images):
    cfg = config(images, wrap=WRAPPERS['nested'])
    assert len(inner_datasets(build(cfg)['train'])) == 2


def cache_of(value, tmp_path):
    return ImageCache(value, tmp_path, Console(quiet=True))


@pytest.mark.parametrize('value', [False, None, {}])
def test_nothing_is_cached_unless_asked_for(value, tmp_path):
    assert not cache_of(value, tmp_path).is_on


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'cache_images': True}, CacheOptions()),
        ({'cache_images': False}, None),
        ({'cache_images.short_side': 256}, CacheOptions(short_side=256)),
        (
            {'cache_images.short_side': 64, 'cache_images.dir': '/x'},
            CacheOptions(64, '/x'),
        ),
    ],
)
def test_what_the_command_line_can_say(options, expected, tmp_path):
    cfg = Config(dict(cache_images=dict()))
    cfg.merge_from_dict(options)
    cache = cache_of(cfg.cache_images, tmp_path)
    assert (cache.options if cache.is_on else None) == expected


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (256, r'cache_images=256: expected a dict with some of'),
        ('ram', r"cache_images='ram': expected"),
        (dict(size=3), r"unknown key 'size', there are \['short_side', 'dir'\]"),
        (dict(short_side=0), r'cache_images\.short_side=0: expected'),
        (dict(short_side=True), r'cache_images\.short_side=True: expected'),
        (dict(short_side='256'), r"cache_images\.short_side='256': expected"),
        (dict(dir=3), r'cache_images\.dir=3: expected a folder'),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(value, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        cache_of(value, tmp_path)
