"""``tools/export.py`` as users call it, and what others make of the files."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from ff_mm.datasets import Digits
from ff_mm.exporting.onnx_file import OnnxModel
from ff_mm.files import read_json
from ff_mm.inference.predictor import Predictor
from ff_mm.inference.trained_model import find_model, load_model
from ff_mm.merging import read_state_dict
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm_commands import run


@pytest.fixture(scope='module')
def exported(small_soup, tmp_path_factory):
    """A folder with all formats, compared on validation."""
    out = tmp_path_factory.mktemp('exported')
    formats = ['safetensors', 'onnx', 'huggingface']
    texts = ['--title', 'Digits *1*', '--licence', 'cc-by-4.0', '--tags', 'digits']
    data = ['--config', str(small_soup.file), '--out', str(out)]
    run('export', [str(small_soup.folder), '--to', *formats, *texts, *data])
    return out


@pytest.fixture
def image(tmp_path):
    file = tmp_path / 'digit.png'
    cv2.imwrite(str(file), Digits(split='test').get_data_info(0)['img'])
    return file


def probabilities(folder, image):
    model = load_model(find_model([str(folder)])[0])
    (found,) = Predictor(model).predict([str(image)])
    return found.scores


class TestSafetensors:
    def test_weights_are_those_of_the_soup(self, exported, small_soup):
        found = load_file(exported / 'safetensors' / 'model.safetensors')
        expected = read_state_dict(small_soup.folder / 'soup.pth')
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)

    def test_it_comes_in_again(self, exported, small_soup, image):
        expected = probabilities(small_soup.folder, image)
        found = probabilities(exported / 'safetensors', image)
        np.testing.assert_array_equal(found, expected)

    def test_it_says_classes_and_ingredients(self, exported, small_soup):
        file = exported / 'safetensors' / 'model.safetensors'
        soup = CheckpointFile(small_soup.folder / 'soup.pth').meta
        meta = CheckpointFile(file).meta
        assert meta['dataset_meta']['classes'] == list(Digits.METAINFO['classes'])
        assert meta['soup'] == soup['soup']

    def test_test_py_takes_it(self, exported, small_soup, tool, tmp_path):
        found = []
        for name in ('safetensors/model.safetensors', 'soup.pth'):
            folder = small_soup.folder if name == 'soup.pth' else exported
            arguments = ['--out', tmp_path / 'a.json', '--work-dir', tmp_path / 'work']
            assert tool('test.py', small_soup.file, folder / name, *arguments) == 0
            found.append(read_json(tmp_path / 'a.json'))
        assert found[0] == found[1]


class TestOnnx:
    def test_any_number_of_images(self, exported, small_soup):
        network = OnnxModel(exported / 'onnx' / 'model.onnx', threads=1)
        own = Predictor(load_model(find_model([str(small_soup.folder)])[0]))
        drawn = torch.Generator().manual_seed(0)
        for number in (1, 2, 5):
            shape = (number, 3, 8, 8)
            images = torch.randint(256, shape, generator=drawn, dtype=torch.uint8)
            found = network.probabilities(images)
            np.testing.assert_allclose(found, own.scores(images), atol=1e-5)

    def test_the_file_says_what_it_takes_and_gives(self, exported):
        said = OnnxModel(exported / 'onnx' / 'model.onnx').metadata
        assert json.loads(said['classes']) == list(Digits.METAINFO['classes'])
        assert said['input'] == 'RGB, uint8 from 0 to 255, (images, 3, 8, 8)'
        assert said['predicts'] == 'one class (softmax)'

    def test_what_agrees_was_measured_on_validation(self, exported):
        found = read_json(exported / 'onnx' / 'agreement.json')
        assert found['images'] == 40 and found['of'] == 'validation images'
        assert 0 <= found['largest'] <= 1e-5 and found['other_class'] == 0

    def test_another_model_is_not_written(
        self, small_soup, tool, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr(
            OnnxModel, 'probabilities', lambda self, images: np.ones((len(images), 10))
        )
        out = tmp_path / 'out'
        assert tool('export.py', small_soup.folder, '--to', 'onnx', '--out', out) == 2
        assert 'it was not written' in capsys.readouterr().err
        assert not list((out / 'onnx').iterdir())

    def test_onnx_that_is_not_installed_is_named(
        self, small_soup, tool, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setitem(sys.modules, 'onnxruntime', None)
        arguments = ['--to', 'onnx', '--out', tmp_path]
        assert tool('export.py', small_soup.folder, *arguments) == 2
        assert "pip install 'ff_mm[onnx]'" in capsys.readouterr().err


class TestHuggingFace:
    def card(self, exported):
        text = (exported / 'huggingface' / 'README.md').read_text()
        _, header, body = re.split(r'^---$', text, maxsplit=2, flags=re.MULTILINE)
        return yaml.safe_load(header), body

    def test_the_header_is_the_hubs(self, exported):
        header, _ = self.card(exported)
        assert header['license'] == 'cc-by-4.0'
        assert header['pipeline_tag'] == 'image-classification'
        assert {'model-soup', 'digits'} <= set(header['tags'])
        (model,) = header['model-index']
        sets = {each['dataset']['split']: each for each in model['results']}
        assert set(sets) == {'val', 'test', 'ood/corrupted'}
        assert 'accuracy' in header['metrics']

    def test_figures_are_those_of_the_report_and_have_intervals(
        self, exported, small_soup
    ):
        report = read_json(small_soup.folder / 'report.json')
        header, body = self.card(exported)
        for each in header['model-index'][0]['results']:
            if each['dataset']['split'] == 'test':
                (found,) = [m for m in each['metrics'] if m['type'] == 'accuracy']
                assert found['value'] == round(report['test']['accuracy'], 4)
        accuracy = f'{report["test"]["accuracy"]:.4f}'
        assert re.search(rf'\| test \| 40 \| {accuracy} \\\[0\.\d+, 0\.\d+', body)

    def test_ingredients_and_text_of_others(self, exported, small_soup):
        _, body = self.card(exported)
        assert '# Digits \\*1\\*' in body
        for item in read_json(small_soup.folder / 'report.json')['ingredients']:
            assert f'| {item["name"]} | {item["weight"]:.4f} |' in body

    def test_the_code_of_the_card_runs(self, exported, image, monkeypatch):
        _, body = self.card(exported)
        code = re.search(r'```python\n(.*?)```', body, re.DOTALL)[1]
        monkeypatch.chdir(exported / 'huggingface')
        names = {}
        exec(code.replace('image.png', str(image)), names)
        (found,) = names['found']
        expected = probabilities(exported / 'huggingface', image)
        np.testing.assert_allclose(found['pred_scores'], expected, atol=1e-6)
        classes = Digits.METAINFO['classes']
        assert found['pred_class'] == classes[expected.argmax()]

    def test_preprocessing_is_in_the_hubs_words(self, exported, small_soup):
        found = read_json(exported / 'huggingface' / 'preprocessor_config.json')
        assert found['size'] == dict(height=8, width=8)
        assert found['image_mean'] == pytest.approx([77.3] * 3, abs=1e-4)
        assert found['channel_order'] == 'BGR' and found['resample'] == 2
        config = read_json(exported / 'huggingface' / 'config.json')
        assert config['id2label']['3'] == 'three'

    def test_without_data_figures_are_those_of_the_report(
        self, small_soup, tool, tmp_path, capsys
    ):
        arguments = ['--to', 'huggingface', '--out', tmp_path]
        assert tool('export.py', small_soup.folder, *arguments) == 0
        said = capsys.readouterr().out
        assert 'without intervals' in said and 'made-up images' in said
        assert 'the licence is unknown' in said
        text = (tmp_path / 'huggingface' / 'README.md').read_text()
        assert 'which gives no intervals' in text
        assert 'license: unknown' in text


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--push-to-hub', 'a/b'], 'sends the folder of --to huggingface'),
        (['--tolerance', '0'], 'expected a number above 0'),
        (['--images', '0'], 'expected 1 or more'),
        (['{soup}'], 'one model at a time'),
        (['--config', '{absent}'], 'no such config file'),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    small_soup, tool, tmp_path, capsys, arguments, message
):
    places = dict(soup=small_soup.folder, absent=Path('absent.py'))
    given = [each.format(**places) for each in arguments]
    out = ['--to', 'safetensors', '--out', tmp_path / 'out']
    assert tool('export.py', small_soup.folder, *given, *out) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / 'out').exists()
