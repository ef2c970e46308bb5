from __future__ import annotations

import numpy as np
import pytest
from array_files import pixels, write_cifar10
from mmpretrain.registry import DATASETS

from ff_mm.datasets import DatasetError, check_datasets
from ff_mm.datasets.cifar import CIFAR10_1, SplitCIFAR10


def write(folder, version='v6', count=4):
    folder.mkdir(parents=True, exist_ok=True)
    images = pixels(count, 32, 32, 3, seed=count)
    np.save(folder / f'cifar10.1_{version}_data.npy', images)
    labels = np.arange(count, dtype=np.int32)
    np.save(folder / f'cifar10.1_{version}_labels.npy', labels)
    return images


def problem(root):
    with pytest.raises(DatasetError) as caught:
        CIFAR10_1(str(root))
    (text,) = caught.value.problems
    return text


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
    text = problem(tmp_path / 'nowhere')
    assert 'There is no cifar10.1_v6_labels.npy. Get it from' in text


@pytest.mark.parametrize('content', [b'', b'version https://git-lfs', b'\x93NUMPY\x01'])
def test_damaged_file(tmp_path, content):
    write(tmp_path)
    (tmp_path / 'cifar10.1_v6_data.npy').write_bytes(content)
    assert 'is damaged' in problem(tmp_path)


def test_pickled_objects_are_not_unpickled(tmp_path):
    write(tmp_path)
    labels = np.array([{}] * 4, dtype=object)
    np.save(tmp_path / 'cifar10.1_v6_labels.npy', labels)
    assert 'is damaged' in problem(tmp_path)
