from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from ham_files import read_table, write_image, write_table
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from ff_mm.datasets import DatasetError, check_datasets
from ff_mm.datasets.rsna_pneumonia import BOXES, CLASS_INFO, RSNAPneumonia
from ff_mm.datasets.splits.splitting import assign_splits

CLASSES = ('Normal', 'Lung Opacity', 'No Lung Opacity / Not Normal')
MAPPING = 'pneumonia-challenge-dataset-mappings_2018.json'


def name(number: int) -> str:
    return f'{number:08x}-aaaa'


@pytest.fixture
def rsna(tmp_path: Path) -> Path:
    """60 images, the classes by turns; those with opacity have two boxes."""
    classes = [['patientId', 'class']]
    boxes = [['patientId', 'x', 'y', 'width', 'height', 'Target']]
    for number in range(60):
        diagnosis = CLASSES[number % 3]
        opaque = diagnosis == 'Lung Opacity'
        for x in range(1 + opaque):
            classes.append([name(number), diagnosis])
            box = [f'{x}.0', '2.0', '3.0', '4.0', '1'] if opaque else [''] * 4 + ['0']
            boxes.append([name(number), *box])
        write_dicom(tmp_path / 'stage_2_train_images' / f'{name(number)}.dcm')
    write_dicom(tmp_path / 'stage_2_test_images' / f'{name(99)}.dcm')
    write_table(tmp_path / 'stage_2_detailed_class_info.csv', classes)
    write_table(tmp_path / 'stage_2_train_labels.csv', boxes)
    return tmp_path


def write_dicom(path: Path) -> None:
    """Writes a file that is there: only the pipeline would look into it."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(128) + b'DICM')


def write_mapping(root: Path) -> None:
    """Three images a patient, of three classes."""
    entries = [
        {'subset_img_id': name(i), 'img_id': f'{i // 3:08d}_{i % 3:03d}.png'}
        for i in range(60)
    ]
    (root / MAPPING).write_text(json.dumps(entries))


def read(root: Path, **kwargs: object) -> list[dict]:
    dataset = RSNAPneumonia(str(root), **{'split': 'all', **kwargs})
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def problems_of(root: Path, **kwargs: object) -> str:
    with pytest.raises(DatasetError) as caught:
        read(root, **kwargs)
    return str(caught.value)


def change_table(root: Path, change: object, table: str = CLASS_INFO) -> None:
    path = root / table
    rows = read_table(path)
    change(rows)
    write_table(path, rows)


class TestClasses:
    def test_not_normal_is_left_out(self, rsna):
        infos = read(rsna)
        assert len(infos) == 40
        assert [info['gt_label'] for info in infos[:4]] == [0, 1, 0, 1]
        assert [info['image_id'] for info in infos[:3]] == [name(i) for i in (0, 1, 3)]
        assert RSNAPneumonia(str(rsna)).metainfo['classes'] == CLASSES[:2]

    @pytest.mark.parametrize(
        ('not_normal', 'classes', 'labels'),
        [
            ('negative', ('No Lung Opacity', 'Lung Opacity'), [0, 1, 0]),
            ('class', CLASSES, [0, 1, 2]),
        ],
    )
    def test_not_normal_otherwise(self, rsna, not_normal, classes, labels):
        dataset = RSNAPneumonia(str(rsna), split='all', not_normal=not_normal)
        assert dataset.metainfo['classes'] == classes
        assert dataset.get_gt_labels().tolist() == labels * 20

    def test_class_order_can_be_given(self, rsna):
        infos = read(rsna, classes=['Lung Opacity', 'Normal'])
        assert [info['gt_label'] for info in infos[:2]] == [1, 0]


class TestSplit:
    def test_counts_of_the_full_data_set(self):
        splits = assign_splits([0] * 8851 + [1] * 6012, [None] * 14863, (8, 1, 1), 0)
        assert Counter(splits.tolist()) == {'train': 11890, 'val': 1486, 'test': 1487}

    def test_is_stratified_and_whole(self, rsna):
        splits = [read(rsna, split=split) for split in ('train', 'val', 'test')]
        assert [len(infos) for infos in splits] == [32, 4, 4]
        assert all(
            len(set(Counter(info['gt_label'] for info in infos).values())) == 1
            for infos in splits
        )
        assert len({info['image_id'] for infos in splits for info in infos}) == 40

    def test_images_are_patients_unless_mapped(self, rsna):
        assert all(info['group'] == info['image_id'] for info in read(rsna))
        write_mapping(rsna)
        assert all(info['group'] == info['image_id'] for info in read(rsna))
        groups = [info['group'] for info in read(rsna, nih_mapping=MAPPING)]
        assert groups[:3] == ['00000000', '00000000', '00000001']

    def test_patients_of_the_nih_stay_together(self, rsna):
        write_mapping(rsna)
        common = dict(type='RSNAPneumonia', data_root=str(rsna), nih_mapping=MAPPING)
        splits = ('train', 'val', 'test')
        datasets = check_datasets({s: dict(common, split=s) for s in splits})
        sizes = [len(dataset) for dataset in datasets.values()]
        assert sum(sizes) == 40 and min(sizes) > 0
        # Each patient has a normal image and one with opacity.
        rows = [[name(i), ('train', 'val')[i % 3]] for i in range(60) if i % 3 < 2]
        write_table(rsna / 'own.csv', [['image', 'split'], *rows])
        common['split_file'] = 'own.csv'
        with pytest.raises(DatasetError, match=r'groups .* also in val: 20 '):
            check_datasets({s: dict(common, split=s) for s in splits[:2]})

    def test_mapping_in_another_folder(self, rsna):
        write_mapping(rsna)
        folder = rsna / 'tables'
        folder.mkdir()
        (rsna / MAPPING).rename(folder / MAPPING)
        for mapping in (MAPPING, f'tables/{MAPPING}'):
            assert read(rsna, nih_mapping=mapping)[0]['group'] == '00000000'


class TestFiles:
    def test_dicom_or_a_converted_copy(self, rsna):
        write_image(rsna / 'png' / f'{name(0)}.png')
        paths = [Path(info['img_path']) for info in read(rsna)]
        assert paths[0] == rsna / 'png' / f'{name(0)}.png'
        assert paths[1] == rsna / 'stage_2_train_images' / f'{name(1)}.dcm'

    def test_ids_with_an_extension(self, rsna):
        write_mapping(rsna)
        whole = read(rsna, nih_mapping=MAPPING)
        for table in (CLASS_INFO, MAPPING):
            text = (rsna / table).read_text()
            (rsna / table).write_text(text.replace('-aaaa', '-aaaa.dcm'))
            assert read(rsna, nih_mapping=MAPPING) == whole

    def test_two_converted_copies_that_differ(self, rsna):
        for folder in ('png', 'small'):
            write_image(rsna / folder / f'{name(0)}.png')
            write_image(rsna / folder / f'{name(1)}.png')
        assert len(read(rsna)) == 40
        (rsna / 'small' / f'{name(0)}.png').write_bytes(b'cut')
        text = problems_of(rsna)
        assert f'files of different content: 1 ({name(0)}). Leave' in text

    def test_table_of_boxes_may_be_absent(self, rsna):
        (rsna / 'stage_2_train_labels.csv').unlink()
        assert len(read(rsna)) == 40

    def test_pipeline_and_loader(self, rsna):
        for number in range(60):
            write_image(rsna / 'jpg' / f'{name(number)}.jpg')
        config = dict(
            type='RSNAPneumonia',
            data_root=str(rsna),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
        )
        dataset = DATASETS.build(config)
        samples = [batch[0] for batch in DataLoader(dataset, collate_fn=list)]
        assert [tuple(s['inputs'].shape) for s in samples] == [(3, 6, 8)] * 32


class TestBadData:
    def test_no_table(self, tmp_path):
        text = problems_of(tmp_path)
        assert '1 problem(s)' in text
        assert 'stage_2_detailed_class_info.csv is not there. Download' in text

    def test_missing_columns(self, rsna):
        change_table(rsna, lambda rows: rows[0].__setitem__(1, 'label'))
        assert ": 1 ('class'). It has" in problems_of(rsna)

    def test_tables_that_disagree(self, rsna):
        def change(rows):
            rows[1][5] = '1'
            for row in rows:
                row[5] = '0' if row[0] == name(1) else row[5]

        change_table(rsna, change, BOXES)
        text = problems_of(rsna)
        assert 'stage_2_train_labels.csv: 2 (' in text
        assert f'({name(0)}, {name(1)}). Download both' in text

    def test_all_problems_in_one_message(self, rsna):
        def change(rows):
            rows.append([name(0), 'Lung Opacity'])
            rows.append([name(70), 'Pneumonia'])

        change_table(rsna, change)
        (rsna / 'stage_2_train_images' / f'{name(4)}.dcm').unlink()
        text = problems_of(rsna)
        assert f'images with several classes in {str(rsna)!r}'[:-1] in text
        assert f': 1 ({name(0)}). Download it again' in text
        assert ': 1 (Pneumonia). Known are' in text
        assert f'images without a file: 1 ({name(4)}). Unpack' in text

    def test_mapping_that_is_not_there(self, rsna):
        text = problems_of(rsna, nih_mapping=MAPPING)
        assert f'nih_mapping {MAPPING!r} is not there. Download' in text

    @pytest.mark.parametrize(
        'content', ['{', '{"a": 1}', '[1]', '[{"subset_img_id": "a"}]', '"text"']
    )
    def test_mapping_of_another_form(self, rsna, content):
        (rsna / MAPPING).write_text(content)
        text = problems_of(rsna, nih_mapping=MAPPING)
        assert 'must be a JSON list' in text and '1 problem(s)' in text

    def test_mapping_that_lacks_an_image(self, rsna):
        write_mapping(rsna)
        entries = json.loads((rsna / MAPPING).read_text())
        (rsna / MAPPING).write_text(json.dumps(entries[1:]))
        text = problems_of(rsna, nih_mapping=MAPPING)
        assert f'nih_mapping does not name: 1 ({name(0)}). Get it anew' in text

    @pytest.mark.parametrize('wrong', [dict(not_normal='third'), dict(split='dev')])
    def test_wrong_arguments(self, rsna, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            read(rsna, **wrong)
