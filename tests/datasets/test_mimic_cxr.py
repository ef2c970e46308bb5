from __future__ import annotations

import gzip
import shutil
from functools import partial
from pathlib import Path

import pytest
import reading
from chest_files import findings, scores, write_packed
from chest_names import FINDINGS
from ham_files import write_image, write_table
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from ff_mm.datasets import check_datasets
from ff_mm.datasets.chest_findings import LABELS
from ff_mm.datasets.mimic_cxr import MIMICCXR

#: In the alphabetical order of MIMIC's tables.
COLUMNS = sorted(FINDINGS)

#: dicom_id, subject_id, study_id, split, ViewPosition
IMAGES = [
    ('aaaa-1', '10000032', '50000001', 'train', 'PA'),
    ('aaaa-2', '10000032', '50000001', 'train', 'LATERAL'),
    ('aaaa-3', '10000032', '50000002', 'train', 'AP'),
    ('bbbb-1', '11000001', '50000003', 'validate', 'AP'),
    ('bbbb-2', '11000001', '50000003', 'validate', 'LL'),
    ('cccc-1', '19000009', '50000004', 'test', 'PA'),
    ('cccc-2', '19000009', '50000005', 'test', 'AP'),
    ('cccc-3', '19000009', '50000006', 'test', ''),
]
LABELLED = {
    '50000001': {'No Finding': '1.0'},
    '50000002': {'Edema': '-1.0', 'Lung Opacity': '1.0'},
    '50000003': {'Edema': '1.0'},
    '50000004': {'Edema': '0.0', 'Support Devices': '1.0'},
    # Study 50000005 has no report that the labeler could read.
    '50000006': {'Fracture': '1.0'},
}


@pytest.fixture
def mimic(tmp_path: Path) -> Path:
    """MIMIC-CXR-JPG as wget leaves it; the folder around it all."""
    root = tmp_path / 'physionet.org' / 'files' / 'mimic-cxr-jpg' / '2.1.0'
    root.mkdir(parents=True)
    splits = [['dicom_id', 'study_id', 'subject_id', 'split']]
    splits += [[image, study, patient, s] for image, patient, study, s, _ in IMAGES]
    write_packed(root / 'mimic-cxr-2.0.0-split.csv.gz', splits)
    views = [['dicom_id', 'subject_id', 'ViewPosition', 'Rows']]
    views += [[image, patient, view, '3056'] for image, patient, _, _, view in IMAGES]
    write_packed(root / 'mimic-cxr-2.0.0-metadata.csv.gz', views)
    write_labels(root, LABELLED)
    for image, patient, study, *_ in IMAGES:
        folder = root / 'files' / f'p{patient[:2]}' / f'p{patient}' / f's{study}'
        write_image(folder / f'{image}.jpg')
    return tmp_path


def write_labels(root: Path, labelled: dict, labeler: str = 'chexpert') -> None:
    rows = [['subject_id', 'study_id', *COLUMNS]]
    rows += [
        ['1', study, *(cells.get(name, '') for name in COLUMNS)]
        for study, cells in labelled.items()
    ]
    write_packed(root / f'mimic-cxr-2.0.0-{labeler}.csv.gz', rows)


def release(mimic: Path) -> Path:
    return next(mimic.rglob('2.1.0'))


problems_of = partial(reading.problems_of, MIMICCXR)


def read(root: Path, **kwargs: object) -> dict[str, dict]:
    return reading.infos_by_id(MIMICCXR(str(root), **kwargs))


@pytest.mark.parametrize(
    ('views', 'train', 'val', 'test'),
    [
        ('frontal', ['aaaa-1', 'aaaa-3'], ['bbbb-1'], ['cccc-1']),
        ('lateral', ['aaaa-2'], ['bbbb-2'], []),
        ('all', ['aaaa-1', 'aaaa-2', 'aaaa-3'], ['bbbb-1', 'bbbb-2'], None),
    ],
)
def test_official_split_by_view(mimic, views, train, val, test):
    assert list(read(mimic, views=views)) == train
    assert list(read(mimic, views=views, split='val')) == val
    if test == []:
        assert 'No image is left' in problems_of(mimic, views=views, split='test')
    else:
        found = list(read(mimic, views=views, split='test'))
        assert found == (test or ['cccc-1', 'cccc-3'])


def test_labels_join_by_study_under_the_rules_of_chexpert(mimic):
    train = read(mimic, uncertain='ones')
    assert scores(train['aaaa-1']) == dict.fromkeys(LABELS[:-1], 0)
    assert scores(train['aaaa-3']) == {'Edema': 1, 'Lung Opacity': 1}
    assert scores(read(mimic)['aaaa-3']) == {'Lung Opacity': 1}
    test = read(mimic, split='test')
    assert scores(test['cccc-1']) == {'Edema': 0, 'Support Devices': 1}


def test_cases_know_their_patient_and_path(mimic):
    info = read(mimic)['aaaa-3']
    assert info['group'] == 'p10000032'
    end = 'files/p10/p10000032/s50000002/aaaa-3.jpg'
    assert info['img_path'] == str(release(mimic) / end)
    below = read(release(mimic))['aaaa-3']
    assert below['img_path'] == info['img_path']


def test_splits_do_not_leak(mimic):
    configs = {
        split: dict(type='MIMICCXR', data_root=str(mimic), split=split)
        for split in ('train', 'val', 'test')
    }
    assert len(check_datasets(configs)) == 3


def test_all_and_lists_choose_from_every_split(mimic):
    assert len(read(mimic, split='all')) == 4
    (mimic / 'own.txt').write_text('files/cccc-1.jpg\naaaa-1\n')
    assert list(read(mimic, image_list='own.txt')) == ['cccc-1', 'aaaa-1']
    write_table(mimic / 'own.csv', [['image', 'split'], ['cccc-1', 'train']])
    assert list(read(mimic, split_file='own.csv')) == ['cccc-1']


def test_unpacked_tables(mimic):
    for packed in release(mimic).glob('*.csv.gz'):
        packed.with_suffix('').write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    assert len(read(mimic, split='all')) == 4


def test_images_beside_the_tables_in_another_format(mimic):
    root = release(mimic)
    for tenth in (root / 'files').iterdir():
        tenth.rename(root / tenth.name)
    for image in root.rglob('*.jpg'):
        image.rename(image.with_suffix('.png'))
    assert len(read(root, split='all')) == 4


def test_only_the_images_of_the_split_must_be_there(mimic):
    shutil.rmtree(release(mimic) / 'files' / 'p10')
    assert len(read(mimic, split='test')) == 1
    text = problems_of(mimic)
    assert 'images without a file: 2 (aaaa-1, aaaa-3). Unpack' in text


def test_views_need_the_metadata_only_where_they_choose(mimic):
    (release(mimic) / 'mimic-cxr-2.0.0-metadata.csv.gz').unlink()
    assert len(read(mimic, views='all')) == 3
    text = problems_of(mimic)
    assert 'tables not found: 1 (mimic-cxr-2.0.0-metadata.csv.gz). Download' in text


def test_other_labelers(mimic):
    root = release(mimic)
    write_labels(root, {'50000001': {'Edema': '1.0'}}, 'negbio')
    assert scores(read(mimic, labeler='negbio')['aaaa-1']) == {'Edema': 1}
    names = ['Airspace Opacity' if n == 'Lung Opacity' else n for n in FINDINGS]
    rows = [['study_id', *names]]
    rows += [['50000005', *findings({'Lung Opacity': '1.0', 'Edema': '-1.0'})]]
    write_table(root / 'mimic-cxr-2.1.0-test-set-labeled.csv', rows)
    test = read(mimic, split='test', labeler='radiologist')
    assert {name: scores(info) for name, info in test.items()} == {
        'cccc-2': {'Lung Opacity': 1}
    }
    some = read(mimic, split='test', labeler='radiologist', labels=['Edema'])
    assert some['cccc-2']['gt_score'].tolist() == [-1]
    assert 'No image is left' in problems_of(mimic, labeler='radiologist')


def test_pipeline_and_loader(mimic):
    config = dict(
        type='MIMICCXR',
        data_root=str(mimic),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    dataset = DATASETS.build(config)
    assert 'Labeler: \tchexpert' in repr(dataset)
    samples = [batch[0] for batch in DataLoader(dataset, collate_fn=list)]
    assert [tuple(s['inputs'].shape) for s in samples] == [(3, 6, 8)] * 2


class TestBadData:
    def test_no_table(self, tmp_path):
        text = problems_of(tmp_path)
        assert 'tables not found: 3 (mimic-cxr-2.0.0-split.csv.gz, mimic-' in text

    def test_several_folders_with_patients(self, mimic):
        # The reports of MIMIC-CXR lie in folders of the same names.
        (mimic / 'mimic-cxr-reports' / 'files' / 'p10').mkdir(parents=True)
        text = problems_of(mimic)
        assert 'Several folders hold patients: ' in text and 'Set data_root' in text
        assert len(read(release(mimic))) == 2

    def test_cut_download(self, mimic):
        path = release(mimic) / 'mimic-cxr-2.0.0-split.csv.gz'
        path.write_bytes(path.read_bytes()[:-20])
        assert "split.csv.gz' cannot be read" in problems_of(mimic)
        path.write_bytes(b'<html>')
        assert "It has ['<html>']" in problems_of(mimic)

    def test_missing_column(self, mimic):
        path = release(mimic) / 'mimic-cxr-2.0.0-metadata.csv.gz'
        write_packed(path, [['dicom_id', 'View'], ['aaaa-1', 'AP']])
        assert "1 ('ViewPosition' (did you mean 'View'?)). It has" in problems_of(mimic)

    def test_strange_cells(self, mimic):
        write_labels(release(mimic), {'50000001': {'Edema': '7'}})
        assert 'not 1, 0, -1 or empty: 1 (Edema=7)' in problems_of(mimic)

    def test_unknown_split(self, mimic):
        rows = [['dicom_id', 'study_id', 'subject_id', 'split']]
        rows += [['aaaa-1', '50000001', '10000032', 'holdout']]
        write_packed(release(mimic) / 'mimic-cxr-2.0.0-split.csv.gz', rows)
        assert "name no split: 1 (aaaa-1: 'holdout')" in problems_of(mimic)

    @pytest.mark.parametrize(
        'wrong', [dict(labeler='chexbert'), dict(views='PA'), dict(split='validate')]
    )
    def test_wrong_arguments(self, mimic, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MIMICCXR(str(mimic), **wrong)

    def test_two_tables_of_one_name(self, mimic):
        path = next(mimic.rglob('*-chexpert.csv*'))
        other = mimic / 'old' / 'mimic-cxr-2.0.0-chexpert.csv'
        other.parent.mkdir()
        other.write_text('subject_id,study_id\n')
        text = problems_of(mimic, split='train')
        assert '2 files of this name' in text
        assert str(path) in text


def test_images_without_a_view_are_counted(mimic):
    notes = MIMICCXR(str(mimic), split='test').notes
    (note,) = [note for note in notes if 'ViewPosition' in note]
    assert note.startswith('1 of 3 images have no ViewPosition in ')
    assert '(test 1)' in note
    assert len(MIMICCXR(str(mimic), split='test').notes) == len(notes)
    notes = MIMICCXR(str(mimic), split='test', views='all').notes
    assert not [note for note in notes if 'ViewPosition' in note]


def test_counts_that_are_not_the_published_ones(mimic):
    notes = '\n'.join(MIMICCXR(str(mimic)).notes)
    assert 'has 8 rows, 377,110 were published' in notes
    assert 'has 5 rows, 227,827 were published' in notes
