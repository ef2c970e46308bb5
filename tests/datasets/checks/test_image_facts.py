from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import make_dicom
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from ff_mm.datasets.checks.image_facts import ImageFacts, look_at
from ff_mm.datasets.files.dicom import USE_LOAD_DICOM, LoadDICOM

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


def save(path: Path, mode: str = 'RGB') -> dict:
    Image.fromarray(PIXELS).convert(mode).save(path)
    return dict(img_path=str(path), gt_label=0)


def look(info, loader=LoadImageFromFile(), decode=True):  # noqa: B008
    return look_at(info, loader, decode)


@pytest.mark.parametrize('decode', [True, False])
@pytest.mark.parametrize(
    ('mode', 'channels'),
    [('RGB', 'RGB'), ('L', 'grey'), ('RGBA', 'RGBA'), ('P', 'palette'), ('I;16', None)],
)
def test_size_and_channels(tmp_path, mode, channels, decode):
    facts = look(save(tmp_path / 'x.png', mode), decode=decode)
    assert facts.size == (20, 30)
    assert facts.channels == channels or facts.channels == '16-bit grey'
    assert facts.error is None and not facts.missing


def test_content_is_that_of_the_pixels_or_of_the_file(tmp_path):
    png, bmp = save(tmp_path / 'x.png'), save(tmp_path / 'x.bmp')
    assert look(png).content == look(bmp).content
    assert look(png, decode=False).content != look(bmp, decode=False).content
    same = dict(img=PIXELS[..., ::-1])
    assert look(same).content == look(png).content
    assert look(dict(img=PIXELS)).content != look(png).content


def test_in_memory():
    grey = look(dict(img=np.stack([PIXELS[..., 0]] * 3, axis=-1)))
    assert grey[1:] == ((20, 30), 'grey', False, None, None)
    assert look(dict(img=PIXELS)).channels == 'RGB'


def test_dicom(tmp_path):
    (tmp_path / 'x.dcm').write_bytes(make_dicom(PIXELS[..., 0]))
    info = dict(img_path=str(tmp_path / 'x.dcm'))
    facts = look(info, LoadDICOM())
    assert (facts.size, facts.channels) == ((20, 30), 'DICOM')
    assert look(info).error == USE_LOAD_DICOM
    assert 'load.0.type=LoadDICOM' in USE_LOAD_DICOM


def test_missing(tmp_path):
    for decode in (True, False):
        facts = look(dict(img_path=str(tmp_path / 'x.png')), decode=decode)
        assert facts == ImageFacts(missing=True)


@pytest.mark.parametrize('extension', ['jpg', 'png'])
def test_a_file_that_is_cut_short(tmp_path, extension):
    path = tmp_path / f'x.{extension}'
    info = save(path)
    path.write_bytes(path.read_bytes()[:-100])

    def lenient(results):
        """As OpenCV 4, which fills in what is missing."""
        return dict(results, img=PIXELS)

    for loader in (LoadImageFromFile(), lenient):
        assert 'truncated' in look(info, loader).error
    assert look(info, decode=False).error is None


def test_bytes_behind_the_end_are_no_fault(tmp_path):
    info = save(tmp_path / 'x.jpg')
    path = Path(info['img_path'])
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert look(info).error is None


def test_whatever_the_loader_raises_is_the_reason(tmp_path):
    info = save(tmp_path / 'x.png')

    def broken(results):
        raise RuntimeError(f'{results["img_path"]}: no luck\nsecond line')

    assert look(info, broken).error == 'no luck'
    assert look(info, lambda _: None).error == 'the pipeline leaves it out'
    (tmp_path / 'folder.png').mkdir()
    assert look(dict(img_path=str(tmp_path / 'folder.png'))).error == 'Is a directory'
