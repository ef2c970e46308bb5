"""Manifests as nobody should send them, given to tools/soup.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from manifests import VALIDATION, write_manifest

from ff_mm.merging.pool import read_pool

CONFIG = Path(__file__).parents[2] / 'configs' / 'gog_digits_resnet18.py'


def first(**changes):
    """Changes the first ingredient."""
    return lambda content, _: content['ingredients'][0].update(changes)


def top(**changes):
    return lambda content, _: content.update(changes)


def text(write):
    """Puts another text in the place of the manifest."""
    return lambda content, _: write(json.dumps(content))


def absolute(content, folder):
    """Even of the right file: it would hold on this machine alone."""
    file = folder / content['ingredients'][0]['file']
    content['ingredients'][0]['file'] = str(file)


def link_out(content, folder):
    file = folder / content['ingredients'][0]['file']
    file.rename(folder.parent / 'elsewhere.pth')
    file.symlink_to('../../elsewhere.pth')


def folder_link_out(content, folder):
    (folder / 'ingredients').rename(folder.parent / 'elsewhere')
    (folder / 'ingredients').symlink_to('../elsewhere')


def link_circle(content, folder):
    file = folder / content['ingredients'][0]['file']
    file.unlink()
    file.symlink_to(file.name)


LEAVES = "'a'.*leaves the manifest's folder"
CASES = {
    'absolute path': (absolute, "'a'.*absolute path, which only a config may give"),
    'absolute path elsewhere': (first(file='/etc/passwd'), 'absolute path'),
    'path that leaves': (first(file='../x.pth'), LEAVES),
    'path that leaves later': (first(file='ingredients/../../x.pth'), LEAVES),
    'link that leaves': (link_out, LEAVES),
    'folder that is a link': (folder_link_out, LEAVES),
    'link to itself': (link_circle, r'a\.pth'),
    'path with NUL': (first(file='a\0.pth'), "'a': file: expected a text"),
    'path too long': (first(file='a' * 5000), 'name too long|cannot be read'),
    'path that is a list': (first(file=['a.pth']), "'a': file: expected a text"),
    'the folder itself': (first(file='.'), 'no such file'),
    'swapped file': (first(sha256='0' * 64), 'sha256 differs'),
    'no digest': (first(sha256=None), "'a': sha256: expected 64 hexadecimal"),
    'digest that is none': (first(sha256='../x'), "'a': sha256: expected 64"),
    'metrics that are a list': (first(metrics=[1]), "'a': metrics: expected numbers"),
    'metric that is a text': (first(metrics=dict(accuracy='1')), "'a': metrics"),
    'metric that is NaN': (
        first(metrics=dict(accuracy=float('nan'))),
        "'a': metrics|no number",
    ),
    'metric without end': (
        first(metrics=dict(accuracy=float('inf'))),
        "'a': metrics|no number",
    ),
    'hyper that is a text': (first(hyper='lr'), "'a': hyper: expected"),
    'stage that is a list': (first(stage=['base']), "'a': stage: expected"),
    'name that is a number': (first(name=3), 'name: expected a text'),
    'name with commands': (first(name='\x1b[2Ja'), 'name: expected a text'),
    'name twice': (first(name='b'), "2 ingredients are called 'b'"),
    'complete that is a text': (top(complete='no'), 'complete: expected true'),
    'cost that is a list': (top(cost=[1]), 'cost: expected names and values'),
    'cost that is not known': (
        top(cost=dict(trials=1, epochs=None, seconds=1)),
        'cost: epochs: expected a number',
    ),
    'cost that is not said': (top(cost={}), "cost: 'trials' is missing"),
    'metric beyond all numbers': (
        first(metrics=dict(accuracy=10**400)),
        "'a': metrics",
    ),
    'half a character': (first(hyper=dict(lr='\ud800')), "'a': hyper: expected"),
    'fingerprint that is null': (
        top(validation=dict(fingerprint=None)),
        'fingerprint: expected',
    ),
    'another format': (top(format=99), 'format 99, expected 1'),
    'ingredients by name': (top(ingredients=dict(a=1)), 'ingredients: expected a list'),
    'ingredient that is a number': (top(ingredients=[3]), 'expected names and values'),
    'a list': (text(lambda json: f'[{json}]'), 'expected names and values'),
    'nested without end': (text(lambda _: '[' * 10**6), 'recursion'),
    'number without end': (
        text(lambda j: j.replace(': 9,', f': {"9" * 9999},')),
        'not JSON',
    ),
    'cut short': (text(lambda json: json[:-9]), 'not JSON'),
    'no text': (text(lambda _: '\x00\x01'), 'not JSON'),
    'a pickle': (text(lambda _: "cos\nsystem\n(S'true'\ntR."), 'not JSON'),
}


@pytest.mark.parametrize('case', CASES)
def test_a_manifest_is_refused(case, tmp_path, tool, capsys):
    change, reason = CASES[case]
    path, content = write_manifest(tmp_path / 'run')
    written = change(content, path.parent)
    path.write_text(written if isinstance(written, str) else json.dumps(content))
    options = ['--work-dir', tmp_path / 'out', '--cfg-options', f'ingredients={path}']
    assert tool('soup.py', CONFIG, *options) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: ') and said.count('\n') == 1, said
    assert str(path.parent) in said
    assert re.search(reason, said), said
    assert said.strip().isprintable()
    assert not (tmp_path / 'out').exists()


def test_the_manifest_is_good_where_nothing_is_changed(tmp_path):
    path, _ = write_manifest(tmp_path / 'run')
    pool = read_pool(str(path))
    pool.check_files()
    assert [entry.name for entry in pool.entries] == ['a', 'b']
    assert pool.entries[0].metrics == dict(accuracy=0.1, recall=[0.5, None])


def test_a_metric_that_is_null_is_not_known(tmp_path):
    """Which is how NaN is written."""
    path, content = write_manifest(tmp_path / 'run')
    content['ingredients'][0]['metrics'] = dict(accuracy=None, loss=0.5)
    path.write_text(json.dumps(content))
    entry = read_pool(str(path)).entries[0]
    assert entry.metrics == dict(loss=0.5)
    assert entry.ingredient('accuracy', VALIDATION).score is None


def test_a_folder_may_be_reached_through_a_link(tmp_path):
    path, _ = write_manifest(tmp_path / 'disk' / 'run')
    (tmp_path / 'work_dirs').symlink_to('disk')
    (path.parent / 'again.pth').symlink_to('ingredients/a.pth')
    pool = read_pool(str(tmp_path / 'work_dirs' / 'run' / path.name))
    pool.check_files()
    assert len(pool.entries) == 2


def test_the_user_may_name_any_file_in_the_config(tmp_path):
    path, content = write_manifest(tmp_path / 'run')
    file = path.parent / content['ingredients'][0]['file']
    (entry,) = read_pool([dict(file=str(file), lr=0.1)]).entries
    assert (entry.file, entry.hyper['lr']) == (file, 0.1)


def test_a_comparison_refuses_it_too(tmp_path, tool, capsys):
    path, content = write_manifest(tmp_path / 'run')
    absolute(content, path.parent)
    path.write_text(json.dumps(content))
    config = CONFIG.with_name('compare_digits_resnet18.py')
    options = ['--work-dir', tmp_path / 'out', '--cfg-options']
    pools = [f'pools.gs={path}', f'pools.fgg={path}']
    assert tool('compare.py', config, *options, *pools) == 2
    said = capsys.readouterr().err
    assert str(path) in said and 'absolute path' in said
    assert not (tmp_path / 'out').exists()
