"""Names of configs, with a checkout and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from ff_mm.config import load_config
from ff_mm.config_files import find_config
from ff_mm.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / 'configs'
DIGITS = CONFIGS / 'fgg_digits_resnet18.py'


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder in which nothing of a checkout is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('fgg_digits_resnet18', 'fgg_digits_resnet18.py'),
        ('fgg_digits_resnet18.py', 'fgg_digits_resnet18.py'),
        ('configs/fgg_digits_resnet18.py', 'fgg_digits_resnet18.py'),
        ('ff_mm::fgg_digits_resnet18.py', 'fgg_digits_resnet18.py'),
        ('ff_mm::_base_/models/resnet50.py', '_base_/models/resnet50.py'),
        ('fgg_ham10000_deit_base', 'ham10000/fgg_ham10000_deit_base.py'),
        ('ham10000/fgg_ham10000_deit_base', 'ham10000/fgg_ham10000_deit_base.py'),
        ('gpu', '_base_/gpu.py'),
        ('configs/_base_/gpu.py', '_base_/gpu.py'),
    ],
)
def test_a_name_means_the_config_that_comes_with_ff_mm(name, file):
    assert find_config(name) == CONFIGS / file


def test_a_file_that_is_there_wins_over_a_name(elsewhere):
    (elsewhere / 'fgg_digits_resnet18.py').touch()
    assert find_config('fgg_digits_resnet18.py') == Path('fgg_digits_resnet18.py')
    assert find_config('ff_mm::fgg_digits_resnet18.py') == DIGITS
    assert find_config('fgg_digits_resnet18') == DIGITS


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        (
            'fgg_digit_resnet18',
            'no such config file; did you mean fgg_digits_resnet18?',
        ),
        (
            'ff_mm::fgg_ham10000_deit_bas.py',
            'no such config file; did you mean ham10000/fgg_ham10000_deit_base?',
        ),
        ('mine.py', 'no such config file; did you mean mine_1.py?'),
        ('zzz', 'no such config file'),
        ('', 'no such config file'),
        ('../setup', 'no such config file'),
        ('configs/../../setup.py', 'no such config file'),
        (
            'configs/best_digits_resnet18.py',
            f'moved to {CONFIGS}/gog_digits_resnet18.py --soup best',
        ),
    ],
)
def test_a_name_that_means_nothing_is_one_line_with_the_nearest(elsewhere, name, said):
    (elsewhere / 'mine_1.py').touch()
    with pytest.raises(ConfigError) as error:
        find_config(name)
    assert str(error.value) == f'{name}: {said}'


def test_a_config_inherits_one_that_comes_with_ff_mm(elsewhere):
    (elsewhere / 'mine.py').write_text(
        "_base_ = 'ff_mm::fgg_digits_resnet18.py'\nimage_size = 20\n"
    )
    cfg = load_config('mine.py')
    changed = dict(image_size=20, work_dir='work_dirs/mine')
    # Without a scope, in which MMEngine would look for registries that there are not.
    assert cfg.to_dict() == {**load_config(DIGITS).to_dict(), **changed}


def test_several_bases_of_different_folders(elsewhere):
    (elsewhere / 'mine.py').write_text(
        "_base_ = ['ff_mm::_base_/models/resnet50.py', './own.py']\n"
    )
    (elsewhere / 'own.py').write_text('data_root = 3\n')
    cfg = load_config('mine.py')
    assert cfg.data_root == 3 and cfg.model.backbone.depth == 50


def test_a_base_that_there_is_not_is_one_line(elsewhere):
    (elsewhere / 'mine.py').write_text("_base_ = 'ff_mm::fgg_digit_resnet18.py'\n")
    with pytest.raises(ConfigError, match=r'mean fgg_digits_resnet18\?'):
        load_config('mine.py')


def test_bases_of_other_packages_are_found_as_before(elsewhere):
    (elsewhere / 'mine.py').write_text(
        "_base_ = 'mmpretrain::_base_/models/resnet18.py'\n"
    )
    assert load_config('mine.py').model.backbone.depth == 18


def test_a_recipe_by_its_name(elsewhere):
    cfg = load_config('fgg_digits_resnet18', recipe='gpu')
    assert cfg.channels_last is True
    with pytest.raises(ConfigError, match=r'^--recipe gqu: no such config file'):
        load_config('fgg_digits_resnet18', recipe='gqu')
