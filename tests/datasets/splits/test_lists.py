from __future__ import annotations

from pathlib import Path

import pytest
from ham_files import write_table
from own_files import clinic_rows, write_clinic
from reading import values

from ff_mm.datasets import DatasetError, TableDataset
from ff_mm.errors import ConfigError

TABLE = dict(file='cases.csv', image='file', label='diagnosis', group='patient')
SPLITS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('clinic')
    write_clinic(root)
    rows = [[row[0], 'test' if row[5] == '4' else 'train'] for row in clinic_rows()]
    write_table(root / 'splits.csv', [['image', 'split'], *rows])
    bare = [[Path(name).with_suffix(''), split] for name, split in rows]
    write_table(root / 'bare.csv', [['image', 'split'], *bare])
    for split in ('train', 'test'):
        names = [name for name, of in rows if of == split]
        (root / f'{split}_list.txt').write_text('\n'.join(names))
    return root


@pytest.mark.parametrize(
    'split_file',
    ['splits.csv', 'bare.csv', dict(train='train_list.txt', test='test_list.txt')],
)
def test_val_is_cut_off_the_train_of_a_split_file(clinic, split_file):
    sets = [TableDataset(clinic, TABLE, split=s, split_file=split_file) for s in SPLITS]
    train, val, test = (set(values(dataset, 'image_id')) for dataset in sets)
    assert (len(train) + len(val), len(test)) == (48, 12)
    assert 4 <= len(val) <= 6 and not train & val
    assert not {*values(sets[0], 'group')} & {*values(sets[1], 'group')}


def test_an_image_in_two_lists(clinic):
    with pytest.raises(DatasetError, match=r'several splits in .*: 12 '):
        lists = dict(train='test_list.txt', test='test_list.txt')
        TableDataset(clinic, TABLE, split_file=lists)


@pytest.mark.parametrize('wrong', [dict(training='a.txt'), {}, 3, dict(train=None)])
def test_what_is_no_split_file(clinic, wrong):
    with pytest.raises(ConfigError, match='expected a table, or a list of images'):
        TableDataset(clinic, TABLE, split_file=wrong or {'': ''})


def test_empty_list(clinic):
    (clinic / 'empty.txt').write_text('\n \n')
    with pytest.raises(DatasetError, match=r"split_file '.*empty.txt' is empty"):
        TableDataset(clinic, TABLE, split_file=dict(train='empty.txt'))
