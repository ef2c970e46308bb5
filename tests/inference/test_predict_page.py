"""The page for the browser, as its answers and over HTTP."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import cv2
import pytest

from ff_mm.datasets import Digits
from ff_mm.errors import ConfigError
from ff_mm.inference.attribution import Attribution
from ff_mm.inference.page import Page, opened
from ff_mm.inference.predictor import Predictor
from ff_mm.inference.thresholds import Thresholds
from ff_mm.inference.trained_model import find_model, load_model


@pytest.fixture
def model(small_soup):
    return load_model(find_model([str(small_soup.folder)])[0])


@pytest.fixture
def image(tmp_path):
    file = tmp_path / 'digit.png'
    cv2.imwrite(str(file), Digits(split='test').get_data_info(0)['img'])
    return str(file)


def test_an_answer_is_that_of_predict(model, image):
    (expected,) = Predictor(model).predict([image])
    thresholds = Thresholds(model.classes, False, {'three': 1e-9})
    page = Page(model, thresholds, Attribution(model, 'occlusion'))
    scores, line, shown = page.answer(image)
    assert list(scores.values()) == expected.scores.tolist()
    assert line == 'digit.png: three'
    assert shown.ndim == 3 and shown.std() > 0


def test_what_is_no_image_is_said(model, tmp_path):
    (tmp_path / 'no.png').write_bytes(b'no image')
    page = Page(model, Thresholds(model.classes, False), None)
    scores, line, shown = page.answer(str(tmp_path / 'no.png'))
    assert scores == {} and shown is None
    assert line.startswith('no.png: cannot be read as an image')
    assert page.answer(None) == ({}, '', None)


def test_only_this_machine_reaches_the_page(model, image):
    pytest.importorskip('gradio')
    from gradio_client import Client, handle_file

    page = Page(model, Thresholds(model.classes, False), None)
    with opened(page, 'digits') as blocks:
        assert urlsplit(blocks.local_url).hostname == '127.0.0.1'
        assert blocks.share_url is None
        client = Client(blocks.local_url, verbose=False)
        scores, line, _ = client.predict(handle_file(image), api_name='/predict')
    expected, said, _ = page.answer(image)
    found = {each['label']: each['confidence'] for each in scores['confidences']}
    assert found == pytest.approx(expected)
    assert line == said


def test_gradio_that_is_not_installed_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    page = Page(model, Thresholds(model.classes, False), None)
    with pytest.raises(ConfigError, match=r'ff_mm\[web\]'), opened(page, 'digits'):
        pass


def test_images_on_the_command_line_are_refused(tool, small_soup, image, capsys):
    assert tool('predict.py', small_soup.folder, image, '--page') == 2
    assert 'leave out images' in capsys.readouterr().err
