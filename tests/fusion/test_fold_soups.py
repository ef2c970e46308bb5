"""Soups of recipes that were trained on folds, chosen by out-of-fold predictions."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import RUNNERS, init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from ff_mm.config import resolve
from ff_mm.datasets.folds import fold_config
from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.files import read_json
from ff_mm.fusion.folds import mean_that_fails
from ff_mm.merging import read_state_dict
from ff_mm.merging.folds import recipe_by_name
from ff_mm.merging.pool import read_pool

FOLDS = dict(number=2, seed=0)
LR = ('0.01', '0.001')
RECIPES = {
    f'{stage}_lr{lr}{cycle}': (f'{stage}_lr{lr}_fold', cycle)
    for lr in LR
    for stage, cycle in (('base', ''), ('fission', '_cycle1'))
}


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
    with pytest.raises(ConfigError, match=r'one of 8\) was trained in folds'):
        RUNNERS.build(cfg).run()


def test_who_says_that_validation_is_of_other_images_is_believed(fold_pool):
    files = f'{fold_pool.cfg.work_dir}/ingredients/*.pth'
    told = read_pool(dict(file=files, fold=None)).entries
    assert len(told) == 8 and not any(entry.seen for entry in told)
    assert all(entry.seen for entry in read_pool(files).entries)
    pool = read_pool(str(Path(fold_pool.cfg.work_dir) / 'ingredients.json'))
    assert pool.folds is not None and pool.folds.number == 2


def recipes_of(folder, change=None):
    """Recipes by file, of a manifest that may have been changed."""
    file = folder / 'ingredients.json'
    content = read_json(file)
    for number, entry in enumerate(content['ingredients'] if change else ()):
        change(entry, number)
    (folder / 'changed.json').write_text(json.dumps(content))
    pool = read_pool(str(folder / 'changed.json'))
    return {entry.file.name: entry.recipe for entry in pool.entries}


def test_the_recipe_of_a_model_stands_in_the_manifest(fold_pool):
    folder = Path(fold_pool.cfg.work_dir)
    expected = {
        f'{start}{fold}{end}.pth': recipe
        for recipe, (start, end) in RECIPES.items()
        for fold in range(2)
    }
    assert recipes_of(folder) == expected
    # Whatever it is called; and in manifests of earlier versions by what it is called.
    renamed = recipes_of(folder, lambda e, n: e.update(name=f'model {n}'))
    assert renamed == expected
    assert recipes_of(folder, lambda e, _: e.pop('recipe')) == expected
    (folder / 'changed.json').unlink()


@pytest.mark.parametrize(
    ('name', 'recipe'),
    [
        ('base_lr0.1_fold1', 'base_lr0.1'),
        ('base_fold1_lr0.1_fold1_cycle2', 'base_fold1_lr0.1_cycle2'),
        ('base_fold11', 'base_fold11'),
        ('base', 'base'),
    ],
)
def test_a_recipe_by_name(name, recipe):
    assert recipe_by_name(name, 1) == recipe


def test_recipes_of_two_pools_are_told_apart(fold_pool, tmp_path):
    for name in 'ab':
        shutil.copytree(fold_pool.cfg.work_dir, tmp_path / name)
    pool = read_pool([str(tmp_path / name / 'ingredients.json') for name in 'ab'])
    found = {entry.recipe for entry in pool.entries}
    assert found == {f'{p}/ingredients/{name}' for p in 'ab' for name in RECIPES}


def weights_of(fold_pool, recipes, folds):
    """The mean of models, by hand."""
    files = [
        f'{fold_pool.cfg.work_dir}/ingredients/{start}{fold}{end}.pth'
        for start, end in (RECIPES[name] for name in recipes)
        for fold in folds
    ]
    states = [read_state_dict(file) for file in files]
    return {
        key: torch.stack([s[key].double() for s in states]).mean(0).to(value.dtype)
        for key, value in states[0].items()
    }


def out_of_fold(fold_pool, recipes):
    """Probability of the truth, and whether it is the largest; of each case."""
    init_default_scope('mmpretrain')
    cfg = resolve(fold_pool.cfg)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    found = []
    for fold in range(2):
        model.load_state_dict(weights_of(fold_pool, recipes, [fold]))
        model.eval()
        dataset = DATASETS.build(fold_config(cfg, 'val', FOLDS, fold, 'val'))
        for case in dataset:
            batch = {name: [value] for name, value in case.items()}
            with torch.inference_mode():
                said = model.val_step(batch)[0].pred_score.double().numpy()
            label = int(case['data_samples'].gt_label)
            found.append((said[label], said.argmax() == label))
    return np.array(found)


def loss_of(fold_pool, recipes):
    return -np.log(out_of_fold(fold_pool, recipes)[:, 0]).mean()


@pytest.fixture(scope='module')
def alone(fold_pool):
    """The out-of-fold loss of each recipe."""
    return {name: loss_of(fold_pool, [name]) for name in RECIPES}


def by_loss(config, **soup):
    cfg = config('FoldSoupRunner', selection__metric='loss', selection__rule='less')
    cfg.soup = soup
    return cfg


def test_the_greedy_soup_of_recipes_is_that_by_hand(config, fold_pool, alone, tmp_path):
    report = RUNNERS.build(by_loss(config)).run()
    first, *others = sorted(alone, key=alone.get)
    kept, best = [first], alone[first]
    for name in others:
        if (loss := loss_of(fold_pool, [*kept, name])) < best:
            kept, best = [*kept, name], loss
    assert report['folds']['recipes'] == kept
    assert report['val']['loss'] == pytest.approx(best, rel=1e-5)
    right = out_of_fold(fold_pool, kept)[:, 1].mean()
    assert report['val']['accuracy'] == pytest.approx(right)
    # The tree says of each recipe alone what it scores.
    tree = report['tree']
    scores = {m['name']: m['score'] for m in (*tree['members'], *tree['rejected'])}
    assert scores == pytest.approx(
        {f'recipe={name}': loss for name, loss in alone.items()}, rel=1e-5
    )
    # The soup is the mean of all folds' models of what was chosen.
    soup = read_state_dict(tmp_path / 'soup' / 'soup.pth')
    for key, value in weights_of(fold_pool, kept, range(2)).items():
        torch.testing.assert_close(soup[key], value)
    low, high = report['folds']['intervals']['loss']
    assert low < report['val']['loss'] < high
    assert report['folds']['seen']['loss'] != report['val']['loss']
    text = (tmp_path / 'soup' / 'report.md').read_text()
    assert 'Validation is out of fold' in text
    # Four recipes and what the greedy soup tries, each of a pass over all images.
    assert report['evaluations']['selection'] == len(tree['steps']) + 3
    assert read_pool(str(tmp_path / 'soup' / 'soup.pth')).entries[0].seen
    lrs = sorted({float(name.split('_lr')[1].split('_')[0]) for name in kept})
    refit = report['folds']['refit']
    assert refit[0] == 'plan.folds=all' and refit[-1] == f'plan.lrs={lrs}'.replace(
        ' ', ''
    )
    assert refit[3] in ('plan.base.epochs=1', 'plan.base.epochs=2')
    deployed = (tmp_path / 'soup' / 'deploy.py').read_text()
    assert 'FoldDataset' not in deployed


def test_what_is_known_is_not_predicted_again(config, monkeypatch):
    cfg = by_loss(config, type='best', bn_reestimation=dict(num_samples=16))
    first = RUNNERS.build(copy.deepcopy(cfg)).run()
    assert first['bn_reestimation']['num_samples'] == 16

    def forbidden(*_):
        raise AssertionError('another pass')

    monkeypatch.setattr(EvaluationSet, 'predict', forbidden)
    again = RUNNERS.build(cfg).run()
    assert again['val'] == first['val'] and again['folds'] == first['folds']
    assert again['evaluations']['selection'] == 0


def test_models_are_not_judged_on_other_images_than_those_of_their_folds(config):
    cfg = by_loss(config)
    cfg.train_dataloader.dataset.indices = 39
    with pytest.raises(ConfigError, match='other images or labels in fold 0 than'):
        RUNNERS.build(cfg).run()


def test_a_recipe_that_lacks_a_fold_is_left_out(config, fold_pool, tmp_path, capsys):
    pool = tmp_path / 'pool'
    shutil.copytree(fold_pool.cfg.work_dir, pool)
    manifest = read_json(pool / 'ingredients.json')
    kept = [
        each for each in manifest['ingredients'] if each['name'] != 'base_lr0.01_fold1'
    ]
    (pool / 'ingredients.json').write_text(
        json.dumps({**manifest, 'ingredients': kept})
    )
    cfg = by_loss(config, type='uniform')
    cfg.ingredients = str(pool / 'ingredients.json')
    report = RUNNERS.build(cfg).run()
    assert set(report['folds']['recipes']) == {
        name for name in RECIPES if name != 'base_lr0.01'
    }
    said = ' '.join(capsys.readouterr().out.split())
    assert 'base_lr0.01 is left out: no model of it for fold 1' in said


@pytest.mark.parametrize(
    ('soup', 'words'),
    [
        (dict(decision='temperature'), "'decision' is not for folds"),
        (dict(merge='ties'), "'merge' is not for folds"),
        (dict(type='learned'), "soup.type='learned': expected one of"),
    ],
)
def test_what_soups_of_folds_do_not_take(config, soup, words):
    with pytest.raises(ConfigError, match=words):
        RUNNERS.build(by_loss(config, **soup))


def test_a_pool_of_no_folds_and_files_by_themselves(config, fold_pool, small_pool):
    for source in (
        f'{small_pool.work_dir}/ingredients.json',
        f'{fold_pool.cfg.work_dir}/ingredients/*.pth',
    ):
        cfg = by_loss(config)
        cfg.ingredients = source
        with pytest.raises(ConfigError, match='of a plan with folds'):
            RUNNERS.build(cfg).run()


@pytest.mark.parametrize(
    ('greater', 'worst', 'seen', 'fails'),
    [
        (True, 0.8, 0.3, True),
        (True, 0.8, 0.9, False),
        (False, 0.5, 2.3, True),
        (False, 0.5, 0.2, False),
        (True, None, 0.1, False),
    ],
)
def test_a_mean_that_does_not_hold_is_told(greater, worst, seen, fails):
    note = mean_that_fails('x', greater, worst, seen, averaged=True)
    assert bool(note) == fails
    if note:
        assert 'soup.bn_reestimation' in note
        assert 'bn_re' not in mean_that_fails('x', greater, worst, seen, False)
