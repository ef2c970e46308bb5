from __future__ import annotations

import io
import sys

import cv2
import numpy as np
import pydicom
import pytest
from dicom_files import lookup_table, make_dicom
from mmpretrain.registry import TRANSFORMS
from pydicom.filebase import DicomIO
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
)

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.files.dicom import LoadDICOM, is_dicom, read_dicom


def show(pixels, **elements):
    return read_dicom(make_dicom(pixels, **elements), 'x.dcm')


RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)
DEEP = np.array([[0, 1000, 2000, 3000, 4000]], dtype=np.uint16)


class TestGrey:
    def test_8_bits_stay_as_they_are(self):
        dark = RAMP // 4  # not stretched, though it does not use the whole range
        for pixels in (RAMP, dark):
            image = show(pixels)
            assert image.dtype == np.uint8
            np.testing.assert_array_equal(image, pixels)

    def test_8_bits_with_a_rescaling_that_a_display_would_not_see(self):
        image = show(RAMP, RescaleSlope=2, RescaleIntercept=-100)
        np.testing.assert_array_equal(image, RAMP)

    def test_monochrome1_is_inverted(self):
        image = show(RAMP, PhotometricInterpretation='MONOCHROME1')
        np.testing.assert_array_equal(image, 255 - RAMP)

    @pytest.mark.parametrize('bits', [12, 16])
    def test_deeper_images_spread_from_their_darkest_to_their_brightest(self, bits):
        image = show(DEEP + 50, BitsStored=bits)
        np.testing.assert_array_equal(image, [[0, 64, 128, 191, 255]])

    def test_signed_pixels(self):
        image = show(np.array([[-1000, 0, 1000]], dtype=np.int16))
        np.testing.assert_array_equal(image, [[0, 128, 255]])

    def test_one_value_only_is_black(self):
        assert not show(np.full((2, 2), 7, dtype=np.uint16)).any()

    def test_window_decides_which_values_are_black_and_white(self):
        # C.11.2.1.2: a linear window of 2001 around 2000.5 is from 1000 to 3000.
        image = show(DEEP, BitsStored=12, WindowCenter=2000.5, WindowWidth=2001)
        np.testing.assert_array_equal(image, [[0, 0, 128, 255, 255]])

    def test_window_is_not_stretched_to_the_image(self):
        # All of the image lies in the middle half of the window.
        pixels = np.array([[1000, 3000]], dtype=np.uint16)
        image = show(pixels, BitsStored=12, WindowCenter=2000.5, WindowWidth=4001)
        np.testing.assert_array_equal(image, [[64, 191]])

    def test_window_acts_after_rescaling(self):
        elements = dict(RescaleSlope=2, RescaleIntercept=-1000)
        image = show(
            DEEP, BitsStored=12, WindowCenter=3000.5, WindowWidth=4001, **elements
        )
        np.testing.assert_array_equal(image, [[0, 0, 128, 255, 255]])

    def test_negative_rescaling_turns_dark_to_bright(self):
        elements = dict(RescaleSlope=-1, RescaleIntercept=4000, BitsStored=12)
        expected = [[255, 191, 128, 64, 0]]
        np.testing.assert_array_equal(show(DEEP, **elements), expected)
        window = dict(WindowCenter=2000.5, WindowWidth=4001)
        np.testing.assert_array_equal(show(DEEP, **window, **elements), expected)

    def test_sigmoid_window(self):
        window = dict(WindowCenter=2000, WindowWidth=2000, VOILUTFunction='SIGMOID')
        image = show(DEEP, BitsStored=12, **window)
        expected = 255 / (1 + np.exp(-4 * (DEEP.astype(float) - 2000) / 2000))
        np.testing.assert_allclose(image, expected, atol=0.51)

    def test_the_first_of_several_windows(self):
        several = dict(WindowCenter=[2000.5, 1], WindowWidth=[2001, 2])
        image = show(DEEP, BitsStored=12, **several)
        np.testing.assert_array_equal(image, [[0, 0, 128, 255, 255]])

    def test_voi_table_keeps_its_own_range(self):
        pixels = np.array([[0, 1, 2, 9]], dtype=np.uint16)
        table = lookup_table([1023, 512, 0], first=0, bits=10)
        image = show(pixels, BitsStored=12, VOILUTSequence=table)
        np.testing.assert_array_equal(image, [[255, 128, 0, 0]])

    def test_modality_table(self):
        pixels = np.array([[0, 1, 2]], dtype=np.uint16)
        table = lookup_table([100, 300, 200], first=0, bits=16)
        image = show(pixels, BitsStored=12, ModalityLUTSequence=table)
        np.testing.assert_array_equal(image, [[0, 255, 128]])


class TestCompressed:
    def test_jpeg_baseline_as_in_rsna(self):
        smooth = cv2.resize(RAMP, (64, 64))
        encoded = cv2.imencode('.jpg', smooth)[1].tobytes()
        image = show(smooth, syntax=JPEGBaseline8Bit, encoded=encoded)
        np.testing.assert_array_equal(
            image, cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
        )

    def test_colour_jpeg_comes_out_as_rgb(self):
        blue = np.zeros((16, 16, 3), dtype=np.uint8)
        blue[..., 0] = 200  # OpenCV's order
        encoded = cv2.imencode('.jpg', blue)[1].tobytes()
        kind = dict(PhotometricInterpretation='YBR_FULL_422')
        image = show(blue, syntax=JPEGBaseline8Bit, encoded=encoded, **kind)
        np.testing.assert_allclose(image[8, 8].astype(int), [0, 0, 200], atol=3)

    def test_a_missing_decoder_is_one_line_with_the_remedy(self, monkeypatch):
        decoder = pydicom.pixels.get_decoder(JPEGLosslessSV1)
        monkeypatch.setattr(decoder, '_available', {})
        content = make_dicom(RAMP, syntax=JPEGLosslessSV1, encoded=b'1234')
        with pytest.raises(DatasetError) as caught:
            read_dicom(content, 'data/x.dcm')
        text = str(caught.value)
        assert text.startswith('data/x.dcm: ') and 'JPEG Lossless' in text
        assert text.endswith(
            'pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg'
        )
        assert '\n' not in text


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'cannot be read as a DICOM image'),
        (b'hello' * 100, 'DICM'),
        (make_dicom(RAMP)[:-40], 'cannot be read as a DICOM image'),
        (make_dicom(RAMP, NumberOfFrames=2), 'it has 2 frames, expected 1'),
        (
            make_dicom(RAMP, PhotometricInterpretation='PALETTE COLOR'),
            'expected grey or 8-bit RGB, got PALETTE COLOR',
        ),
    ],
)
def test_what_cannot_be_shown_is_one_line_that_names_the_file(content, reason):
    with pytest.raises(DatasetError) as caught:
        read_dicom(content, 'data/x.dcm')
    text = str(caught.value)
    assert text.startswith('data/x.dcm: ') and reason in text and '\n' not in text


def test_without_pydicom_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydicom', None)
    with pytest.raises(DatasetError, match=r'x.dcm: .*pip install "pydicom>=3"'):
        read_dicom(b'', 'x.dcm')


class TestLoadDICOM:
    def test_as_mmcv_loads_an_image(self, tmp_path):
        (tmp_path / 'x.dcm').write_bytes(make_dicom(RAMP))
        loader = TRANSFORMS.build(dict(type='LoadDICOM'))
        results = loader(dict(img_path=str(tmp_path / 'x.dcm'), gt_label=1))
        assert results['img'].dtype == np.uint8
        assert results['img'].flags['C_CONTIGUOUS']
        np.testing.assert_array_equal(results['img'], np.stack([RAMP] * 3, axis=-1))
        assert results['img_shape'] == results['ori_shape'] == (8, 32)
        assert results['gt_label'] == 1

    def test_colour_is_bgr(self, tmp_path):
        red = np.zeros((4, 4, 3), dtype=np.uint8)
        red[..., 0] = 250
        (tmp_path / 'x.DCM').write_bytes(make_dicom(red))
        image = LoadDICOM()(dict(img_path=str(tmp_path / 'x.DCM')))['img']
        assert image[0, 0].tolist() == [0, 0, 250]

    def test_other_images_load_as_ever(self, tmp_path):
        path = str(tmp_path / 'x.png')
        image = np.stack([RAMP, RAMP // 2, RAMP // 3], axis=-1)
        cv2.imwrite(path, image)
        results = LoadDICOM(to_float32=True)(dict(img_path=path))
        assert results['img'].dtype == np.float32
        np.testing.assert_array_equal(results['img'], image)

    def test_float(self, tmp_path):
        (tmp_path / 'x.dcm').write_bytes(make_dicom(RAMP))
        image = LoadDICOM(to_float32=True)(dict(img_path=str(tmp_path / 'x.dcm')))
        assert image['img'].dtype == np.float32
        assert image['img'].max() == 255

    def test_an_absent_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'absent\.dcm'):
            LoadDICOM()(dict(img_path=str(tmp_path / 'absent.dcm')))


def test_dicom_by_extension():
    assert is_dicom('a/b.dcm') and is_dicom('B.DICOM')
    assert not is_dicom('a.dcm/b.png')


class TestPadding:
    """PS3.3 C.7.5.1.1.2: padding is no part of the image."""

    @staticmethod
    def padded(padding, dtype=np.uint16, **elements):
        pixels = np.hstack([DEEP.astype(dtype) + 50, np.array([padding]).astype(dtype)])
        return show(pixels, **elements)

    @pytest.mark.parametrize('value', [0, 65535, 30000])
    def test_it_does_not_count_for_the_range_and_is_black(self, value):
        for kind, expected in {
            'MONOCHROME2': [0, 64, 128, 191, 255, 0],
            'MONOCHROME1': [255, 191, 127, 64, 0, 0],
        }.items():
            image = self.padded(
                [value], PixelPaddingValue=value, PhotometricInterpretation=kind
            )
            np.testing.assert_array_equal(image, [expected])

    @pytest.mark.parametrize('ends', [(60000, 65535), (65535, 60000)])
    def test_a_range(self, ends):
        image = self.padded(
            [60000, 63000, 65535],
            PixelPaddingValue=ends[0],
            PixelPaddingRangeLimit=ends[1],
        )
        np.testing.assert_array_equal(image, [[0, 64, 128, 191, 255, 0, 0, 0]])

    def test_signed_and_rescaled(self):
        image = self.padded(
            [-2000], np.int16, PixelPaddingValue=-2000, RescaleIntercept=-1024
        )
        np.testing.assert_array_equal(image, [[0, 64, 128, 191, 255, 0]])

    def test_padding_only_is_black(self):
        assert not show(np.full((2, 2), 9, np.uint16), PixelPaddingValue=9).any()

    def test_a_window_stays_what_it_is(self):
        image = self.padded(
            [65535], PixelPaddingValue=65535, WindowCenter=2050.5, WindowWidth=2001
        )
        np.testing.assert_array_equal(image, [[0, 0, 128, 255, 255, 0]])


class TestNamesAndPreamble:
    def test_without_an_extension(self, tmp_path):
        (tmp_path / 'IM000001').write_bytes(make_dicom(RAMP))
        image = LoadDICOM()(dict(img_path=str(tmp_path / 'IM000001')))['img']
        np.testing.assert_array_equal(image[..., 0], RAMP)

    @pytest.mark.parametrize('syntax', [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    @pytest.mark.parametrize('with_head', [True, False])
    @pytest.mark.parametrize('name', ['x.dcm', 'x'])
    def test_without_a_preamble(self, tmp_path, syntax, with_head, name):
        content = make_dicom(RAMP, syntax=syntax)[132:]
        if not with_head:
            dataset = pydicom.dcmread(io.BytesIO(bytes(128) + b'DICM' + content))
            file = DicomIO(io.BytesIO())
            file.is_little_endian = True
            file.is_implicit_VR = syntax == ImplicitVRLittleEndian
            pydicom.filewriter.write_dataset(file, pydicom.Dataset(dataset))
            content = file.parent.getvalue()
        (tmp_path / name).write_bytes(content)
        image = LoadDICOM()(dict(img_path=str(tmp_path / name)))['img']
        np.testing.assert_array_equal(image[..., 0], RAMP)


class TestDeep:
    """Images of 16 bits that are not DICOM."""

    PIXELS = np.linspace(0, 4095, 256).astype(np.uint16).reshape(8, 32)

    def load(self, tmp_path, pixels, name='x.png', **kwargs):
        cv2.imwrite(str(tmp_path / name), pixels)
        return LoadDICOM(**kwargs)(dict(img_path=str(tmp_path / name)))['img']

    @pytest.mark.parametrize('name', ['x.png', 'x.tif', 'x.pgm'])
    def test_12_bits_become_all_grey_levels(self, tmp_path, name):
        image = self.load(tmp_path, self.PIXELS, name, bits=12)
        assert image.dtype == np.uint8 and image.shape == (8, 32, 3)
        np.testing.assert_array_equal(image[..., 0], RAMP)
        assert self.load(tmp_path, self.PIXELS, name).max() == 15  # as OpenCV

    def test_colours_keep_their_order(self, tmp_path):
        pixels = np.zeros((4, 4, 3), np.uint16)
        pixels[..., 0] = 4095
        image = self.load(tmp_path, pixels, bits=12)
        assert image[0, 0].tolist() == [255, 0, 0]

    def test_what_is_brighter_is_white_and_8_bits_stay(self, tmp_path):
        assert self.load(tmp_path, self.PIXELS + 60000, bits=12).min() == 255
        np.testing.assert_array_equal(self.load(tmp_path, RAMP, bits=12)[..., 0], RAMP)

    @pytest.mark.parametrize('bits', [0, 17, '12', 12.0])
    def test_bits_that_cannot_be(self, bits):
        with pytest.raises(ValueError, match='bits must be a whole number from 1 to'):
            LoadDICOM(bits=bits)
