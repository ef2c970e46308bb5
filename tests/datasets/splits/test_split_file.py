from __future__ import annotations

import csv

import pytest

from ff_mm.datasets import HAM10000, DatasetError, Digits
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.splits.split_file import (
    keep_split_file,
    read_split_file,
    write_split_file,
)


def of(dataverse, **kwargs):
    return {
        split: HAM10000(str(dataverse), split=split, **kwargs)
        for split in ('train', 'val', 'test')
    }


def ids(dataset):
    return [dataset.get_data_info(i)['image_id'] for i in range(len(dataset))]


def test_what_was_written_gives_the_same_split(dataverse, tmp_path):
    written = of(dataverse, seed=7)
    write_split_file(tmp_path / 'splits.csv', written)
    read = of(dataverse, split_file='splits.csv')
    for split, dataset in written.items():
        assert ids(read[split]) == ids(dataset)
    assert len(HAM10000(str(dataverse), 'all', split_file='splits.csv')) == 140


def test_columns(dataverse, tmp_path):
    write_split_file(tmp_path / 'splits.csv', of(dataverse))
    with open(tmp_path / 'splits.csv', newline='') as file:
        rows = {row['image']: row for row in csv.DictReader(file)}
    assert len(rows) == 140
    assert rows['ISIC_0000003']['label'] == '1'
    assert rows['ISIC_0000003']['group'] == 'HAM_0000001'


def test_images_in_memory_are_numbered(tmp_path):
    write_split_file(tmp_path / 's.csv', {'val': Digits('val', indices=2)})
    lines = (tmp_path / 's.csv').read_text().splitlines()
    assert lines[0] == 'image,split,label,group'
    assert [line.split(',')[:2] for line in lines[1:]] == [['0', 'val'], ['1', 'val']]


def test_a_run_keeps_its_data(dataverse, tmp_path):
    path = tmp_path / 'work' / 'splits.csv'
    keep_split_file(path, of(dataverse))
    before = path.read_bytes()
    keep_split_file(path, of(dataverse))
    with pytest.raises(DatasetError, match=r'are not those .* use a new --work-dir'):
        keep_split_file(path, of(dataverse, seed=1))
    assert path.read_bytes() == before


def test_a_run_keeps_the_order_of_its_cases(dataverse, tmp_path):
    """By which images come into batches, and so other ingredients out of them."""
    keep_split_file(tmp_path / 'splits.csv', of(dataverse))
    (table,) = dataverse.glob('*metadata*')
    first, *rows = table.read_text().splitlines()
    table.write_text('\n'.join([first, *rows[::-1]]))
    split = dict(split_file=str(tmp_path / 'splits.csv'))
    with pytest.raises(DatasetError, match='in another order than when'):
        keep_split_file(tmp_path / 'splits.csv', of(dataverse, **split))


@pytest.mark.parametrize('column', ['image', 'filename', 'id_code', 'path'])
def test_tables_of_others(tmp_path, column):
    path = tmp_path / 'split.csv'
    path.write_text(f'class,{column},split\n0,a.png,Train\n1,b.png,VALID\n')
    problems = Problems('x')
    assert read_split_file(path, problems) == [('a.png', 'train'), ('b.png', 'val')]
    assert not problems


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('image,fold\na,train\n', r"does not have: 1 \('split'\)"),
        ('name,split\na,train\n', r"needs one of the columns \['image'"),
        ('image,split\na,fold1\n', r"words .* that name no split: 1 \(a: 'fold1'\)"),
        (None, 'does not exist'),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / 'split.csv'
    if text:
        path.write_text(text)
    problems = Problems('x')
    read_split_file(path, problems)
    with pytest.raises(DatasetError, match=message):
        problems.raise_if_any()


def test_images_that_the_data_set_lacks_are_named(dataverse, tmp_path):
    (tmp_path / 's.csv').write_text('image,split\nISIC_0000000,train\nISIC_9,val\n')
    with pytest.raises(DatasetError, match=r'listed but not in the table: 1 \(ISIC_9'):
        HAM10000(str(dataverse), split_file='s.csv')


def test_an_image_with_two_splits(dataverse, tmp_path):
    lines = ['image,split', 'ISIC_0000000,train', 'a/ISIC_0000000.jpg,test']
    (tmp_path / 's.csv').write_text('\n'.join(lines))
    with pytest.raises(DatasetError, match=r'several splits in .*: 1 \(ISIC_0000000\)'):
        HAM10000(str(dataverse), split_file='s.csv')


def test_a_row_twice_does_no_harm(dataverse, tmp_path):
    lines = ['image;split', *['ISIC_0000000;train'] * 2]
    (tmp_path / 's.csv').write_text('\n'.join(lines))
    assert ids(HAM10000(str(dataverse), split_file='s.csv')) == ['ISIC_0000000']
