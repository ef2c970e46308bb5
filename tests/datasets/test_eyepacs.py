from __future__ import annotations

import logging
import pickle
from collections import Counter

import pytest
from fundus_files import write_grades, write_images
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS
from reading import problems_of, values

from ff_mm.datasets import Case, DatasetError, check_datasets
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.eyepacs import EyePACS

SPLITS = ('train', 'val', 'test')


def eyes(first: int, count: int) -> list[tuple[str, int]]:
    """Both eyes of some patients; every fifth patient has another grade in one."""
    return [
        (f'{patient}_{side}', (patient + (patient % 5 == 0 and side == 'left')) % 4)
        for patient in range(first, first + count)
        for side in ('left', 'right')
    ]


@pytest.fixture
def competition(tmp_path):
    """Labels of 100 patients of the training set; a template that is no table."""
    rows = eyes(1, 100)
    write_grades(tmp_path / 'trainLabels.csv', 'image,level', rows)
    write_grades(tmp_path / 'sampleSubmission.csv', 'image,level', [('500_left', 0)])
    write_images(tmp_path / 'train', [f'{name}.jpeg' for name, _ in rows])
    write_images(tmp_path / 'sample', ['1_left.jpeg', '1_right.jpeg'])
    return tmp_path


@pytest.fixture
def both(competition):
    """And those of 20 patients of the test set."""
    rows = eyes(101, 20)
    table = competition / 'retinopathy_solution.csv'
    write_grades(table, 'image,level,Usage', [(*row, 'Private') for row in rows])
    write_images(competition / 'test', [f'{name}.jpeg' for name, _ in rows])
    return competition


@pytest.fixture
def authors(tmp_path):
    """The authors' table, of which every patient has one eye in train, one in test."""
    names = [f'{i}_{side}.jpeg' for i in range(30) for side in ('left', 'right')]
    rows = [(name, 1, 'train' if 'left' in name else 'test') for name in names]
    write_grades(tmp_path / 'eyepacs_dataset_splits.csv', 'filename,class,split', rows)
    write_images(tmp_path / '1', names)
    return tmp_path


@pytest.fixture
def log(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING)
    yield caplog
    logger.removeHandler(caplog.handler)


def parts_of(root, **kwargs):
    return [EyePACS(str(root), split=split, **kwargs) for split in SPLITS]


class TestTables:
    def test_every_case_is_read(self, competition):
        dataset = EyePACS(str(competition), split='all')
        assert len(dataset) == 200
        info = dataset.get_data_info(8)
        assert info['img_path'] == str(competition / 'train' / '5_left.jpeg')
        assert (info['gt_label'], info['group']) == (2, '5')
        assert dataset.metainfo['classes'][-1] == 'Proliferative'

    def test_labels_of_the_test_set_are_read_too(self, both):
        dataset = EyePACS(str(both), split='all')
        assert len(dataset) == 240
        assert dataset.get_data_info(239)['image_id'] == '120_right'

    def test_resized_copy_of_2015_and_2019(self, tmp_path):
        labels = tmp_path / 'labels'
        write_grades(labels / 'trainLabels15.csv', 'image,level', eyes(1, 2))
        write_grades(labels / 'testLabels15.csv', 'image,level,Usage', eyes(3, 1))
        write_grades(labels / 'trainLabels19.csv', 'id_code,diagnosis', [('a', 0)])
        train = [f'{name}.jpg' for name, _ in eyes(1, 2)]
        write_images(tmp_path / 'resized train 15', train)
        test = [f'{name}.jpg' for name, _ in eyes(3, 1)]
        write_images(tmp_path / 'resized test 15', test)
        assert len(EyePACS(str(tmp_path), split='all')) == 6

    def test_cropped_copy(self, tmp_path):
        rows = [(i, *row) for i, row in enumerate(eyes(1, 2))]
        write_grades(tmp_path / 'trainLabels_cropped.csv', ',image,level', rows)
        names = [f'{name}.jpeg' for _, name, _ in rows]
        write_images(
            tmp_path / 'resized_train_cropped' / 'resized_train_cropped', names
        )
        assert len(EyePACS(str(tmp_path), split='all')) == 4

    def test_authors_layout(self, authors):
        dataset = EyePACS(str(authors), split='all')
        assert len(dataset) == 60
        assert dataset.get_data_info(0)['group'] == '0'


class TestByPatient:
    def test_split_keeps_patients_together(self, both):
        parts = parts_of(both)
        assert [len(part) for part in parts] == [192, 24, 24]
        patients = [set(values(part, 'group')) for part in parts]
        assert len(set.union(*patients)) == sum(map(len, patients)) == 120

    def test_is_stratified_by_the_grades_of_both_eyes(self, both):
        everything = EyePACS(str(both), split='all')
        counts = Counter(values(everything, 'gt_label'))
        for part in parts_of(both)[1:]:
            found = Counter(values(part, 'gt_label'))
            assert all(abs(found[g] - counts[g] / 10) <= 2 for g in counts)

    def test_passes_the_check_for_leaks(self, both):
        configs = {
            split: dict(type='EyePACS', data_root=str(both), split=split)
            for split in SPLITS
        }
        assert len(check_datasets(configs)) == 3

    def test_split_of_the_authors_is_not_used(self, authors):
        parts = parts_of(authors)
        assert [len(part) for part in parts] == [48, 6, 6]

    def test_but_as_split_file_it_is_and_leaks_are_found(self, authors):
        file = 'eyepacs_dataset_splits.csv'
        root = dict(type='EyePACS', data_root=str(authors), split_file=file)
        configs = {split: dict(root, split=split) for split in ('train', 'test')}
        with pytest.raises(DatasetError, match='train that are also in test: 30'):
            check_datasets(configs)
        configs = {n: dict(c, split_by='image') for n, c in configs.items()}
        assert len(check_datasets(configs)['train']) == 30

    def test_seed_and_shares(self, both):
        def first(**kwargs):
            return values(EyePACS(str(both), split='val', **kwargs), 'image_id')

        assert first() == first() != first(seed=1)
        assert len(first(shares=(1, 1, 1))) == 80

    @given(
        st.lists(
            st.lists(st.integers(0, 4), min_size=1, max_size=2),
            min_size=20,
            max_size=80,
        ),
        st.integers(0, 50),
    )
    @settings(max_examples=25, deadline=None)
    def test_a_patient_is_never_cut(self, patients, seed):
        cases = [
            Case(f'{number}_{side}', grade, str(number))
            for number, grades in enumerate(patients)
            for side, grade in enumerate(grades)
        ]
        dataset = EyePACS('nowhere', seed=seed, lazy_init=True)
        problems = Problems('test')
        splits = dataset.make_split(cases, (3, 1, 1), problems)
        sides = {(c.group, s) for c, s in zip(cases, splits, strict=True)}
        assert problems or set(splits) == set(SPLITS)
        assert len(sides) == len(patients)


class TestByImage:
    def test_patients_are_not_known(self, both, log):
        parts = parts_of(both, split_by='image')
        assert [len(part) for part in parts] == [192, 24, 24]
        assert set(values(parts[0], 'group')) == {None}
        patients = [{i.split('_')[0] for i in values(p, 'image_id')} for p in parts]
        assert patients[0] & patients[2]
        assert 'two eyes of a patient may be in train' in log.text

    def test_passes_the_check_for_leaks(self, both):
        configs = {
            split: dict(
                type='EyePACS', data_root=str(both), split=split, split_by='image'
            )
            for split in SPLITS
        }
        assert len(check_datasets(configs)) == 3

    def test_split_of_the_authors_is_taken(self, authors):
        train = EyePACS(str(authors), split='train', split_by='image')
        assert values(train, 'image_id') == [f'{i}_left' for i in range(30)]

    def test_no_warning_where_nothing_is_split_by_image(self, both, log):
        EyePACS(str(both), split='all', split_by='image')
        EyePACS(str(both), split='train')
        assert log.text == ''


class TestBadData:
    def test_no_table(self, tmp_path):
        text = problems_of(EyePACS, tmp_path)
        assert 'None of trainLabels.csv, trainLabels15.csv' in text

    def test_names_without_an_eye(self, competition):
        write_grades(competition / 'trainLabels.csv', 'image,level', [('17', 0)])
        write_images(competition, ['17.jpeg'])
        text = problems_of(EyePACS, competition, split='all')
        assert 'not end in _left or _right: 1 (17)' in text
        assert len(EyePACS(str(competition), split='all', split_by='image')) == 1

    def test_missing_images_and_unknown_grades(self, both):
        (both / 'test' / '101_left.jpeg').unlink()
        rows = [('1_left', 'none'), ('1_right', 0)]
        write_grades(both / 'trainLabels.csv', 'image,level', rows)
        text = problems_of(EyePACS, both, split='all')
        assert 'images without a file: 1 (101_left)' in text
        assert "is no grade: 1 (1_left: 'none')" in text

    def test_two_versions_of_the_images(self, competition):
        path = competition / 'cropped' / '7_left.jpeg'
        path.parent.mkdir()
        path.write_bytes(b'another')
        text = problems_of(EyePACS, competition, split='all')
        assert 'several files of different content: 1 (7_left)' in text

    def test_two_versions_of_equal_size(self, competition):
        image = next(competition.rglob('7_left.jpeg'))
        path = competition / 'cropped' / '7_left.jpeg'
        path.parent.mkdir()
        path.write_bytes(image.read_bytes())
        assert EyePACS(str(competition), split='all')
        path.write_bytes(bytes(reversed(image.read_bytes())))
        text = problems_of(EyePACS, competition, split='all')
        assert 'several files of different content: 1 (7_left)' in text

    def test_two_tables(self, competition):
        write_grades(competition / 'old' / 'trainLabels.csv', 'image,level', [('7', 0)])
        text = problems_of(EyePACS, competition, split='all')
        assert 'trainLabels.csv: 2 files of this name have different content' in text

    def test_wrong_arguments(self, competition):
        with pytest.raises(ValueError, match='split_by'):
            EyePACS(str(competition), split_by='eye')


def test_builds_from_a_config_pickles_and_says_what_it_is(both):
    config = dict(type='EyePACS', data_root=str(both), split='val', split_by='image')
    dataset = pickle.loads(pickle.dumps(DATASETS.build(config)))
    assert 'Split by: \timage' in repr(dataset)
    assert len(dataset) == 24


class TestPublished:
    """What was published is known; what differs is a note with both numbers."""

    def test_an_edited_table(self, competition):
        (note,) = EyePACS(str(competition)).notes
        assert 'has 200 rows, 35,126 were published' in note
        assert 'Proliferative 0 (708)' in note

    def test_binarised_grades_in_as_many_rows(self, tmp_path):
        grades = [0] * 25802 + [1] * 9306
        rows = [(f'{i}_left', grade) for i, grade in enumerate(grades)]
        write_grades(tmp_path / 'trainLabels_cropped.csv', 'image,level', rows)
        dataset = EyePACS(str(tmp_path), lazy_init=True)
        dataset.read_cases(Problems(''))
        (note,) = dataset.notes
        assert '35,108 rows, 35,108 were published' in note
        assert 'Mild 9,306 (2,438), Moderate 0 (5,288)' in note
        assert 'No DR' not in note

    def test_the_official_table_needs_no_note(self, tmp_path):
        counts = EyePACS.PUBLISHED['trainLabels.csv'].classes.values()
        grades = [grade for grade, count in enumerate(counts) for _ in range(count)]
        assert len(grades) == 35126
        rows = [(f'{i}_left', grade) for i, grade in enumerate(grades)]
        write_grades(tmp_path / 'trainLabels.csv', 'image,level', rows)
        dataset = EyePACS(str(tmp_path), lazy_init=True)
        assert len(dataset.read_cases(Problems(''))) == 35126
        assert not dataset.notes

    def test_check_datasets_says_it(self, competition, monkeypatch):
        said = []
        monkeypatch.setattr('ff_mm.datasets.checks.check.log', said.append)
        sets = {
            split: dict(type='EyePACS', data_root=str(competition), split=split)
            for split in ('train', 'val')
        }
        check_datasets(sets)
        (note,) = said
        assert note.startswith('note: train, val: ') and '35,126' in note


class TestTableOfACopy:
    """The cropped copy has 35,108 of the images that trainLabels.csv names."""

    def test_that_with_a_file_for_each_is_read(self, competition):
        rows = eyes(1, 100)
        table = competition / 'trainLabels_cropped.csv'
        write_grades(table, 'image,level', rows[:2] + rows[4:])
        for name, _ in rows[2:4]:
            (competition / 'train' / f'{name}.jpeg').unlink()
        dataset = EyePACS(str(competition), split='all')
        assert len(dataset) == 198
        assert any('names 2 images without a file' in note for note in dataset.notes)

    def test_else_the_first_counts(self, competition):
        rows = eyes(1, 100)
        table = competition / 'trainLabels_cropped.csv'
        write_grades(table, 'image,level', rows[:2] + rows[4:])
        assert len(EyePACS(str(competition), split='all')) == 200
        for name, _ in rows[2:6]:
            (competition / 'train' / f'{name}.jpeg').unlink()
        assert 'images without a file: 4' in problems_of(
            EyePACS, competition, split='all'
        )
