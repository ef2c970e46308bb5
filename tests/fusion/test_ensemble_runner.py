"""Ensembles in one file, through the real runner."""

from __future__ import annotations

import copy
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import RUNNERS, DefaultScope
from mmpretrain import ImageClassificationInferencer
from mmpretrain.apis import init_model
from sklearn.datasets import load_digits

from ff_mm.config import resolve
from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Decision
from ff_mm.evaluation.decisions.outputs import read_outputs
from ff_mm.evaluation.ensemble import logit_ensemble
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.prediction_store import PredictionStore
from ff_mm.files import read_json
from ff_mm.fusion.ensemble_file import config_of_file
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import read_state_dict
from ff_mm.merging.checkpoint_file import CheckpointFile

TEST = Path(__file__).parents[2] / 'tools' / 'test.py'
KINDS = {
    'all': dict(),
    'logits': dict(average='logits'),
    'selection': dict(members='selection', rounds=6),
    'groups': dict(levels=[dict(soup='uniform', group_by='lr')]),
}


@pytest.fixture(scope='module')
def config(small_pool):
    def make(work_dir, soup, **changes):
        cfg = copy.deepcopy(small_pool)
        cfg.pop('plan')
        cfg.runner_type, cfg.work_dir = 'EnsembleRunner', str(work_dir)
        cfg.ingredients = f'{small_pool.work_dir}/ingredients.json'
        cfg.soup = dict(soup)
        cfg.merge_from_dict({k.replace('__', '.'): v for k, v in changes.items()})
        return cfg

    return make


@pytest.fixture(scope='module')
def made(config, tmp_path_factory):
    """Kind -> (config, report)."""
    found = {}
    with FusionSession() as session:
        for kind, soup in KINDS.items():
            cfg = config(tmp_path_factory.mktemp(kind), soup)
            found[kind] = cfg, RUNNERS.build(cfg).run(session)
    return found


def members_of(cfg, report):
    """The weights of each member, made of the pool's files by hand."""
    manifest = read_json(cfg.ingredients)['ingredients']
    folder = Path(cfg.ingredients).parent
    files = {e['name']: folder / e['file'] for e in manifest}
    for member in report['ensemble']['members']:
        if member['name'] in files:
            yield read_state_dict(files[member['name']])
            continue
        lr = float(member['name'].removeprefix('lr='))
        each = [
            read_state_dict(files[e['name']])
            for e in manifest
            if e['hyper']['lr'] == lr
        ]
        yield {
            key: torch.stack([e[key].double() for e in each]).mean(0).to(value.dtype)
            for key, value in each[0].items()
        }


def predictions(cfg, states):
    """What models of a config say on each set."""
    evaluator = ModelEvaluator(cfg)
    try:
        store = PredictionStore(Path('nowhere'), evaluator, print)
        found = []
        for state in states:
            evaluator.load(state)
            found.append({name: store.predict(name) for name in evaluator.sets})
        return found
    finally:
        evaluator.close()


def of_file(cfg):
    file = f'{cfg.work_dir}/ensemble.pth'
    ensemble = config_of_file(resolve(cfg), CheckpointFile(file).meta)
    return predictions(ensemble, [read_state_dict(file)])[0]


@pytest.mark.parametrize('kind', KINDS)
def test_the_file_says_the_mean_of_its_members(made, kind):
    cfg, report = made[kind]
    each = predictions(cfg, members_of(cfg, report))
    weights = [member['weight'] for member in report['ensemble']['members']]
    assert len(each) == dict(all=6, logits=6, groups=2).get(kind, len(weights))
    assert sum(weights) == pytest.approx(1)
    for name, said in of_file(cfg).items():
        if kind == 'logits':
            expected = logit_ensemble([one[name] for one in each]).scores
        else:
            pairs = zip(weights, each, strict=True)
            expected = sum(weight * one[name].scores for weight, one in pairs)
        np.testing.assert_allclose(said.scores, expected, atol=1e-6)


@pytest.mark.parametrize('kind', KINDS)
def test_the_report_is_of_the_file_and_says_what_it_costs(made, kind):
    cfg, report = made[kind]
    number = len(report['ensemble']['members'])
    assert read_json(f'{cfg.work_dir}/report.json') == {'format': 1, **report}
    assert report['method'] == 'ensemble'
    assert report['tree']['score'] == report['val']['accuracy']
    assert sum(i['weight'] for i in report['ingredients']) == pytest.approx(1)
    text = Path(cfg.work_dir, 'report.md').read_text()
    assert f'{number} passes an image' in text and 'stock MMPretrain' in text
    said = of_file(cfg)['test']
    right = (said.scores.argmax(1) == said.truth).mean()
    assert report['test']['accuracy'] == pytest.approx(right)
    # A pass of the ensemble is one of each member. The best single model is evaluated
    # for the first one; all share a session.
    passes = number + (kind == 'all')
    assert report['evaluations']['test'] == passes
    assert report['evaluations']['images']['test'] == passes * len(said)


def test_selection_takes_what_ensemble_selection_takes(made, config, tmp_path):
    _, report = made['selection']
    soup = config(tmp_path, dict(rounds=6))
    soup.runner_type = 'EnsembleSelectionRunner'
    merged = RUNNERS.build(soup).run()
    assert report['ingredients'] == merged['ingredients']
    assert report['tree']['steps'] == merged['tree']['steps'][:-1]
    taken = [step['score'] for step in report['tree']['steps'] if step['accepted']]
    assert report['val']['accuracy'] == pytest.approx(taken[-1])


def test_what_an_interrupted_run_has_found_is_not_computed_again(
    made, config, monkeypatch
):
    cfg, first = made['groups']
    passes = []
    real = EvaluationSet.evaluate
    monkeypatch.setattr(
        EvaluationSet, 'evaluate', lambda *a: passes.append(1) or real(*a)
    )
    # What its session knew of the best single model stands in another folder.
    RUNNERS.build(copy.deepcopy(cfg)).run()
    assert len(passes) == 2
    passes.clear()
    again = RUNNERS.build(copy.deepcopy(cfg)).run()
    assert not passes and again['test'] == first['test']
    # Of other groups with the same shares it knows nothing yet.
    other = config(cfg.work_dir, dict(levels=[dict(soup='uniform', group_by='cycle')]))
    assert RUNNERS.build(other).run()['ensemble'] != first['ensemble'] and passes


@pytest.mark.parametrize('average', ['probabilities', 'logits'])
def test_a_decision_is_folded_into_the_file(made, config, tmp_path, average):
    plain_cfg, plain = made['all' if average == 'probabilities' else 'logits']
    prior = dict(type='prior', tau=0.5, frequencies=[10, 1, 3, 1, 20, 5, 1, 1, 40, 2])
    cfg = config(tmp_path, dict(average=average, decision=[prior]))
    report = RUNNERS.build(cfg).run()
    facts = report['decision']
    assert facts['before']['test'] == plain['test']
    decision = Decision(facts['scale'], tuple(facts['bias']))
    found = []
    for one in (plain_cfg, cfg):
        file = f'{one.work_dir}/ensemble.pth'
        ensemble = config_of_file(resolve(one), CheckpointFile(file).meta)
        evaluator = ModelEvaluator(ensemble)
        evaluator.load(read_state_dict(file))
        found.append(read_outputs(evaluator, 'test').logits)
        evaluator.close()
    np.testing.assert_allclose(found[1], decision.apply(found[0]), atol=1e-5)
    assert (found[1].argmax(1) != found[0].argmax(1)).any()


def test_batch_norm_of_every_member_is_re_estimated(made, config, tmp_path):
    cfg = config(tmp_path, dict(bn_reestimation=dict(num_samples=40)))
    report = RUNNERS.build(cfg).run()
    assert report['bn_reestimation']['num_samples'] == 40
    old = read_state_dict(f'{made["all"][0].work_dir}/ensemble.pth')
    new = read_state_dict(f'{tmp_path}/ensemble.pth')
    changed = {key for key in old if not torch.equal(old[key], new[key])}
    assert changed and all('running' in k or 'num_batches' in k for k in changed)
    assert {key.split('.')[2] for key in changed} == set('012345')


def test_mmpretrain_predicts_with_the_two_files_and_tools_test_too(made, monkeypatch):
    cfg, report = made['selection']
    deploy, file = f'{cfg.work_dir}/deploy.py', f'{cfg.work_dir}/ensemble.pth'
    assert 'stock MMPretrain has no ensembles' in Path(deploy).read_text()
    content = torch.load(file, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    model = init_model(deploy, file, device='cpu')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        digits = load_digits().images[:4]
        images = [np.stack([d * 15.9] * 3, -1).astype('uint8') for d in digits]
        found = ImageClassificationInferencer(deploy, pretrained=file)(images)
        again = ImageClassificationInferencer(model)(images)
    for one, two in zip(found, again, strict=True):
        assert one['pred_scores'].sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(one['pred_scores'], two['pred_scores'])
        assert one['pred_class'] in report_classes(content)
    config_file = Path(cfg.work_dir) / 'plain.py'
    cfg.dump(config_file)
    out = Path(cfg.work_dir) / 'out.json'
    monkeypatch.setattr(
        sys, 'argv', list(map(str, [TEST, config_file, file, '--out', out]))
    )
    runpy.run_path(str(TEST), run_name='__main__')
    assert read_json(out)['test'] == pytest.approx(report['test'])


def report_classes(content):
    return content['meta']['dataset_meta']['classes']


@pytest.mark.parametrize(
    ('soup', 'said'),
    [
        (dict(members='some'), 'soup.members'),
        (dict(average='votes'), 'average'),
        (dict(levels=[dict(group_by='lr')]), 'soup.levels'),
        (dict(rounds=0), 'rounds'),
        (dict(group_by='lr'), 'unknown key'),
    ],
)
def test_what_is_no_ensemble_is_refused_before_anything_is_read(config, soup, said):
    with pytest.raises(ConfigError, match=said):
        RUNNERS.build(config('nowhere', soup))
