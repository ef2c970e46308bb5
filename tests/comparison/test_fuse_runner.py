"""From a pool to one file, through the real runners."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmpretrain.apis import init_model

from ff_mm.comparison.fuse.findings import closing
from ff_mm.comparison.fuse.nested import choose_nested
from ff_mm.datasets import DatasetError, Digits
from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Outputs
from ff_mm.evaluation.decisions.folds import folds
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.predictions import Predictions
from ff_mm.files import read_json, sha256
from ff_mm.merging import read_state_dict

FUSIONS = dict(
    best=dict(title='best single', runner_type='BestIngredientRunner'),
    soft=dict(
        title='soft', runner_type='BestIngredientRunner', selection=dict(metric='soft')
    ),
    bou=dict(title='BoU', runner_type='BoUSoupRunner'),
    both=dict(title='all in a file', runner_type='EnsembleRunner'),
    gone=None,
)
PRIOR = [dict(type='prior', frequencies=[10, 1, 3, 1, 20, 5, 1, 1, 40, 2])]


@pytest.fixture(scope='module')
def config(small_pool):
    def make(work_dir, **changes):
        cfg = copy.deepcopy(small_pool)
        cfg.pop('plan')
        cfg.merge_from_dict(
            dict(
                runner_type='FuseRunner',
                work_dir=str(work_dir),
                pool=f'{small_pool.work_dir}/ingredients.json',
                fusions=copy.deepcopy(FUSIONS),
                baseline='best',
                bootstrap=dict(resamples=100),
            )
        )
        cfg.merge_from_dict({k.replace('__', '.'): v for k, v in changes.items()})
        return cfg

    return make


def run(cfg):
    return RUNNERS.build(copy.deepcopy(cfg)).run()


@pytest.fixture(scope='module')
def fused(config, tmp_path_factory):
    cfg = config(tmp_path_factory.mktemp('fused'))
    return cfg, run(cfg)


def test_the_file_is_that_of_the_best_on_validation_and_says_what_is_reported(fused):
    cfg, found = fused
    assert list(found['fusions']) == ['best', 'soft', 'bou', 'both']
    val = found['sets']['val']['results']
    # What needs several models is judged, and not chosen.
    single = [name for name, f in found['fusions'].items() if f['models'] == 1]
    assert single == ['best', 'soft', 'bou'] and found['chosen'] in single
    assert val[found['chosen']]['value'] == max(val[name]['value'] for name in single)
    file = f'{cfg.work_dir}/fused.pth'
    assert sha256(file) == sha256(found['fusions'][found['chosen']]['file'])
    assert set(found['sets']) == {'val', 'test', 'ood/corrupted'}
    evaluator = ModelEvaluator(cfg)
    evaluator.load(read_state_dict(file))
    for name, of_set in found['sets'].items():
        value = of_set['results'][found['chosen']]['value']
        assert value == pytest.approx(evaluator.evaluate(name)['accuracy'])
        assert of_set['results']['best']['difference'] is None
        assert 'ensemble' in of_set['results']
    evaluator.close()
    init_model(f'{cfg.work_dir}/deploy.py', file, device='cpu')
    assert read_json(f'{cfg.work_dir}/report.json') == found
    text = Path(cfg.work_dir, 'report.md').read_text()
    assert 'Deploy ' in text and 'expected of the chosen one' in text


def test_a_second_run_makes_nothing_anew(fused, no_passes):
    cfg, found = fused
    before = Path(cfg.work_dir, 'fused.pth').stat().st_mtime_ns
    assert run(cfg) == found
    assert Path(cfg.work_dir, 'fused.pth').stat().st_mtime_ns == before


def test_what_is_chosen_does_not_look_at_the_test_set(fused, config, monkeypatch):
    cfg, found = fused
    seen = []
    build = EvaluationSet.__init__

    def watch(self, name, *args, **kwargs):
        seen.append((name, len(list(Path(other.work_dir).glob('*/run0/made.json')))))
        build(self, name, *args, **kwargs)

    monkeypatch.setattr(EvaluationSet, '__init__', watch)
    other = config(Path(cfg.work_dir).with_name('other'), ensemble=False)
    other.ood_dataloaders = dict()
    other.test_evaluator = [dict(type='MulticlassMetric', items=['kappa'])]
    again = run(other)
    assert {made for name, made in seen if name == 'test'} == {4}
    assert again['chosen'] == found['chosen'] and again['by_fold'] == found['by_fold']
    # The test set lacks the metric, so that validation has the last word.
    assert set(again['sets']) == {'val'}
    assert 'ensemble' not in again['sets']['val']['results']


def test_a_decision_goes_into_every_fusion_and_is_judged_cross_fitted(config, tmp_path):
    fusions = {name: None for name in ('soft', 'both')}
    cfg = config(tmp_path, decision=PRIOR, ensemble=False, fusions=fusions)
    found = run(cfg)
    for name in ('best', 'bou'):
        report = read_json(tmp_path / name / 'run0' / 'report.json')
        assert 'prior' in found['fusions'][name]['decision']
        value = found['sets']['val']['results'][name]['value']
        assert value == pytest.approx(report['val']['accuracy'])


def test_with_a_decision_all_are_compared_with_the_best_single_as_trained(
    fused, config, tmp_path
):
    """Else the decision could not be seen to help, or to cost anything."""
    fusions = {name: None for name in ('soft', 'bou', 'both')}
    decision = [dict(PRIOR[0], tau=1.0)]
    found = run(config(tmp_path, decision=decision, ensemble=False, fusions=fusions))
    assert found['baseline'] == 'plain'
    assert found['fusions']['best']['title'] == 'best single + prior'
    for split in ('val', 'test', 'ood/corrupted'):
        as_trained = fused[1]['sets'][split]
        of_set = found['sets'][split]
        plain, decided = (of_set['results'][name] for name in ('plain', 'best'))
        assert plain['value'] == as_trained['results']['best']['value']
        assert plain['value'] != decided['value'] and plain['difference'] is None
        gained = decided['value'] - plain['value']
        assert decided['difference']['value'] == pytest.approx(gained)
        # Undone in the numbers that the file has said.
        expected = as_trained['beside']['best']
        assert of_set['beside']['plain'] == pytest.approx(expected, abs=1e-5)
    assert 'as it was trained' in found['closing']
    plain, decided = (found['sets']['val']['results'][n] for n in ('plain', 'best'))
    said = f'accuracy from {plain["value"]:.4f} to {decided["value"]:.4f}'
    assert said in found['text'][-1]
    helps = decided['value'] > plain['value']
    assert ('does not say that it helps' in found['text'][-1]) is not helps
    text = (tmp_path / 'report.md').read_text()
    loss = found['sets']['test']['beside']['plain']['loss']
    assert '| set | model | loss |\n' in text and f'| {loss:.3f} |' in text


def test_the_pool_is_distilled_in_the_epochs_that_there_are(config, tmp_path):
    student = dict(monitor='fitting', rule=None)
    plan = dict(type='DistillationPlan', lrs=[1e-2, 1e-3], seeds=[0], student=student)
    fusions = {name: None for name in ('soft', 'both', 'bou')}
    cfg = config(tmp_path, budget=5, ensemble=False, fusions=fusions, plan=plan)
    found = run(cfg)
    assert list(found['fusions']) == ['best', 'distilled']
    folder = tmp_path / 'distilled' / 'from_best_2_epochs_by_accuracy'
    students = [
        t
        for t in read_json(folder / 'ledger.json')['trials']
        if t['stage'] == 'student'
    ]
    assert [trial['planned_epochs'] for trial in students] == [2, 2]
    # Without a decision the best epoch is that with the best value of what selects.
    (trained,) = (folder / 'trials' / students[0]['id']).glob('*.py')
    hooks = Config.fromfile(trained).custom_hooks
    (kept,) = (h for h in hooks if h['type'] == 'BestCheckpointHook')
    assert (kept['monitor'], kept['rule']) == ('accuracy', 'greater')
    # Other epochs are another training, not a conflict with the first.
    cfg.budget = 2
    assert run(cfg)['budget'] == 2
    again = folder.with_name('from_best_1_epochs_by_accuracy')
    assert (again / 'ledger.json').is_file()


def test_students_start_without_the_decision_that_they_get_afterwards(config, tmp_path):
    student = dict(monitor='fitting', rule=None)
    plan = dict(type='DistillationPlan', lrs=[1e-3], seeds=[0], student=student)
    fusions = {name: None for name in ('soft', 'both', 'bou')}
    decision = [dict(PRIOR[0], tau=1.0)]
    options = dict(budget=1, decision=decision, fusions=fusions, plan=plan)
    found = run(config(tmp_path, ensemble=False, **options))
    assert list(found['fusions']) == ['best', 'distilled']
    plain = read_state_dict(tmp_path / 'best_undecided' / 'run0' / 'soup.pth')
    decided = read_state_dict(tmp_path / 'best' / 'run0' / 'soup.pth')
    assert (plain['head.fc.bias'] != decided['head.fc.bias']).any()
    start = tmp_path / 'distilled' / 'from_best_1_epochs' / 'trials/teacher/best.pth'
    assert (read_state_dict(start)['head.fc.bias'] == plain['head.fc.bias']).all()


def test_images_without_labels_that_are_evaluated_are_refused_first(config, tmp_path):
    """Training itself is shown no test set to compare them with."""
    image = Digits(split='test').get_data_info(5)['img']
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images' / 'new.png'), image)
    plan = dict(type='DistillationPlan', unlabelled=str(tmp_path / 'images'))
    with pytest.raises(DatasetError) as caught:
        run(config(tmp_path / 'out', budget=1, plan=plan))
    assert 'images of test with the content of an unlabelled' in str(caught.value)
    assert not list((tmp_path / 'out').glob('best*'))


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(budget=-1), 'budget=-1'),
        (dict(budget=3), 'plan.type'),
        (dict(budget=1, plan=dict(type='DistillationPlan', seeds=[0, 1])), 'seeds'),
        (dict(budget=1, train_dataloader=None), 'train_dataloader'),
        (dict(budget=1, plan=dict(type='DistillationPlan', share=2)), 'plan.share=2'),
        (dict(baseline='nosuch'), 'baseline'),
        (dict(fusions=dict(ensemble=FUSIONS['best'])), 'the name is taken'),
        (dict(fusions=dict(x=dict(title='x'))), 'fusions.x'),
        (dict(fusions=dict(x=dict(runner_type='QuietRunner'))), 'fusions.x'),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(config, changes, said):
    with pytest.raises(ConfigError, match=said):
        RUNNERS.build(config('nowhere', **changes))


def predictions(right, groups=None):
    """Two classes; a number a case: the probability of its true class."""
    right = np.array(right)
    truth = np.arange(len(right)) % 2
    scores = np.where(
        truth[:, None] == np.arange(2), right[:, None], 1 - right[:, None]
    )
    return Predictions(scores, truth, tuple(map(str, range(len(right)))), groups)


def test_what_is_expected_of_the_chosen_one_is_judged_where_it_was_not_chosen():
    """Of models that guess the best looks good, and the nested estimate says chance."""
    random = np.random.default_rng(0)
    groups = np.arange(60) // 2
    said = {
        str(n): predictions((random.random(60) < 0.5) * 0.8 + 0.1, groups)
        for n in range(40)
    }
    metrics = PredictionMetrics([dict(type='MulticlassMetric')], dict(classes='ab'))
    nested = choose_nested(said, metrics, 'accuracy', 'greater')

    def accuracy(of):
        return (of.scores.argmax(1) == of.truth).mean()

    best = max(map(accuracy, said.values()))
    assert accuracy(said[nested.chosen]) == best > 0.62
    assert accuracy(nested.expected) < best - 0.05
    # By hand: each fold by the others, whole groups together.
    first = said['0']
    parts = list(folds(Outputs(first.scores, first.truth, groups)))
    for name, part in zip(nested.by_fold, parts, strict=True):
        assert not set(groups[part]) & set(groups[~part])
        others = {
            n: (of.scores.argmax(1) == of.truth)[~part].mean() for n, of in said.items()
        }
        assert others[name] == max(others.values())
        np.testing.assert_array_equal(
            nested.expected.scores[part], said[name].scores[part]
        )


def test_of_equal_ones_the_first_is_chosen():
    one = predictions([0.9] * 10)
    metrics = PredictionMetrics([dict(type='MulticlassMetric')], dict(classes='ab'))
    said = dict(plain=one, clever=one)
    assert choose_nested(said, metrics, 'accuracy', 'greater').chosen == 'plain'


@pytest.mark.parametrize(
    ('p', 'value', 'rule', 'said'),
    [
        (0.4, 0.01, 'greater', 'cannot be told apart'),
        (None, None, 'greater', 'cannot be told apart'),
        (0.01, 0.05, 'greater', 'it is better than'),
        (0.01, -0.05, 'greater', 'it is worse than'),
        (0.01, -0.05, 'less', 'it is better than'),
    ],
)
def test_the_last_sentence_says_whether_it_is_better_than_the_best_single(
    p, value, rule, said
):
    difference = dict(value=value, low=value, high=value, p=p)
    of_set = dict(
        cases=300,
        groups=120,
        results=dict(
            best=dict(value=0.8, low=0.7, high=0.9, difference=None),
            bou=dict(value=0.8 + (value or 0), difference=difference),
        ),
    )
    found = dict(
        chosen='bou',
        baseline='best',
        metric='macro_recall',
        rule=rule,
        pool_size=4,
        fusions=dict(bou=dict(title='BoU'), best=dict(title='best single')),
        sets=dict(val=of_set, test=of_set),
    )
    sentence = closing(found, 'fused.pth')
    assert said in sentence and 'on test (300 cases of 120' in sentence
    assert 'no fusion did better' in closing(dict(found, chosen='best'), 'fused.pth')
