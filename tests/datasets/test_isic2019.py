from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ham_files import read_table, write_image, write_table
from reading import problems_of, values

from ff_mm.datasets import ISIC2019
from ff_mm.datasets.isic2019 import CLASSES, LESIONS, TEST, TRAINING

COLUMNS = ['MEL', 'NV', 'BCC', 'AK', 'BKL', 'DF', 'VASC', 'SCC', 'UNK']
SPLITS = ('train', 'val', 'test')


def row(name: str, number: int) -> list[Any]:
    return [name, *(float(number == column) for column in range(9))]


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """160 images: two of each lesion, but of 16 that are not known."""
    names = [f'ISIC_{i:07d}{"_downsampled" * (i % 5 == 0)}' for i in range(160)]
    rows = [row(name, i // 2 % 8) for i, name in enumerate(names)]
    write_table(tmp_path / TRAINING, [['image', *COLUMNS], *rows])
    lesions = [
        [name, '45.0', f'BCN_{i // 2:04d}' if i < 144 else '']
        for i, name in enumerate(names)
    ]
    header = ['image', 'age_approx', 'lesion_id']
    write_table(tmp_path / LESIONS, [header, *reversed(lesions)])
    for i, name in enumerate(names):
        write_image(tmp_path / 'ISIC_2019_Training_Input' / f'{name}.jpg', i)
    return tmp_path


@pytest.fixture
def official(training: Path) -> Path:
    """The same with 18 test images, of which two are UNK."""
    names = [f'ISIC_{i:07d}' for i in range(900, 918)]
    rows = [[*row(name, i % 9), f'{i % 3 > 0:.1f}'] for i, name in enumerate(names)]
    write_table(training / TEST, [['image', *COLUMNS, 'score_weight'], *rows])
    for i, name in enumerate(names):
        write_image(training / 'ISIC_2019_Test_Input' / f'{name}.jpg', i)
    return training


def test_classes_and_lesions(training):
    dataset = ISIC2019(str(training), split='all')
    assert dataset.CLASSES == CLASSES
    names = [CLASSES[number] for number in values(dataset, 'gt_label')]
    assert names[:4] == ['mel', 'mel', 'nv', 'nv'] and names[14] == 'scc'
    groups = values(dataset, 'group')
    assert groups[:2] == ['BCN_0000', 'BCN_0000'] and set(groups[144:]) == {None}
    assert values(dataset, 'image_id')[0] == 'ISIC_0000000_downsampled'


def test_without_the_test_table_all_is_cut_by_lesion(training):
    sets = [ISIC2019(str(training), split=split) for split in SPLITS]
    assert [len(dataset) for dataset in sets] == [128, 16, 16]
    known = [{*values(dataset, 'group')} - {None} for dataset in sets]
    assert len(set.union(*known)) == sum(map(len, known)) == 72


def test_with_it_that_is_the_test(official):
    sets = {split: ISIC2019(str(official), split=split) for split in SPLITS}
    assert sum(len(sets[split]) for split in ('train', 'val')) == 160
    assert 16 <= len(sets['val']) <= 20
    assert len(sets['test']) == 16
    assert '2 of 18 images are UNK' in sets['test'].notes[1]
    assert '6 test images have score_weight 0' in sets['test'].notes[2]
    everything = ISIC2019(str(official), split='all', unknown='class')
    assert len(everything) == 178 and (*CLASSES, 'unk') == everything.CLASSES
    assert len(ISIC2019(str(official), split='test', test='training')) == 16


def test_names_with_an_extension(training):
    for name in (TRAINING, LESIONS):
        header, *rows = read_table(training / name)
        rows = [[f'{first}.jpg', *rest] for first, *rest in rows]
        write_table(training / name, [header, *rows])
        dataset = ISIC2019(str(training), split='all')
        assert values(dataset, 'group')[0] == 'BCN_0000'


def test_rows_that_are_not_one_hot(training):
    header, *rows = read_table(training / TRAINING)
    rows[0][1:3], rows[1][1] = ['0.6', '0.4'], '0'
    write_table(training / TRAINING, [header, *rows])
    text = problems_of(ISIC2019, training)
    assert "without exactly one class: 2 (ISIC_0000000_downsampled: MEL='0.6'" in text
    assert 'ISIC_0000001: none' in text


def test_missing_tables(training):
    assert f'tables not found: 1 ({TEST})' in problems_of(
        ISIC2019, training, split='test', test='official'
    )
    (training / LESIONS).unlink()
    assert 'a lesion might train and test' in problems_of(ISIC2019, training)
    (training / TRAINING).unlink()
    assert f'tables not found: 1 ({TRAINING})' in problems_of(ISIC2019, training)


def test_published_counts():
    counts = {name: p.rows for name, p in ISIC2019.PUBLISHED.items()}
    assert counts == {TRAINING: 25331, LESIONS: 25331, TEST: 8238}
