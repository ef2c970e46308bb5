"""The tree of a soup, by the commands that users give."""

from __future__ import annotations

import pytest

NAME = 'analysis_tools/soup_tree.py'


@pytest.fixture
def fgg(tmp_path, generation_config):
    """A file with a generation config of two trials."""
    changes = dict(plan__lrs=[1e-2], plan__probe=None, plan__base__epochs=1)
    generation_config(tmp_path / 'fgg', **changes).dump(tmp_path / 'fgg.py')
    return tmp_path / 'fgg.py'


@pytest.fixture
def gog(tmp_path, generation_config):
    """A file with a fusion config of that generation."""
    cfg = generation_config(tmp_path / 'gog', runner_type='GoGSoupRunner')
    cfg.pop('plan')
    cfg.ingredients = str(tmp_path / 'fgg' / 'ingredients.json')
    cfg.soup_tree = dict()
    cfg.dump(tmp_path / 'gog.py')
    return tmp_path / 'gog.py'


def test_help_has_an_example_and_the_options(tool, capsys):
    assert tool(NAME, '--help') == 0
    out = capsys.readouterr().out
    for text in ('--work-dir', '--cfg-options', '--launcher', f'python tools/{NAME}'):
        assert text in out


def test_a_generation_config_is_one_clear_error(tool, fgg, capsys):
    assert tool(NAME, fgg) == 2
    assert 'is a generation config: python tools/train.py' in capsys.readouterr().err


def test_from_config_to_tree(tool, fgg, gog, tmp_path, capsys):
    assert tool(NAME, gog) == 2
    err = capsys.readouterr().err
    assert 'report.json: no such file' in err and err.count('\n') == 1
    assert f'python tools/soup.py {gog}' in err
    assert tool('train.py', fgg) == 0
    assert tool('soup.py', gog) == 0
    capsys.readouterr()
    (tmp_path / 'fgg').rename(tmp_path / 'elsewhere')
    assert tool(NAME, gog) == 0
    assert '+ lr=0.01' in capsys.readouterr().out
    assert (tmp_path / 'gog' / 'soup_tree' / 'soup_tree.png').is_file()
    (tmp_path / 'elsewhere').rename(tmp_path / 'fgg')
    assert tool(NAME, gog, '--cfg-options', 'soup_tree.splits=[test]') == 0
    assert (tmp_path / 'gog' / 'soup_tree' / 'soup_tree_test_loss.svg').is_file()
