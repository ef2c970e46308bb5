from __future__ import annotations

import os
import pickle
import tarfile
from collections import Counter
from hashlib import md5

import numpy as np
import pytest
from array_files import (
    TRAIN_BATCHES,
    pack,
    pixels,
    python2_pickle,
    write_batch,
    write_cifar10,
    write_cifar100,
)
from mmpretrain.datasets import CIFAR10
from mmpretrain.registry import DATASETS
from reading import values
from torch.utils.data import DataLoader

from ff_mm.datasets import DatasetError, check_datasets, fingerprint
from ff_mm.datasets.cifar import CIFAR10_1, SplitCIFAR10, SplitCIFAR100

FOLDER = 'cifar-10-batches-py'
ARCHIVE = 'cifar-10-python.tar.gz'


@pytest.fixture
def cifar10(tmp_path):
    write_cifar10(tmp_path / FOLDER)
    return tmp_path


def problem(root, kind=SplitCIFAR10, **kwargs):
    with pytest.raises(DatasetError) as caught:
        kind(str(root), **kwargs)
    (text,) = caught.value.problems
    return text


class TestSplits:
    def test_training_data_is_cut_nine_to_one(self, cifar10):
        splits = [SplitCIFAR10(str(cifar10), s) for s in ('train', 'val', 'test')]
        assert [len(split) for split in splits] == [90, 10, 20]
        assert Counter(values(splits[1], 'gt_label')) == dict.fromkeys(range(10), 1)
        train, val, test = (set(values(split, 'image_id')) for split in splits)
        assert train | val == {f'train_{i:05d}' for i in range(100)}
        assert test == {f'test_{i:05d}' for i in range(20)}
        assert len(SplitCIFAR10(str(cifar10), 'all')) == 120

    def test_the_seed_decides(self, cifar10):
        first, again, other = (
            values(SplitCIFAR10(str(cifar10), 'val', seed=seed), 'image_id')
            for seed in (0, 0, 1)
        )
        assert first == again != other

    def test_other_shares(self, cifar10):
        val = SplitCIFAR10(str(cifar10), 'val', shares=(8, 2, 0))
        assert len(val) == 20

    def test_lists(self, cifar10):
        (cifar10 / 'own.txt').write_text('test_00003\ntrain_00012\n')
        dataset = SplitCIFAR10(str(cifar10), image_list='own.txt')
        assert values(dataset, 'gt_label') == [3, 2]
        (cifar10 / 'own.csv').write_text('image,split\ntrain_00012,val\n')
        assert len(SplitCIFAR10(str(cifar10), 'val', split_file='own.csv')) == 1

    def test_a_run_is_free_of_leaks(self, cifar10):
        config = dict(type='SplitCIFAR10', data_root=str(cifar10))
        check_datasets({s: dict(config, split=s) for s in ('train', 'val', 'test')})


class TestImages:
    def test_as_mmpretrain_reads_them_but_in_bgr(self, cifar10, monkeypatch):
        monkeypatch.setattr(CIFAR10, '_check_integrity', lambda self: True)
        for split, theirs in (('all', 'train'), ('test', 'test')):
            ours = SplitCIFAR10(str(cifar10), split)
            other = CIFAR10(str(cifar10), theirs)
            for i in range(len(other)):
                info, expected = ours.get_data_info(i), other.get_data_info(i)
                assert (info['img'][..., ::-1] == expected['img']).all()
                assert info['gt_label'] == expected['gt_label']
        assert ours.CLASSES == other.CLASSES

    def test_train_and_val_share_the_array(self, cifar10):
        train, val = (SplitCIFAR10(str(cifar10), split) for split in ('train', 'val'))
        assert np.shares_memory(train.open_images('train'), val.open_images('train'))

    def test_through_a_pipeline(self, cifar10):
        pipeline = [dict(type='Resize', scale=8, backend='pillow')]
        pipeline.append(dict(type='PackInputs'))
        config = dict(type='SplitCIFAR10', data_root=str(cifar10), pipeline=pipeline)
        dataset = pickle.loads(pickle.dumps(DATASETS.build(config)))
        case = next(iter(DataLoader(dataset, batch_size=None)))
        assert case['inputs'].shape == (3, 8, 8)
        assert case['data_samples'].gt_label.item() == values(dataset, 'gt_label')[0]

    def test_cifar100_has_fine_labels(self, tmp_path):
        write_cifar100(tmp_path / 'cifar-100-python')
        config = dict(type='SplitCIFAR100', data_root=str(tmp_path))
        train, val, test = (
            DATASETS.build(dict(config, split=s)) for s in ('train', 'val', 'test')
        )
        assert [len(train), len(val), len(test)] == [900, 100, 100]
        assert values(test, 'gt_label') == list(range(100))
        assert sorted(values(val, 'gt_label')) == list(range(100))
        assert len(test.CLASSES) == 100 and test.CLASSES[99] == 'worm'


class TestLayouts:
    def expected(self, root):
        return fingerprint(SplitCIFAR10(str(root / FOLDER), 'all'))

    def test_below_and_in_a_folder_around(self, cifar10):
        expected = self.expected(cifar10)
        assert fingerprint(SplitCIFAR10(str(cifar10), 'all')) == expected
        around = cifar10 / 'cifar-10-python'
        around.mkdir()
        (cifar10 / FOLDER).rename(around / FOLDER)
        assert fingerprint(SplitCIFAR10(str(cifar10), 'all')) == expected

    def test_archive(self, cifar10, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp('elsewhere')
        pack(cifar10 / FOLDER, elsewhere / ARCHIVE)
        dataset = SplitCIFAR10(str(elsewhere), 'all')
        assert fingerprint(dataset) == self.expected(cifar10)
        assert os.listdir(elsewhere) == [ARCHIVE]

    def test_batches_in_any_order_in_the_archive(self, cifar10, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp('elsewhere')
        with tarfile.open(elsewhere / ARCHIVE, 'w:gz') as file:
            for name in (*reversed(TRAIN_BATCHES), 'test_batch'):
                file.add(cifar10 / FOLDER / name, arcname=f'./{FOLDER}/{name}')
        dataset = SplitCIFAR10(str(elsewhere))
        expected = SplitCIFAR10(str(cifar10))
        assert values(dataset, 'image_id') == values(expected, 'image_id')
        assert fingerprint(dataset) == fingerprint(expected)

    def test_as_the_authors_wrote_it(self, cifar10):
        path = cifar10 / FOLDER / 'test_batch'
        batch = pickle.loads(path.read_bytes())
        expected = fingerprint(SplitCIFAR10(str(cifar10), 'test'))
        path.write_bytes(python2_pickle(batch['data'], batch['labels']))
        assert fingerprint(SplitCIFAR10(str(cifar10), 'test')) == expected

    def test_only_the_files_of_the_split_are_needed(self, cifar10):
        (cifar10 / FOLDER / 'test_batch').unlink()
        assert len(SplitCIFAR10(str(cifar10))) == 90
        text = problem(cifar10, split='all')
        assert text.startswith("There is no ['") and 'test_batch' in text

    def test_a_changed_file_is_read_anew(self, cifar10):
        before = fingerprint(SplitCIFAR10(str(cifar10), 'test'))
        write_batch(cifar10 / FOLDER / 'test_batch', list(range(10)), seed=5)
        assert fingerprint(SplitCIFAR10(str(cifar10), 'test')) != before


class TestBadFiles:
    def test_nothing_there(self, tmp_path):
        for root in (tmp_path, tmp_path / 'nowhere'):
            text = problem(root)
            assert f'neither a folder {FOLDER} nor {ARCHIVE}' in text
            assert repr(str(root)) in text and 'download=True' in text
        assert 'cifar-100-python.tar.gz' in problem(tmp_path, SplitCIFAR100)

    @pytest.mark.parametrize('packed', [False, True])
    def test_no_code_runs(self, cifar10, packed):
        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(cifar10 / 'it-ran'),)

        path = cifar10 / FOLDER / 'data_batch_3'
        write_batch(path, list(range(10)), note=Evil())
        if packed:
            pack(cifar10 / FOLDER, cifar10 / ARCHIVE)
            (cifar10 / FOLDER).rename(cifar10 / 'aside')
        text = problem(cifar10)
        assert 'data_batch_3' in text and 'which is no plain data' in text
        assert not (cifar10 / 'it-ran').exists()
        pickle.loads(
            (path if not packed else cifar10 / 'aside' / path.name).read_bytes()
        )
        assert (cifar10 / 'it-ran').exists()

    @pytest.mark.parametrize(
        'batch',
        [
            {'data': np.zeros((2, 3072), np.uint8)},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': 1},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': [1]},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': [1, 'x']},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': [1, 1 << 70]},
            {'data': np.zeros((2, 1024), np.uint8), 'labels': [1, 2]},
            {'data': [0] * 6144, 'labels': [1, 2]},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': [0.9, 1.7]},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': ['1', '2']},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': [True, False]},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': [[1], [2]]},
            {'data': np.zeros((2, 3072), np.uint8), 'labels': {0: 1, 1: 2}},
            {'data': np.zeros((3072, 2), np.uint8), 'labels': [1, 2]},
            {'data': np.zeros((2, 3, 32, 32), np.uint8), 'labels': [1, 2]},
            {'data': np.zeros(6144, np.uint8), 'labels': [1, 2]},
        ],
    )
    def test_no_batch(self, cifar10, batch):
        path = cifar10 / FOLDER / 'test_batch'
        path.write_bytes(pickle.dumps(batch, 4))
        text = problem(cifar10, split='test')
        assert text.startswith(f'{str(path)!r} is no batch of CIFAR')

    def test_labels_out_of_range(self, cifar10):
        write_batch(cifar10 / FOLDER / 'test_batch', [0, 10])
        assert 'labels are 0 to 10, not 0 to 9' in problem(cifar10, split='test')

    def test_damaged_archive(self, cifar10):
        pack(cifar10 / FOLDER, cifar10 / ARCHIVE)
        (cifar10 / FOLDER).rename(cifar10 / 'aside')
        data = (cifar10 / ARCHIVE).read_bytes()
        for damaged in (b'', b'<html>', data[: len(data) // 2]):
            (cifar10 / ARCHIVE).write_bytes(damaged)
            text = problem(cifar10)
            assert ARCHIVE in text and 'Download it anew' in text

    def test_archive_without_a_batch(self, cifar10):
        (cifar10 / FOLDER / 'data_batch_2').unlink()
        pack(cifar10 / FOLDER, cifar10 / ARCHIVE)
        (cifar10 / FOLDER).rename(cifar10 / 'aside')
        assert "has no ['data_batch_2'] in it" in problem(cifar10)


class TestDownload:
    @pytest.fixture
    def server(self, tmp_path, monkeypatch):
        """A file in place of the authors' server."""
        write_cifar10(tmp_path / 'server' / FOLDER)
        archive = tmp_path / 'server' / ARCHIVE
        pack(tmp_path / 'server' / FOLDER, archive)
        monkeypatch.setattr(CIFAR10, 'url', archive.as_uri())
        monkeypatch.setattr(CIFAR10, 'tgz_md5', md5(archive.read_bytes()).hexdigest())
        return archive

    def test_into_data_root(self, server, tmp_path):
        root = tmp_path / 'new' / 'folder'
        assert len(SplitCIFAR10(str(root), 'val', download=True)) == 10
        server.unlink()
        assert len(SplitCIFAR10(str(root), 'test', download=True)) == 20

    def test_not_without_the_users_word(self, server, tmp_path):
        assert 'or set download=True' in problem(tmp_path / 'new')
        assert not (tmp_path / 'new').exists()

    def test_another_file_is_not_kept(self, server, tmp_path, monkeypatch):
        monkeypatch.setattr(CIFAR10, 'tgz_md5', '0' * 32)
        text = problem(tmp_path / 'new', download=True)
        assert 'could not be downloaded' in text and 'by other means' in text
        assert os.listdir(tmp_path / 'new') == []

    def test_no_network(self, server, tmp_path):
        server.unlink()
        text = problem(tmp_path / 'new', download=True)
        assert f'{ARCHIVE} could not be downloaded' in text


def write(folder, version='v6', count=4):
    folder.mkdir(parents=True, exist_ok=True)
    images = pixels(count, 32, 32, 3, seed=count)
    np.save(folder / f'cifar10.1_{version}_data.npy', images)
    labels = np.arange(count, dtype=np.int32)
    np.save(folder / f'cifar10.1_{version}_labels.npy', labels)
    return images


@pytest.mark.parametrize('folder', ['', 'datasets', 'CIFAR-10.1/datasets'])
def test_images_and_labels(tmp_path, folder):
    images = write(tmp_path / folder)
    dataset = DATASETS.build(dict(type='CIFAR10_1', data_root=str(tmp_path)))
    assert len(dataset) == 4
    info = dataset.get_data_info(3)
    assert (info['img'] == images[3][..., ::-1]).all()
    assert info['gt_label'] == 3 and type(info['gt_label']) is int
    assert info['image_id'] == 'v6_00003'


def test_version(tmp_path):
    write(tmp_path)
    write(tmp_path, 'v4', count=5)
    assert len(CIFAR10_1(str(tmp_path), version='v4')) == 5
    assert len(CIFAR10_1(str(tmp_path), split='all')) == 4


def test_lists(tmp_path):
    write(tmp_path)
    (tmp_path / 'own.txt').write_text('v6_00002\n')
    assert CIFAR10_1(str(tmp_path), image_list='own.txt').get_gt_labels() == [2]


def test_it_goes_with_cifar10(tmp_path):
    write(tmp_path)
    write_cifar10(tmp_path / 'cifar-10-batches-py')
    train = dict(type='SplitCIFAR10', data_root=str(tmp_path))
    ood = dict(type='CIFAR10_1', data_root=str(tmp_path))
    assert set(check_datasets(dict(train=train, ood=ood))) == {'train', 'ood'}
    assert CIFAR10_1.METAINFO == SplitCIFAR10.METAINFO


@pytest.mark.parametrize('wrong', [dict(split='train'), dict(version='v5')])
def test_wrong_arguments(tmp_path, wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))} must be'):
        CIFAR10_1(str(tmp_path), **wrong)


def test_nothing_there(tmp_path):
    text = problem(tmp_path / 'nowhere', CIFAR10_1)
    assert 'There is no cifar10.1_v6_labels.npy. Get it from' in text


@pytest.mark.parametrize('content', [b'', b'version https://git-lfs', b'\x93NUMPY\x01'])
def test_damaged_file(tmp_path, content):
    write(tmp_path)
    (tmp_path / 'cifar10.1_v6_data.npy').write_bytes(content)
    assert 'is damaged' in problem(tmp_path, CIFAR10_1)


def test_pickled_objects_are_not_unpickled(tmp_path):
    write(tmp_path)
    labels = np.array([{}] * 4, dtype=object)
    np.save(tmp_path / 'cifar10.1_v6_labels.npy', labels)
    assert 'is damaged' in problem(tmp_path, CIFAR10_1)
