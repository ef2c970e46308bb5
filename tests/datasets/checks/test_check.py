from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ham_files import CLASSES, read_table, write_image, write_table
from mmengine.dataset import RepeatDataset
from mmpretrain.datasets import CustomDataset, MultiLabelDataset

from ff_mm.datasets import (
    HAM10000,
    DatasetError,
    Digits,
    check_datasets,
    describe,
    fingerprint,
)


def ham(root: Path, **kwargs: object) -> dict:
    return dict(type='HAM10000', data_root=str(root), **kwargs)


def problems_of(**configs: dict) -> str:
    with pytest.raises(DatasetError) as caught:
        check_datasets(configs)
    return str(caught.value)


def test_sound_data_sets_come_back_built(dataverse):
    configs = {split: ham(dataverse, split=split) for split in ('train', 'val', 'test')}
    datasets = check_datasets(configs)
    assert list(datasets) == ['train', 'val', 'test']
    assert [len(dataset) for dataset in datasets.values()] == [112, 14, 14]


def test_lazy_data_sets_are_loaded(dataverse):
    datasets = check_datasets({'train': ham(dataverse, lazy_init=True)})
    assert datasets['train']._fully_initialized


def test_data_in_memory_has_nothing_to_compare():
    corrupted = dict(type='Digits', split='test', corruption='blur')
    digits = dict(type='Digits', split='test')
    assert len(check_datasets(dict(train=digits, ood=corrupted))) == 2


def test_shared_lesion_without_a_shared_image(dataverse):
    (dataverse / 'a.txt').write_text('ISIC_0000000\nISIC_0000002\n')
    (dataverse / 'b.txt').write_text('ISIC_0000001\n')
    text = problems_of(
        train=ham(dataverse, image_list='a.txt'), val=ham(dataverse, image_list='b.txt')
    )
    assert 'of train that are also in val: 1 (HAM_0000000)' in text
    assert 'images of train' not in text


def test_spellings_of_a_patient_in_a_table_for_each_split(tmp_path):
    rows = [[f'{i}.png', 'ab'[i % 2], f'p{i:03d}'] for i in range(8)]
    for value, (name, *_) in enumerate(rows):
        write_image(tmp_path / name, value)
    rows[6][2] = 'P003'
    header = ['image', 'label', 'patient']
    write_table(tmp_path / 'train.csv', [header, *rows[:4]])
    write_table(tmp_path / 'val.csv', [header, *rows[4:]])
    config = dict(type='TableDataset', data_root=str(tmp_path), split='all')
    table = dict(image='image', label='label', group='patient')
    text = problems_of(
        train=dict(config, table=dict(table, file='train.csv')),
        val=dict(config, table=dict(table, file='val.csv')),
    )
    assert (
        'groups (lesions, patients) of train and val that differ only in upper and '
        'lower case: 1 (P003 and p003). Write each in one way' in text
    )


def test_shared_image_in_another_folder(dataverse, tmp_path_factory):
    copy = tmp_path_factory.mktemp('copy') / 'ham'
    shutil.copytree(dataverse, copy)
    text = problems_of(train=ham(dataverse), ood=ham(copy))
    assert 'images of train that are also in ood: 112 (ISIC_' in text


def test_evaluation_sets_may_overlap(dataverse):
    test = ham(dataverse, split='test')
    check_datasets({'train': ham(dataverse), 'test': test, 'ood': test})


def test_custom_datasets_compare_by_path(tmp_path):
    for name in ('cat/1.jpg', 'dog/2.jpg'):
        write_image(tmp_path / 'train' / name)
        write_image(tmp_path / 'val' / name)
    train, val = (
        dict(type='CustomDataset', data_root=str(tmp_path / name))
        for name in ('train', 'val')
    )
    check_datasets(dict(train=train, val=val))
    (tmp_path / 'list.txt').write_text('train/cat/1.jpg 0\n')
    listed = dict(
        type='CustomDataset',
        data_root=str(tmp_path),
        ann_file='list.txt',
        metainfo=dict(classes=('cat', 'dog')),
    )
    text = problems_of(train=train, test=listed)
    path = tmp_path / 'train' / 'cat' / '1.jpg'
    assert f'images of train that are also in test: 1 ({path})' in text


def test_groups_of_different_kinds_of_data_sets_are_not_compared(dataverse):
    (dataverse / 'own.txt').write_text('ISIC_0000001\n')
    other = dict(
        type='CustomDataset',
        data_root=str(dataverse / 'HAM10000_images_part_1'),
        ann_file=str(dataverse / 'two.txt'),
    )
    (dataverse / 'two.txt').write_text('ISIC_0000000.jpg 0\n')
    check_datasets(dict(train=ham(dataverse, image_list='own.txt'), test=other))


def test_classes_must_agree_in_order(dataverse):
    text = problems_of(
        train=ham(dataverse), test=ham(dataverse, split='test', classes=CLASSES[::-1])
    )
    assert 'The classes differ in number or order' in text
    assert "test: ['vasc', 'nv'," in text


def test_every_problem_of_every_data_set(dataverse, tmp_path):
    text = problems_of(
        train=ham(dataverse, sources=['x']),
        val=ham(dataverse / 'absent'),
        test=dict(type='CustomDataset', data_root='', ann_file='/absent.txt'),
        ood=dict(type='Digits'),
    )
    assert text.startswith('data sets train, val, test, ood: 3 problem(s) found')
    assert f'train, HAM10000 in {str(dataverse)!r}: sources not in' in text
    assert 'val, HAM10000 in' in text
    assert '/absent.txt' in text


@pytest.mark.parametrize(
    'name', ['a/caf\udce9.png', 'caf\udce9/a.png'], ids=['file', 'folder']
)
def test_names_that_are_not_utf8_are_a_problem(tmp_path, name):
    """The check says so, and training, which could not write them down."""
    for path in (name, 'a/x.png', 'b/y.png'):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    config = dict(type='CustomDataset', data_prefix=str(tmp_path))
    text = problems_of(val=config)
    assert 'val: names that are not UTF-8' in text and r'caf\xe9' in text
    text.encode()


def test_describe(dataverse):
    (dataverse / 'own.txt').write_text('ISIC_0000000\nISIC_0000001\nISIC_0000003\n')
    dataset = HAM10000(str(dataverse), image_list='own.txt')
    assert describe('val', dataset) == (
        'val: 3 images, 7 classes (akiec 2, bcc 1, bkl 0, df 0, mel 0, nv 0, vasc 0)'
    )


def test_describe_multi_label_and_many_classes(tmp_path):
    write_image(tmp_path / '1.jpg')
    item = dict(img_path='1.jpg', gt_label=[0, 2])
    dataset = make_multi_label(tmp_path, [item], ('a', 'b', 'c'))
    assert describe('x', dataset) == 'x: 1 images, 3 classes (a 1, b 0, c 1)'
    many = make_multi_label(tmp_path, [item], tuple(map(str, range(30))))
    assert describe('x', many) == 'x: 1 images, 30 classes (0 to 1 images each)'


def make_multi_label(root: Path, items: list[dict], classes: tuple) -> object:
    (root / 'ann.json').write_text(
        json.dumps(dict(metainfo=dict(classes=classes), data_list=items))
    )
    return MultiLabelDataset(ann_file='ann.json', data_root=str(root))


class TestFingerprint:
    def test_does_not_depend_on_place_or_order(self, dataverse, tmp_path_factory):
        (dataverse / 'a.txt').write_text('ISIC_0000000\nISIC_0000003\n')
        (dataverse / 'b.txt').write_text('ISIC_0000003\nISIC_0000000\n')
        copy = tmp_path_factory.mktemp('copy') / 'ham'
        shutil.copytree(dataverse, copy)
        first = fingerprint(HAM10000(str(dataverse), image_list='a.txt'))
        assert first == fingerprint(HAM10000(str(dataverse), image_list='b.txt'))
        assert first == fingerprint(HAM10000(str(copy), image_list='a.txt'))
        assert len(first) == 64

    def test_depends_on_cases_and_labels(self, dataverse):
        (dataverse / 'a.txt').write_text('ISIC_0000000\nISIC_0000003\n')
        (dataverse / 'b.txt').write_text('ISIC_0000000\nISIC_0000002\n')
        first, other = (
            fingerprint(HAM10000(str(dataverse), image_list=name))
            for name in ('a.txt', 'b.txt')
        )
        assert first != other
        rows = read_table(dataverse / 'HAM10000_metadata.csv')
        rows[1][2] = 'vasc'
        write_table(dataverse / 'HAM10000_metadata.csv', rows)
        assert fingerprint(HAM10000(str(dataverse), image_list='a.txt')) != first

    def test_images_in_memory_count_with_their_pixels(self):
        assert fingerprint(Digits(split='val')) == fingerprint(Digits(split='val'))
        clean = Digits(split='test')
        assert fingerprint(clean) != fingerprint(
            Digits(split='test', corruption='blur')
        )

    def test_wrapped_data_set_and_data_set_without_root(self, tmp_path):
        for place in ('here', 'there'):
            write_image(tmp_path / place / 'cat' / '1.jpg')
            write_image(tmp_path / place / 'dog' / '1.jpg')
        here, there = (
            CustomDataset(data_prefix=str(tmp_path / place))
            for place in ('here', 'there')
        )
        rooted = CustomDataset(data_root=str(tmp_path / 'there'))
        assert fingerprint(here) == fingerprint(there) == fingerprint(rooted)
        twice = RepeatDataset(rooted, times=1)
        assert fingerprint(twice) == fingerprint(rooted)

    def test_label_types_do_not_matter(self, tmp_path):
        write_image(tmp_path / '1.jpg')

        class Scored(CustomDataset):
            def load_data_list(self):
                return [dict(img_path='1.jpg', gt_score=self.score)]

        prints = set()
        for score in ([0.0, 1.0], np.array([0.0, 1.0])):
            Scored.score = score
            scored = Scored(data_root=str(tmp_path))
            assert '1 images, 2 classes (0 0, 1 1)' in describe('x', scored)
            prints.add(fingerprint(scored))
        assert len(prints) == 1


def test_an_argument_that_does_not_exist_is_a_problem(dataverse):
    text = problems_of(
        train=ham(dataverse, sharess=3), val=ham(dataverse, split='vall')
    )
    assert 'train, HAM10000: ' in text and "'sharess'" in text
    assert 'val, HAM10000: ' in text and "got 'vall'" in text
