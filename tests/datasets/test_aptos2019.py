from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from fundus_files import assert_written, built, write_grades, write_images
from reading import problems_of, values
from torch.utils.data import DataLoader

from ff_mm.datasets.aptos2019 import APTOS2019

SPLITS = ('train', 'val', 'test')


def code(number: int) -> str:
    return f'{number:012x}'


@pytest.fixture
def competition(tmp_path):
    """60 labelled images, twelve of each grade, and two test images without labels."""
    rows = [(code(i), i % 5) for i in range(60)]
    write_grades(tmp_path / 'train.csv', 'id_code,diagnosis', rows)
    write_grades(tmp_path / 'test.csv', 'id_code', [(code(90),), (code(91),)])
    write_grades(
        tmp_path / 'sample_submission.csv', 'id_code,diagnosis', [(code(90), 0)]
    )
    write_images(tmp_path / 'train_images', [f'{name}.png' for name, _ in rows])
    write_images(tmp_path / 'test_images', [f'{code(i)}.png' for i in (90, 91)])
    return tmp_path


@pytest.fixture
def presplit(tmp_path):
    """The copy at Kaggle: folders doubled, the test table ends in empty rows."""
    tables = {
        'train': ('train_1.csv', 8),
        'val': ('valid.csv', 3),
        'test': ('test.csv', 2),
    }
    first = 0
    for split, (table, count) in tables.items():
        rows = [(code(i), i % 5) for i in range(first, first + count)]
        empty = [('', '')] * 4 if split == 'test' else []
        write_grades(tmp_path / table, 'id_code,diagnosis', [*rows, *empty])
        folder = tmp_path / f'{split}_images' / f'{split}_images'
        write_images(folder, [f'{name}.png' for name, _ in rows])
        first += count
    return tmp_path


def write_authors(root, grades):
    """The authors' layout: a folder a class, named as the table names the class."""
    rows = []
    for number, grade in enumerate(grades):
        name = f'{code(number)}.png'
        rows.append((name, grade, SPLITS[number % 3]))
        write_images(root / str(grade), [name])
    write_grades(root / 'aptos_dataset_splits.csv', 'filename,class,split', rows)
    return root


class TestCompetition:
    def test_every_case_is_read(self, competition):
        dataset = APTOS2019(str(competition), split='all')
        assert len(dataset) == 60
        info = dataset.get_data_info(7)
        assert info['img_path'] == str(competition / 'train_images' / f'{code(7)}.png')
        assert info['image_id'] == code(7)
        assert info['gt_label'] == 2
        assert info['group'] is None
        assert dataset.metainfo['classes'][2] == 'Moderate'

    def test_split_is_stratified_disjoint_and_complete(self, competition):
        parts = [APTOS2019(str(competition), split=split) for split in SPLITS]
        assert [len(part) for part in parts] == [48, 6, 6]
        ids = [image_id for part in parts for image_id in values(part, 'image_id')]
        assert len(set(ids)) == 60
        assert set(Counter(values(parts[0], 'gt_label')).values()) <= {9, 10}

    def test_published_counts(self, tmp_path):
        grades = np.repeat(range(5), [1805, 370, 999, 193, 295])
        rows = [(code(i), grade) for i, grade in enumerate(grades)]
        write_grades(tmp_path / 'train.csv', 'id_code,diagnosis', rows)
        for name, _ in rows:
            (tmp_path / f'{name}.png').touch()
        sizes = [len(APTOS2019(str(tmp_path), split=split)) for split in SPLITS]
        assert sizes == [2929, 366, 367]

    def test_authors_split_file_beside_it(self, competition):
        rows = [(f'{code(i)}.png', i % 5, SPLITS[i % 3]) for i in range(60)]
        table = competition / 'aptos_dataset_splits.csv'
        write_grades(table, 'filename,class,split', rows)
        val = APTOS2019(str(competition), split='val', split_file=table.name)
        assert values(val, 'image_id') == [code(i) for i in range(1, 60, 3)]

    def test_resized_copy_of_2015_and_2019(self, tmp_path):
        rows = [(code(i), i % 5) for i in range(5)]
        write_grades(
            tmp_path / 'labels' / 'trainLabels19.csv', 'id_code,diagnosis', rows
        )
        write_grades(
            tmp_path / 'labels' / 'trainLabels15.csv', 'image,level', [('1_left', 0)]
        )
        write_images(tmp_path / 'resized train 19', [f'{name}.jpg' for name, _ in rows])
        assert len(APTOS2019(str(tmp_path), split='all')) == 5

    def test_names_with_extension(self, competition):
        rows = [(f'{code(i)}.png', i % 5) for i in range(60)]
        write_grades(competition / 'train.csv', 'id_code,diagnosis', rows)
        assert len(APTOS2019(str(competition), split='all')) == 60

    def test_a_folder_around_everything(self, competition):
        folder = competition / 'aptos2019-blindness-detection'
        folder.mkdir()
        for path in [*competition.iterdir()]:
            if path != folder:
                path.rename(folder / path.name)
        assert len(APTOS2019(str(competition), split='all')) == 60

    def test_through_config_pipeline_and_loader(self, competition):
        dataset = built('APTOS2019', competition, 'test')
        batch = next(iter(DataLoader(dataset, 6, collate_fn=list)))
        sample = batch[0]
        assert_written(sample)
        labels = [int(s['data_samples'].gt_label) for s in batch]
        assert labels == values(dataset, 'gt_label')


class TestPresplit:
    def test_its_split_is_taken(self, presplit):
        parts = [APTOS2019(str(presplit), split=split) for split in SPLITS]
        assert [len(part) for part in parts] == [8, 3, 2]
        assert values(parts[1], 'image_id') == [code(i) for i in (8, 9, 10)]
        assert values(parts[2], 'gt_label') == [1, 2]

    def test_training_table_renamed(self, presplit):
        (presplit / 'train_1.csv').rename(presplit / 'train.csv')
        assert len(APTOS2019(str(presplit), split='all')) == 13

    def test_missing_table(self, presplit):
        (presplit / 'train_1.csv').unlink()
        text = problems_of(APTOS2019, presplit)
        assert 'tables not found beside valid.csv: 1 (train_1.csv)' in text


class TestAuthors:
    def test_its_split_is_taken(self, tmp_path):
        root = write_authors(tmp_path, [0, 1, 2, 3, 4, 0, 1])
        parts = [APTOS2019(str(root), split=split) for split in SPLITS]
        assert [values(part, 'gt_label') for part in parts] == [
            [0, 3, 1],
            [1, 4],
            [2, 0],
        ]
        path = parts[0].get_data_info(1)['img_path']
        assert path == str(root / '3' / f'{code(3)}.png')

    def test_classes_by_name(self, tmp_path):
        names = ['No_DR', 'Mild', 'Moderate', 'Severe', 'Proliferate_DR']
        dataset = APTOS2019(str(write_authors(tmp_path, names)), split='all')
        assert values(dataset, 'gt_label') == [0, 1, 2, 3, 4]

    def test_table_without_a_split(self, tmp_path):
        root = write_authors(tmp_path, [0, 1])
        write_grades(
            root / 'aptos_dataset_splits.csv', 'filename,class', [('a.png', 1)]
        )
        assert 'words in' in problems_of(APTOS2019, root)


class TestBadData:
    def test_no_table(self, tmp_path):
        text = problems_of(APTOS2019, tmp_path)
        assert 'None of train.csv (the Kaggle competition), train_1.csv' in text
        assert text.count('\n') == 1

    def test_images_missing_repeated_and_of_unknown_grade(self, competition):
        rows = [(code(i), i % 5) for i in range(60)]
        rows += [(code(3), 3), (code(99), 1), (code(98), 7)]
        write_grades(competition / 'train.csv', 'id_code,diagnosis', rows)
        text = problems_of(APTOS2019, competition, split='all')
        assert '3 problem(s)' in text
        assert f'stand in the table twice: 1 ({code(3)})' in text
        assert f'images without a file: 1 ({code(99)})' in text
        assert f"is no grade: 1 ({code(98)}: '7')" in text

    def test_missing_column(self, competition):
        write_grades(competition / 'train.csv', 'id_code,label', [(code(1), 0)])
        assert "it has ['id_code', 'label']" in problems_of(APTOS2019, competition)
