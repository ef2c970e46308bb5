from __future__ import annotations

import argparse

import pytest

from ff_mm.config import load_config
from ff_mm.errors import ConfigError
from ff_mm.option_values import OptionText, option_texts, read_value
from ff_mm_commands.options import ReadOptions

# Of MMEngine's DictAction, whose notation stays.
AS_MMENGINE = {
    '3': 3,
    '1e-3': 1e-3,
    'true': True,
    'None': None,
    'heavy': 'heavy',
    '1,2,3': [1, 2, 3],
    '[1e-3,1e-4]': [1e-3, 1e-4],
    '[a, b, c]': ['a', 'b', 'c'],
    '[(1, 2, 3), [a, b], c]': [(1, 2, 3), ['a', 'b'], 'c'],
    '(1,)': (1,),
    '[]': [],
    "['heavy']": ['heavy'],
    'a.pth,b.pth': ['a.pth', 'b.pth'],
    '"quoted"': 'quoted',
    '': '',
}
AS_GIVEN = {
    'set 2': 'set 2',
    'Image Index': 'Image Index',
    'Pneumonia, viral': 'Pneumonia, viral',
    "'cat,dog'": 'cat,dog',
    '[Image Index, "a, b"]': ['Image Index', 'a, b'],
    '(old) data (new)': '(old) data (new)',
    'runs/[a-b]*.pth': 'runs/[a-b]*.pth',
    "the patient's age": "the patient's age",
    '[': '[',
}
MAPS = {
    "{'': None}": {'': None},
    "{'nevus': 'benign', 'mel (a)': 'bad, very'}": {
        'nevus': 'benign',
        'mel (a)': 'bad, very',
    },
    "{'dx': ['nevus']}": {'dx': ['nevus']},
    "dict(nevus='benign', n=dict(a=-1))": dict(nevus='benign', n=dict(a=-1)),
    '{nevus: benign}': dict(nevus='benign'),
    '{}': {},
    "[dict(file='a b.pth', lr=1e-4), c.pth]": [
        dict(file='a b.pth', lr=1e-4),
        'c.pth',
    ],
}


@pytest.mark.parametrize('text', [*AS_MMENGINE, *AS_GIVEN, *MAPS])
def test_what_a_text_stands_for(text):
    value = read_value('key', text)
    expected = {**AS_MMENGINE, **AS_GIVEN, **MAPS}[text]
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize('text', ['{a: }', "dict('a')", "{'a': open('x')}", '{1}'])
def test_a_map_that_cannot_be_read_says_how_to_write_it(text):
    with pytest.raises(ConfigError, match=r'table\.label_map=.*name=value') as caught:
        read_value('table.label_map', text)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('key', 'text', 'current', 'expected'),
    [
        ('table.image', '0', 'image', '0'),
        ('table.group', '007', None, '007'),
        ('image_size', '64', '${size}', 64),
        ('data_root', '/data/a,b', 'data', '/data/a,b'),
        ('table.path_pattern', r'(?P<p>\d{1,5})', None, r'(?P<p>\d{1,5})'),
        ('group_pattern', '[a-z]', None, '[a-z]'),
        ('label_pattern', 'None', None, None),
        ('classes', 'cat, dog', ['a', 'b'], ['cat', 'dog']),
        ('starting_weights', 'None', 'torchvision', None),
    ],
)
def test_what_the_config_has_tells_how_a_text_is_meant(key, text, current, expected):
    assert read_value(key, text, current) == expected


def options(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ReadOptions)
    return option_texts(parser.parse_args(['--cfg-options', *words]).cfg_options)


def test_options_reach_the_config(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text("data_root = 'data'\ntable = dict(image='a', label_map=dict(b=1))")
    words = ['data_root=set 2', "table.label_map={'x.y': None}", 'table.image=0']
    cfg = load_config(file, options(*words))
    assert cfg.data_root == 'set 2'
    assert cfg.table.to_dict() == dict(image='0', label_map={'x.y': None})


def test_a_map_takes_the_place_of_what_is_none(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text('table = dict(label_map=None)')
    words = ['table.label_map=dict(a=1)', "table.filter={'dx': ['nevus']}"]
    cfg = load_config(file, options(*words))
    expected = dict(label_map=dict(a=1), filter=dict(dx=['nevus']))
    assert cfg.table.to_dict() == expected


def test_a_key_below_what_is_no_map_is_one_line(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text("table = 'cases.csv'")
    with pytest.raises(ConfigError, match=r"table\.file='x'.*'cases\.csv'"):
        load_config(file, dict([('table.file', OptionText('x'))]))


def test_a_word_without_a_value_says_what_to_quote(capsys):
    with pytest.raises(SystemExit):
        options('data_root=set', '2')
    assert "'2': expected key=value" in capsys.readouterr().err
