"""Tables of other forms than one row an image with all that is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ham_files import read_table, write_image, write_table
from own_files import COLUMNS, clinic_rows, write_clinic
from reading import values

from ff_mm.datasets import DatasetError, TableDataset
from ff_mm.errors import ConfigError

TABLE = dict(file='cases.csv', image='file', label='diagnosis', group='patient')
CLASSES = ['nevus', 'keratosis', 'melanoma']


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('clinic')
    write_clinic(root)
    return root


@pytest.fixture
def clinic(images: Path, tmp_path: Path) -> Path:
    """A folder for tables; the images lie elsewhere, where no test changes them."""
    write_table(tmp_path / 'cases.csv', [COLUMNS, *clinic_rows()])
    return tmp_path


@pytest.fixture
def build(clinic: Path, images: Path) -> Any:
    def of(which: str = 'all', classes: Any = None, **table: Any) -> TableDataset:
        described = {**TABLE, **table}
        prefix = described.pop('prefix', str(images))
        return TableDataset(
            str(clinic), described, split=which, classes=classes, data_prefix=prefix
        )

    return of


def problem(build: Any, **table: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        build(**table)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


def config_error(build: Any, **table: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        build(**table)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def labels(dataset: TableDataset) -> list:
    key = 'gt_label' if 'gt_label' in dataset.get_data_info(0) else 'gt_score'
    found = values(dataset, key)
    return found if key == 'gt_label' else [score.tolist() for score in found]


class TestOneHot:
    COLUMNS = ('MEL', 'NV', 'BCC')

    def write(self, root: Path, rows: dict[int, tuple]) -> None:
        cells = [rows.get(n, ('0.0', '1.0', '0.0')) for n in range(2, 62)]
        names = [row[0] for row in clinic_rows()]
        table = [[name, *row] for name, row in zip(names, cells, strict=True)]
        write_table(root / 'truth.csv', [['file', *self.COLUMNS], *table])

    def options(self, **more: Any) -> dict[str, Any]:
        options = dict(file='truth.csv', label=None, labels=self.COLUMNS, group=None)
        return {**options, 'one_hot': True, **more}

    def test_one_class_an_image(self, clinic, build):
        self.write(clinic, {2: (1, 0, 0), 3: ('False', 'false', 'TRUE')})
        dataset = build(**self.options())
        assert dataset.CLASSES == self.COLUMNS
        assert labels(dataset)[:3] == [0, 2, 1]

    def test_rows_that_are_not(self, clinic, build):
        rows = {2: (0, 0, 0), 4: (1, 0, 1), 7: ('0.7', '0.3', 0), 8: ('', 1, 0)}
        self.write(clinic, rows)
        text = problem(build, **self.options())
        assert text.startswith(
            "rows of 'truth.csv' in which not exactly one of MEL, NV, BCC is 1 and all "
            "others are 0: 4 (row 2: none, row 4: MEL and BCC, row 7: MEL='0.7', row "
            "8: MEL='')."
        )
        options = self.options(filter=dict(MEL=0, NV=1), label_map={'': 0})
        assert set(labels(build(**options))) == {1}

    @pytest.mark.parametrize(
        'changes',
        [dict(labels=None, label='diagnosis'), dict(labels=['MEL'])],
    )
    def test_without_columns(self, build, changes):
        assert 'table.one_hot: name the columns' in config_error(
            build, **{**self.options(), **changes}
        )


class TestSeveralRows:
    """Three images: all agree, two of three readers, one of three; and two classes."""

    def write(self, root: Path, column: str = 'finding') -> None:
        said = {
            'images/p00_a.jpg': [('A', 'edema'), ('B', 'edema'), ('C', 'edema')],
            'images/p00_b.jpg': [('A', 'edema'), ('B', 'edema'), ('C', 'none')],
            'images/p01_a.jpg': [('A', 'edema'), ('A', 'edema'), ('B', 'none')],
            'images/p01_b.jpg': [('A', 'nodule')],
        }
        rows = [
            [name, name[7:10], reader, finding]
            for name, of in said.items()
            for reader, finding in of
        ]
        write_table(root / 'rows.csv', [['file', 'patient', 'reader', column], *rows])

    OPTIONS = dict(file='rows.csv', label='finding', label_separator='|')

    @pytest.mark.parametrize(
        ('options', 'expected'),
        [
            (dict(several_rows='any'), [1, 1, 1]),
            (dict(several_rows='all'), [1, 0, 0]),
            (dict(several_rows='majority'), [1, 1, 1]),
            (dict(several_rows='majority', rater='reader'), [1, 1, -1]),
            (dict(several_rows='all', rater='reader'), [1, 0, 0]),
        ],
    )
    def test_several_labels(self, clinic, build, options, expected):
        self.write(clinic)
        dataset = build(**self.OPTIONS, **options, label_map=dict(none=None))
        assert dataset.CLASSES == ('edema', 'nodule')
        assert [score[0] for score in labels(dataset)] == [*expected, 0]
        assert values(dataset, 'group') == ['p00', 'p00', 'p01', 'p01']
        (note,) = dataset.notes
        assert '3 images have several rows, 9 in all, put together by' in note
        assert 'those of 2 differ' in note
        assert ('1 labels are a tie' in note) == (-1 in expected)

    def test_one_class_an_image(self, clinic, build):
        self.write(clinic)
        options = dict(file='rows.csv', label='finding', several_rows='any')
        text = problem(build, **options)
        assert 'whose rows have several classes: 2 (images/p00_b.jpg, ' in text
        classes = ['none', 'edema', 'nodule']
        assert labels(build(**options, classes=classes)) == [1, 1, 1, 2]
        options['several_rows'] = 'all'
        assert labels(build(**options, classes=classes)) == [1, 0, 0, 2]
        options['several_rows'] = 'majority'
        assert labels(build(**options, classes=classes)) == [1, 1, 1, 2]
        text = problem(build, **options, rater='reader')
        assert 'no class has the majority: 1 (images/p01_a.jpg)' in text

    def test_columns_of_labels(self, clinic, build):
        rows = [['images/p00_a.jpg', a, b] for a, b in ('10', '1 ', '0 ')]
        write_table(clinic / 'r.csv', [['file', 'a', 'b'], *rows])
        options = dict(file='r.csv', label=None, labels=['a', 'b'], group=None)
        assert labels(build(**options, several_rows='majority')) == [[1, 0]]
        assert labels(build(**options, several_rows='all')) == [[0, 0]]

    def test_groups_and_readers_must_be_clear(self, clinic, build):
        self.write(clinic)
        rows = read_table(clinic / 'rows.csv')
        rows[1][1], rows[5][2] = 'p77', ''
        write_table(clinic / 'rows.csv', rows)
        with pytest.raises(DatasetError) as caught:
            build(**self.OPTIONS, several_rows='all', rater='reader')
        groups, readers = caught.value.problems
        assert 'whose rows have several groups: 1 (images/p00_a.jpg)' in groups
        assert "rows without a rater in column 'reader' of 'rows.csv': 1 (row 6)" in (
            readers
        )

    def test_without_the_key_it_is_named(self, clinic, build):
        self.write(clinic)
        text = problem(build, **self.OPTIONS)
        assert "table.several_rows='any', 'all' or 'majority'" in text

    def test_wrong_keys(self, build):
        assert "'most', expected any or all" in config_error(build, several_rows='most')
        assert 'table.rater goes with' in config_error(build, rater='x')


class TestJoin:
    def write(self, root: Path, name: Any = str) -> None:
        rows = clinic_rows()
        write_table(
            root / 'labels.csv', [['file', 'diagnosis'], *(row[:2] for row in rows)]
        )
        others = [[name(row[0]), row[2], row[5]] for row in rows[::-1]]
        write_table(root / 'meta.csv', [['name', 'patient', 'fold'], *others])

    OPTIONS = dict(file='labels.csv', join=dict(file='meta.csv', on=dict(file='name')))

    @pytest.mark.parametrize('name', [str, lambda n: n.removesuffix('.jpg')])
    def test_columns_of_two_tables(self, clinic, build, name):
        self.write(clinic, name)
        options = dict(self.OPTIONS, filter=dict(fold=[0, 1]))
        dataset, whole = build(**options), build(filter=dict(fold=[0, 1]))
        for key in ('image_id', 'group', 'gt_label'):
            assert values(dataset, key) == values(whole, key)

    def test_by_patient_and_one_after_the_other(self, clinic, build):
        self.write(clinic)
        ages = [[f'P{i:02d}', 20 + i] for i in range(30)]
        write_table(clinic / 'ages.csv', [['patient', 'age'], *ages])
        join = [self.OPTIONS['join'], dict(file='ages.csv', on='patient')]
        dataset = build(file='labels.csv', join=join, filter=dict(age=dict(min=40)))
        assert len(dataset) == 20

    def test_rows_without_another(self, clinic, build):
        self.write(clinic)
        rows = read_table(clinic / 'meta.csv')
        write_table(clinic / 'meta.csv', rows[:-2])
        assert 'rows without a group' in problem(build, **self.OPTIONS)
        dataset = build(**self.OPTIONS, group_missing='alone')
        assert values(dataset, 'group')[:3] == [None, None, 'P01']
        assert "2 of 60 rows have none in 'meta.csv' (row 2, row 3)" in dataset.notes[0]

    def test_mistakes(self, clinic, build):
        self.write(clinic)
        rows = read_table(clinic / 'meta.csv')
        write_table(clinic / 'twice.csv', [*rows, rows[-1]])
        text = problem(build, **self.OPTIONS | dict(join=self.join('twice.csv')))
        assert 'say the same in name: 1 (images/p00_a.jpg)' in text
        text = problem(build, **self.OPTIONS, split='folds')
        assert "table.join have: 1 ('folds' (did you mean 'fold'?))" in text
        join = dict(file='meta.csv', on=dict(file='patient'))
        write_table(clinic / 'one.csv', [['patient'], *([f'{i}'] for i in range(9))])
        text = problem(build, file='labels.csv', join=join | dict(file='one.csv'))
        assert "file is 'images/p00_a.jpg', patient there is '0'" in text
        rows[1][1] = 'P07'
        write_table(clinic / 'other.csv', rows)
        text = problem(build, join=self.join('other.csv'))
        assert "has another 'patient': 1 (row 61: 'P29' and 'P07')" in text

    def join(self, file: str) -> dict[str, Any]:
        return dict(file=file, on=dict(file='name'))

    @pytest.mark.parametrize(
        'join', [dict(file='m.csv'), dict(file='m.csv', on=[]), 'm.csv', [3]]
    )
    def test_what_is_no_join(self, build, join):
        assert "dict(file='metadata.csv', on='image')" in config_error(build, join=join)


class TestPaths:
    """The layouts of MURA, BreakHis and DDR."""

    def test_a_label_for_a_folder(self, tmp_path, build):
        studies = {'patient1/study1_positive': 1, 'patient2/study1_negative': 0}
        for study in studies:
            for i in range(2):
                write_image(tmp_path / 'MURA' / study / f'image{i}.png', i)
        rows = [[f'MURA/{study}/', label] for study, label in studies.items()]
        write_table(tmp_path / 'mura.csv', rows)
        text = problem(build, file='mura.csv')
        assert text.endswith('name the columns with table.header.')
        dataset = build(
            file='mura.csv',
            header=['path', 'label'],
            image='path',
            label='label',
            path_pattern=r'(?P<patient>patient\d+)/',
            prefix='',
        )
        assert values(dataset, 'image_id') == [
            f'MURA/{study}/image{i}.png' for study in studies for i in range(2)
        ]
        assert labels(dataset) == [1, 1, 0, 0]
        assert values(dataset, 'group')[1:3] == ['patient1', 'patient2']
        assert '2 rows name a folder' in dataset.notes[0]
        assert 'each of the 4 images' in dataset.notes[0]
        (tmp_path / 'MURA' / 'empty').mkdir()
        write_table(tmp_path / 'mura.csv', [*rows, ['MURA/empty', 0]])
        text = problem(
            build, file='mura.csv', header=['file', 'diagnosis'], group=None, prefix=''
        )
        assert 'folders without an image: 1 (row 3: MURA/empty)' in text

    @pytest.mark.parametrize('folder', ['/', '..', '.', 'images/..'])
    def test_no_folder_outside_is_walked_through(
        self, clinic, images, folder, monkeypatch
    ):
        monkeypatch.chdir(images)
        rows = read_table(clinic / 'cases.csv')
        rows[1][0] = folder
        write_table(clinic / 'cases.csv', rows)
        table = dict(TABLE, file=str(clinic / 'cases.csv'))
        for root in ('.', str(images)):
            with pytest.raises(DatasetError, match=r'images without a file: 1 '):
                TableDataset(root, table, split='all')

    def test_folders_of_lesions_that_are_the_groups(self, tmp_path, build):
        """MILK10k: two images a lesion, a column a class."""
        rows = []
        for i in range(6):
            for view in range(2):
                write_image(tmp_path / 'input' / f'IL_{i}' / f'ISIC_{view}{i}.jpg', i)
            rows.append([f'IL_{i}', i % 2, 1 - i % 2])
        write_table(tmp_path / 'truth.csv', [['lesion_id', 'MEL', 'NV'], *rows])
        ages = [[f'IL_{i}', 20 + i] for i in range(6)]
        write_table(tmp_path / 'meta.csv', [['lesion_id', 'age'], *ages])
        dataset = build(
            file='truth.csv',
            image='lesion_id',
            label=None,
            labels=['MEL', 'NV'],
            one_hot=True,
            group='lesion_id',
            join=dict(file='meta.csv', on='lesion_id'),
            filter=dict(age=dict(min=21)),
            prefix='input',
        )
        assert values(dataset, 'group') == [
            f'IL_{i}' for i in range(1, 6) for _ in 'ab'
        ]
        assert labels(dataset)[:4] == [0, 0, 1, 1]
        assert values(dataset, 'image_id')[0] == 'IL_1/ISIC_01.jpg'

    def test_a_table_by_what_stands_in_the_path(self, clinic, build):
        ages = [[f'p{i:02d}', 20 + i] for i in range(30)]
        write_table(clinic / 'ages.csv', [['name', 'age'], *ages])
        dataset = build(
            path_pattern=r'(?P<name>p\d+)_',
            join=dict(file='ages.csv', on='name'),
            filter=dict(age=dict(min=45)),
        )
        assert len(dataset) == 10

    def test_label_and_group_in_the_path(self, tmp_path, build):
        names = [
            f'breast/{label}/SOB/x/SOB_{p}/40X/SOB_{p}-{label}-{i}.png'
            for p, label in (('14-1', 'benign'), ('14-2', 'malignant'))
            for i in range(2)
        ]
        for i, name in enumerate(names):
            write_image(tmp_path / name, i)
        rows = [[fold, name] for name in names for fold in (1, 2)]
        write_table(tmp_path / 'Folds.csv', [['fold', 'filename'], *rows])
        pattern = r'breast/(?P<label>\w+)/.*/SOB_(?P<patient>[\d-]+)/'
        options = dict(file='Folds.csv', image='filename', label='label', prefix='')
        options['filter'] = dict(fold=1)
        dataset = build(**options, path_pattern=pattern)
        assert dataset.CLASSES == ('benign', 'malignant')
        assert labels(dataset) == [0, 0, 1, 1]
        assert values(dataset, 'group') == ['14-1', '14-1', '14-2', '14-2']
        text = problem(build, **options, path_pattern=f'x{pattern}')
        assert 'path_pattern finds nothing: 8 (breast/benign/' in text

    def test_a_list_without_names_and_with_spaces(self, tmp_path, build):
        for split, first in dict(train=0, valid=20, test=40).items():
            rows = clinic_rows()[first : first + 20]
            lines = [f'{row[0]} {i % 3}' for i, row in enumerate(rows)]
            (tmp_path / f'{split}.txt').write_text('\n'.join(lines))
        files = dict(train='train.txt', val='valid.txt', test='test.txt')
        options = dict(file=files, image='image', label='grade', group=None)
        for split in files:
            dataset = build(split, **options, header=['image', 'grade'])
            assert labels(dataset)[:4] == [0, 1, 2, 0] and len(dataset) == 20
        options['file'] = 'test.txt'
        text = problem(build, **options, header=['image', 'grade', 'eye'])
        assert 'table.header names 3 columns, the first line of ' in text
        assert "has 1 cells: ['images/p20_a.jpg 0']" in text
        named = tmp_path / 'test.txt'
        named.write_text(f'image grade\n{named.read_text()}')
        assert len(build(**options, header=['image', 'grade'])) == 20

    def test_spaces_between_cells_and_names_above(self, tmp_path, build):
        lines = [f'{row[0]} {i % 2}' for i, row in enumerate(clinic_rows())]
        (tmp_path / 'cases.txt').write_text('\n'.join(['file grade', *lines]))
        dataset = build(file='cases.txt', label='grade', group=None)
        assert labels(dataset)[:2] == [0, 1]

    @pytest.mark.parametrize('pattern', ['(', r'patient(\d+)', 3])
    def test_what_is_no_pattern(self, build, pattern):
        assert 'table.path_pattern=' in config_error(build, path_pattern=pattern)


class TestOthers:
    def test_any_other_value(self, build):
        label_map = {'melanoma': 'malignant', '*': 'benign'}
        dataset = build(label_map=label_map)
        assert dataset.CLASSES == ('benign', 'malignant')
        assert sum(labels(dataset)) == 20
        assert dataset.notes == [
            "'*' of table.label_map: what 2 other values say counts as 'benign' "
            "('nevus' 20, 'keratosis' 20)."
        ]
        dataset = build(label_map={'melanoma': 'm', 'nevus': 'n', '*': None})
        assert len(dataset) == 40
        assert "say is left out ('keratosis' 20)" in dataset.notes[0]

    def test_an_empty_cell_is_no_other_value(self, clinic, build):
        rows = read_table(clinic / 'cases.csv')
        rows[1][1] = ''
        write_table(clinic / 'cases.csv', rows)
        label_map = {'melanoma': 'malignant', '*': 'benign'}
        assert 'rows without a label' in problem(build, label_map=label_map)
        assert len(build(label_map={**label_map, '': None})) == 59

    def test_labels_and_splits(self, build):
        options = dict(label=None, labels=['diagnosis', 'device'], group=None)
        label_map = {'melanoma': 1, 'old': 1, '*': 0}
        dataset = build(**options, label_map=label_map)
        assert labels(dataset)[1:4] == [[0, 1], [1, 0], [1, 0]]
        dataset = build('test', split='fold', split_map={4: 'test', '*': 'train'})
        assert len(dataset) == 12


class TestMissingImages:
    def test_are_left_out(self, tmp_path):
        write_clinic(tmp_path)
        (tmp_path / 'images' / 'p00_a.jpg').unlink()
        whole = TableDataset(str(tmp_path), TABLE | dict(image_missing='leave_out'))
        assert len(whole) in (47, 48)
        everything = TableDataset(
            str(tmp_path), TABLE | dict(image_missing='leave_out'), split='all'
        )
        assert len(everything) == 59
        assert everything.notes == [
            '1 of 60 images have no file and are left out (images/p00_a.jpg).'
        ]

    def test_but_not_all_of_them(self, build, tmp_path):
        text = problem(build, image_missing='leave_out', prefix=str(tmp_path))
        assert 'images without a file: 60' in text
        assert 'expected error or leave_out' in config_error(build, image_missing='no')


def test_an_empty_table(clinic, build):
    for content in (b'', b' \n\n', b'\xef\xbb\xbf\n', b'\xff\xfe'):
        (clinic / 'cases.csv').write_bytes(content)
        assert 'is empty. Get the file again.' in problem(build)
