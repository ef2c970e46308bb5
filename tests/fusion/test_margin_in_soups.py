"""A margin in the soups of a config."""

from __future__ import annotations

import pytest
from mmengine.registry import RUNNERS

from ff_mm.comparison.method import selection_cost
from ff_mm.errors import ConfigError


def run(cfg):
    return RUNNERS.build(cfg).run()


def by_loss(analysis_config, runner='GreedySoupRunner', **soup):
    cfg = analysis_config(runner, soup=soup)
    cfg.selection = dict(metric='loss', rule='less')
    return cfg


def judged(report):
    return [s for s in report['tree']['steps'] if 'agreement' in s]


def test_steps_are_refused_counted_and_paid_for(analysis_config, folder):
    cfg = by_loss(analysis_config, accept=1.0)
    report = run(cfg)
    steps = judged(report)
    refused = [s for s in steps if not s['accepted']]
    assert steps and report['margin'] == dict(asked=len(steps), refused=len(refused))
    assert all(s['accepted'] == (s['agreement'] == 1) for s in steps)
    text = (folder / 'report.md').read_text(encoding='utf-8')
    assert f'Of {len(steps)} steps that scored better the margin refused' in text
    # Scores of five candidates, and predictions: of the best one, and of each asked.
    assert report['evaluations']['selection'] == 5 + 1 + len(steps)
    again = run(cfg)
    assert again['tree'] == report['tree'] and again['evaluations']['val'] == 0
    assert selection_cost(again)['passes'] == selection_cost(report)['passes']


@pytest.mark.parametrize(
    'runner', ['GoGSoupRunner', 'GoUSoupRunner', 'PrunedSoupRunner']
)
def test_any_that_is_always_better_enough_changes_nothing(
    analysis_config, runner, folder
):
    usual = run(by_loss(analysis_config, runner))
    assert 'margin' not in usual
    report = run(by_loss(analysis_config, runner, accept=0.001))
    assert report['ingredients'] == usual['ingredients']
    assert report['margin']['refused'] == 0


@pytest.mark.parametrize(
    ('runner', 'accept', 'metric', 'message'),
    [
        ('GreedySoupRunner', 2, 'loss', 'accept=2: expected a part of resamples'),
        ('BoUSoupRunner', 0.9, 'loss', "unknown key 'accept' for BoUSoupRunner"),
        ('UniformSoupRunner', 0.9, 'loss', "unknown key 'accept'"),
        (
            'GoGSoupRunner',
            0.9,
            'recall/three',
            r"'recall/three' cannot be resampled.*'loss'",
        ),
    ],
)
def test_margins_that_cannot_be(analysis_config, runner, accept, metric, message):
    cfg = analysis_config(runner, soup=dict(accept=accept))
    rule = 'less' if metric == 'loss' else 'greater'
    cfg.selection = dict(metric=metric, rule=rule)
    cfg.val_evaluator = [
        *(e for e in cfg.val_evaluator if e['type'] != 'MulticlassMetric'),
        dict(type='MulticlassMetric', items=['macro_recall'], per_class=['recall']),
    ]
    with pytest.raises(ConfigError, match=message):
        run(cfg)
