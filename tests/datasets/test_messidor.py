from __future__ import annotations

import sys

import pytest
from fundus_files import assert_written, built, write_grades, write_images
from reading import problems_of, values

from ff_mm.datasets.aptos2019 import APTOS2019
from ff_mm.datasets.messidor import CORRECTED, DUPLICATES, Messidor, Messidor2

COLUMNS = (
    'Image name,Ophthalmologic department,Retinopathy grade,Risk of macular edema '
)


def rows_of(base: int, count: int = 20) -> list[tuple]:
    return [
        (f'200510{base}_{i:05d}_0100_PP.tif', 'Service', i % 4, 0) for i in range(count)
    ]


def write_base(root, base, rows, extension='.csv', update=''):
    """A folder of images and its table, as Base11 and Annotation_Base11."""
    write_images(root / f'Base{base}', [row[0] for row in rows])
    path = root / f'Annotation_Base{base}{update}{extension}'
    if extension == '.csv':
        write_grades(path, COLUMNS, rows)
    else:
        write_excel(path, [COLUMNS.split(','), *rows])
    return root


def write_excel(path, rows):
    pytest.importorskip('python_calamine')
    if path.suffix == '.xlsx':
        workbook = pytest.importorskip('openpyxl').Workbook()
        for row in rows:
            workbook.active.append(row)
    else:
        workbook = pytest.importorskip('xlwt').Workbook()
        sheet = workbook.add_sheet('Feuil1')
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                sheet.write(y, x, cell)
    workbook.save(str(path))


@pytest.fixture
def messidor(tmp_path):
    """Two bases with tables in csv."""
    return write_base(write_base(tmp_path, 11, rows_of(11)), 24, rows_of(24))


class TestTables:
    def test_every_case_is_read(self, messidor):
        dataset = Messidor(str(messidor), split='all')
        assert len(dataset) == 40
        info = dataset.get_data_info(23)
        assert info['image_id'] == '20051024_00003_0100_PP'
        assert info['img_path'].endswith('Base24/20051024_00003_0100_PP.tif')
        assert (info['gt_label'], info['group']) == (3, None)

    def test_classes_are_those_of_aptos(self, messidor):
        assert Messidor.METAINFO == APTOS2019.METAINFO
        labels = values(Messidor(str(messidor), split='all'), 'gt_label')
        assert set(labels) == {0, 1, 2, 3}

    def test_csv_as_a_european_excel_saves_it(self, messidor):
        for table in messidor.glob('*.csv'):
            text = table.read_text().replace(',', ';')
            table.write_bytes(f'\ufeff{text}'.replace('\n', '\r\n').encode())
        assert len(Messidor(str(messidor), split='all')) == 40

    def test_a_tenth_is_the_test_set(self, messidor):
        sizes = [
            len(Messidor(str(messidor), split=s)) for s in ('train', 'val', 'test')
        ]
        assert sizes == [32, 4, 4]

    @pytest.mark.parametrize('extension', ['.xls', '.xlsx'])
    def test_tables_in_excel(self, tmp_path, extension):
        write_base(tmp_path, 11, rows_of(11), extension)
        dataset = Messidor(str(tmp_path), split='all')
        assert values(dataset, 'gt_label') == [i % 4 for i in range(20)]

    def test_csv_beside_excel_is_read_instead(self, messidor):
        (messidor / 'Annotation_Base11.xls').write_bytes(b'no Excel')
        assert len(Messidor(str(messidor), split='all')) == 40

    def test_updated_table_is_read_instead(self, messidor):
        rows = [(row[0], 'Service', 1, 0) for row in rows_of(11)]
        write_base(messidor, 11, rows, update='_update20161024')
        labels = values(Messidor(str(messidor), split='all'), 'gt_label')
        assert labels[:20] == [1] * 20

    def test_images_converted_and_tables_with_tabs(self, messidor):
        for path in [*messidor.glob('Base11/*.tif')]:
            path.rename(path.with_suffix('.jpg'))
        table = messidor / 'Annotation_Base11.csv'
        text = table.read_text().replace(',', '\t')
        table.with_suffix('.tsv').write_text(text)
        table.unlink()
        assert len(Messidor(str(messidor), split='all')) == 40

    def test_through_config_and_pipeline(self, messidor):
        dataset = built('Messidor', messidor, 'test')
        sample = dataset[0]
        assert_written(sample)
        assert int(sample['data_samples'].gt_label) == values(dataset, 'gt_label')[0]


class TestErrata:
    @pytest.fixture
    def faulty(self, tmp_path):
        """The corrected images with grade 2, and all duplicates."""
        names = [*CORRECTED, *DUPLICATES, *DUPLICATES.values()]
        rows = [(f'{name}.tif', 'Service', 2, 0) for name in names]
        return write_base(tmp_path, 33, rows)

    def test_are_applied(self, faulty):
        dataset = Messidor(str(faulty), split='all')
        assert len(dataset) == 4 + 13
        assert values(dataset, 'gt_label')[:4] == [*CORRECTED.values()]
        assert values(dataset, 'image_id')[4:] == [*DUPLICATES]

    def test_can_be_left_out(self, faulty):
        dataset = Messidor(str(faulty), split='all', errata=False)
        assert len(dataset) == 4 + 26
        assert set(values(dataset, 'gt_label')) == {2}

    def test_no_image_is_left_out_with_its_copy(self):
        assert len({*DUPLICATES, *DUPLICATES.values()}) == 26


class TestBadData:
    def test_no_table(self, tmp_path):
        write_images(tmp_path / 'Base11', ['a.tif'])
        assert 'There is no Annotation_Base11.xls' in problems_of(Messidor, tmp_path)

    def test_grade_of_another_scale(self, messidor):
        rows = [*rows_of(11)[1:], (rows_of(11)[0][0], 'Service', 4, 0)]
        write_base(messidor, 11, rows)
        text = problems_of(Messidor, messidor)
        assert "is no grade: 1 (20051011_00000_0100_PP.tif: '4')" in text
        assert 'Known are 0 to 3' in text

    def test_missing_column_repeated_row_and_missing_image(self, messidor):
        write_grades(messidor / 'Annotation_Base11.csv', 'Image name,Grade', [('a', 1)])
        write_base(messidor, 24, [*rows_of(24), rows_of(24)[0]])
        (messidor / 'Base24' / rows_of(24)[1][0]).unlink()
        text = problems_of(Messidor, messidor, split='all')
        assert "it has ['Image name', 'Grade']" in text
        assert 'stand in the table twice: 1 (20051024_00000_0100_PP)' in text
        assert 'images without a file: 1 (20051024_00001_0100_PP)' in text

    def test_file_that_is_no_excel(self, messidor):
        pytest.importorskip('python_calamine')
        (messidor / 'Annotation_Base12.xls').write_bytes(b'no Excel')
        text = problems_of(Messidor, messidor)
        assert "Annotation_Base12.xls' is no Excel table" in text

    def test_empty_sheet(self, tmp_path):
        write_excel(tmp_path / 'Annotation_Base11.xlsx', [])
        assert 'No image is left' in problems_of(Messidor, tmp_path)

    def test_what_reads_excel_is_not_installed(self, messidor, monkeypatch):
        monkeypatch.setitem(sys.modules, 'python_calamine', None)
        assert len(Messidor(str(messidor), split='all')) == 40
        (messidor / 'Annotation_Base12.xls').touch()
        text = problems_of(Messidor, messidor)
        assert "Annotation_Base12.xls' is an Excel table: pip install" in text


COLUMNS_2 = 'image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable'


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
    write_grades(tmp_path / 'messidor_data.csv', COLUMNS_2, table)
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


class TestBadDataOfMessidor2:
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
        write_grades(messidor2 / 'messidor_data.csv', COLUMNS_2, rows)
        text = problems_of(Messidor2, messidor2, split='all')
        assert "is no grade: 1 (IM000001.jpg: '5')" in text
        assert 'stand in the table twice: 1 (im000002)' in text
        assert 'images without a file: 1 (im000404)' in text


def test_through_config_and_pipeline(messidor2):
    dataset = built('Messidor2', messidor2, 'all')
    sample = dataset[1]
    assert_written(sample)
    assert int(sample['data_samples'].gt_label) == 1
