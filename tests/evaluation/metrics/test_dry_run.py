from __future__ import annotations

import numpy as np
import pytest
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmpretrain.registry import METRICS

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.metrics import dry_run as dry_runs
from ff_mm.evaluation.metrics.dry_run import CASES_AT_MOST, DryRun
from ff_mm.plain import plain_metrics
from ff_mm.tasks import Classification, Task

SINGLE = [
    dict(type='MulticlassMetric', confusion_matrix=True),
    dict(type='AUROC'),
    dict(type='CalibrationMetric'),
    dict(type='ValidationLoss'),
]


def dry_run(evaluator, data, outputs):
    """Of a model with so many outputs."""
    model = dict(head=dict(num_classes=outputs))
    return dry_runs.dry_run(evaluator, data, Classification(), model)


class Labels:
    """A data set of which nothing but the labels can be had."""

    def __init__(self, truths, classes=('a', 'b', 'c'), key='gt_label'):
        self.truths, self.key = truths, key
        self.metainfo = dict(classes=classes)

    def __len__(self):
        return len(self.truths)

    def get_data_info(self, index):
        return {self.key: self.truths[index]}


def several(truths, classes=('a', 'b')):
    return Labels([np.array(truth) for truth in truths], classes, 'gt_score')


@METRICS.register_module()
class NeedsMore(BaseMetric):
    """A metric of others, of what no made-up model gives."""

    def process(self, data_batch, data_samples):
        self.results.extend(sample['uncertainty'] for sample in data_samples)

    def compute_metrics(self, results):
        return {}


def test_the_names_are_those_that_a_model_gets():
    found = dry_run(SINGLE, Labels([0, 1, 2] * 10), 3)
    assert set(found.perfect) == set(found.chance)
    assert set(found.perfect) == {
        *('accuracy', 'macro_recall', 'macro_f1', 'confusion_matrix'),
        *('auroc', 'auroc_left_out', 'brier', 'ece', 'loss'),
    }
    assert found.perfect['accuracy'] == found.perfect['auroc'] == 1
    assert found.perfect['loss'] == pytest.approx(0, abs=1e-6)
    assert found.chance['accuracy'] < 0.8


def test_prefixes_and_the_forms_of_an_evaluator():
    metric = dict(type='AUROC', prefix='chest')
    data = several([[1, 0], [0, 1], [-1, 1]])
    forms = [metric, [metric], dict(type='Evaluator', metrics=[metric])]
    for form in forms:
        assert dry_run(form, data, 2).perfect['chest/auroc'] == 1


@pytest.mark.parametrize(
    ('metric', 'rule'),
    [
        *(('accuracy', 'greater'), ('macro_f1', 'greater'), ('auroc', 'greater')),
        *(('loss', 'less'), ('brier', 'less'), ('ece', 'less')),
    ],
)
def test_the_rule_must_prefer_the_better(metric, rule):
    found = dry_run(SINGLE, Labels([0, 1, 2] * 10), 3)
    found.check(metric, rule, 'monitor')
    wrong = 'less' if rule == 'greater' else 'greater'
    with pytest.raises(ConfigError, match=f"worst for the best.*set rule='{rule}'"):
        found.check(metric, wrong, 'monitor')


@pytest.mark.parametrize(
    ('metric', 'rule', 'message'),
    [
        (
            'macro_recal',
            'greater',
            r"is not.*did you mean 'macro_recall'",
        ),
        ('confusion_matrix', 'greater', 'is no number'),
        ('loss', 'min', "rule='min': expected 'greater' or 'less'"),
        (None, 'less', 'monitor=None is not among'),
    ],
)
def test_what_cannot_be_monitored(metric, rule, message):
    with pytest.raises(ConfigError, match=message):
        dry_run(SINGLE, Labels([0, 1, 2]), 3).check(metric, rule, 'monitor')


def test_a_metric_that_the_labels_leave_undefined():
    found = dry_run([dict(type='AUROC')], several([[1, 0], [1, 0], [-1, 0]]), 2)
    with pytest.raises(ConfigError, match='is NaN on the validation set'):
        found.check('auroc', 'greater', 'selection.metric')


def test_a_tie_says_nothing():
    DryRun(dict(x=0.5), dict(x=0.5)).check('x', 'less', 'monitor')


def test_of_many_cases_a_part_is_shown_and_nothing_is_called_undefined():
    # The only case with the label is one that is not shown.
    truths = [[0]] * (2 * CASES_AT_MOST)
    truths[1] = [1]
    found = dry_run([dict(type='AUROC')], several(truths, ('a',)), 1)
    assert not found.of_all
    found.check('auroc', 'greater', 'monitor')


def test_nothing_is_said_about_made_up_predictions(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    dry_run([dict(type='AUROC')], several([[1, 1], [1, 1]]), 2)
    assert not caplog.records
    logger.warning('and is heard again')
    logger.removeHandler(caplog.handler)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ('metric', 'message'),
    [
        (dict(type='MulticlassMetrics'), 'val_evaluator.*MulticlassMetrics is not in'),
        (dict(type='MulticlassMetric', items=['f1']), 'items must be some of'),
        (dict(type='MulticlassMetric', item=['f1']), "unexpected keyword.*'item'"),
    ],
)
def test_a_metric_that_cannot_be_built(metric, message):
    with pytest.raises(ConfigError, match=message):
        dry_run(metric, Labels([0, 1]), 3)


def test_metrics_of_the_other_kind_of_labels():
    with pytest.raises(FFMMError, match='MultilabelMetric'):
        dry_run(dict(type='MulticlassMetric'), several([[1, 0]]), 2)
    with pytest.raises(FFMMError, match='MulticlassMetric'):
        dry_run(dict(type='MultilabelMetric'), Labels([0, 1]), 3)


@pytest.mark.parametrize(
    ('evaluator', 'data', 'number'),
    [
        (dict(type='NeedsMore'), Labels([0, 1]), 3),
        (SINGLE, Labels([0, 1], classes=None), None),
        (SINGLE, Labels([[0, 1], [1]]), 3),
        (SINGLE, Labels([0, 7]), 3),
        (SINGLE, Labels([0], key='something'), 3),
    ],
    ids=['metric', 'classes', 'lists', 'beyond', 'no labels'],
)
def test_what_only_a_model_can_tell_is_left_to_it(evaluator, data, number):
    assert dry_run(evaluator, data, number) is None


def test_results_that_are_dumped_are_left_alone(tmp_path):
    file = tmp_path / 'results.pkl'
    dump = dict(type='mmengine.DumpResults', out_file_path=str(file))
    assert dry_run([*SINGLE, dump], Labels([0, 1, 2]), 3).perfect['accuracy'] == 1
    assert not file.exists()


def test_soft_scores_are_found_and_have_their_rules():
    classes = [
        dict(type='MulticlassMetric', items=['soft_macro_recall', 'soft_kappa']),
        dict(type='ValidationLoss', items=['class_balanced_loss']),
    ]
    found = dry_run(classes, Labels([0, 1, 2] * 10), 3)
    assert found.rule('soft_macro_recall') == found.rule('soft_kappa') == 'greater'
    assert found.rule('class_balanced_loss') == 'less'
    assert not found.has_such({'soft_macro_recall': 0.5, 'accuracy': 0.5})
    labels = dict(type='MultilabelMetric', items=['soft_macro_f1'])
    found = dry_run(labels, several([[1, 0], [0, -1], [1, 1]]), 2)
    assert found.rule('soft_macro_f1') == 'greater'


def test_which_values_of_a_metric_are_better():
    found = DryRun(
        chance=dict(accuracy=0.1, loss=3.0, table=[1, 2]),
        perfect=dict(accuracy=1.0, loss=0.0, table=[2, 1]),
    )
    assert found.rule('accuracy') == 'greater'
    assert found.rule('loss') == 'less'
    with pytest.raises(ConfigError, match=r"metrics='acuracy'.*did you mean"):
        found.rule('acuracy')
    with pytest.raises(ConfigError, match='no number'):
        found.rule('table')


@pytest.mark.parametrize(
    ('change', 'such'),
    [
        ({}, True),
        (dict(auroc=None, more='x'), True),
        (dict(accuracy=[1, 2]), False),
        (dict(confusion_matrix=1.0), False),
        (dict(confusion_matrix=[[1], [2, 3]]), False),
        (dict(confusion_matrix=[[1, 2], [3, 4]]), False),
    ],
)
def test_recorded_metrics_are_such_as_a_model_gives(change, such):
    found = dry_run(SINGLE, Labels([0, 1, 2] * 10), 3)
    recorded = plain_metrics(found.chance)
    assert found.has_such(recorded | change) == such
    recorded.pop('loss')
    assert not found.has_such(recorded)


def test_of_a_task_that_knows_no_predictions_nothing_is_known_beforehand():
    assert dry_runs.dry_run(SINGLE, Labels([0, 1, 2]), Task(), {}) is None
