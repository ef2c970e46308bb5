from __future__ import annotations

import pickle

import pytest
from fundus_files import PIXELS, problems_of, values, write_grades, write_images
from mmpretrain.registry import DATASETS

from ff_mm.datasets.messidor import Messidor2

COLUMNS = 'image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable'


@pytest.fixture
def messidor2(tmp_path):
    """44 images of 22 examinations, two of which cannot be graded."""
    table, files = [], []
    for i in range(22):
        table.append((f'20051020_{i:05d}_0100_PP.png', f'{i % 5}.0', '0.0', 1))
        # The table says .jpg and the file .JPG, as they are published.
        table.append((f'IM{i:06d}.jpg', i % 5, 0, 1))
        files += [f'20051020_{i:05d}_0100_PP.png', f'IM{i:06d}.JPG']
    table[0] = (table[0][0], '', '', 0)
    table[3] = (table[3][0], '1', '', 0)
    write_grades(tmp_path / 'messidor_data.csv', COLUMNS, table)
    write_images(tmp_path / 'IMAGES', files)
    return tmp_path


def write_pairs(root, delimiter=';'):
    """Examination i: the png and the jpg of the same number."""
    lines = [('left', 'right')]
    lines += [(f'20051020_{i:05d}_0100_PP.png', f'IM{i:06d}.JPG') for i in range(22)]
    text = ''.join(delimiter.join(line) + '\r\n' for line in lines)
    (root / 'messidor-2.csv').write_text(text)
    return root


class TestGrades:
    def test_every_gradable_case_is_read(self, messidor2):
        dataset = Messidor2(str(messidor2), split='all')
        assert len(dataset) == 42
        info = dataset.get_data_info(1)
        assert info['image_id'] == '20051020_00001_0100_pp'
        path = messidor2 / 'IMAGES' / '20051020_00001_0100_PP.png'
        assert info['img_path'] == str(path)
        assert (info['gt_label'], info['group']) == (1, None)
        assert values(dataset, 'image_id')[0] == 'im000000'
        assert 'im000001' not in values(dataset, 'image_id')

    def test_all_five_grades(self, messidor2):
        labels = values(Messidor2(str(messidor2), split='all'), 'gt_label')
        assert set(labels) == {0, 1, 2, 3, 4}

    def test_names_in_another_case(self, messidor2):
        for path in [*(messidor2 / 'IMAGES').iterdir()]:
            path.rename(path.with_name(path.name.lower()))
        assert len(Messidor2(str(messidor2), split='all')) == 42

    def test_copy_at_kaggle(self, tmp_path):
        columns = 'id_code,diagnosis,adjudicated_dme,adjudicated_gradable'
        rows = [(f'IM{i:06d}.jpg', i, 0, 1) for i in range(5)]
        write_grades(tmp_path / 'messidor_data.csv', columns, rows)
        folder = tmp_path / 'messidor-2' / 'messidor-2' / 'preprocess'
        write_images(folder, [row[0] for row in rows])
        dataset = Messidor2(str(tmp_path), split='all')
        assert values(dataset, 'gt_label') == [0, 1, 2, 3, 4]

    def test_table_without_a_mark_of_gradability(self, tmp_path):
        rows = [('a.png', '2'), ('b.png', ''), ('c.png', 'nan')]
        path = tmp_path / 'messidor_data.csv'
        write_grades(path, 'image_id,adjudicated_dr_grade', rows)
        write_images(tmp_path, [row[0] for row in rows])
        assert values(Messidor2(str(tmp_path), split='all'), 'image_id') == ['a']

    def test_a_tenth_is_the_test_set(self, messidor2):
        sizes = [
            len(Messidor2(str(messidor2), split=s)) for s in ('train', 'val', 'test')
        ]
        assert sizes == [33, 4, 5]

    def test_lists_and_split_files_name_images_as_they_are_on_disk(self, messidor2):
        name = '20051020_00007_0100_PP'
        (messidor2 / 'own.txt').write_text(f'IMAGES/{name}.png\nIM000003\n')
        dataset = Messidor2(str(messidor2), image_list='own.txt')
        assert values(dataset, 'image_id') == [name.lower(), 'im000003']
        rows = [(f'{name}.png', 'test'), ('IM000003.JPG', 'train')]
        write_grades(messidor2 / 'own.csv', 'image,split', rows)
        dataset = Messidor2(str(messidor2), split='test', split_file='own.csv')
        assert values(dataset, 'image_id') == [name.lower()]


class TestPairs:
    @pytest.mark.parametrize('delimiter', [';', ','])
    def test_the_examination_is_the_group(self, messidor2, delimiter):
        dataset = Messidor2(str(write_pairs(messidor2, delimiter)), split='all')
        ids, groups = values(dataset, 'image_id'), values(dataset, 'group')
        groups = dict(zip(ids, groups, strict=True))
        assert groups['20051020_00004_0100_pp'] == groups['im000004']
        assert len(set(groups.values())) == 22

    def test_and_is_not_cut_by_the_split(self, messidor2):
        root = str(write_pairs(messidor2))
        parts = [
            Messidor2(root, split=split, shares=(2, 1, 1))
            for split in ('train', 'val', 'test')
        ]
        groups = [set(values(part, 'group')) for part in parts]
        assert sum(map(len, parts)) == 42
        assert sum(map(len, groups)) == len(set.union(*groups)) == 22


class TestBadData:
    def test_without_grades(self, messidor2):
        (messidor2 / 'messidor_data.csv').unlink()
        text = problems_of(Messidor2, write_pairs(messidor2))
        assert 'messidor_data.csv is not there' in text
        assert 'google-brain/messidor2-dr-grades' in text

    def test_missing_column(self, messidor2):
        write_grades(messidor2 / 'messidor_data.csv', 'image_id,grade', [('a', 1)])
        assert "it has ['image_id', 'grade']" in problems_of(Messidor2, messidor2)

    def test_unknown_grade_missing_image_and_repeated_row(self, messidor2):
        rows = [('IM000001.jpg', 5, 0, 1), ('IM000002.jpg', 1, 0, 1)]
        rows += [('im000002.png', 1, 0, 1), ('IM000404.jpg', 0, 0, 1)]
        write_grades(messidor2 / 'messidor_data.csv', COLUMNS, rows)
        text = problems_of(Messidor2, messidor2, split='all')
        assert "is no grade: 1 (IM000001.jpg: '5')" in text
        assert 'stand in the table twice: 1 (im000002)' in text
        assert 'images without a file: 1 (im000404)' in text


def test_through_config_and_pipeline(messidor2):
    config = dict(
        type='Messidor2',
        data_root=str(messidor2),
        split='all',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    dataset = pickle.loads(pickle.dumps(DATASETS.build(config)))
    sample = dataset[1]
    assert sample['inputs'].permute(1, 2, 0).numpy().tolist() == PIXELS.tolist()
    assert int(sample['data_samples'].gt_label) == 1
