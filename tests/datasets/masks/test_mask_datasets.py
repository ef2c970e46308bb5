from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mask_files import CLASSES, made_mask, write_mask, write_pixels, write_set
from mmengine.registry import DATASETS

from ff_mm.datasets import DatasetError, LoadMask, MaskDataset, MaskTableDataset
from ff_mm.errors import ConfigError

TWO = ('train', 'val')


def build(root: Path, split: str = 'all', **options: Any) -> MaskDataset:
    return MaskDataset(str(root), split=split, **{'classes': CLASSES, **options})


def ids(dataset: Any) -> list[str]:
    return [dataset.get_data_info(i)['image_id'] for i in range(len(dataset))]


def problem_of(build: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        build(*args, **options)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


class TestFolders:
    def test_each_image_has_its_mask(self, tmp_path: Path) -> None:
        names = write_set(tmp_path, 3)
        dataset = build(tmp_path)
        assert ids(dataset) == [f'{name}.jpg' for name in names]
        info = dataset.get_data_info(1)
        assert info['img_path'] == str(tmp_path / 'images/p0_1.jpg')
        assert info['seg_map_path'] == str(tmp_path / 'masks/p0_1.png')
        assert info['label_map'] == {0: 0, 1: 1, 2: 2}
        assert 'gt_label' not in info
        assert dataset.metainfo['classes'] == tuple(CLASSES)

    def test_folders_of_splits(self, tmp_path: Path) -> None:
        for split, number in (('Train', 5), ('test_set', 2)):
            for i in range(number):
                write_pixels(tmp_path / 'images' / split / 'deep' / f'{i}.png')
                write_mask(
                    tmp_path / 'masks' / split / 'deep' / f'{i}.png', made_mask()
                )
        assert ids(build(tmp_path, 'test')) == [
            f'test_set/deep/{i}.png' for i in (0, 1)
        ]
        # Without val, val is cut off train.
        train, val = (ids(build(tmp_path, each, shares=(3, 1, 1))) for each in TWO)
        assert sorted([*train, *val]) == [f'Train/deep/{i}.png' for i in range(5)]
        assert len(train) > len(val) > 0

    def test_a_folder_that_is_no_split(self, tmp_path: Path) -> None:
        for folder in ('train', 'val', 'test', 'other'):
            write_pixels(tmp_path / 'images' / folder / 'a.png')
            write_mask(tmp_path / 'masks' / folder / 'a.png', made_mask())
        found = problem_of(build, tmp_path, 'val')
        assert 'images in no folder of a split: 1 (other/a.png)' in found
        assert "exclude=['other']" in found
        assert ids(build(tmp_path, 'val', exclude='other')) == ['val/a.png']

    def test_a_split_keeps_groups_together(self, tmp_path: Path) -> None:
        write_set(tmp_path, 20)
        options = dict(group_pattern=r'^(p\d)_', shares=(3, 1, 1))
        groups = [
            {name.partition('_')[0] for name in ids(build(tmp_path, split, **options))}
            for split in ('train', 'val', 'test')
        ]
        assert sorted(set.union(*groups)) == [f'p{i}' for i in range(10)]
        assert sum(map(len, groups)) == 10
        assert all(groups)

    def test_a_pattern_of_masks(self, tmp_path: Path) -> None:
        write_pixels(tmp_path / 'a.jpg')
        write_mask(tmp_path / 'a_mask.tif', made_mask())
        dataset = build(tmp_path, images='', masks='{}_mask')
        assert ids(dataset) == ['a.jpg']
        assert dataset.get_data_info(0)['seg_map_path'] == str(tmp_path / 'a_mask.tif')

    def test_a_mask_of_each_class(self, tmp_path: Path) -> None:
        write_pixels(tmp_path / 'images/a.png')
        write_mask(tmp_path / 'disc/a.png', made_mask((0, 255, 0)))
        write_mask(tmp_path / 'cup/a.png', made_mask((0, 0, 1)))
        dataset = build(tmp_path, masks=dict(disc='disc', cup='cup/{}'))
        info = dataset.get_data_info(0)
        assert info['seg_map_paths'] == [
            str(tmp_path / folder / 'a.png') for folder in ('disc', 'cup')
        ]
        mask = LoadMask()(info)['gt_seg_map']
        np.testing.assert_array_equal(mask, made_mask((0, 1, 2)))

    def test_list_names_paths_below_the_images(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4)
        (tmp_path / 'some.txt').write_text('p1_0.jpg\np0_1.jpg\n')
        dataset = build(tmp_path, image_list='some.txt')
        assert ids(dataset) == ['p1_0.jpg', 'p0_1.jpg']
        assert dataset.get_data_info(0)['seg_map_path'].endswith('masks/p1_0.png')

    def test_is_built_by_any_scope_and_pickles(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4)
        config = dict(
            type='MaskDataset', data_root=str(tmp_path), split='all', classes=CLASSES
        )
        dataset = DATASETS.build(config)
        again = pickle.loads(pickle.dumps(dataset))
        assert again.get_data_info(0) == dataset.get_data_info(0)

    def test_masks_of_no_image_are_a_note(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4)
        write_mask(tmp_path / 'masks/other.png', made_mask())
        assert '1 masks' in build(tmp_path).notes[0]
        assert '(other)' in build(tmp_path).notes[0]


class TestFoldersThatCannotBeUsed:
    def test_an_image_without_a_mask(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4)
        (tmp_path / 'masks/p1_0.png').unlink()
        found = problem_of(build, tmp_path)
        assert found.startswith('images without a mask: 1 (p1_0.jpg). Looked for')
        assert str(tmp_path / 'masks/p1_0') in found

    def test_several_masks_of_an_image(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4)
        write_mask(tmp_path / 'masks/p1_0.tif', made_mask())
        found = problem_of(build, tmp_path)
        assert 'images with several masks: 1 (p1_0.jpg: p1_0.png or p1_0.tif)' in found

    @pytest.mark.parametrize('folder', ['images', 'masks'])
    def test_a_folder_that_is_not_there(self, tmp_path: Path, folder: str) -> None:
        write_set(tmp_path, 4)
        (tmp_path / folder).rename(tmp_path / 'elsewhere')
        assert f'There is no folder {str(tmp_path / folder)!r}' in problem_of(
            build, tmp_path
        )

    def test_no_image(self, tmp_path: Path) -> None:
        (tmp_path / 'images').mkdir()
        (tmp_path / 'masks').mkdir()
        assert 'No image in' in problem_of(build, tmp_path)

    def test_arguments_that_cannot_be_meant(self, tmp_path: Path) -> None:
        write_set(tmp_path, 2)
        for options, message in {
            ('classes', None): 'classes: name what pixels can be',
            ('masks', 'a{}/b'): r"masks='a\{\}/b': expected a folder",
            ('masks', ('cup',)): r"expected one for each class.*\['disc', 'cup'\]",
            ('label_map', ('x', 1)): "'x' is no value of a mask",
            ('label_map', (1, 'disk')): r"'disk' \(did you mean 'disc'\?\) is no class",
            ('group_pattern', '('): 'group_pattern',
        }.items():
            key, value = options
            if isinstance(value, tuple):
                value = (
                    dict([value]) if key == 'label_map' else dict.fromkeys(value, '')
                )
            with pytest.raises(ConfigError, match=message):
                build(tmp_path, **{key: value})

    def test_balancing_by_class_is_refused(self, tmp_path: Path) -> None:
        write_set(tmp_path, 2)
        with pytest.raises(ConfigError, match='class_balance'):
            build(tmp_path).get_cat_ids(0)


class TestTable:
    def write(self, root: Path, text: str) -> None:
        write_set(root, 6)
        (root / 'cases.csv').write_text(text)

    def build(self, root: Path, chosen: str = 'all', **table: Any) -> MaskTableDataset:
        table = {'file': 'cases.csv', 'image': 'file', 'mask': 'mask', **table}
        return MaskTableDataset(str(root), table, split=chosen, classes=CLASSES)

    def test_two_columns(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            'file,mask,patient,set\n'
            'images/p0_0.jpg,masks/p0_0.png,1,train\n'
            'images/p0_1.jpg,p0_1.png,1,valid\n'
            'images/p1_0.jpg,masks/p1_1.png,2,test\n',
        )
        dataset = self.build(tmp_path, 'test', group='patient', split='set')
        info = dataset.get_data_info(0)
        assert info['seg_map_path'] == str(tmp_path / 'masks/p1_1.png')
        assert (info['group'], info['image_id']) == ('2', 'images/p1_0.jpg')
        # Found by the end of its path.
        train = self.build(tmp_path, split='set')
        assert train.get_data_info(1)['seg_map_path'] == str(
            tmp_path / 'masks/p0_1.png'
        )

    def test_a_column_for_each_class(self, tmp_path: Path) -> None:
        self.write(
            tmp_path, 'file,d,c\nimages/p0_0.jpg,masks/p0_0.png,masks/p0_1.png\n'
        )
        dataset = self.build(tmp_path, mask=dict(disc='d', cup='c'))
        assert dataset.get_data_info(0)['seg_map_paths'] == [
            str(tmp_path / 'masks/p0_0.png'),
            str(tmp_path / 'masks/p0_1.png'),
        ]

    def test_tables_that_cannot_be_used(self, tmp_path: Path) -> None:
        self.write(tmp_path, 'file,mask\nimages/p0_0.jpg,\nimages/p0_1.jpg,no.png\n')
        assert 'rows without a mask in column' in problem_of(self.build, tmp_path)
        self.write(tmp_path, 'file,mask\nimages/p0_1.jpg,no.png\n')
        found = problem_of(self.build, tmp_path)
        assert found.startswith('masks: images without a file: 1 (no.png)')
        self.write(tmp_path, 'file,msk\nimages/p0_1.jpg,no.png\n')
        assert "'mask'" in problem_of(self.build, tmp_path)

    def test_what_belongs_to_labels_is_refused(self, tmp_path: Path) -> None:
        self.write(tmp_path, 'file,mask\n')
        with pytest.raises(
            ConfigError, match=r'table\.label is for images that are of a class'
        ):
            self.build(tmp_path, label='dx')
        with pytest.raises(ConfigError, match='several_rows'):
            self.build(tmp_path, several_rows='any')
        with pytest.raises(ConfigError, match='say mask, such as'):
            MaskTableDataset(
                str(tmp_path), dict(file='cases.csv', image='file'), classes=CLASSES
            )
