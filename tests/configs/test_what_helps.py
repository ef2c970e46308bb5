"""The study of docs/experiments/what_helps: the same rules in every setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.registry import RUNNERS

from ff_mm.comparison.method import read_methods, read_pools
from ff_mm.config import load_config, resolve

STUDY = Path(__file__).parents[2] / 'docs/experiments/what_helps'
SETTINGS = sorted(path.parent.name for path in STUDY.glob('*/compare.py'))


@pytest.fixture(params=SETTINGS)
def setting(request):
    return request.param


def compare(setting, options=None):
    return load_config(STUDY / setting / 'compare.py', options)


def test_there_are_five_of_three_seeds(setting):
    assert len(SETTINGS) == 5
    for pool, files in compare(setting).pools.items():
        folder = f'work_dirs/{setting}/{pool}'
        assert files == [f'{folder}_seed{n}/ingredients.json' for n in range(3)]


@pytest.mark.parametrize('metric', ['accuracy', 'macro_recall'])
def test_every_rule_can_be_carried_out(metric):
    """Building checks the options of every method, which all settings share."""
    setting = dict(accuracy='digits', macro_recall='ham10000')[metric]
    runner = RUNNERS.build(compare(setting))
    assert runner.cfg.selection.metric == metric
    assert runner.left_out == []


def test_students_are_left_out_where_there_are_none(setting):
    none = {'pools.distilled': None, 'pools.labels_only': None}
    cfg = compare(setting, none).to_dict()
    pools = read_pools(cfg['pools'])
    methods = cfg['methods']
    kept = {method.name for method in read_methods(methods, pools)}
    assert set(methods) - kept == {'student', 'student_prior', 'labels_only'}


def test_the_soft_score_is_that_of_the_metric_and_is_evaluated(setting):
    cfg = resolve(compare(setting))
    soft = f'soft_{cfg.selection.metric}'
    for name in ('best_soft', 'greedy_soft', 'runs_bn_soft'):
        assert cfg.methods[name].selection == dict(metric=soft, rule='greater')
    evaluated = {each['type']: each.get('items', []) for each in cfg.val_evaluator}
    assert soft in evaluated['MulticlassMetric']
    assert cfg.test_evaluator == cfg.val_evaluator


def test_models_are_compared_by_what_they_were_trained_with(setting):
    """Else all of them would be evaluated anew."""
    trained = resolve(load_config(STUDY / setting / 'fgg.py'))
    cfg = resolve(compare(setting))
    for key in ('model', 'selection', 'val_evaluator'):
        assert cfg[key] == trained[key]
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert cfg[key].dataset == trained[key].dataset


def test_its_pool_becomes_one_model():
    runner = RUNNERS.build(load_config(STUDY / 'ham10000/fuse.py', dict(budget=5)))
    assert [method.name for method in runner.methods] == [
        'best',
        'soft',
        'bou',
        'greedy',
    ]
    student = runner.cfg.plan.student
    # As in the study: a decision follows.
    assert (student.monitor, student.rule) == ('loss', 'less')
    alone = load_config(STUDY / 'ham10000/fuse.py', dict(budget=5, decision=None))
    student = RUNNERS.build(alone).cfg.plan.student
    assert (student.monitor, student.rule) == ('macro_recall', 'greater')
