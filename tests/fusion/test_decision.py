"""Soups with a decision in their head, through the real runners."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import RUNNERS
from mmpretrain.apis import init_model
from mmpretrain.models import LinearClsHead
from mmpretrain.registry import DATASETS, MODELS

from ff_mm.config import resolve
from ff_mm.datasets.digits import Digits
from ff_mm.errors import FFMMError
from ff_mm.evaluation.decisions.decision import Decision
from ff_mm.evaluation.decisions.outputs import read_outputs, training_frequencies
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.memo import MEMO
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import read_state_dict
from ff_mm.plain import MISSING


@MODELS.register_module()
class CosineHead(LinearClsHead):
    """The same weights, and logits that come about in another way."""

    def forward(self, feats):
        return self.fc(feats[-1]) / feats[-1].norm(dim=1, keepdim=True)


MASKED = dict(type='MaskedMultiLabelClsHead', num_classes=10, in_channels=8)
FREQUENCIES = [10.0, 1.0, 3.0, 1.0, 20.0, 5.0, 1.0, 1.0, 40.0, 2.0]
DECISION = [
    dict(type='temperature', accept=0),
    dict(type='prior', tau=0.5, frequencies=FREQUENCIES),
]


@DATASETS.register_module()
class LabelledDigits(Digits):
    """Every digit is a label, of which some are missing."""

    def load_data_list(self):
        infos = super().load_data_list()
        random = np.random.default_rng(0)
        for info in infos:
            scores = (np.arange(10) == info.pop('gt_label')).astype(np.float32)
            scores[random.random(10) < 0.1] = MISSING
            info['gt_score'] = scores
        return infos


@pytest.fixture(scope='module')
def config(small_pool):
    def make(work_dir, decision, runner='UniformSoupRunner', **changes):
        cfg = copy.deepcopy(small_pool)
        cfg.pop('plan')
        cfg.merge_from_dict(dict(runner_type=runner, work_dir=str(work_dir)))
        cfg.ingredients = f'{small_pool.work_dir}/ingredients.json'
        cfg.soup = dict(decision=decision) if decision is not None else dict()
        cfg.merge_from_dict({k.replace('__', '.'): v for k, v in changes.items()})
        return cfg

    return make


def run(cfg):
    return RUNNERS.build(cfg).run()


@pytest.fixture(scope='module')
def decided(config, tmp_path_factory):
    """Configs and reports without and with a decision, in one work directory."""
    tmp_path = tmp_path_factory.mktemp('decided')
    plain_cfg = config(tmp_path, None)
    plain = run(plain_cfg)
    weights = read_state_dict(f'{tmp_path}/soup.pth')
    cfg = config(tmp_path, DECISION)
    return cfg, run(cfg), plain, weights


def test_the_file_decides_by_itself(decided):
    cfg, report, plain, weights = decided
    tmp_path = cfg.work_dir
    facts = report['decision']
    assert facts['before'] == {key: plain[key] for key in ('val', 'test', 'ood')}
    assert report['test'] != plain['test']  # from the memo of the same work directory
    decision = Decision(facts['scale'], tuple(facts['bias']))
    new = read_state_dict(f'{tmp_path}/soup.pth')
    changed = {key for key in weights if not torch.equal(weights[key], new[key])}
    assert changed == {'head.fc.weight', 'head.fc.bias'}
    evaluator = ModelEvaluator(cfg)
    try:
        evaluator.load(weights)
        before = {name: read_outputs(evaluator, name) for name in evaluator.sets}
        evaluator.load(new)
        for name, outputs in before.items():
            after = read_outputs(evaluator, name)
            expected = outputs.decided(decision)
            np.testing.assert_allclose(
                after.logits, expected.logits, atol=1e-5, rtol=1e-5
            )
            if name == 'val':
                continue
            accuracy = facts['accuracy'][name]
            assert accuracy['before'] == pytest.approx(outputs.accuracy)
            assert accuracy['after'] == pytest.approx(expected.accuracy)
        assert evaluator.evaluate('val') == pytest.approx(facts['val_as_fitted'])
        assert evaluator.evaluate('test') == pytest.approx(report['test'])
    finally:
        evaluator.close()
    model = init_model(f'{tmp_path}/deploy.py', f'{tmp_path}/soup.pth', device='cpu')
    assert type(model).__module__.startswith('mmpretrain.')
    for key, value in model.state_dict().items():
        assert torch.equal(value, new[key]), key


def test_the_report_has_both_and_accuracy_beside(decided):
    cfg, report, plain, _ = decided
    tmp_path = Path(cfg.work_dir)
    assert read_json(tmp_path / 'report.json')['decision'] == report['decision']
    text = (tmp_path / 'report.md').read_text()
    assert 'prior correction, tau 0.5' in text and 'cross-fitted' in text
    assert '| set | accuracy before | accuracy after |' in text
    for metrics in (plain['test'], report['test']):
        assert f'{metrics["accuracy"]:.4f}' in text
    assert report['evaluations']['decision'] == 1


def test_neither_soup_is_taken_for_the_other(config, decided):
    """Both are of one work directory, and so of one memo."""
    cfg, report, plain, weights = decided
    folder = Path(cfg.work_dir)
    memo = (folder / MEMO).read_text()
    again = run(config(folder, None))
    assert again['evaluations']['test'] == 0  # it is remembered
    for key in ('val', 'test', 'ood'):
        assert again[key] == plain[key] != report[key]
    assert (folder / MEMO).read_text() == memo
    new = read_state_dict(folder / 'soup.pth')
    assert all(torch.equal(new[key], value) for key, value in weights.items())
    with_decision = run(cfg)
    for key in ('val', 'test', 'ood', 'decision'):
        assert with_decision[key] == report[key]


def test_a_fitted_tau_goes_by_what_selects(config, tmp_path, capsys):
    cfg = config(tmp_path, 'prior', 'GreedySoupRunner')
    report = run(cfg)
    (step,) = report['decision']['steps']
    assert step['fitted'] and step['frequencies'] == pytest.approx(
        training_frequencies(resolve(cfg).train_dataloader.dataset, False, 10)
    )
    assert sum(step['frequencies']) == pytest.approx(1)
    line = next(x for x in capsys.readouterr().out.splitlines() if 'decision:' in x)
    assert 'prior correction' in line
    # A tau of 0 is among those that are tried.
    facts = report['decision']
    before = facts['before']['val']['accuracy']
    assert facts['val_as_fitted']['accuracy'] >= before


def test_a_decision_does_not_reach_the_next_soup_of_a_session(
    config, decided, tmp_path
):
    _, _, plain, weights = decided
    with FusionSession() as session:
        for name, decision in (('a', DECISION), ('b', None)):
            cfg = config(tmp_path / name, decision)
            report = RUNNERS.build(cfg).run(session)
    assert report['decision'] is None
    assert report['test'] == pytest.approx(plain['test'])
    new = read_state_dict(tmp_path / 'b' / 'soup.pth')
    assert all(torch.equal(new[key], value) for key, value in weights.items())


def test_labels_get_thresholds_and_missing_ones_do_not_count(config, tmp_path):
    """No accuracy is among the metrics; it stands beside them nevertheless."""
    cfg = config(
        tmp_path,
        ['prior', 'thresholds'],
        model__head=dict(MASKED, _delete_=True),
        val_evaluator=[dict(type='MultilabelMetric', items=['macro_f1'])],
        selection=dict(metric='macro_f1', rule='greater'),
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.type = 'LabelledDigits'
    cfg.ood_dataloaders = None
    report = run(cfg)
    facts = report['decision']
    prior, thresholds = facts['steps']
    assert all(0.01 < frequency < 0.4 for frequency in prior['frequencies'])
    assert len(thresholds['thresholds']) == 10
    before = facts['before']
    assert facts['val_as_fitted']['macro_f1'] > before['val']['macro_f1']
    assert report['val']['macro_f1'] < facts['val_as_fitted']['macro_f1']
    assert set(report['test']) == {'macro_f1'}
    evaluator = ModelEvaluator(cfg)
    try:
        evaluator.load(read_state_dict(tmp_path / 'soup.pth'))
        outputs = read_outputs(evaluator, 'test')
    finally:
        evaluator.close()
    assert (outputs.truth == MISSING).any()
    assert facts['accuracy']['test']['after'] == pytest.approx(outputs.accuracy)


@pytest.mark.parametrize(
    ('decision', 'changes', 'message'),
    [
        ('softmax', {}, r"soup\.decision='softmax': expected one of"),
        (dict(type='prior', t=1), {}, "prior: unknown key 't'"),
        ('thresholds', {}, "take 'prior'"),
        (dict(type='prior', frequencies=[1, 2]), {}, 'has 2 values, the head gives 10'),
        ('prior', dict(train_dataloader=None), r'frequencies=\[\.\.\.\]'),
        (
            'temperature',
            dict(model__head=dict(type='CosineHead')),
            'nothing can be folded into the head CosineHead',
        ),
    ],
)
def test_what_cannot_be_is_one_line_before_any_pass(
    config, tmp_path, monkeypatch, decision, changes, message
):
    def no_pass(*args, **kwargs):
        raise AssertionError('a pass')

    monkeypatch.setattr(EvaluationSet, 'evaluate', no_pass)
    with pytest.raises(FFMMError, match=message) as error:
        run(config(tmp_path, decision, **changes))
    assert '\n' not in str(error.value)
