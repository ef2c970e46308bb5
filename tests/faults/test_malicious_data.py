"""Tables and images as nobody should send them, read as training reads them."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import zipfile

import cv2
import numpy as np
import pytest
from malicious_files import npy, png
from mmpretrain.registry import DATASETS
from toys import Canary

from ff_mm.datasets import DatasetError, check_datasets
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files import text
from ff_mm.datasets.files.image_paths import file_cut_short
from ff_mm.datasets.image_cache.image_cache import Part
from ff_mm.datasets.medmnist import MedMNIST
from ff_mm.datasets.rsna_pneumonia import _read_mapping
from ff_mm.datasets.splits.split_file import keep_split_file

LOAD = dict(type='LoadImageFromFile')
TABLE = dict(file='cases.csv', image='file', label='diagnosis')
PIXELS = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)


@pytest.fixture
def clinic(tmp_path):
    """Six images and their table."""
    rows = [f'{i}.jpg,{("nevus", "melanoma")[i % 2]}' for i in range(6)]
    (tmp_path / 'cases.csv').write_text('\n'.join(['file,diagnosis', *rows, '']))
    for i in range(6):
        cv2.imwrite(str(tmp_path / f'{i}.jpg'), PIXELS)
    return tmp_path


def config(root, **more):
    described = dict(type='TableDataset', data_root=str(root), table=TABLE)
    return dict(described, split='all', pipeline=[LOAD], **more)


def said_of(root, **more):
    with pytest.raises(DatasetError) as caught:
        check_datasets(dict(train=config(root, **more)))
    return str(caught.value)


def instead(old, new):
    return lambda content: content.replace(old, new, 1)


TABLES = {
    'NUL in a cell': (instead(b'nevus', b'ne\0vus'), 'NUL byte in line 2'),
    'NUL in a name': (instead(b'0.jpg', b'0\0.jpg'), 'NUL byte in line 2'),
    'UTF-16 that does not say so': (
        lambda content: content.decode().encode('utf-16-le'),
        'NUL byte in line 1',
    ),
    'a cell of 10 MB': (instead(b'nevus', b'n' * 10**7), 'line 2: field larger'),
    'a header of 10 MB': (lambda content: b'h' * 10**7 + content, 'field larger'),
    'a quote without end': (instead(b'nevus', b'"nevus'), 'cases.csv'),
    'gzip cut short': (lambda content: gzip.compress(content)[:-9], 'cannot be read'),
    'gzip damaged': (
        lambda content: gzip.compress(content)[:-8] + bytes(8),
        'cannot be read',
    ),
    'a pickle': (lambda _: pickle.dumps(Canary('ran'), protocol=4), 'is not UTF-8'),
    'an old pickle': (lambda _: pickle.dumps(Canary('ran'), protocol=0), 'columns'),
    'a program': (lambda _: b'\x7fELF' + bytes(100), 'NUL byte in line 1'),
    'an image that is not there': (instead(b'0.jpg', b'../0.jpg'), 'without a file'),
}


@pytest.mark.parametrize('case', TABLES)
def test_a_table_is_refused(case, clinic, monkeypatch):
    monkeypatch.chdir(clinic)
    change, reason = TABLES[case]
    table = clinic / 'cases.csv'
    table.write_bytes(change(table.read_bytes()))
    said = said_of(clinic)
    assert str(clinic) in said and reason in said
    assert not (clinic / 'ran').exists()


def test_gzip_that_becomes_too_large(clinic, monkeypatch):
    monkeypatch.setattr(text, 'LARGEST', 1000)
    table = clinic / 'cases.csv'
    table.write_bytes(gzip.compress(table.read_bytes() + b'\n' * 10**6))
    assert 'cases.csv' in (said := said_of(clinic)) and 'has more than' in said


def test_a_formula_is_a_text(clinic):
    table = clinic / 'cases.csv'
    formula = "=cmd|' /C calc'!A0"
    table.write_text(table.read_text().replace('nevus', formula))
    assert formula in DATASETS.build(config(clinic)).metainfo['classes']


@pytest.mark.parametrize('what', ['footer', 'old pyarrow'])
def test_a_parquet_file_that_could_bring_code(what, clinic, monkeypatch):
    pyarrow = pytest.importorskip('pyarrow')
    table = clinic / 'cases.csv'
    if what == 'footer':
        table.write_bytes(b'PAR1' + bytes(99) + struct.pack('<I', 1 << 31) + b'PAR1')
    else:
        from pyarrow import parquet

        monkeypatch.setattr(pyarrow, '__version__', '14.0.0')
        columns = dict(file=['0.jpg', '1.jpg'], diagnosis=['a', 'b'])
        parquet.write_table(pyarrow.table(columns), table)
    reason = 'can run code' if what == 'old pyarrow' else 'cannot be read'
    assert 'cases.csv' in (said := said_of(clinic)) and reason in said


# Paths of a table are the user's own: they may lead anywhere, as in MMPretrain. What is
# there is decoded as an image and nothing else.


@pytest.mark.parametrize('name', ['{0}', '../secret.txt'])
def test_a_path_that_leaves_is_read_as_an_image_only(name, clinic, tmp_path_factory):
    secret = tmp_path_factory.mktemp('elsewhere') / 'secret.txt'
    if name.startswith('..'):
        secret = clinic.parent / 'secret.txt'
    secret.write_text('password')
    table = clinic / 'cases.csv'
    table.write_text(table.read_text().replace('0.jpg', name.format(secret)))
    dataset = check_datasets(dict(train=config(clinic)))['train']
    with pytest.raises(DatasetError, match=r'secret\.txt: cannot be read') as caught:
        dataset[0]
    assert 'password' not in str(caught.value)


def empty(file):
    file.write_bytes(b'')


def cut(file):
    file.write_bytes(file.read_bytes()[:3000])


def cut_png(file):
    file.write_bytes(cv2.imencode('.png', PIXELS)[1].tobytes()[:3000])


def link_to_itself(file):
    file.unlink()
    file.symlink_to(file.name)


def link_to_a_text(file):
    file.unlink()
    file.symlink_to('cases.csv')


def pipe(file):
    file.unlink()
    os.mkfifo(file)


def folder(file):
    file.unlink()
    file.mkdir()


def drawing(file):
    file.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>')


IMAGES = [
    *(empty, cut, cut_png, link_to_itself, link_to_a_text, pipe, folder, drawing),
    lambda file: file.write_bytes(pickle.dumps(Canary('ran'))),
    lambda file: png(file, 60_000, 60_000),  # 10 GB
    lambda file: png(file, 2**31 - 1, 2**31 - 1),
    lambda file: png(file, 3000, 3000),
]


@pytest.mark.parametrize('spoil', IMAGES)
def test_an_image_is_refused(spoil, clinic, monkeypatch):
    monkeypatch.chdir(clinic)
    spoil(clinic / '0.jpg')
    with pytest.raises(DatasetError, match=r'0\.jpg'):
        check_datasets(dict(train=config(clinic)))['train'][0]
    assert not (clinic / 'ran').exists()


def decode_as_opencv_4(content, flag):
    """Grey where the rest of a JPEG is missing, and no word of it."""
    return np.full_like(PIXELS, 128)


def test_half_an_image_is_no_image_whatever_decodes_it(clinic, monkeypatch):
    dataset = check_datasets(dict(train=config(clinic)))['train']
    monkeypatch.setattr(cv2, 'imdecode', decode_as_opencv_4)
    assert dataset[0]['img'].mean() == 128
    cut(clinic / '0.jpg')
    with pytest.raises(DatasetError, match=r'0\.jpg: .*truncated'):
        dataset[0]
    reason = Part([LOAD]).decode(str(clinic / '0.jpg'))
    assert str(clinic / '0.jpg') in reason and 'truncated' in reason


def test_what_stands_behind_an_image_does_no_harm(clinic):
    file = clinic / '0.jpg'
    file.write_bytes(file.read_bytes() + bytes(5000))
    assert file_cut_short(str(file)) is None
    assert len(check_datasets(dict(train=config(clinic)))['train'][0]['img'])


@pytest.mark.parametrize(
    'array',
    [
        npy("{'descr':'|O','fortran_order':False,'shape':(4,)}", pickle.dumps([1])),
        npy(f"{{'descr':'|u1','fortran_order':False,'shape':({1 << 55},)}}"),
        npy("{'descr':'|u1','fortran_order':False,'shape':(-4,)}"),
        npy("__import__('os').mkdir('ran')"),
        npy('(' * 5000),
    ],
    ids=['objects', 'memory without end', 'negative', 'code', 'nested'],
)
def test_an_array_is_refused(array, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'dermamnist.npz'
    np.savez(path, train_labels=np.zeros((4, 1), np.uint8))
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('train_images.npy', array)
    with pytest.raises(DatasetError, match=r'dermamnist\.npz'):
        MedMNIST('dermamnist', data_root=str(tmp_path))
    assert not (tmp_path / 'ran').exists()


def test_a_list_of_cases_that_is_no_text(clinic):
    file = clinic / 'splits.csv'
    file.write_bytes(b'\xff\xfe\x00\x80')
    dataset = DATASETS.build(config(clinic))
    with pytest.raises(DatasetError, match=r'splits\.csv: cannot be read'):
        keep_split_file(file, dict(train=dataset))


def test_a_split_file_that_is_a_pickle(clinic, monkeypatch):
    monkeypatch.chdir(clinic)
    (clinic / 'splits.csv').write_bytes(pickle.dumps(Canary('ran'), protocol=2))
    assert 'splits.csv' in said_of(clinic, split_file='splits.csv')
    assert not (clinic / 'ran').exists()


def test_dicom_without_pixels(clinic):
    pydicom = pytest.importorskip('pydicom')
    from ff_mm.datasets.files.dicom import read_dicom

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.Rows = data.Columns = 60_000
    pydicom.dcmwrite(clinic / 'a.dcm', data, enforce_file_format=False)
    with pytest.raises(DatasetError, match=r'a\.dcm: cannot be read as a DICOM image'):
        read_dicom((clinic / 'a.dcm').read_bytes(), 'a.dcm')


def test_json_nested_without_end(tmp_path):
    (tmp_path / 'a.json').write_text('[' * 10**6)
    problems = Problems('x')
    assert _read_mapping(str(tmp_path / 'a.json'), problems) == {}
    with pytest.raises(DatasetError, match=r'a\.json'):
        problems.raise_if_any()
