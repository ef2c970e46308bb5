"""The analysis tools as users call them."""

from __future__ import annotations

from pathlib import Path

import pytest
from many_processes import make, tool_of_one

from ff_mm.analysis.connectivity.lmc_runner import LMCOptions
from ff_mm.analysis.loss_surface.loss_surface_runner import LossSurfaceOptions
from ff_mm.analysis.soup_tree.soup_tree_runner import SoupTreeOptions
from ff_mm.analysis.trajectory.trajectory_runner import TrajectoryOptions
from ff_mm.config import load_config

ROOT = Path(__file__).parents[2]
SOUP_TREE = 'analysis_tools/soup_tree.py'
OPTIONS = dict(
    lmc=LMCOptions,
    loss_surface=LossSurfaceOptions,
    trajectory=TrajectoryOptions,
    soup_tree=SoupTreeOptions,
)


@pytest.fixture(scope='module')
def pool(tmp_path_factory, generation_config):
    """The config file of a fusion; its pool has four ingredients."""
    folder = tmp_path_factory.mktemp('pool')
    changes = dict(plan__probe=None, plan__base__epochs=1, plan__fission__epochs=1)
    cfg = generation_config(folder / 'fgg', **changes)
    cfg.dump(folder / 'fgg.py')
    cfg = generation_config(folder / 'gog', runner_type='GoGSoupRunner')
    cfg.pop('plan')
    cfg.ingredients = str(folder / 'fgg' / 'ingredients.json')
    cfg.soup = dict(group_by='lr')
    cfg.dump(folder / 'gog.py')
    return folder


@pytest.fixture
def config(pool, tool):
    if not (pool / 'fgg' / 'ingredients.json').is_file():
        assert tool('train.py', pool / 'fgg.py') == 0
        assert tool('soup.py', pool / 'gog.py') == 0
    return pool / 'gog.py'


@pytest.mark.parametrize(
    ('name', 'options', 'figure'),
    [
        ('lmc', ['lmc.points=3', 'lmc.metrics=[loss]'], 'val/paths_loss.svg'),
        (
            'loss_surface',
            ['loss_surface.points=3', 'loss_surface.metrics=[loss]'],
            'val/plane_loss.svg',
        ),
        ('trajectory', ['trajectory.metrics=[loss]'], 'trajectory.svg'),
        ('soup_tree', [], 'soup_tree.svg'),
    ],
)
def test_a_fusion_config_is_enough(config, tool, capsys, name, options, figure):
    tool_file = f'analysis_tools/{name}.py'
    arguments = ['--cfg-options', *options] if options else []
    assert tool(tool_file, config, *arguments) == 0, capsys.readouterr().err
    assert (config.parent / 'gog' / name / figure).stat().st_size
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('name', OPTIONS)
def test_defaults_in_the_config_are_those_of_the_options(name):
    cfg = load_config(ROOT / 'configs' / '_base_' / 'analyses.py')
    assert OPTIONS[name](**cfg[name]) == OPTIONS[name]()
    assert set(cfg[name]) == set(vars(OPTIONS[name]()))


@pytest.mark.parametrize('name', OPTIONS)
def test_help_has_an_example_and_the_options(tool, capsys, name):
    assert tool(f'analysis_tools/{name}.py', '--help') == 0
    out = capsys.readouterr().out
    example = f'python tools/analysis_tools/{name}.py'
    for text in ('--work-dir', '--cfg-options', '--launcher', example):
        assert text in out


@pytest.mark.parametrize('name', OPTIONS)
def test_a_generation_config_is_refused(pool, tool, capsys, name):
    assert tool(f'analysis_tools/{name}.py', pool / 'fgg.py') == 2
    error = capsys.readouterr().err
    assert 'is a generation config: python tools/train.py' in error
    assert error.count('\n') == 1


def test_a_soup_tree_needs_a_soup_and_no_ingredients(tool, fgg, gog, tmp_path, capsys):
    assert tool(SOUP_TREE, gog) == 2
    err = capsys.readouterr().err
    assert 'report.json: no such file' in err and err.count('\n') == 1
    assert f'python tools/soup.py {gog}' in err
    assert tool('train.py', fgg) == 0
    assert tool('soup.py', gog) == 0
    capsys.readouterr()
    (tmp_path / 'fgg').rename(tmp_path / 'elsewhere')
    assert tool(SOUP_TREE, gog) == 0
    assert '+ lr=0.01' in capsys.readouterr().out
    assert (tmp_path / 'gog' / 'soup_tree' / 'soup_tree.png').is_file()
    (tmp_path / 'elsewhere').rename(tmp_path / 'fgg')
    assert tool(SOUP_TREE, gog, '--cfg-options', 'soup_tree.splits=[test]') == 0
    assert (tmp_path / 'gog' / 'soup_tree' / 'soup_tree_test_loss.svg').is_file()


def test_two_processes(config, tmp_path):
    """Each point is evaluated by one of them."""
    options = ['--work-dir', tmp_path / 'two', '--cfg-options']
    options += ['lmc.points=3', 'lmc.metrics=[loss]']
    name = 'analysis_tools/lmc.py'
    said = make(2, tool_of_one, name, config, '--launcher', 'pytorch', *options)
    assert ''.join(said).count('loss barriers on val') == 1
    assert (tmp_path / 'two' / 'lmc' / 'val' / 'pairs.csv').is_file()
    lines = (tmp_path / 'two' / 'evaluations.jsonl').read_text().split('\n')[1:]
    assert len(lines) == len(set(lines))
