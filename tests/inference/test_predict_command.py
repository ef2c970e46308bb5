"""``tools/predict.py`` as users call it, on images that they have as files."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from ff_mm.commands.predict import SOME_UNREADABLE
from ff_mm.config import resolve
from ff_mm.datasets import Digits
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.merging import read_state_dict, write_checkpoint
from ff_mm_commands import run

CONFIGS = Path(__file__).parents[2] / 'configs'
NUMBER = 40  # images of a set of the small pool


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """A folder with the test images as PNG, in the order of the data set."""
    folder = tmp_path_factory.mktemp('images')
    digits = Digits(split='test', indices=NUMBER)
    for number in range(NUMBER):
        image = digits.get_data_info(number)['img']
        cv2.imwrite(str(folder / f'{number:03d}.png'), image)
    return folder


@pytest.fixture(scope='module')
def evaluated(small_soup, tmp_path_factory):
    """What an evaluation says of the test images, float32 of (images, classes)."""
    cfg = resolve(small_soup.cfg)
    cfg.work_dir = str(tmp_path_factory.mktemp('evaluated'))
    init_default_scope('mmpretrain')
    evaluator = ModelEvaluator(cfg)
    evaluator.load(read_state_dict(small_soup.folder / 'soup.pth'))
    samples = evaluator.predict('test')
    evaluator.close()
    return np.stack([sample['pred_score'].numpy() for sample in samples])


@pytest.fixture
def predict(tool, tmp_path):
    def run(*arguments, status=0):
        out = tmp_path / 'out.csv'
        assert tool('predict.py', *arguments, '--out', out) == status
        with open(out, encoding='utf-8') as file:
            return list(csv.DictReader(file))

    return run


def scores(rows):
    names = [name for name in rows[0] if name.startswith('p_')]
    return np.array([[np.float32(row[name]) for name in names] for row in rows])


def as_dicom(path, image):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PhotometricInterpretation = 'MONOCHROME2'
    dataset.PixelData = image.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def test_probabilities_are_those_of_the_evaluation_bit_for_bit(
    predict, small_soup, images, evaluated
):
    of_folder = predict(small_soup.folder, images)
    assert [row['image'] for row in of_folder] == [
        str(images / f'{number:03d}.png') for number in range(NUMBER)
    ]
    np.testing.assert_array_equal(scores(of_folder), evaluated)
    said = [row['predicted'] for row in of_folder]
    names = Digits.METAINFO['classes']
    assert said == [names[number] for number in evaluated.argmax(axis=1)]
    with_config = predict(small_soup.file, small_soup.folder / 'soup.pth', images)
    np.testing.assert_array_equal(scores(with_config), evaluated)


def test_dicom_is_read_as_the_same_image_in_any_other_file(
    predict, small_soup, images, tmp_path
):
    grey = cv2.imread(str(images / '007.png'))[..., 0]
    as_dicom(tmp_path / 'same.dcm', grey)
    as_dicom(tmp_path / 'other.dcm', 255 - grey)
    rows = predict(
        small_soup.folder,
        images / '007.png',
        tmp_path / 'same.dcm',
        tmp_path / 'other.dcm',
    )
    first, same, other = scores(rows)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_a_bad_image_is_a_line_and_the_others_go_on(
    predict, small_soup, images, tmp_path, capsys
):
    (tmp_path / 'no.png').write_bytes(b'no image')
    whole = (images / '001.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(whole[: len(whole) // 2])
    bad = [tmp_path / 'no.png', tmp_path / 'cut.png', tmp_path / 'absent.png']
    good = images / '000.png'
    rows = predict(small_soup.folder, *bad, good, status=SOME_UNREADABLE)
    assert [bool(row['error']) for row in rows] == [True, True, True, False]
    assert [row['predicted'] for row in rows][:3] == ['', '', '']
    np.testing.assert_array_equal(
        scores(rows[3:]), scores(predict(small_soup.folder, good))
    )
    said = capsys.readouterr().err
    for file in bad:
        assert said.count(f'\n{file}: ') + said.startswith(f'{file}: ') == 1
    assert 'error: 3 of 4 images could not be read' in said


def test_a_table_names_images(predict, small_soup, images, tmp_path):
    table = tmp_path / 'cases.csv'
    table.write_text('id,file\n1,003.png\n2,001.png\n')
    rows = predict(small_soup.folder, table, '--column', 'file', '--root', images)
    assert [row['image'] for row in rows] == [
        str(images / '003.png'),
        str(images / '001.png'),
    ]


def test_a_table_may_leave_the_extensions_out(predict, small_soup, images, tmp_path):
    table = tmp_path / 'cases.csv'
    table.write_text('image\n003\n001.jpg\n')
    rows = predict(small_soup.folder, table, '--root', images)
    names = [str(images / '003.png'), str(images / '001.png')]
    assert [row['image'] for row in rows] == names


def test_of_many_images_that_are_not_there_some_are_lines(
    predict, small_soup, images, tmp_path, capsys
):
    table = tmp_path / 'cases.csv'
    table.write_text('image\n' + ''.join(f'absent{n}.png\n' for n in range(30)))
    rows = predict(small_soup.folder, table, images / '000.png', status=SOME_UNREADABLE)
    assert sum(bool(row['error']) for row in rows) == 30
    said = capsys.readouterr().err
    assert said.count('absent') == 20
    assert 'error: 30 of 31 images could not be read' in said


def test_the_folder_of_fuse_is_a_model(predict, small_soup, images, tmp_path):
    folder = tmp_path / 'fuse'
    folder.mkdir()
    shutil.copy(small_soup.folder / 'soup.pth', folder / 'fused.pth')
    shutil.copy(small_soup.folder / 'deploy.py', folder)
    rows = predict(folder, images / '000.png')
    expected = predict(small_soup.folder, images / '000.png')
    np.testing.assert_array_equal(scores(rows), scores(expected))


def test_a_file_of_thresholds_decides(predict, small_soup, images, tmp_path):
    file = tmp_path / 'thresholds.json'
    file.write_text('{"three": 1e-9}')
    rows = predict(small_soup.folder, images / '000.png', '--thresholds', file)
    assert rows[0]['predicted'] == 'three'


def test_test_time_augmentation_is_the_mean_and_says_if_it_was_not_measured(
    predict, small_soup, images, tmp_path, capsys
):
    image = cv2.imread(str(images / '000.png'))
    cv2.imwrite(str(tmp_path / 'mirrored.png'), image[:, ::-1])
    plain = [images / '000.png', tmp_path / 'mirrored.png']
    expected = scores(predict(small_soup.folder, *plain)).mean(axis=0)
    capsys.readouterr()
    rows = predict(small_soup.folder, images / '000.png', '--tta', 'hflip')
    np.testing.assert_allclose(scores(rows)[0], expected, atol=1e-6)
    assert 'was not measured' in capsys.readouterr().out


def test_test_time_augmentation_that_makes_validation_no_better_is_refused(
    tool, small_soup, images, tmp_path, capsys
):
    # Of itself and its mean with itself nothing gets better: rule and metric decide.
    out = tmp_path / 'out.csv'
    arguments = ['--tta', 'rotate', '--config', small_soup.file, '--out', out]
    for rule in ('greater', 'less'):
        options = ['--cfg-options', f'selection.rule={rule}']
        status = tool('predict.py', small_soup.folder, images, *arguments, *options)
        said = capsys.readouterr()
        assert 'validation, accuracy: ' in said.out
        if status:
            assert 'accuracy on validation gets no better' in said.err
            assert not out.exists()
            break
        out.unlink()
    else:
        raise AssertionError('what is better and what is worse cannot both be taken')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['{soup}'], 'no images'),
        (['{tmp}/absent', 'a.png'], 'there is no such folder'),
        (['{tmp}', 'a.png'], 'has none of soup.pth'),
        (['{config}', 'a.png'], 'needs its checkpoint'),
        (['{soup}', '{empty}'], 'has no images in it'),
        (['{soup}', 'a.png', '--thresholds', '{wrong}'], "no class 'melanoma'"),
        (['{soup}', 'a.png', '--cfg-options', 'image_size=9'], 'leave them out'),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    tool, small_soup, tmp_path, capsys, arguments, message
):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'wrong.json').write_text('{"melanoma": 0.3}')
    places = dict(
        soup=small_soup.folder,
        config=small_soup.file,
        tmp=tmp_path,
        empty=tmp_path / 'empty',
        wrong=tmp_path / 'wrong.json',
    )
    given = [argument.format(**places) for argument in arguments]
    assert tool('predict.py', *given, '--out', tmp_path / 'out.csv') == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_config_that_shows_images_otherwise_is_refused(
    tool, small_soup, images, tmp_path, capsys
):
    arguments = ['--tta', 'hflip', '--config', small_soup.file]
    options = ['--cfg-options', 'image_size=16', '--out', tmp_path / 'out.csv']
    assert tool('predict.py', small_soup.folder, images, *arguments, *options) == 2
    assert 'give the same --cfg-options as to tools/soup.py' in capsys.readouterr().err


@pytest.mark.parametrize('method', ['gradcam', 'occlusion'])
def test_maps_are_pictures_beside_the_csv(
    predict, small_soup, images, tmp_path, method
):
    predict(small_soup.folder, images / '000.png', '--attribution', method)
    found = cv2.imread(str(tmp_path / 'out_maps' / '00001_000.png'))
    assert found is not None and found.std() > 0


def test_a_soup_that_does_not_record_how_deep_its_images_were_is_refused(
    predict, small_soup, images, tmp_path, capsys
):
    old = tmp_path / 'old'
    shutil.copytree(small_soup.folder, old)
    deploy = old / 'deploy.py'
    said = '# LoadImageFromFile reads no DICOM, and takes 12 bits for 16: turn such\n'
    deploy.write_text(said + deploy.read_text())
    arguments = [str(old), str(images / '000.png'), '--out', str(tmp_path / 'x.csv')]
    with pytest.raises(SystemExit):
        run('predict', arguments)
    assert 'has seen images of 12 bits' in capsys.readouterr().err


def test_masks_are_not_predicted_but_refused(images, tmp_path, capsys):
    config = CONFIGS / 'gog_nuclei_unet.py'
    weights = tmp_path / 'x.pth'
    write_checkpoint(dict(state_dict={'a': torch.ones(1)}), weights)
    with pytest.raises(SystemExit):
        run('predict', [str(config), str(weights), str(images)])
    assert "which task 'Segmentation' does not have" in capsys.readouterr().err


def test_captum_that_is_not_installed_is_named(
    tool, small_soup, images, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'captum.attr', None)
    out = ['--out', tmp_path / 'out.csv']
    assert tool('predict.py', small_soup.folder, images, '--attribution', *out) == 2
    assert 'ff_mm[attribution]' in capsys.readouterr().err
