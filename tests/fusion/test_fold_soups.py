"""Soups of recipes that were trained on folds, chosen by out-of-fold predictions."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.merging.pool import read_pool


@pytest.fixture
def config(fold_pool, tmp_path):
    """A function: the config of a runner on the pool of folds."""

    def make(runner_type, ingredients=None, **changes):
        cfg = copy.deepcopy(fold_pool.cfg)
        cfg.pop('plan')
        cfg.pop('custom_hooks')
        cfg.runner_type = runner_type
        cfg.work_dir = str(tmp_path / 'soup')
        cfg.ingredients = ingredients or f'{fold_pool.cfg.work_dir}/ingredients.json'
        cfg.merge_from_dict({key.replace('__', '.'): v for key, v in changes.items()})
        return cfg

    return make


@pytest.mark.parametrize(
    'runner', ['GreedySoupRunner', 'BestIngredientRunner', 'LMCRunner']
)
@pytest.mark.parametrize('files', ['ingredients.json', 'ingredients/*.pth'])
def test_what_validates_on_images_that_were_trained_on_is_refused(
    config, fold_pool, runner, files
):
    cfg = config(runner, f'{fold_pool.cfg.work_dir}/{files}')
    with pytest.raises(ConfigError, match=r'one of 8\) was trained in folds.*--soup fo'):
        RUNNERS.build(cfg).run()


def test_who_says_that_validation_is_of_other_images_is_believed(fold_pool):
    files = f'{fold_pool.cfg.work_dir}/ingredients/*.pth'
    told = read_pool(dict(file=files, fold=None)).entries
    assert len(told) == 8 and not any(entry.seen for entry in told)
    assert all(entry.seen for entry in read_pool(files).entries)
    pool = read_pool(str(Path(fold_pool.cfg.work_dir) / 'ingredients.json'))
    assert pool.folds is not None and pool.folds.number == 2
