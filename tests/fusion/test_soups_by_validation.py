"""Soups that ask validation for more than scores, through the real runners."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import RUNNERS, DefaultScope

from ff_mm.errors import ConfigError
from ff_mm.evaluation import validation_losses
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.loss_gradient import loss_gradient
from ff_mm.evaluation.predictions import Predictions
from ff_mm.files import read_json
from ff_mm.merging import read_state_dict
from ff_mm.tasks.classification import data_sample


@pytest.fixture
def config(analysis_config):
    def make(work_dir, runner, **soup):
        cfg = analysis_config(runner, work_dir)
        cfg.soup = dict(soup)
        return cfg

    return make


def run(cfg):
    return RUNNERS.build(copy.deepcopy(cfg)).run()


@pytest.mark.parametrize('metric', ['loss', 'macro_f1'])
def test_an_ensemble_is_scored_as_the_evaluator_scores_its_mean(
    config, tmp_path, metric
):
    cfg = config(tmp_path, 'EnsembleSelectionRunner', rounds=12, sorted_start=2)
    cfg.selection = dict(metric=metric, rule='less' if metric == 'loss' else 'greater')
    report = run(cfg)
    tree = report['tree']
    weights = tree.get('weights', [1] * len(tree['members']))
    counts = {m['name']: w for m, w in zip(tree['members'], weights, strict=True)}
    assert {i['name']: i['weight'] for i in report['ingredients']} == pytest.approx(
        {name: count / sum(counts.values()) for name, count in counts.items()}
    )
    # All that a step says of, in its order, averaged by hand.
    steps = tree['steps'][:-1]
    files = sorted((tmp_path / 'predictions' / 'val').glob('*.npz'))
    assert len(files) == report['evaluations']['selection'] - 1 == 6
    each = [Predictions.read(file) for file in files]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        evaluator = Evaluator(list(cfg.val_evaluator))
    alone = [value(evaluator, e.truth, e.scores, metric) for e in each]
    best = min(alone) if metric == 'loss' else max(alone)
    assert steps[0]['score'] == pytest.approx(best)
    assert steps[0]['candidate'] in counts
    assert tree['score'] == pytest.approx(report['val'][metric])
    assert 'rounds' in str(report['levels'])


def value(evaluator, truth, scores, metric):
    evaluator.process([data_sample(t, s) for t, s in zip(truth, scores, strict=True)])
    return evaluator.evaluate(len(truth))[metric]


def test_predictions_are_made_once_and_kept(config, tmp_path, monkeypatch):
    cfg = config(tmp_path, 'EnsembleSelectionRunner', rounds=5)
    cfg.selection = dict(metric='loss', rule='less')
    first = run(cfg)
    spent = first['evaluations']
    assert (spent['selection'], spent['remembered']) == (7, 0)
    made = []
    real = EvaluationSet.predict
    monkeypatch.setattr(
        EvaluationSet, 'predict', lambda *args: made.append(1) or real(*args)
    )
    # More rounds, or another mean: no more passes over the images.
    cfg.soup = dict(rounds=9, average='logits')
    again = run(cfg)
    assert not made and again['evaluations']['remembered'] >= 6
    assert again['evaluations']['val'] <= 1
    # One that is gone is made anew.
    file = next((tmp_path / 'predictions' / 'val').glob('*.npz'))
    content = Predictions.read(file).scores
    file.unlink()
    run(cfg)
    assert made == [1] and np.array_equal(Predictions.read(file).scores, content)


def test_a_learned_soup_has_a_lower_loss_and_says_what_it_took(config, tmp_path):
    cfg = config(tmp_path / 'learned', 'LearnedSoupRunner', steps=8, temperature=True)
    report = run(cfg)
    details = report['tree']['details']
    assert details['loss'] < details['loss_of_equal'] and details['steps'] == 8
    assert details['temperature'] > 0
    spent = report['evaluations']
    # Two passes for each gradient, and one for the score.
    assert (spent['gradients'], spent['selection']) == (9, 19)
    assert spent['images']['val'] == 40 * spent['val']
    weights = [item['weight'] for item in report['ingredients']]
    assert sum(weights) == pytest.approx(1) and len(set(weights)) == 6
    written = (tmp_path / 'learned' / 'report.md').read_text()
    assert '9 gradients of the loss' in written and f'{weights[0]:.4f}' in written
    # Nothing is computed again, and nothing comes out otherwise.
    again = run(cfg)
    spent = again['evaluations']
    assert (spent['gradients'], spent['val'], spent['remembered']) == (0, 0, 19)
    assert again['tree'] == report['tree']


def test_the_loss_of_equal_shares_is_that_of_the_uniform_soup(config, tmp_path):
    cfg = config(tmp_path / 'learned', 'LearnedSoupRunner', steps=1)
    cfg.model.head.loss = dict(type='CrossEntropyLoss')
    report = run(cfg)
    everything = run(config(tmp_path / 'uniform', 'UniformSoupRunner'))
    expected = everything['val']['loss']
    assert report['tree']['details']['loss_of_equal'] == pytest.approx(expected)


class Stop(Exception):
    """In place of a command that was killed."""


@pytest.mark.parametrize('options', [{}, dict(by='tensor', folds=2)], ids=['', 'folds'])
def test_one_that_was_killed_goes_on_bit_for_bit(
    config, tmp_path, monkeypatch, options
):
    options = dict(steps=5, **options)
    unbroken = run(config(tmp_path / 'unbroken', 'LearnedSoupRunner', **options))
    left = [3]

    def killed(*args):
        left[0] -= 1
        if left[0] < 0:
            raise Stop
        return loss_gradient(*args)

    cfg = config(tmp_path / 'killed', 'LearnedSoupRunner', **options)
    with monkeypatch.context() as patch:
        patch.setattr(validation_losses, 'loss_gradient', killed)
        with pytest.raises(Stop):
            run(cfg)
    report = run(cfg)
    spent, all_spent = report['evaluations'], unbroken['evaluations']
    assert spent['gradients'] == all_spent['gradients'] - 3
    assert report['tree'] == unbroken['tree']
    files = [tmp_path / name / 'soup.pth' for name in ('unbroken', 'killed')]
    one, other = map(read_state_dict, files)
    assert all(torch.equal(one[key], other[key]) for key in one)
    if options.get('by') == 'tensor':
        assert report['tree']['merge']['type'] == 'by_tensor'
        assert [i['weight'] for i in report['ingredients']] == [None] * 6
        assert all((v > 0).all() for k, v in one.items() if 'running_var' in k)


def test_it_can_be_a_level(config, tmp_path):
    which = dict(type='ensemble_selection', rounds=4)
    top = dict(type='learned', steps=2)
    levels = [dict(soup=which, group_by='lr'), dict(soup=top)]
    report = run(config(tmp_path, 'HierarchicalSoupRunner', levels=levels))
    assert report['levels'] == [
        dict(soup='ensemble_selection', group_by='lr', options=dict(rounds=4)),
        dict(soup='learned', group_by=None, options=dict(steps=2)),
    ]
    assert read_json(tmp_path / 'report.json')['tree']['level'] == 2
    cfg = config(tmp_path, 'SoupTreeRunner')
    cfg.soup_tree = dict(splits=['val'])
    tree = RUNNERS.build(cfg).run()
    assert tree.root.value('accuracy') == pytest.approx(report['val']['accuracy'])


@pytest.mark.parametrize(
    ('runner', 'soup', 'says'),
    [
        ('EnsembleSelectionRunner', dict(rounds=-1), 'rounds=-1: expected a whole'),
        ('EnsembleSelectionRunner', dict(steps=1), "unknown key 'steps'"),
        ('LearnedSoupRunner', dict(by='layer'), "by='layer': expected one of"),
        ('LearnedSoupRunner', dict(merge='by_tensor'), "with merge='by_tensor'"),
        (
            'HierarchicalSoupRunner',
            dict(levels=[dict(soup=dict(type='greedy', rounds=1))]),
            "soup='greedy': no option 'rounds'",
        ),
    ],
)
def test_bad_options_are_said_at_once(config, tmp_path, runner, soup, says):
    with pytest.raises(ConfigError, match=says):
        RUNNERS.build(config(tmp_path / 'x', runner, **soup))
    assert not Path(tmp_path / 'x').exists()


def test_they_are_methods_of_a_comparison(config, tmp_path):
    cfg = config(tmp_path, 'ComparisonRunner')
    cfg.pools = dict(fgg=cfg.ingredients)
    cfg.methods = dict(
        best=dict(pool='fgg', runner_type='BestIngredientRunner'),
        pruned=dict(pool='fgg', runner_type='PrunedSoupRunner'),
        selected=dict(
            pool='fgg', runner_type='EnsembleSelectionRunner', soup=dict(rounds=9)
        ),
        learned=dict(pool='fgg', runner_type='LearnedSoupRunner', soup=dict(steps=2)),
    )
    cfg.baseline, cfg.bootstrap = 'best', dict(resamples=100)
    cfg.selection = dict(metric='loss', rule='less')
    found = RUNNERS.build(cfg).run()['methods']
    passes = {name: m['cost']['selection']['passes'] for name, m in found.items()}
    assert passes['learned'] == 2 * 3 + 1 and passes['selected'] >= 6
    weights = found['learned']['runs'][0]['ingredients']
    assert len(weights) == 6
