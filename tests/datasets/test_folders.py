from __future__ import annotations

import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ham_files import write_image
from mmpretrain.registry import DATASETS
from own_files import DIAGNOSES, clinic_rows
from PIL import Image
from reading import values

from ff_mm.datasets import DatasetError, check_datasets
from ff_mm.datasets.folders import FolderDataset
from ff_mm.errors import ConfigError

SPLITS = ('train', 'val', 'test')


@pytest.fixture
def classes_only(tmp_path: Path) -> Path:
    """60 images: nevus/p00_a.jpg and so on, two a patient, twenty a class."""
    for value, (file, diagnosis, *_) in enumerate(clinic_rows()):
        write_image(tmp_path / diagnosis / Path(file).name, value)
    return tmp_path


@pytest.fixture
def with_splits(tmp_path: Path) -> Path:
    """The same below training, Valid and TEST: 40, 10 and 10 images."""
    for value, (file, diagnosis, *_) in enumerate(clinic_rows()):
        folder = ('training', 'Valid', 'TEST')[max(0, value // 10 - 3)]
        write_image(tmp_path / folder / diagnosis / Path(file).name, value)
    return tmp_path


def build(root: Path, split: str = 'all', **options: Any) -> FolderDataset:
    return FolderDataset(str(root), split, **options)


def counts(dataset: FolderDataset) -> dict[str, int]:
    return Counter(dataset.CLASSES[label] for label in values(dataset, 'gt_label'))


def problem_of(root: Path, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        build(root, **options)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


class TestLabelPattern:
    """MURA's folders: the class of a study is the end of its name."""

    PATTERN = r'study\d+_(positive|negative)/'

    @pytest.fixture
    def mura(self, tmp_path: Path) -> Path:
        for i in range(40):
            study = f'patient{i // 2}/study1_{("positive", "negative")[i // 2 % 2]}'
            split = ('train', 'valid')[i // 32]
            write_image(tmp_path / split / 'XR_WRIST' / study / f'image{i % 2}.png', i)
        return tmp_path

    def test_class_in_the_path(self, mura):
        options = dict(label_pattern=self.PATTERN, group_pattern=r'(patient\d+)/')
        train, val = (build(mura, split, **options) for split in ('train', 'val'))
        assert train.CLASSES == ('negative', 'positive')
        assert counts(train) == dict(positive=16, negative=16)
        assert counts(val) == dict(positive=4, negative=4)
        assert values(val, 'group')[:2] == ['patient16'] * 2

    def test_where_it_finds_none(self, mura):
        write_image(mura / 'train' / 'XR_WRIST' / 'x.png')
        text = problem_of(mura, label_pattern=self.PATTERN)
        assert 'label_pattern does not find: 1 (train/XR_WRIST/x.png)' in text
        dataset = build(mura, label_pattern=self.PATTERN, exclude='x.png')
        assert len(dataset) == 40
        with pytest.raises(ConfigError, match=r"label_pattern='\('"):
            build(mura, label_pattern='(')


def test_any_other_folder(classes_only):
    dataset = build(classes_only, label_map={'melanoma': 'melanoma', '*': 'other'})
    assert counts(dataset) == dict(melanoma=20, other=40)
    assert dataset.notes[0].startswith("'*' of label_map: what 2 other values say")


class TestClassesOnly:
    def test_every_image_is_read(self, classes_only):
        dataset = build(classes_only)
        assert dataset.CLASSES == ('keratosis', 'melanoma', 'nevus')
        assert counts(dataset) == dict(keratosis=20, melanoma=20, nevus=20)
        info = dataset.get_data_info(0)
        assert info['image_id'] == 'keratosis/p02_a.jpg'
        assert info['img_path'] == str(classes_only / 'keratosis' / 'p02_a.jpg')
        assert info['group'] is None

    def test_a_split_is_made(self, classes_only):
        splits = [build(classes_only, split) for split in SPLITS]
        assert [len(dataset) for dataset in splits] == [48, 6, 6]
        ids = {i for dataset in splits for i in values(dataset, 'image_id')}
        assert len(ids) == 60

    def test_patients_from_the_names_of_files(self, classes_only):
        options = dict(group_pattern=r'^(p\d+)_', shares=(3, 1, 1))
        splits = [build(classes_only, split, **options) for split in SPLITS]
        groups = [set(values(dataset, 'group')) for dataset in splits]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 30
        assert 'p00' in set.union(*groups)

    def test_patients_from_folders_below_the_class(self, classes_only):
        for image in list(classes_only.glob('*/*.jpg')):
            folder = image.parent / image.name[:3]
            folder.mkdir(exist_ok=True)
            image.rename(folder / image.name)
        dataset = build(classes_only, group_pattern=r'^([^/]+)/')
        assert values(dataset, 'group')[:3] == ['p02', 'p02', 'p05']
        assert values(dataset, 'image_id')[0] == 'keratosis/p02/p02_a.jpg'

    @pytest.mark.parametrize(
        ('pattern', 'group'),
        [(r'p\d+', 'p02'), (r'(p)(\d+)', 'p/02'), (r'p(\d+)_a|p(\d+)', '02/')],
    )
    def test_what_a_pattern_finds(self, classes_only, pattern, group):
        assert values(build(classes_only, group_pattern=pattern), 'group')[0] == group

    def test_order_names_and_numbers_of_classes(self, classes_only):
        order = ['nevus', 'melanoma', 'keratosis']
        assert values(build(classes_only, classes=order), 'gt_label')[0] == 2
        for name, number in zip(order, (10, 9, 1), strict=True):
            (classes_only / name).rename(classes_only / str(number))
        assert build(classes_only).CLASSES == ('1', '9', '10')
        numbers = dict(classes=[10, 9, 1])
        assert values(build(classes_only, **numbers), 'gt_label')[0] == 2

    def test_renamed_merged_and_left_out(self, classes_only):
        label_map = dict(nevus='benign', keratosis=None)
        dataset = build(classes_only, label_map=label_map)
        assert counts(dataset) == dict(benign=20, melanoma=20)
        assert dataset.CLASSES == ('benign', 'melanoma')

    def test_other_files_are_ignored(self, classes_only):
        (classes_only / 'nevus' / 'Thumbs.db').write_bytes(b'x')
        (classes_only / 'notes.txt').write_text('x')
        for name in (
            '.hidden/x.jpg',
            'nevus/.ipynb_checkpoints/x.jpg',
            'nevus/._p00_a.jpg',
            'nevus/@eaDir/x.jpg',
            '__MACOSX/nevus/x.jpg',
        ):
            write_image(classes_only / name)
        assert len(build(classes_only)) == 60

    def test_a_class_may_be_called_train(self, classes_only):
        (classes_only / 'nevus').rename(classes_only / 'train')
        assert counts(build(classes_only))['train'] == 20

    def test_folders_below_a_prefix(self, classes_only):
        (classes_only / 'images').mkdir()
        for name in ('nevus', 'melanoma', 'keratosis'):
            (classes_only / name).rename(classes_only / 'images' / name)
        dataset = build(classes_only, data_prefix='images')
        assert len(dataset) == 60
        assert values(dataset, 'image_id')[0] == 'keratosis/p02_a.jpg'
        assert 'no folder' in problem_of(classes_only, data_prefix='x')

    def test_image_list(self, classes_only):
        absolute = classes_only / 'melanoma' / 'p01_a.jpg'
        (classes_only / 'own.txt').write_text(f'nevus/p00_a.jpg 2\n{absolute}\n')
        dataset = build(classes_only, image_list='own.txt')
        assert values(dataset, 'gt_label') == [2, 1]


class TestWithSplits:
    def test_splits_of_the_folders(self, with_splits):
        assert [len(build(with_splits, s)) for s in SPLITS] == [40, 10, 10]
        assert len(build(with_splits)) == 60
        assert values(build(with_splits, 'val'), 'image_id')[0].startswith('Valid/')

    def test_a_class_may_be_missing_in_a_split(self, with_splits):
        shutil.rmtree(with_splits / 'Valid' / 'nevus')
        for image in (with_splits / 'TEST' / 'nevus').iterdir():
            image.unlink()
        val, test = (build(with_splits, split) for split in ('val', 'test'))
        assert val.CLASSES == test.CLASSES == ('keratosis', 'melanoma', 'nevus')
        assert 'nevus' not in counts(val) and 'nevus' not in counts(test)

    def test_without_val_it_is_cut_off_train(self, with_splits):
        shutil.rmtree(with_splits / 'Valid')
        options = dict(group_pattern=r'^p\d+', shares=(3, 1, 0))
        splits = [build(with_splits, split, **options) for split in SPLITS]
        assert [len(dataset) for dataset in splits] == [30, 10, 10]
        assert not set(values(splits[0], 'group')) & set(values(splits[1], 'group'))
        test = values(splits[2], 'image_id')
        assert all(image_id.startswith('TEST/') for image_id in test)

    def test_one_split_alone(self, with_splits):
        shutil.rmtree(with_splits / 'training')
        shutil.rmtree(with_splits / 'Valid')
        assert len(build(with_splits, 'test')) == 10
        assert 'No image is left' in problem_of(with_splits, split='train')

    def test_builds_from_a_config_and_finds_leaks(self, with_splits):
        shutil.copy(
            with_splits / 'training' / 'nevus' / 'p00_a.jpg',
            with_splits / 'TEST' / 'nevus' / 'p00_c.jpg',
        )
        config = dict(type='FolderDataset', data_root=str(with_splits))
        config['group_pattern'] = r'^(p\d+)_'
        assert len(pickle.loads(pickle.dumps(DATASETS.build(config)))) == 40
        with pytest.raises(DatasetError, match=r'also in test: 1 \(p00\)'):
            check_datasets({s: dict(config, split=s) for s in SPLITS})


class TestBadInput:
    def test_images_beside_the_folders(self, classes_only):
        write_image(classes_only / 'x.jpg')
        text = problem_of(classes_only)
        assert 'images that are not in a folder <class>/: 1 (x.jpg)' in text

    def test_images_beside_the_folders_of_splits(self, with_splits):
        write_image(with_splits / 'TEST' / 'x.jpg')
        write_image(with_splits / 'masks' / 'nevus' / 'x.jpg')
        text = problem_of(with_splits)
        assert 'not in a folder <split>/<class>/: 2 (TEST/x.jpg, masks/nev' in text

    def test_two_folders_of_one_split(self, with_splits):
        write_image(with_splits / 'val' / 'nevus' / 'x.jpg')
        text = problem_of(with_splits)
        assert 'that are the same split: 2 (Valid, val). Put them together.' in text

    def test_empty_classes(self, classes_only):
        (classes_only / 'zoster').mkdir()
        (classes_only / '.git').mkdir()
        assert 'without an image: 1 (zoster)' in problem_of(classes_only)
        assert len(build(classes_only, label_map=dict(zoster=None))) == 60

    def test_empty_class_of_a_split(self, with_splits):
        (with_splits / 'Valid' / 'zoster').mkdir()
        assert 'without an image: 1 (zoster)' in problem_of(with_splits)

    def test_nothing_there(self, tmp_path):
        assert 'No image in any folder of' in problem_of(tmp_path)
        assert 'There is no such folder' in problem_of(tmp_path / 'x')

    def test_unknown_class(self, classes_only):
        text = problem_of(classes_only, classes=['nevus', 'Melanoma', 'keratosis'])
        assert (
            "that are no class: 1 (folder melanoma: 'melanoma' (did you mean "
            "'Melanoma'?)). The classes are nevus, Melanoma, keratosis." in text
        )

    def test_one_class_only(self, classes_only):
        text = problem_of(classes_only / 'nevus')
        assert 'images that are not in a folder <class>/: 20 (' in text
        shutil.rmtree(classes_only / 'nevus')
        shutil.rmtree(classes_only / 'melanoma')
        assert "has 1 classes ['keratosis']" in problem_of(classes_only)

    def test_pattern_that_does_not_match(self, classes_only):
        text = problem_of(classes_only, group_pattern=r'^(p0\d)_')
        assert 'whose group group_pattern does not find: 40 (keratosis/p11_a' in text
        assert "'^(p0\\\\d)_' must match the path below the folder of the class" in text

    def test_pattern_that_is_none(self, classes_only):
        with pytest.raises(ConfigError, match=r"group_pattern='\(p': missing"):
            build(classes_only, group_pattern='(p')


def test_a_patient_in_two_spellings(classes_only):
    image = classes_only / 'nevus' / 'p00_b.jpg'
    image.rename(image.with_name('P00_b.jpg'))
    text = problem_of(classes_only, group_pattern=r'(?i)p\d+')
    assert 'differ only in upper and lower case: 1 (P00 and p00)' in text


class TestWhatIsNoImage:
    def test_masks_are_noted_and_can_be_left_out(self, classes_only):
        write_image(classes_only / 'nevus' / 'p00_a_mask.jpg')
        write_image(classes_only / 'nevus' / 'p00_a_mask_1.jpg')
        (note,) = build(classes_only).notes
        assert note.startswith('2 of 62 images look like masks of others')
        assert "exclude=['*_mask*']" in note
        for exclude in ('*_mask*', ['*_MASK.jpg', 'nevus/*_mask_1.jpg']):
            dataset = build(classes_only, exclude=exclude)
            assert (len(dataset), dataset.notes) == (60, [])
        assert 'match nothing: 1 (masks)' in problem_of(classes_only, exclude='masks')

    def test_masks_in_a_folder_below_the_class(self, classes_only):
        for image in list(classes_only.glob('*/*.jpg')):
            for folder in ('images', 'masks'):
                write_image(image.parent / folder / image.name)
            image.unlink()
        (note,) = build(classes_only, classes=DIAGNOSES).notes
        assert '60 of 120 images' in note and "exclude=['masks']" in note
        assert len(build(classes_only, exclude='masks')) == 60

    def test_images_by_their_first_bytes(self, classes_only):
        image = classes_only / 'nevus' / 'p00_a.jpg'
        image.rename(image.with_suffix(''))
        (classes_only / 'nevus' / 'p00_b.jpg').rename(image.with_suffix('.jfif'))
        (classes_only / 'nevus' / 'p03_a.jpg').rename(image.with_name('p03_a.img'))
        Image.new('RGB', (8, 8)).save(classes_only / 'nevus' / 'p03_b.GIF')
        (classes_only / 'nevus' / 'p03_b.jpg').unlink()
        dataset = build(classes_only)
        assert (len(dataset), dataset.notes) == (60, [])

    def test_others_are_counted_and_named(self, classes_only):
        for name in ('a.txt', 'b.txt', 'c'):
            (classes_only / 'nevus' / name).write_text('BM, no picture')
        (note,) = build(classes_only).notes
        assert note == (
            '3 files in folders of classes are no images and are not read '
            '(.txt 2, no extension 1: nevus/a.txt, nevus/b.txt, nevus/c).'
        )


class TestSplitsUnderOtherNames:
    @pytest.mark.parametrize(
        ('train', 'test'),
        [
            ('training_set', 'test_set'),
            ('Train_data', 'Test_data'),
            ('TrainSet', 'TestSet'),
            ('seg_train', 'seg_test'),
            ('train images', 'validation-images'),
        ],
    )
    def test_are_splits(self, with_splits, train, test):
        shutil.rmtree(with_splits / 'Valid')
        (with_splits / 'training').rename(with_splits / train)
        (with_splits / 'TEST').rename(with_splits / test)
        dataset = build(with_splits)
        assert dataset.CLASSES == ('keratosis', 'melanoma', 'nevus')
        held_out = 'val' if test.startswith('val') else 'test'
        assert len(build(with_splits, held_out)) == 10

    @pytest.mark.parametrize('name', ['fold{}', 'hospital {}', '202{}'])
    def test_numbered_folders_are_no_classes(self, with_splits, name):
        for number, folder in enumerate(('training', 'Valid', 'TEST')):
            (with_splits / folder).rename(with_splits / name.format(number))
        assert 'have the same folders in them' in problem_of(with_splits)
        meant = [name.format(number) for number in range(3)]
        assert counts(build(with_splits, classes=meant))[meant[0]] == 40

    def test_folds_are_no_classes_whatever_the_groups(self, with_splits):
        for number, folder in enumerate(('training', 'Valid', 'TEST')):
            (with_splits / folder).rename(with_splits / f'fold_{number}')
        assert 'fold_0' in problem_of(with_splits, group_pattern=r'p\d+')

    def test_splits_below_the_classes(self, classes_only):
        for image in list(classes_only.glob('*/*.jpg')):
            folder = image.parent / ('train' if image.name < 'p20' else 'test')
            folder.mkdir(exist_ok=True)
            image.rename(folder / image.name)
        assert 'must stand above the classes' in problem_of(classes_only)

    def test_a_split_inside_of_itself(self, with_splits):
        shutil.rmtree(with_splits / 'Valid')
        for folder in ('training', 'TEST'):
            (with_splits / folder).rename(with_splits / 'x')
            (with_splits / folder).mkdir()
            (with_splits / 'x').rename(with_splits / folder / folder)
        assert 'called like a split: 2 (TEST/TEST' in problem_of(with_splits)
