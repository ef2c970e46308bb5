from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ham_files import read_table, write_image, write_table
from mmengine.config import ConfigDict
from mmpretrain.registry import DATASETS
from own_files import COLUMNS, DIAGNOSES, clinic_rows, write_clinic
from reading import values
from torch.utils.data import DataLoader

from ff_mm.datasets import DatasetError, check_datasets
from ff_mm.datasets.splits.split_file import write_split_file
from ff_mm.datasets.table import TableDataset
from ff_mm.errors import ConfigError

SPLITS = ('train', 'val', 'test')
TABLE = dict(file='cases.csv', image='file', label='diagnosis', group='patient')


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    write_clinic(tmp_path)
    return tmp_path


def build(root: Path, which: str = 'all', **changes: Any) -> TableDataset:
    """Builds a split; arguments that are none of the data set's go into its table."""
    names = ('classes', 'shares', 'seed', 'split_file', 'image_list')
    names += ('data_prefix', 'exclude')
    arguments = {name: changes.pop(name) for name in names if name in changes}
    return TableDataset(str(root), {**TABLE, **changes}, split=which, **arguments)


def counts(dataset: TableDataset) -> dict[str, int]:
    return Counter(dataset.CLASSES[label] for label in values(dataset, 'gt_label'))


def scores(dataset: TableDataset) -> list[list[float]]:
    return [score.tolist() for score in values(dataset, 'gt_score')]


def problems_of(root: Path, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(DatasetError) as caught:
        build(root, **changes)
    return caught.value.problems


def problem_of(root: Path, **changes: Any) -> str:
    problems = problems_of(root, **changes)
    assert len(problems) == 1, problems
    return problems[0]


def change(root: Path, column: str, new: dict[int, str]) -> None:
    """Writes other cells into a column; rows are numbered as in the messages."""
    rows = read_table(root / 'cases.csv')
    for number, cell in new.items():
        rows[number - 1][rows[0].index(column)] = cell
    write_table(root / 'cases.csv', rows)


def add_column(root: Path, name: str, cells: list[str]) -> None:
    rows = read_table(root / 'cases.csv')
    for row, cell in zip(rows, [name, *cells], strict=True):
        row.append(cell)
    write_table(root / 'cases.csv', rows)


class TestListsInCells:
    @pytest.mark.parametrize(
        'cell',
        [
            "['nevus', ' melanoma']",
            '["nevus", "melanoma"]',
            '[nevus, melanoma]',
            "{'nevus', 'melanoma'}",
            "['nevus' 'melanoma']",
            "('nevus', 'melanoma',)",
        ],
    )
    def test_several_labels(self, clinic, cell):
        change(clinic, 'diagnosis', {2: cell, 3: "['keratosis']"})
        dataset = build(clinic, label_separator=',')
        assert dataset.CLASSES == ('keratosis', 'melanoma', 'nevus')
        assert scores(dataset)[:3] == [[0, 1, 1], [1, 0, 0], [0, 1, 0]]
        text = problem_of(clinic)
        assert 'that look like a list: 1 (row 2: ' in text and 'label_separator' in text

    def test_one_label(self, clinic):
        change(clinic, 'diagnosis', {2: "['nevus']", 3: "['it\\'s', 3]"})
        assert 'that look like a list: 1 (row 3: ' in problems_of(clinic)[0]
        change(clinic, 'diagnosis', {3: 'nevus (Spitz)'})
        assert counts(build(clinic))['nevus'] == 19


def test_rows_without_a_group_may_be_alone(clinic):
    change(clinic, 'patient', {3: '', 5: 'nan'})
    assert "table.group_missing='alone'" in problem_of(clinic)
    dataset = build(clinic, group_missing='alone')
    assert values(dataset, 'group')[:4] == ['P00', None, 'P01', None]
    with pytest.raises(ConfigError, match='group_missing'):
        build(clinic, group_missing='own')


class TestExclude:
    def test_rows_and_files(self, clinic):
        change(clinic, 'file', {2: 'p00_a.png', 3: 'p00_a_mask.png'})
        for name in ('images/p00_a.png', 'masks/p00_a.png', 'images/p00_a_mask.png'):
            write_image(clinic / name, len(name))
        assert 'for which there are several files: 1' in problem_of(clinic)
        dataset = build(clinic, exclude='masks')
        assert '1 of 60 images look like masks' in dataset.notes[0]
        assert len(build(clinic, exclude=['masks', '*_mask.png'])) == 59
        text = problem_of(clinic, exclude=['masks', 'mask'])
        assert 'match nothing: 1 (mask)' in text


class TestCases:
    def test_every_row_is_read(self, clinic):
        dataset = build(clinic)
        assert len(dataset) == 60
        info = dataset.get_data_info(3)
        assert info['img_path'] == str(clinic / 'images' / 'p01_b.jpg')
        assert info['image_id'] == 'images/p01_b.jpg'
        assert info['group'] == 'P01'
        assert dataset.CLASSES == ('keratosis', 'melanoma', 'nevus')
        assert info['gt_label'] == 1

    @pytest.mark.parametrize('delimiter', [';', '\t'])
    def test_other_separators(self, clinic, delimiter):
        write_table(clinic / 'cases.csv', [COLUMNS, *clinic_rows()], delimiter)
        assert len(build(clinic)) == 60

    def test_parquet_says_the_same(self, clinic):
        pandas = pytest.importorskip('pandas')
        pytest.importorskip('pyarrow')
        frame = pandas.read_csv(clinic / 'cases.csv')
        frame.loc[59, ['age', 'fold']] = None  # makes floats of whole numbers
        frame.to_parquet(clinic / 'cases.parquet')
        split_map = {0: 'val', 1: 'test', 2: 'train', 3: 'train', 4: None, '': None}
        options = dict(split='fold', split_map=split_map, label='age')
        one = build(clinic, **options, which='test')
        other = build(clinic, **options, which='test', file='cases.parquet')
        assert len(one) == 12
        for key in ('image_id', 'group', 'gt_label', 'img_path'):
            assert values(one, key) == values(other, key)
        assert one.CLASSES == other.CLASSES

    def test_no_split_is_made_by_patient_and_stratified(self, clinic):
        splits = [build(clinic, split) for split in SPLITS]
        assert [len(dataset) for dataset in splits] == [48, 6, 6]
        assert [counts(dataset) for dataset in splits[1:]] == [
            dict.fromkeys(DIAGNOSES, 2)
        ] * 2
        groups = [set(values(dataset, 'group')) for dataset in splits]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 30

    def test_without_groups_every_image_is_on_its_own(self, clinic):
        assert set(values(build(clinic, group=None), 'group')) == {None}

    def test_several_columns_name_a_group(self, clinic):
        # Two hospitals number their patients from 1.
        change(clinic, 'patient', {n: str(n // 2 % 15) for n in range(2, 62)})
        add_column(clinic, 'hospital', ['A', 'B'] * 30)
        dataset = build(clinic, group=['hospital', 'patient'])
        assert values(dataset, 'group')[:2] == ['A/1', 'B/1']

    def test_shares_and_seed(self, clinic):
        first, again, other = (
            values(build(clinic, 'val', shares=(3, 1, 1), seed=seed), 'image_id')
            for seed in (0, 0, 1)
        )
        assert first == again != other
        assert len(first) == 12

    def test_build_from_a_config_and_load_images(self, clinic):
        pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
        config = ConfigDict(
            type='mmpretrain.TableDataset',
            data_root=str(clinic),
            table=dict(TABLE, label_map={'keratosis': 'nevus'}, filter=dict(age=49)),
            split='all',
            pipeline=pipeline,
        )
        config.classes = ['melanoma', 'nevus']
        dataset = pickle.loads(pickle.dumps(DATASETS.build(config)))
        assert 'Table: \tcases.csv' in repr(dataset)
        (batch,) = DataLoader(dataset, batch_size=2, collate_fn=list)
        assert [tuple(sample['inputs'].shape) for sample in batch] == [(3, 6, 8)] * 2
        assert batch[0]['data_samples'].gt_label.tolist() == [1]


class TestImages:
    @pytest.mark.parametrize(
        ('write', 'folder'),
        [
            (lambda name: Path(name).name, 'images'),
            (lambda name: Path(name).stem, ''),
            (lambda name: Path(name).with_suffix('.png'), ''),
            (lambda name: f'./{name}', ''),
            (lambda name: name.replace('/', '\\'), ''),
        ],
        ids=['below a prefix', 'ids', 'other extension', 'dot', 'Windows'],
    )
    def test_ways_to_name_an_image(self, clinic, write, folder):
        names = [str(write(row[0])) for row in clinic_rows()]
        change(clinic, 'file', dict(enumerate(names, start=2)))
        dataset = build(clinic, data_prefix=folder)
        assert values(dataset, 'img_path') == values(build_original(clinic), 'img_path')

    def test_absolute_paths(self, clinic, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp('elsewhere') / 'with space.jpg'
        write_image(elsewhere)
        inside = clinic / 'images' / 'p00_b.jpg'
        change(clinic, 'file', {2: str(elsewhere), 3: str(inside)})
        dataset = build(clinic)
        assert values(dataset, 'img_path')[:2] == [str(elsewhere), str(inside)]
        assert values(dataset, 'image_id')[:2] == [str(elsewhere), 'images/p00_b.jpg']

    def test_ids_with_dots(self, clinic):
        write_image(clinic / 'images' / '1.2.840.113.jpg')
        change(clinic, 'file', {2: '1.2.840.113'})
        assert values(build(clinic), 'img_path')[0].endswith('1.2.840.113.jpg')

    def test_the_folder_tells_images_of_one_name_apart(self, clinic):
        for number, folder in enumerate(('left', 'right'), start=2):
            write_image(clinic / 'eyes' / folder / 'x.png', value=number)
            change(clinic, 'file', {number: f'{folder}/x'})
        paths = values(build(clinic), 'img_path')
        assert paths[0].endswith('left/x.png') and paths[1].endswith('right/x.png')
        change(clinic, 'file', {2: 'x'})
        text = problem_of(clinic)
        assert 'images for which there are several files: 1 (x: ' in text
        assert 'left/x.png or ' in text

    def test_the_extension_tells_images_of_one_name_apart(self, clinic):
        for number, name in enumerate(('x.png', 'x.jpg'), start=2):
            write_image(clinic / 'images' / name, value=number)
            change(clinic, 'file', {number: name})
        paths = values(build(clinic), 'img_path')
        assert paths[0].endswith('x.png') and paths[1].endswith('x.jpg')

    def test_numbers_that_pandas_made_floats(self, clinic):
        write_image(clinic / 'images' / '0017.jpg')
        change(clinic, 'file', {2: '0017.0'})
        assert values(build(clinic), 'image_id')[0] == '0017'

    def test_equal_copies_and_hidden_files_do_no_harm(self, clinic):
        write_image(clinic / 'a' / 'x.jpg', value=7)
        write_image(clinic / 'b' / 'x.jpg', value=7)
        write_image(clinic / '.thumbnails' / 'x.jpg', value=9)
        write_image(clinic / '@eaDir' / 'x.jpg', value=9)
        write_image(clinic / 'a' / '._x.jpg', value=9)
        change(clinic, 'file', {2: 'x'})
        assert values(build(clinic), 'img_path')[0] == str(clinic / 'a' / 'x.jpg')

    def test_missing_images_of_the_split_only(self, clinic):
        (clinic / 'images' / 'p07_a.jpg').unlink()
        text = problem_of(clinic)
        assert 'images without a file: 1 (images/p07_a.jpg). Looked for ' in text
        assert str(clinic / 'images' / 'p07_a.jpg') in text
        folds = {n: 'train' for n in range(2, 62)} | {16: 'val', 18: 'test'}
        change(clinic, 'fold', folds)
        assert len(build(clinic, split='fold', which='train')) == 58
        assert 'p07_a' in problem_of(clinic, split='fold', which='val')

    def test_two_names_of_one_file(self, clinic):
        change(clinic, 'file', {3: 'p00_a'})
        assert 'files that several rows mean: 1 (' in problem_of(clinic)

    def test_rows_with_one_image_and_with_none(self, clinic):
        change(clinic, 'file', {4: 'images/p00_a.jpg', 5: './images\\p00_a.jpg', 7: ''})
        unnamed, again = problems_of(clinic)
        assert "without an image in column 'file' of 'cases.csv': 1 (row 7)" in unnamed
        assert (
            'that another row has: 2 (row 4: images/p00_a.jpg (as row 2), '
            'row 5: images/p00_a.jpg (as row 2))' in again
        )


def build_original(root: Path) -> TableDataset:
    write_table(root / 'original.csv', [COLUMNS, *clinic_rows()])
    return build(root, file='original.csv')


class TestClasses:
    def test_given_classes_fix_the_order(self, clinic):
        dataset = build(clinic, classes=DIAGNOSES)
        assert dataset.CLASSES == DIAGNOSES
        assert values(dataset, 'gt_label')[:6] == [0, 0, 1, 1, 2, 2]

    def test_classes_are_those_of_the_whole_table(self, clinic):
        # Patients 0 to 2 are the only ones with a fourth diagnosis.
        change(clinic, 'diagnosis', {n: 'other' for n in range(2, 8)})
        folds = {n: 'val' if n < 10 else 'train' for n in range(2, 62)}
        change(clinic, 'fold', folds)
        train, val = (build(clinic, s, split='fold') for s in ('train', 'val'))
        assert train.CLASSES == val.CLASSES
        assert counts(val) == dict(other=6, nevus=2)

    def test_numbers_are_sorted_by_value(self, clinic):
        cells = [str(number // 2 % 11) for number in range(60)]
        cells[4] = '2.0'
        add_column(clinic, 'grade', cells)
        dataset = build(clinic, label='grade')
        assert tuple(map(str, range(11))) == dataset.CLASSES
        assert values(dataset, 'gt_label')[4:6] == [2, 2]
        same = build(clinic, label='grade', classes=list(range(11)))
        assert values(same, 'gt_label') == values(dataset, 'gt_label')

    def test_classes_from_a_file(self, clinic, tmp_path):
        (tmp_path / 'classes.txt').write_text('\n'.join(DIAGNOSES))
        dataset = build(clinic, classes=str(tmp_path / 'classes.txt'))
        assert tuple(dataset.CLASSES) == DIAGNOSES

    def test_renamed_merged_and_left_out(self, clinic):
        label_map = dict(nevus='benign', keratosis='benign')
        assert counts(build(clinic, label_map=label_map)) == dict(
            benign=40, melanoma=20
        )
        label_map['keratosis'] = None
        assert counts(build(clinic, label_map=label_map)) == dict(
            benign=20, melanoma=20
        )

    def test_what_the_filter_leaves_out_is_not_there(self, clinic):
        change(clinic, 'diagnosis', {2: '', 3: 'nonsense'})
        change(clinic, 'age', {2: '', 3: ''})
        dataset = build(clinic, filter={'age': dict(min=0), 'device': 'old'})
        assert len(dataset) == 28
        assert dataset.CLASSES == ('keratosis', 'melanoma', 'nevus')

    def test_unlabelled_rows(self, clinic):
        change(clinic, 'diagnosis', {2: '', 3: ' NA ', 4: 'none'})
        assert problem_of(clinic) == (
            "rows without a label in column 'diagnosis' of 'cases.csv': 2 (row 2, row "
            "3). Fill it in, or leave the rows out: table.label_map={'': None}."
        )
        dataset = build(clinic, label_map={'': None})
        assert len(dataset) == 58 and 'none' in dataset.CLASSES
        label_map = {'': None, 'NA': 'nevus'}
        assert len(build(clinic, label_map=label_map)) == 59

    def test_unknown_classes(self, clinic):
        change(clinic, 'diagnosis', {4: 'melanom', 9: 'melanom', 12: 'zoster'})
        assert problem_of(clinic, classes=DIAGNOSES) == (
            "names in column 'diagnosis' of 'cases.csv' that are no class: 2 (row 4: "
            "'melanom' (did you mean 'melanoma'?), row 12: 'zoster'). The classes are "
            'nevus, melanoma, keratosis. Correct one or the other, or say what is '
            "meant, such as label_map={'melanom': 'nevus'}, or None to leave it out."
        )

    def test_unicode_forms_of_one_class(self, clinic):
        change(clinic, 'diagnosis', {4: 'n\u00e6vus \u00e9', 6: 'n\u00e6vus e\u0301'})
        text = problem_of(clinic)
        assert 'spaces or Unicode form: 1' in text
        assert r"'n\xe6vus e\u0301' and 'n\xe6vus \xe9'" in text

    @pytest.mark.parametrize(
        ('other', 'named'),
        [
            ('p03', 'upper and lower case: 1 (P03 and p03)'),
            ('P\uff103', "Unicode form: 1 ('P03' and 'P\\uff103')"),
        ],
    )
    def test_spellings_of_one_patient(self, clinic, other, named):
        assert read_table(clinic / 'cases.csv')[7][2] == 'P03'
        change(clinic, 'patient', {8: other})
        text = problem_of(clinic)
        assert text.startswith("groups in column 'patient' of 'cases.csv' that differ")
        assert named in text

    def test_spellings_of_one_class(self, clinic):
        change(clinic, 'diagnosis', {4: 'Melanoma'})
        text = problem_of(clinic)
        assert 'differ only in upper and lower case: 1 (Melanoma and melanoma)' in text
        assert "such as label_map={'Melanoma': 'melanoma'}" in text
        classes = ['Melanoma', *DIAGNOSES]
        assert len(build(clinic, classes=classes)) == 60

    def test_one_class_only(self, clinic):
        text = problem_of(clinic, filter=dict(diagnosis='nevus'))
        assert "has 1 classes ['nevus'], at least 2 are needed" in text
        only = build(clinic, filter=dict(diagnosis='nevus'), classes=DIAGNOSES)
        assert len(only) == 20


class TestSeveralLabels:
    def labels(self, root: Path, cells: dict[str, list[str]], **changes: Any) -> list:
        for name, column in cells.items():
            add_column(root, name, column + ['0'] * (60 - len(column)))
        options = dict(label=None, labels=list(cells), **changes)
        return scores(build(root, **options))

    def test_known_missing_and_uncertain(self, clinic):
        cells = dict(b=['1', '0', '-1', ''], a=['1.0', 'NA', 'True', '-1.0'])
        found = self.labels(clinic, cells)
        assert found[:4] == [[1, 1], [0, -1], [-1, 1], [-1, -1]]

    def test_uncertain_by_policy_and_label(self, clinic):
        cells = dict(b=['-1', ''], a=['-1', '0'])
        found = self.labels(clinic, cells, uncertain=dict(b='ones', a='zeros'))
        assert found[:2] == [[1, 0], [-1, 0]]

    def test_words_in_label_columns(self, clinic):
        cells = dict(a=['yes', 'no', 'not done', 'maybe', ''])
        label_map = {'yes': 1, 'no': 0, 'not done': None, 'maybe': -1, '': 0}
        found = self.labels(clinic, cells, label_map=label_map, uncertain='ones')
        assert found[:5] == [[1], [0], [-1], [1], [0]]

    def test_classes_are_the_columns(self, clinic):
        self.labels(clinic, dict(b=['1'], a=['1']))
        dataset = build(clinic, label=None, labels=['b', 'a'])
        assert tuple(dataset.CLASSES) == ('b', 'a')
        assert dataset.get_cat_ids(0) == [0, 1]
        assert build(clinic, label=None, labels='a').CLASSES == ('a',)

    def test_split_keeps_patients_together(self, clinic):
        self.labels(clinic, dict(a=['1', '0'] * 30, b=['', '1', '0'] * 20))
        config = dict(
            type='TableDataset',
            data_root=str(clinic),
            table=dict(TABLE, label=None, labels=['a', 'b']),
        )
        datasets = check_datasets({s: dict(config, split=s) for s in SPLITS})
        assert sum(map(len, datasets.values())) == 60

    def test_other_cells(self, clinic):
        with pytest.raises(DatasetError) as caught:
            self.labels(clinic, dict(a=['0', 'yes'], b=['2']))
        assert caught.value.problems == (
            'cells of labels that are not 1, 0, -1 (uncertain) or empty (missing): 2 '
            "(row 2: b='2', row 3: a='yes'). Correct them, or say what they mean, such "
            "as table.label_map={'yes': 1, 'no': 0, 'not done': None}.",
        )

    def test_several_labels_in_one_cell(self, clinic):
        cells = ['a|b', 'b', 'none', 'c| a |'] + ['a'] * 56
        add_column(clinic, 'findings', cells)
        options = dict(label='findings', label_separator='|')
        dataset = build(clinic, **options, label_map=dict(none=None, c='b'))
        assert dataset.CLASSES == ('a', 'b')
        assert scores(dataset)[:4] == [[1, 1], [0, 1], [0, 0], [1, 1]]

    def test_an_empty_cell_among_these_must_be_explained(self, clinic):
        add_column(clinic, 'findings', ['', 'a|b'] * 30)
        options = dict(label='findings', label_separator='|')
        text = problem_of(clinic, **options)
        assert 'row 2, row 4' in text and 'say that none is meant' in text
        dataset = build(clinic, **options, label_map={'': None})
        assert scores(dataset)[:2] == [[0, 0], [1, 1]]


class TestSplits:
    def test_column(self, clinic):
        words = ['train', 'Validation', 'TEST', 'train', 'dev', 'testing']
        change(clinic, 'fold', dict(enumerate(words * 10, start=2)))
        sizes = [len(build(clinic, s, split='fold')) for s in SPLITS]
        assert sizes == [20, 20, 20]

    def test_other_words(self, clinic):
        split_map = {0: 'val', '1': 'test', 2: 'train', 3: 'train', 4: None}
        options = dict(split='fold', split_map=split_map)
        assert [len(build(clinic, s, **options)) for s in SPLITS] == [24, 12, 12]
        assert len(build(clinic, **options)) == 48

    def test_unknown_words_and_empty_cells(self, clinic):
        change(clinic, 'fold', {2: ''})
        text = problem_of(clinic, split='fold', split_map={n: 'train' for n in '123'})
        assert (
            "words in column 'fold' of 'cases.csv' that name no split: 3 (row 2: '', "
            "row 3: '0', row 10: '4')" in text
        )

    def test_without_val_it_is_cut_off_train(self, clinic):
        options = dict(split='fold', split_map={n: 'train' for n in '1234'})
        options['split_map']['0'] = 'test'
        sizes = [len(build(clinic, s, **options, shares=(3, 1, 0))) for s in SPLITS]
        assert sizes == [36, 12, 12]
        test = values(build(clinic, 'test', **options), 'group')
        assert {int(group[1:]) % 5 for group in test} == {0}

    def test_a_table_for_each_split(self, clinic):
        rows = clinic_rows()
        write_table(clinic / 'a.csv', [COLUMNS, *rows[:40]])
        write_table(clinic / 'b.csv', [COLUMNS, *rows[40:]])
        file = dict(train='a.csv', test='b.csv')
        sizes = [len(build(clinic, s, file=file, shares=(3, 1, 0))) for s in SPLITS]
        assert sizes == [30, 10, 20]
        write_table(clinic / 'b.csv', [COLUMNS, *rows[38:]])
        text = problem_of(clinic, file=file)
        assert 'b.csv row 2: images/p19_a.jpg (as a.csv row 40)' in text

    def test_filter_looks_at_all_tables(self, clinic):
        rows = clinic_rows()
        write_table(clinic / 'old.csv', [COLUMNS, *rows[:2]])
        write_table(clinic / 'all.csv', [COLUMNS, *rows[2:]])
        file = dict(train='all.csv', test='old.csv')
        dataset = build(clinic, file=file, filter=dict(device='new'))
        assert len(dataset) == 30

    def test_split_that_a_run_wrote_down(self, clinic):
        datasets = {s: build(clinic, s, shares=(1, 1, 1)) for s in SPLITS}
        write_split_file(clinic / 'splits.csv', datasets)
        for split, dataset in datasets.items():
            again = build(clinic, split, split_file='splits.csv')
            assert values(again, 'image_id') == values(dataset, 'image_id')

    def test_image_list_as_the_table_or_absolute(self, clinic):
        absolute = clinic / 'images' / 'p00_b.jpg'
        (clinic / 'own.txt').write_text(f'images\\p01_a.jpg\n{absolute} 3\n')
        dataset = build(clinic, image_list='own.txt')
        assert values(dataset, 'group') == ['P01', 'P00']

    def test_leak_of_a_patient_between_given_splits(self, clinic):
        folds = {n: 'train' for n in range(2, 62)} | {2: 'val', 4: 'test'}
        change(clinic, 'fold', folds)
        config = dict(
            type='TableDataset',
            data_root=str(clinic),
            table=dict(TABLE, split='fold'),
        )
        with pytest.raises(DatasetError) as caught:
            check_datasets({s: dict(config, split=s) for s in SPLITS})
        assert 'groups (lesions, patients) of train that are also in val: 1 (P00)' in (
            str(caught.value)
        )


class TestBadInput:
    def test_all_problems_in_one_message(self, clinic):
        change(clinic, 'diagnosis', {2: '', 7: 'melanom'})
        change(clinic, 'patient', {3: '', 5: 'nan'})
        change(clinic, 'file', {60: 'images/p29.jpg'})
        change(clinic, 'fold', dict.fromkeys(range(2, 62), 'test') | {8: 'later'})
        problems = problems_of(clinic, split='fold', classes=DIAGNOSES)
        starts = [problem.split(':')[0] for problem in problems]
        assert starts == [
            "rows without a label in column 'diagnosis' of 'cases.csv'",
            "names in column 'diagnosis' of 'cases.csv' that are no class",
            "rows without a group in column 'patient' of 'cases.csv'",
            "words in column 'fold' of 'cases.csv' that name no split",
            'images without a file',
        ]
        assert '2 (row 3, row 5)' in problems[2]

    def test_no_folder_no_table_no_column_no_row(self, clinic):
        assert 'There is no such folder. Set' in problem_of(clinic / 'nowhere')
        assert 'Did you mean' in problem_of(clinic, file='case.csv')
        text = problem_of(clinic, label='Diagnose', group='lesion')
        assert "2 ('Diagnose' (did you mean 'diagnosis'?), 'lesion')" in text
        write_table(clinic / 'cases.csv', [COLUMNS])
        assert 'has no row below the names' in problem_of(clinic)

    def test_a_class_of_one_image_that_looks_like_another_is_noted(self, clinic):
        change(clinic, 'diagnosis', {3: 'melanom', 5: 'grade 1', 7: 'naevus'})
        (note,) = build(clinic).notes
        assert note.startswith(
            "classes in column 'diagnosis' of 'cases.csv' that may be another, "
            "misspelled: 2 ('melanom' 1, 'melanoma' "
        )
        assert "label_map={'melanom': 'melanoma', 'naevus': 'nevus'}" in note
        change(clinic, 'diagnosis', dict.fromkeys(range(2, 40), 'grade 2'))
        change(clinic, 'diagnosis', {40: 'grade 1', 41: 'grade 1'})
        assert not any('grade' in note for note in build(clinic).notes)

    def test_classes_that_are_named_are_not_noted(self, clinic):
        change(clinic, 'diagnosis', {3: 'melanom'})
        assert build(clinic, classes=[*DIAGNOSES, 'melanom']).notes == []

    def test_a_relative_folder_is_looked_for_from_where_one_is(
        self, clinic, monkeypatch, tmp_path
    ):
        monkeypatch.chdir(tmp_path)
        text = problem_of('data/clinic')
        assert f"There is no such folder, seen from '{tmp_path}'. Set data_root" in text

    def test_misspelled_filter(self, clinic):
        text = problem_of(clinic, filter=dict(device='New'))
        assert "does not have: 1 ('New'). It has 'new', 'old'." in text

    @pytest.mark.parametrize(
        ('changes', 'expected'),
        [
            (dict(lable='x'), "table has no 'lable' (did you mean 'label'?)"),
            (dict(file='', image=None), 'table: say file, image, such as table=dict('),
            (dict(label=None), 'say label (or labels)'),
            (dict(labels=['a']), 'say one of the two'),
            (dict(label=None, labels=['a'], label_separator='|'), 'goes with label,'),
            (dict(uncertain='ones'), 'table.uncertain goes with labels'),
            (dict(label=None, labels=['a'], uncertain='maybe'), "got 'maybe'"),
            (dict(label=None, labels=['a'], classes=['a']), 'leave classes out'),
            (
                dict(label=None, labels=['a'], label_map=dict(yes='true')),
                "table.label_map: 'true' is no meaning, expected one of ['1', '0', "
                "'-1'] or None",
            ),
            (dict(split_map={0: 'val'}), 'name its column with table.split'),
            (dict(split='fold', split_map={0: 'valid'}), "'valid' is no meaning"),
            (dict(file=dict(training='a.csv')), 'a table for each split is dict('),
            (dict(file=dict(train='a.csv'), split='fold'), 'without table.split'),
            (dict(encoding='excel'), 'unknown encoding: excel'),
            (dict(filter=dict(age=dict(least=3))), "table.filter['age']="),
        ],
    )
    def test_wrong_tables(self, clinic, changes, expected):
        with pytest.raises(ConfigError) as caught:
            build(clinic, **changes)
        assert expected in str(caught.value)
        assert '\n' not in str(caught.value)
