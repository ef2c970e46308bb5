"""Batch norm that is re-estimated of every candidate before it is evaluated."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.registry import RUNNERS

from ff_mm import cores
from ff_mm.comparison.method import selection_cost
from ff_mm.errors import ConfigError
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json
from ff_mm.merging import Ingredient, Soup, read_state_dict

EVERY = dict(num_samples=40, candidates=True)


def run(cfg):
    return RUNNERS.build(cfg).run()


@pytest.fixture(scope='module')
def by_hand(small_pool):
    """A function: the metrics of a uniform soup of names, batch norm re-estimated."""
    evaluator = ModelEvaluator(small_pool)
    work_dir = small_pool.work_dir

    def evaluate(names, reestimate=True, split='val'):
        files = [
            Ingredient.from_file(f'{work_dir}/ingredients/{name}.pth') for name in names
        ]
        evaluator.load(Soup('x', 'uniform', tuple(files)).load())
        if reestimate and len(names) > 1:
            evaluator.reestimate_batch_norm(40)
        return evaluator.evaluate(split)

    yield evaluate
    evaluator.close()


@pytest.fixture(scope='module')
def greedy(small_pool, tmp_path_factory):
    cfg = small_pool.copy()
    cfg.pop('plan')
    cfg.runner_type = 'GreedySoupRunner'
    cfg.work_dir = str(tmp_path_factory.mktemp('greedy'))
    cfg.ingredients = f'{small_pool.work_dir}/ingredients.json'
    cfg.selection = dict(metric='loss', rule='less')
    cfg.evaluation = dict(early_exit=False)
    cfg.soup = dict(bn_reestimation=EVERY)
    return cfg, run(cfg)


def test_each_step_of_a_greedy_soup_is_scored_with_its_own_statistics(greedy, by_hand):
    _, report = greedy
    tree = report['tree']
    first, *others = tree['steps']
    recorded = by_hand([first['candidate']], reestimate=False)['loss']
    assert first['score'] == pytest.approx(recorded, rel=1e-5)
    kept, differ = [first['candidate']], False
    for step in others:
        together = [*kept, step['candidate']]
        expected = by_hand(together)['loss']
        assert step['score'] == pytest.approx(expected, rel=1e-5)
        differ |= abs(by_hand(together, reestimate=False)['loss'] - expected) > 1e-4
        kept = together if step['accepted'] else kept
    assert differ and len(kept) > 1
    assert [item['name'] for item in report['ingredients']] == kept
    assert report['test'] == pytest.approx(by_hand(kept, split='test'), rel=1e-5)


def test_the_file_has_the_statistics_that_were_scored(greedy):
    cfg, report = greedy
    evaluator = ModelEvaluator(cfg)
    try:
        evaluator.load(read_state_dict(f'{cfg.work_dir}/soup.pth'))
        for split in ('val', 'test'):
            assert evaluator.evaluate(split) == pytest.approx(report[split], rel=1e-5)
    finally:
        evaluator.close()
    assert report['bn_reestimation'] == dict(num_samples=40, before=None)


def test_what_it_took_is_told_and_counted(greedy):
    cfg, report = greedy
    spent = report['evaluations']
    # Five candidates, the soup on the other sets, and its file.
    assert spent['train'] == 7
    assert spent['images']['train'] == 7 * 40
    images = spent['images']['val'] + spent['images']['train']
    assert selection_cost(report)['images'] == images
    with open(f'{cfg.work_dir}/report.md', encoding='utf-8') as file:
        assert 'batch norm re-estimated 7 times (280 images)' in file.read()


def test_what_was_evaluated_stands_in_the_memo_by_its_training_images(greedy, tmp_path):
    cfg, report = greedy
    again = run(cfg)
    assert again['evaluations']['val'] == 0
    assert again['tree'] == report['tree']
    other = cfg.copy()
    other.soup = dict(bn_reestimation=dict(EVERY, num_samples=24))
    fewer = run(other)
    assert fewer['evaluations']['val'] > 0
    assert fewer['tree']['steps'][1]['score'] != report['tree']['steps'][1]['score']
    # The usual way, in which candidates have the mean of statistics, knows no better.
    other.soup = dict()
    usual = run(other)
    assert usual['evaluations']['val'] > 0 and 'train' not in usual['evaluations']
    assert usual['tree']['steps'][1]['score'] != report['tree']['steps'][1]['score']


def test_a_single_ingredient_stays_as_trained(analysis_config, folder, small_pool):
    report = run(
        analysis_config('BestIngredientRunner', soup=dict(bn_reestimation=EVERY))
    )
    assert report['bn_reestimation'] is None
    assert report['evaluations']['train'] == 0
    (item,) = report['ingredients']
    own = read_state_dict(f'{small_pool.work_dir}/ingredients/{item["name"]}.pth')
    for key, value in read_state_dict(folder / 'soup.pth').items():
        assert torch.equal(own[key], value), key


def test_groups_and_the_soup_of_them_are_reestimated_alike(
    analysis_config, by_hand, small_pool
):
    cfg = analysis_config('BoUSoupRunner', soup=dict(bn_reestimation=EVERY))
    cfg.selection = dict(metric='loss', rule='less')
    tree = run(cfg)['tree']
    for group in [*tree['members'], *tree['rejected']]:
        names = [member['name'] for member in group['members']]
        assert group['score'] == pytest.approx(by_hand(names)['loss'], rel=1e-5)
    names = {e['name'] for e in read_json(cfg.ingredients)['ingredients']}
    assert len(names) == 6


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (dict(candidates='yes'), "candidates='yes': expected True or False"),
        (
            dict(candidates=False),
            r'expected dict\(num_samples=2048\), or with candidat',
        ),
        (dict(candidates=True, samples=9), 'expected dict'),
        (dict(candidates=True, num_samples=4), 'num_samples=4 is less than one batch'),
    ],
    ids=str,
)
def test_options_that_are_none(analysis_config, option, message):
    with pytest.raises(ConfigError, match=message):
        run(analysis_config('GreedySoupRunner', soup=dict(bn_reestimation=option)))


def test_statistics_do_not_go_by_a_number_of_workers_that_is_left_open(
    small_pool, monkeypatch
):
    found = []
    for number in (1, 2):
        monkeypatch.setattr(cores, 'own_cores', lambda number=number: number)
        cfg = copy.deepcopy(small_pool)
        cfg.train_dataloader.update(num_workers='auto', batch_size=16)
        flip = dict(type='RandomFlip', prob=0.5)
        cfg.train_dataloader.dataset.pipeline = [flip, dict(type='PackInputs')]
        evaluator = ModelEvaluator(cfg)
        try:
            evaluator.reestimate_batch_norm(64)
            found.append({k: v.clone() for k, v in evaluator.weights.items()})
        finally:
            evaluator.close()
    assert all(torch.equal(v, found[1][k]) for k, v in found[0].items())
