"""Images without labels beside those with labels."""

from __future__ import annotations

import numpy as np
import pytest
from ham_files import write_image
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import DATASETS

from ff_mm.datasets import DatasetError, Digits, PartlyLabelled, UnlabelledFolder
from ff_mm.datasets.checks.unlabelled_images import check_unlabelled_leaks
from ff_mm.datasets.class_frequencies import count_classes
from ff_mm.datasets.unlabelled import (
    UNLABELLED,
    labelled_part,
    read_unlabelled,
    set_unlabelled,
)
from ff_mm.errors import ConfigError

PACKED = [dict(type='PackInputs')]
LOADED = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=8), *PACKED]


class Labels(Digits):
    """Digits with several labels, of which some are missing."""

    def load_data_list(self):
        return [
            dict(img=info['img'], gt_score=np.array([1, -1, 0], np.float32))
            for info in super().load_data_list()
        ]


DATASETS.register_module(module=Labels)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture
def folder(tmp_path):
    for value, name in enumerate(['b.png', 'deep/er/a.png', 'deep/mask/a.png']):
        write_image(tmp_path / name, value)
    (tmp_path / 'notes.txt').write_text('none')
    return tmp_path


def names(dataset):
    return [dataset.get_data_info(i)['image_id'] for i in range(len(dataset))]


def test_all_images_of_a_folder_without_a_label(folder):
    found = UnlabelledFolder(str(folder))
    assert names(found) == ['b.png', 'deep/er/a.png', 'deep/mask/a.png']
    assert not {'gt_label', 'gt_score'} & set(found.get_data_info(0))


def test_some_of_a_folder(folder):
    found = UnlabelledFolder(str(folder), exclude=['mask'])
    assert names(found) == ['b.png', 'deep/er/a.png']
    (folder / 'list.txt').write_text('deep/er/a.png\n')
    assert names(UnlabelledFolder(str(folder), image_list='list.txt')) == [
        'deep/er/a.png'
    ]
    assert names(UnlabelledFolder(str(folder), indices=1)) == ['b.png']


@pytest.mark.parametrize(
    ('below', 'words'), [('nowhere', 'no such folder'), ('empty', 'No image in')]
)
def test_a_folder_without_images(folder, below, words):
    (folder / 'empty').mkdir()
    with pytest.raises(DatasetError, match=words):
        UnlabelledFolder(str(folder / below))


def both(labelled, unlabelled, pipeline=PACKED):
    dataset = dict(type=labelled, split='train', indices=2, pipeline=pipeline)
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    set_unlabelled(cfg, read_unlabelled(unlabelled, 'plan.unlabelled'))
    return cfg.train_dataloader.dataset


@pytest.mark.parametrize('labelled', ['Digits', 'Labels'])
@pytest.mark.parametrize('kind', ['folder', 'labels that do not count'])
def test_a_batch_of_both(labelled, kind, folder):
    other = dict(type='Digits', split='test', indices=3)
    if kind == 'folder':
        other = dict(data_root=str(folder), pipeline=LOADED)
    dataset = DATASETS.build(both(labelled, other))
    assert isinstance(dataset, PartlyLabelled) and len(dataset) == 5
    assert dataset.metainfo == labelled_part(dataset).metainfo
    batch = [dataset[index] for index in (3, 0, 4)]
    data = ClsDataPreprocessor(num_classes=10)(pseudo_collate(batch), training=True)
    first, second, third = data['data_samples']
    assert [bool(s.get(UNLABELLED)) for s in (first, second, third)] == [
        True,
        False,
        True,
    ]
    if labelled == 'Digits':
        assert [len(s.gt_label) for s in (first, second, third)] == [0, 1, 0]
    else:
        assert first.gt_score.tolist() == third.gt_score.tolist() == [-1, -1, -1]
        assert second.gt_score.tolist() == [1, -1, 0]
    info = dataset.get_data_info(3)
    assert not {'gt_label', 'gt_score'} & set(info) and dataset.get_cat_ids(3) == []
    if labelled == 'Digits':
        assert dataset.get_cat_ids(0) == [dataset.get_data_info(0)['gt_label']]
        counted = count_classes(labelled_part(dataset), 10)
        assert (counted.images, counted.unlabelled) == (2, 0)
        assert count_classes(dataset, 10).unlabelled == 3


def test_images_in_files_beside_images_in_memory_are_loaded(folder):
    config = both('Digits', str(folder), [dict(type='Resize', scale=8), *PACKED])
    assert config.datasets[0].pipeline[0].type == 'Resize'
    assert config.datasets[1].pipeline[0].type == 'LoadImageFromFile'
    assert DATASETS.build(config)[2]['inputs'].shape == (3, 8, 8)
    config = both('Digits', str(folder), LOADED)
    assert config.datasets[1].pipeline == config.datasets[0].pipeline


def test_of_a_wrapper_the_pipeline_is_that_of_what_is_in_it(folder):
    inner = dict(type='Digits', split='train', indices=2, pipeline=LOADED)
    wrapped = dict(type='RepeatDataset', times=2, dataset=inner)
    cfg = Config(dict(train_dataloader=dict(dataset=wrapped)))
    set_unlabelled(cfg, read_unlabelled(str(folder), 'plan.unlabelled'))
    config = cfg.train_dataloader.dataset
    assert config.datasets[1].pipeline == LOADED
    assert labelled_part(config).type == 'RepeatDataset'
    assert labelled_part(inner) is inner


@pytest.mark.parametrize('value', [3, ['a', 'b'], '', {}, dict(exclude=['masks'])])
def test_what_names_no_images(value):
    with pytest.raises(ConfigError, match=r'plan.unlabelled=.*expected a folder'):
        read_unlabelled(value, 'plan.unlabelled')


def test_none_is_none():
    assert read_unlabelled(None, 'plan.unlabelled') is None


def test_a_file_that_is_evaluated_is_told_before_it_is_read(folder):
    val = UnlabelledFolder(str(folder / 'deep'))
    check_unlabelled_leaks(
        UnlabelledFolder(str(folder), exclude=['deep']), dict(val=val)
    )
    with pytest.raises(DatasetError, match=r'plan\.unlabelled') as caught:
        check_unlabelled_leaks(UnlabelledFolder(str(folder)), dict(val=val))
    assert 'images of unlabelled that are also in val: 2' in caught.value.problems[0]
    assert 'exclude or image_list' in caught.value.problems[0]
