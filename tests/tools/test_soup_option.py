"""``--soup``: other soups of a config than its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.cli import SOUPS
from ff_mm.config import load_config
from ff_mm.errors import ConfigError
from ff_mm.files import read_json
from ff_mm_commands.folders import soup_names

CONFIGS = Path(__file__).parents[2] / 'configs'
DIGITS = CONFIGS / 'gog_digits_resnet18.py'


def soup(name: str) -> Path:
    return SOUPS / f'{name}.py'


@pytest.fixture
def manifest(tool, fgg, tmp_path):
    """Carries out the generation, and lets nothing else say a work directory."""
    assert tool('train.py', fgg) == 0
    return tmp_path / 'fgg' / 'ingredients.json'


def test_several_soups_of_one_config_in_one_command(
    tool, manifest, gog, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(gog)
    cfg.pop('work_dir')
    cfg.dump(gog.with_name('gog_toy.py'))
    capsys.readouterr()
    names = ['best', 'uniform', 'gog', 'best']
    assert tool('soup.py', 'gog_toy.py', '--soup', *names) == 0
    out = capsys.readouterr().out
    files = [f'work_dirs/{name}_toy/soup.pth' for name in ('best', 'uniform', 'gog')]
    assert out.splitlines()[-3:] == files
    assert out.count('as fractions') == 1
    assert all(title in out for title in ('best single', 'uniform', 'GoG'))
    reports = [read_json(Path(file).with_name('report.json')) for file in files]
    assert [report['method'] for report in reports] == ['best', 'uniform', 'gog']
    assert [len(report['ingredients']) for report in reports[:2]] == [1, 3]


def test_a_work_directory_has_a_folder_for_each_soup(
    tool, manifest, gog, tmp_path, capsys
):
    options = ['--work-dir', tmp_path / 'w', '--cfg-options', 'soup.accept_ties=True']
    assert tool('soup.py', gog, '--soup', 'best', 'greedy', *options) == 0
    for name in ('best', 'greedy'):
        assert read_json(tmp_path / 'w' / name / 'report.json')['method'] == name
    assert not (tmp_path / 'gog').exists()


def test_without_the_option_a_config_makes_its_own_soup(tool, manifest, gog, tmp_path):
    assert tool('soup.py', gog) == 0
    assert read_json(tmp_path / 'gog' / 'report.json')['method'] == 'gog'


def test_the_tree_of_another_soup(tool, manifest, gog, tmp_path, capsys):
    command = ('analysis_tools/soup_tree.py', gog, '--soup', 'uniform')
    assert tool(*command) == 2
    needed = f'make it first: python tools/soup.py {gog} --soup uniform\n'
    assert capsys.readouterr().err.endswith(needed)
    assert tool('soup.py', gog, '--soup', 'uniform') == 0
    assert tool(*command) == 0
    assert (tmp_path / 'gog' / 'uniform' / 'soup_tree' / 'nodes.csv').is_file()


@pytest.mark.parametrize('name', ['soup.py', 'analysis_tools/lmc.py'])
def test_an_unknown_soup_is_one_line_with_those_there_are(tool, capsys, name):
    assert tool(name, DIGITS, '--soup', 'bset') == 2
    err = capsys.readouterr().err
    assert err.startswith('error: --soup bset: no such soup, there are best, ')
    assert err.count('\n') == 1
    assert all(known in err for known in soup_names(SOUPS))


def test_a_generation_config_has_no_soups(tool, fgg, capsys):
    assert tool('soup.py', fgg, '--soup', 'best') == 2
    assert 'is a generation config: python tools/train.py' in capsys.readouterr().err


def test_help_lists_the_soups(tool, capsys):
    assert tool('soup.py', '--help') == 0
    out = ' '.join(capsys.readouterr().out.split())
    assert ', '.join(soup_names(SOUPS)) in out


@pytest.mark.parametrize('name', soup_names(SOUPS))
def test_each_file_is_a_soup_and_differs_in_nothing_else(name):
    cfg = load_config(DIGITS, soup=soup(name))
    runner = RUNNERS.build(cfg)
    assert runner.method == name.removesuffix('_basin')
    assert cfg.work_dir == f'work_dirs/{name}_digits_resnet18'
    own = load_config(DIGITS)
    for key in ('runner_type', 'soup', 'work_dir'):
        own.pop(key)
        cfg.pop(key)
    assert cfg.to_dict() == own.to_dict()


def test_the_own_soup_by_its_name_is_the_default():
    by_name = load_config(DIGITS, soup=soup('gog'))
    assert by_name.to_dict() == load_config(DIGITS).to_dict()


def test_options_win_over_the_file_of_the_soup():
    options = {'soup.group_by': 'stage', 'soup.accept_ties': True}
    assert load_config(DIGITS, options, soup('gou')).soup == dict(
        group_by='stage', accept_ties=True
    )
    options = {'soup.basins.threshold': 0.5}
    cfg = load_config(DIGITS, options, soup('gog_basin'))
    assert cfg.soup == dict(group_by='basin', basins=dict(threshold=0.5))
    cfg = load_config(DIGITS, {'work_dir': 'w'}, soup('best'))
    assert cfg.work_dir == 'w/best'


@pytest.fixture
def folder(tmp_path):
    """Configs in the layout of configs/."""
    soups = tmp_path / 'configs' / '_base_' / 'soups'
    soups.mkdir(parents=True)
    for name in ('best', 'gog', 'gog_basin'):
        (soups / f'{name}.py').write_text("runner_type = 'X'\nsoup = dict(a=1)\n")
    (soups.parent / 'common.py').write_text('x = 1\n')
    (tmp_path / 'configs' / 'cells').mkdir()
    for name in ('fgg_cells', 'gog_cells'):
        (tmp_path / 'configs' / 'cells' / f'{name}.py').write_text('x = 1\n')
    (tmp_path / 'configs' / 'gog_near.py').write_text("soup = dict(group_by='lr')\n")
    return tmp_path / 'configs'


@pytest.mark.parametrize(
    ('given', 'now'),
    [
        ('fgg_cells', 'cells/fgg_cells.py'),
        ('gog_cells', 'cells/gog_cells.py'),
        ('best_cells', 'cells/gog_cells.py --soup best'),
        ('gog_basin_cells', 'cells/gog_cells.py --soup gog_basin'),
        ('cells/best_cells', 'cells/gog_cells.py --soup best'),
        ('best_near', 'gog_near.py --soup best'),
        ('near/gog_near', 'gog_near.py'),
        ('_base_/soups/common', '_base_/common.py'),
    ],
)
def test_a_config_that_has_moved_is_answered_with_where_it_is(folder, given, now):
    path = folder / f'{given}.py'
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == f'{path}: moved to {folder}/{now}'


@pytest.mark.parametrize('given', ['best', 'cells', 'a/b/c/fgg_cells', 'best_x'])
def test_a_config_that_never_was_is_answered_so(folder, given):
    with pytest.raises(ConfigError, match=r'no such config file$'):
        load_config(folder / f'{given}.py')


def test_a_config_that_inherits_one_that_has_moved(folder):
    own = folder / 'own.py'
    own.write_text("_base_ = './fgg_cells.py'\n")
    with pytest.raises(ConfigError) as error:
        load_config(own)
    where = f'moved to {folder}/cells/fgg_cells.py'
    assert str(error.value) == f'{own} inherits {folder}/fgg_cells.py: {where}'
    own.write_text("_base_ = './absent.py'\n")
    with pytest.raises(ConfigError, match=r'absent\.py: no such config file$'):
        load_config(own)


def test_a_soup_takes_the_place_of_the_configs_own(folder):
    new = folder / '_base_' / 'soups'
    cfg = load_config(folder / 'gog_near.py', soup=new / 'best.py')
    assert (cfg.runner_type, cfg.soup) == ('X', dict(a=1))
    assert cfg.work_dir == 'work_dirs/best_near'
    (new / 'new.py').write_text("runner_type = 'New'\n")
    cfg = load_config(folder / 'cells' / 'fgg_cells.py', soup=new / 'new.py')
    assert (cfg.runner_type, cfg.soup) == ('New', {})
    assert cfg.work_dir == 'work_dirs/new_fgg_cells'
    (new / 'none.py').write_text('soup = dict()\n')
    with pytest.raises(ConfigError, match=r'none\.py: expected runner_type, such as'):
        load_config(folder / 'gog_near.py', soup=new / 'none.py')
