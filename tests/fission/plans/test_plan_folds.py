"""Plans whose chains are trained on folds of training and validation images."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from mmengine.registry import RUNNERS

from ff_mm.datasets import DatasetError
from ff_mm.errors import ConfigError
from ff_mm.files import read_json
from ff_mm.fission import FGGPlan, GridSearchPlan, SWAPlan
from ff_mm.merging.pool import read_pool


def test_each_fold_has_a_chain_of_its_own():
    trials = FGGPlan([1e-3], folds=dict(number=2, seed=3)).trials()
    assert [(t.id, t.parent) for t in trials] == [
        ('probe_fold0', None),
        ('probe_fold1', None),
        ('base_lr0.001_fold0', 'probe_fold0'),
        ('base_lr0.001_fold1', 'probe_fold1'),
        ('fission_lr0.001_fold0', 'base_lr0.001_fold0'),
        ('fission_lr0.001_fold1', 'base_lr0.001_fold1'),
    ]
    for trial in trials:
        fold = int(trial.id[-1])
        assert trial.overrides['folds'] == dict(number=2, seed=3, index=fold)
        assert trial.hyper['fold'] == fold
        assert trial.overrides['randomness.seed'] == 0  # so heads begin alike


@pytest.mark.parametrize(
    'make',
    [
        lambda **more: GridSearchPlan([1e-3], [0, 1], ['light'], **more),
        lambda **more: SWAPlan([1e-3, 1e-4], **more),
        lambda **more: FGGPlan([1e-3], probe=None, **more),
    ],
)
def test_every_plan_of_bases_takes_folds(make):
    one, five = make().trials(), make(folds=5).trials()
    assert len({t.id for t in five}) == len(five) == 5 * len(one)
    parents = {t.id: t.parent for t in five}
    for trial in five:
        assert trial.parent is None or trial.parent.endswith(trial.id[-6:])
        assert trial.parent is None or trial.parent in parents
    assert not any(t.folds for t in one)


@pytest.mark.parametrize('folds', [1, '5', True, dict(number=0), dict(seed=2)])
def test_what_is_no_number_of_folds_makes_no_plan(folds):
    with pytest.raises(ConfigError, match=r'plan\.folds=.*expected how many folds'):
        FGGPlan([1e-3], folds=folds)


def test_folds_and_domains_do_not_go_together():
    with pytest.raises(ConfigError, match=r'plan\.folds and plan\.domains'):
        FGGPlan([1e-3], folds=2, domains=dict(north={'a': 1}))


def test_no_chain_is_ever_trained_on_its_own_validation_images(fold_pool):
    for fold in ('fold0', 'fold1'):
        shown = {
            phase: set().union(
                *(s for (t, p), s in fold_pool.seen.items() if fold in t and p == phase)
            )
            for phase in ('train', 'val')
        }
        assert len(shown['train']) >= 35 and len(shown['val']) >= 35
        assert not shown['train'] & shown['val']
    trials = {trial for trial, _ in fold_pool.seen}
    assert len(trials) == 2 * 5  # all stages were looked at


def test_all_chains_begin_with_the_same_weights(fold_pool):
    begun = fold_pool.begun
    assert begun['probe_fold0'] == begun['probe_fold1'] > 0
    assert begun['base_lr0.01_fold0'] != begun['base_lr0.01_fold1']


def test_what_is_written_down_of_folds(fold_pool):
    folder = Path(fold_pool.cfg.work_dir)
    manifest = read_json(folder / 'ingredients.json')
    folds = manifest['validation']['folds']
    assert (folds['number'], folds['seed'], len(set(folds['cases']))) == (2, 0, 2)
    assert manifest['origin'] is None  # each fold has a probe of its own
    for each in manifest['ingredients']:
        assert each['hyper']['fold'] == int(each['name'].split('_fold')[1][0])
        assert each['metrics'] == {} and each['own_metrics']['loss'] > 0
    with open(folder / 'splits.csv') as file:
        rows = list(csv.DictReader(file))
    assert {(row['split'] == 'test', row['fold'] == '') for row in rows} == {
        (True, True),
        (False, False),
    }
    said = ' '.join(fold_pool.said.split())
    # Twice (1 + 2 * 2 + 2 * 1) epochs, on one half of 80 images each.
    assert 'folds: 14 epochs in 10 trials, 2 times the 7 of one split' in said
    assert '80 images, train and val together, in 2 folds of 40 to 40' in said
    assert '560 images to train on in all epochs' in said
    assert 'probe_fold0: train: 40 images' in said


def test_folds_that_cannot_be_cut_are_said_before_training(tmp_path, generation_config):
    cfg = generation_config(tmp_path, plan__folds=100)
    with pytest.raises(DatasetError, match='100 folds cannot be cut: there are 80 cas'):
        RUNNERS.build(cfg).train()
    assert not (tmp_path / 'trials').exists()


ON_ALL = dict(folds='all', base=dict(epochs=1, keep='last', patience=None))


def test_one_chain_on_all_images_chooses_nothing():
    trials = FGGPlan([1e-3], **ON_ALL).trials()
    assert [t.id for t in trials] == [
        'probe_foldall',
        'base_lr0.001_foldall',
        'fission_lr0.001_foldall',
    ]
    kept = [hook.get('keep') for t in trials[:2] for hook in t.hooks]
    assert kept == ['last', 'last']
    with pytest.raises(ConfigError, match='none is left to choose an epoch by'):
        FGGPlan([1e-3], folds='all')


def test_what_is_trained_on_all_images_is_not_validated(tmp_path, generation_config):
    cfg = generation_config(tmp_path, plan__lrs=[1e-2], plan__probe__epochs=1)
    cfg.plan.update(ON_ALL, fission=None)
    manifest = RUNNERS.build(cfg).train()
    (base,) = manifest['ingredients']
    assert base['metrics'] == {} and base['hyper']['fold'] == 'all'
    done = read_json(tmp_path / 'ledger.json')['trials']
    assert [trial['images'] for trial in done] == [80, 80]
    assert read_pool(str(tmp_path / 'ingredients.json')).entries[0].seen
