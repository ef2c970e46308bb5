from __future__ import annotations

import os
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import reading
from chest_files import scores, write_chexpert, write_test_set
from chest_names import FINDINGS
from ham_files import read_table, write_image, write_table
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from ff_mm.datasets import DatasetError, check_datasets
from ff_mm.datasets.chest_findings import LABELS
from ff_mm.datasets.chexpert import CheXpert

TRAIN = [
    ('patient00001/study1/view1_frontal', {'No Finding': '1.0'}),
    ('patient00002/study1/view1_frontal', {'Edema': '-1.0', 'Cardiomegaly': '1.0'}),
    ('patient00002/study1/view2_lateral', {'Edema': '-1.0', 'Cardiomegaly': '1.0'}),
    ('patient00002/study2/view1_frontal', {'Edema': '0.0', 'Fracture': '1.0'}),
    (
        'patient00003/study1/view1_frontal',
        {'No Finding': '1.0', 'Edema': '-1.0', 'Support Devices': '1.0'},
    ),
]
VALID = [
    ('patient64541/study1/view1_frontal', {'Edema': '1.0'}),
    ('patient64541/study1/view2_lateral', {'Edema': '1.0'}),
    ('patient64542/study1/view1_frontal', {}),
]
TEST = ['patient64741/study1/view1_frontal', 'patient64741/study1/view2_lateral']


@pytest.fixture
def chexpert(tmp_path: Path) -> Path:
    """CheXpert-v1.0-small and the test set beside it; the folder around them."""
    root = tmp_path / 'CheXpert-v1.0-small'
    for split, rows, default in [('train', TRAIN, ''), ('valid', VALID, '0.0')]:
        prefix = f'CheXpert-v1.0-small/{split}'
        write_chexpert(root / f'{split}.csv', root / split, rows, prefix, default)
    write_test_set(tmp_path / 'chexlocalize' / 'CheXpert', TEST)
    return tmp_path


problems_of = partial(reading.problems_of, CheXpert)


def read(root: Path, **kwargs: object) -> dict[str, dict]:
    return reading.infos_by_id(CheXpert(str(root), **kwargs))


def change_table(path: Path, change: object) -> None:
    rows = read_table(path)
    change(rows)
    write_table(path, rows)


class TestLabels:
    def test_labels_are_thirteen_sorted_by_name(self, chexpert):
        dataset = CheXpert(str(chexpert))
        names = tuple(sorted(set(FINDINGS) - {'No Finding'}))
        assert dataset.metainfo['classes'] == LABELS == names
        score = dataset.get_data_info(0)['gt_score']
        assert score.shape == (13,) and score.dtype == np.float32

    def test_not_mentioned_and_uncertain_are_missing(self, chexpert):
        train = read(chexpert)
        assert scores(train['patient00002/study1/view1_frontal']) == {'Cardiomegaly': 1}
        assert scores(train['patient00002/study2/view1_frontal']) == {
            'Edema': 0,
            'Fracture': 1,
        }

    def test_no_finding_rules_out_all_but_support_devices(self, chexpert):
        train = read(chexpert, uncertain='ones')
        negative = dict.fromkeys(LABELS[:-1], 0)
        assert scores(train['patient00001/study1/view1_frontal']) == negative
        devices = scores(train['patient00003/study1/view1_frontal'])
        assert devices == {**negative, 'Support Devices': 1}

    def test_no_finding_beside_a_finding(self, chexpert):
        table = chexpert / 'CheXpert-v1.0-small' / 'train.csv'
        edema = read_table(table)[0].index('Edema')
        change_table(table, lambda rows: rows[1].__setitem__(edema, '1.0'))
        dataset = CheXpert(str(chexpert))
        assert scores(dataset.get_data_info(0)) == {'Edema': 1}
        (note,) = (note for note in dataset.notes if 'No Finding' in note)
        assert note.startswith('1 rows of ') and 'No Finding and a finding' in note

    def test_uncertain_no_finding_rules_out_nothing(self, chexpert):
        table = chexpert / 'CheXpert-v1.0-small' / 'train.csv'
        change_table(table, lambda rows: rows[1].__setitem__(5, '-1.0'))
        train = read(chexpert, uncertain='ones')
        assert scores(train['patient00001/study1/view1_frontal']) == {}

    @pytest.mark.parametrize(
        ('uncertain', 'edema'),
        [
            ('ignore', {}),
            ('zeros', {'Edema': 0}),
            ('ones', {'Edema': 1}),
            ({'Edema': 'ones'}, {'Edema': 1}),
            ({'Fracture': 'ones'}, {}),
        ],
    )
    def test_uncertain_labels_by_policy(self, chexpert, uncertain, edema):
        train = read(chexpert, uncertain=uncertain)
        assert scores(train['patient00002/study1/view1_frontal']) == {
            'Cardiomegaly': 1,
            **edema,
        }

    def test_chosen_labels_in_the_order_given(self, chexpert):
        labels = ['Support Devices', 'No Finding', 'Edema']
        dataset = CheXpert(str(chexpert), labels=labels)
        assert dataset.metainfo['classes'] == tuple(labels)
        found = [dataset.get_data_info(i)['gt_score'].tolist() for i in (0, 1, 3)]
        assert found == [[-1, 1, 0], [-1, -1, -1], [1, 1, 0]]
        assert dataset.get_cat_ids(3) == [0, 1]
        one = CheXpert(str(chexpert), labels='Edema')
        assert one.metainfo['classes'] == ('Edema',)

    def test_table_without_no_finding(self, chexpert):
        def drop(rows):
            place = rows[0].index('No Finding')
            rows[:] = [[*row[:place], *row[place + 1 :]] for row in rows]

        change_table(chexpert / 'CheXpert-v1.0-small' / 'train.csv', drop)
        assert scores(read(chexpert)['patient00001/study1/view1_frontal']) == {}


class TestSplits:
    def test_official_splits_of_frontal_images(self, chexpert):
        sizes = {
            split: len(read(chexpert, split=split))
            for split in ('train', 'val', 'test', 'all')
        }
        assert sizes == {'train': 4, 'val': 2, 'test': 1, 'all': 7}

    @pytest.mark.parametrize(
        ('views', 'sizes'), [('lateral', [1, 1, 1]), ('all', [5, 3, 2])]
    )
    def test_other_views(self, chexpert, views, sizes):
        # The test set has no column Frontal/Lateral: file names tell.
        splits = ('train', 'val', 'test')
        found = [len(read(chexpert, split=split, views=views)) for split in splits]
        assert found == sizes

    def test_column_decides_on_the_view(self, chexpert):
        table = chexpert / 'CheXpert-v1.0-small' / 'train.csv'
        change_table(table, lambda rows: rows[1].__setitem__(3, 'Lateral'))
        assert len(read(chexpert)) == 3

    def test_groups_are_patients_and_do_not_leak(self, chexpert):
        train = read(chexpert)
        groups = [info['group'] for info in train.values()]
        assert groups == [f'patient0000{i}' for i in (1, 2, 2, 3)]
        configs = {
            split: dict(type='CheXpert', data_root=str(chexpert), split=split)
            for split in ('train', 'val', 'test')
        }
        assert len(check_datasets(configs)) == 3
        own = chexpert / 'own.csv'
        shutil.copy(chexpert / 'CheXpert-v1.0-small' / 'train.csv', own)
        configs['val']['tables'] = dict(val='own.csv')
        with pytest.raises(DatasetError, match='also in val: 3 '):
            check_datasets(configs)

    def test_all_reads_the_tables_that_are_there(self, chexpert):
        shutil.rmtree(chexpert / 'chexlocalize')
        assert len(read(chexpert, split='all')) == 6
        assert 'test.csv or groundtruth.csv, the table of test, is not there' in (
            problems_of(chexpert, split='test')
        )

    def test_image_list_and_split_file(self, chexpert):
        frontal = 'CheXpert-v1.0_224/train/patient00002/study2/view1_frontal.jpg'
        (chexpert / 'own.txt').write_text(
            f'{frontal} 0 1\npatient64542/study1/view1_frontal\n'
        )
        ids = ['patient00002/study2/view1_frontal', 'patient64542/study1/view1_frontal']
        assert list(read(chexpert, image_list='own.txt')) == ids
        rows = [['path', 'split'], [frontal, 'val'], [f'{ids[1]}.jpg', 'train']]
        write_table(chexpert / 'own.csv', rows)
        assert list(read(chexpert, split='val', split_file='own.csv')) == ids[:1]

    def test_the_authors_tables(self, chexpert):
        # Their Path begins with the folder of a resized copy, and test names the view.
        rows = [(end, cells) for end, cells in TRAIN if 'patient00002' in end]
        folder = chexpert / 'CheXpert-v1.0_224' / 'csv'
        prefix = 'CheXpert-v1.0_224/train'
        copies = chexpert / 'CheXpert-v1.0_224' / 'train'
        write_chexpert(folder / 'train_2340.csv', copies, rows, prefix)
        for name in ('CheXpert-v1.0_224/csv/train_2340.csv', 'train_2340.csv'):
            train = read(chexpert, tables=dict(train=name))
            assert list(train) == [
                'patient00002/study1/view1_frontal',
                'patient00002/study2/view1_frontal',
            ]
            paths = [info['img_path'] for info in train.values()]
            assert all(Path(path).is_relative_to(copies) for path in paths)
        absolute = str(folder / 'train_2340.csv')
        assert len(read(chexpert, tables=dict(train=absolute))) == 2


class TestLayouts:
    def test_root_itself(self, chexpert):
        root = chexpert / 'CheXpert-v1.0-small'
        info = read(root)['patient00001/study1/view1_frontal']
        image = root / 'train' / 'patient00001' / 'study1' / 'view1_frontal.jpg'
        assert info['img_path'] == str(image)
        assert len(read(root, split='val')) == 2

    def test_full_archive_in_parts(self, tmp_path):
        first = tmp_path / 'CheXpert-v1.0 batch 1 (validate & csv)'
        second = tmp_path / 'CheXpert-v1.0 batch 2 (train 1)'
        third = tmp_path / 'CheXpert-v1.0 batch 3 (train 2)'
        write_chexpert(first / 'valid.csv', first / 'valid', VALID, 'CheXpert-v1.0/val')
        write_chexpert(first / 'train.csv', second, TRAIN, 'CheXpert-v1.0/train')
        (third / 'patient00003').parent.mkdir()
        (second / 'patient00003').rename(third / 'patient00003')
        assert len(read(tmp_path, split='all')) == 6

    def test_valid_of_chexlocalize(self, tmp_path):
        root = tmp_path / 'chexlocalize' / 'CheXpert'
        prefix = 'CheXpert-v1.0/valid'
        write_chexpert(root / 'val_labels.csv', root / 'val', VALID, prefix)
        assert len(read(tmp_path, split='val')) == 2

    def test_resized_copy_in_another_format(self, tmp_path):
        prefix = 'CheXpert-v1.0/train'
        write_chexpert(
            tmp_path / 'train.csv', tmp_path / 'train', TRAIN, prefix, extension='.png'
        )
        train = read(tmp_path)
        assert {Path(info['img_path']).suffix for info in train.values()} == {'.png'}

    def test_first_of_several_copies_where_the_table_names_none(self, chexpert):
        for name in ('a', 'b'):
            copy = chexpert / name / 'train'
            shutil.copytree(chexpert / 'CheXpert-v1.0-small' / 'train', copy)
        shutil.rmtree(chexpert / 'CheXpert-v1.0-small' / 'train')
        for info in read(chexpert).values():
            assert Path(info['img_path']).is_relative_to(chexpert / 'a')

    def test_folders_of_patients_are_not_walked_through(self, chexpert, monkeypatch):
        listed = []
        scandir = os.scandir

        def record(path):
            listed.append(Path(path).name)
            return scandir(path)

        monkeypatch.setattr(os, 'scandir', record)
        read(chexpert)
        assert 'train' in listed
        assert not [name for name in listed if name.startswith(('patient0', 'study'))]

    def test_order_is_that_of_the_table(self, tmp_path):
        rows = [(f'patient{i % 7:05d}/study{i}/view1_frontal', {}) for i in range(20)]
        write_chexpert(tmp_path / 'train.csv', tmp_path / 'train', rows, 'C/train')
        write_image(tmp_path / 'train' / 'patient00099' / 'study1' / 'view1.jpg')
        assert list(read(tmp_path)) == [end for end, _ in rows]


def test_pipeline_and_loader(chexpert):
    config = dict(
        type='CheXpert',
        data_root=str(chexpert),
        uncertain=dict(Edema='ones'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    dataset = DATASETS.build(config)
    text = repr(dataset)
    assert 'Number of samples: \t4' in text and 'Views: \tfrontal' in text
    dataset = pickle.loads(pickle.dumps(dataset))
    samples = [batch[0] for batch in DataLoader(dataset, collate_fn=list)]
    assert [tuple(s['inputs'].shape) for s in samples] == [(3, 6, 8)] * 4
    assert samples[1]['data_samples'].gt_score.tolist() == (
        dataset.get_data_info(1)['gt_score'].tolist()
    )


class TestBadData:
    def test_no_table(self, tmp_path):
        assert 'train.csv, the table of train, is not there' in problems_of(tmp_path)
        assert 'No table is there' in problems_of(tmp_path, split='all')
        assert 'no such folder' in problems_of(tmp_path / 'nowhere')

    def test_named_table_that_is_not_there(self, chexpert):
        text = problems_of(chexpert, split='all', tables=dict(train='absent.csv'))
        assert 'absent.csv, the table of train, is not there. Set' in text

    def test_missing_columns(self, chexpert):
        table = chexpert / 'CheXpert-v1.0-small' / 'train.csv'
        change_table(table, lambda rows: rows[0].__setitem__(10, 'Oedema'))
        text = problems_of(chexpert)
        assert "does not have: 1 ('Edema'" in text
        assert len(read(chexpert, labels=['Fracture'])) == 4

    def test_all_problems_in_one_message(self, chexpert):
        root = chexpert / 'CheXpert-v1.0-small'
        (root / 'train' / 'patient00001' / 'study1' / 'view1_frontal.jpg').unlink()
        shutil.rmtree(root / 'train' / 'patient00003')

        def change(rows):
            rows[2][7] = 'yes'
            rows[2][3] = 'Oblique'
            rows[4][8] = '2'
            rows.append(['images/1.jpg', *rows[1][1:]])
            rows.append(rows[1])

        change_table(root / 'train.csv', change)
        text = problems_of(chexpert)
        assert '5 problem(s)' in text
        assert 'are no patientN/studyN/file: 1 (images/1.jpg). Take' in text
        assert 'neither frontal nor lateral: 1 (CheXpert-v1.0-small/train/pa' in text
        assert 'not 1, 0, -1 or empty: 1 (Lung Opacity=2). Correct' in text
        assert 'table twice: 1 (patient00001/study1/view1_frontal). Leave' in text
        assert 'without a file: 3 (patient00001/study1/view1_frontal, pat' in text

    def test_only_the_chosen_views_must_be_there(self, chexpert):
        root = chexpert / 'CheXpert-v1.0-small' / 'train'
        (root / 'patient00002' / 'study1' / 'view2_lateral.jpg').unlink()
        assert len(read(chexpert)) == 4
        text = problems_of(chexpert, views='all')
        assert 'without a file: 1 (patient00002/study1/view2_lateral)' in text

    def test_table_that_is_not_text(self, chexpert):
        table = chexpert / 'CheXpert-v1.0-small' / 'train.csv'
        table.write_bytes(table.read_bytes() + b'\xff\xfe')
        assert 'is not UTF-8' in problems_of(chexpert)

    @pytest.mark.parametrize(
        'wrong',
        [
            dict(labels=['Edema', 'Oedema']),
            dict(labels=[]),
            dict(labels=['Edema', 'Edema']),
            dict(uncertain='half'),
            dict(uncertain={'Oedema': 'ones'}),
            dict(views='AP'),
            dict(tables={'valid': 'valid.csv'}),
            dict(split='valid'),
        ],
    )
    def test_wrong_arguments(self, chexpert, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            CheXpert(str(chexpert), **wrong)


class TestByStudy:
    """groundtruth.csv: the labels of the test set, one row a study."""

    @pytest.fixture
    def by_study(self, tmp_path):
        rows = [['Study', *FINDINGS]]
        for study, edema in [('patient64741/study1', 1), ('patient64742/study1', 0)]:
            cells = [str(edema if name == 'Edema' else 0) for name in FINDINGS]
            rows.append([f'CheXpert-v1.0/test/{study}', *cells])
        write_table(tmp_path / 'groundtruth.csv', rows)
        for end in ('64741/study1/view1_frontal', '64741/study1/view2_lateral'):
            write_image(tmp_path / 'test' / f'patient{end}.jpg')
        write_image(tmp_path / 'test' / 'patient64742/study1/view1_frontal.png')
        return tmp_path

    @pytest.mark.parametrize('tables', [None, dict(test='groundtruth.csv')])
    def test_all_images_of_a_study_have_its_labels(self, by_study, tables):
        infos = read(by_study, split='test', views='all', tables=tables)
        edema = LABELS.index('Edema')
        assert {i: info['gt_score'][edema] for i, info in infos.items()} == {
            'patient64741/study1/view1_frontal': 1,
            'patient64741/study1/view2_lateral': 1,
            'patient64742/study1/view1_frontal': 0,
        }

    def test_views(self, by_study):
        assert len(read(by_study, split='test')) == 2
        assert len(read(by_study, split='test', views='lateral')) == 1

    def test_a_study_without_images(self, by_study):
        shutil.rmtree(by_study / 'test' / 'patient64742')
        assert 'studies in ' in problems_of(by_study, split='test')


def test_odd_projections_and_odd_counts_are_noted(chexpert):
    def change(rows):
        rows[1][4] = 'LL'

    change_table(chexpert / 'CheXpert-v1.0-small' / 'train.csv', change)
    counts, projections = CheXpert(str(chexpert)).notes
    assert 'has 5 rows, 223,414 were published' in counts
    assert 'of 4 images that Frontal/Lateral calls frontal' in projections
    assert 'LL 1. They are in' in projections
    assert not [n for n in CheXpert(str(chexpert), views='all').notes if 'LL' in n]


def test_labels_without_uncertain_ones_are_noted(chexpert):
    path = chexpert / 'CheXpert-v1.0-small' / 'train.csv'
    assert '-1' in path.read_text()
    path.write_text(path.read_text().replace('-1', '1'))
    note = CheXpert(str(chexpert)).notes[0]
    assert '; no label is -1, of the published ones some are. If it' in note
    assert 'no label is' not in CheXpert(str(chexpert), labels=['Edema']).notes[0]


def test_a_table_that_one_names_need_not_have_the_published_rows(chexpert):
    name = 'CheXpert-v1.0-small/train.csv'
    assert not CheXpert(str(chexpert), tables=dict(train=name)).notes
