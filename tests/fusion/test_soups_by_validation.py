"""Soups that ask validation for more than scores, through the real runners."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.registry import RUNNERS, DefaultScope

from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.metrics.offline import data_sample
from ff_mm.evaluation.predictions import Predictions
from ff_mm.files import read_json


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


def test_it_can_be_a_level(config, tmp_path):
    which = dict(type='ensemble_selection', rounds=4)
    levels = [dict(soup=which, group_by='lr'), dict(soup='pruned')]
    report = run(config(tmp_path, 'HierarchicalSoupRunner', levels=levels))
    assert report['levels'] == [
        dict(soup='ensemble_selection', group_by='lr', options=dict(rounds=4)),
        dict(soup='pruned', group_by=None),
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
