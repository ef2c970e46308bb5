"""The tree of a soup, by the commands that users give."""

from __future__ import annotations

NAME = 'analysis_tools/soup_tree.py'


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
