"""What CONTRIBUTING.md says, done: a made-up merge, score, data set and plan in use."""

from __future__ import annotations

import copy
import csv
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import RUNNERS, TASK_UTILS
from mmpretrain.registry import DATASETS
from sklearn.metrics import matthews_corrcoef

from ff_mm.datasets import Case, SplitDataset
from ff_mm.evaluation.metrics import multiclass
from ff_mm.evaluation.metrics.base import Claim
from ff_mm.evaluation.metrics.counts import quotient
from ff_mm.evaluation.predictions import Predictions
from ff_mm.evaluation.resampling import Resampling
from ff_mm.files import read_json
from ff_mm.fission import Plan, Trial
from ff_mm.fission.plans.plan import common_overrides
from ff_mm.merging import read_state_dict
from ff_mm.merging.methods import METHODS, Method
from ff_mm.merging.state_dict import copy_weights

# -- A merge: ff_mm/merging/methods/midrange.py, a line in METHODS.


def midrange(members, weights):
    """Return the middle between the least and the largest value of each entry."""
    so_far = MidrangeSoFar()
    for member, weight in zip(members, weights, strict=True):
        so_far.add(member, weight)
    return so_far.pop()


class MidrangeSoFar:
    """Two models, however many members there are."""

    def __init__(self):
        self.least, self.largest = {}, {}

    def add(self, member, weight=1.0):
        self.least, self.largest = self.range_with(member)

    def with_one_more(self, member, out=None):
        return self.middle(*self.range_with(member), out)

    def pop(self, out=None):
        return self.middle(self.least, self.largest, out)

    def range_with(self, member):
        new = member.in_passing()
        sides = (self.least, torch.minimum), (self.largest, torch.maximum)
        return [{k: f(old.get(k, v), v) for k, v in new.items()} for old, f in sides]

    def middle(self, least, largest, out):
        merged = {
            key: (low + largest[key]) / 2 if low.is_floating_point() else largest[key]
            for key, low in least.items()
        }
        return merged if out is None else copy_weights(merged, out, 'midrange')


# -- A score: a function in ff_mm/evaluation/metrics/multiclass.py, a line in SCORES.


def mcc(confusion):
    """Matthews' correlation coefficient (Gorodkin 2004); 0 where it is 0 / 0."""
    counts = multiclass._against_rest(confusion)
    cases = confusion.sum(axis=(1, 2))
    hits = counts.hits.sum(axis=1)
    squares = [
        cases**2 - np.square(margin).sum(axis=1)
        for margin in (counts.true, counts.predicted)
    ]
    above = hits * cases - (counts.true * counts.predicted).sum(axis=1)
    return quotient(above, np.sqrt(squares[0] * squares[1]))


# -- A data set: ff_mm/datasets/stains.py, imported in ff_mm/datasets/__init__.py.


class Stains(SplitDataset):
    """Bright and dark squares, two views of each patient; the table names no split."""

    METAINFO = {'classes': ('dark', 'bright')}
    SHARES = (1, 1, 1)

    def read_cases(self, problems):
        rows = (Path(self.data_root) / 'stains.csv').read_text().split()
        cases = [row.split(',') for row in rows]
        return [Case(name, int(label), patient) for name, patient, label in cases]


# -- A plan: ff_mm/fission/plans/decay.py, imported in ff_mm/fission/plans/__init__.py.


class WeightDecayPlan(Plan):
    """One start, from which models go on with other weight decays and seeds."""

    def __init__(self, decays, seeds, augmentations):
        self.decays, self.seeds = decays, seeds
        (self.augmentation,) = augmentations

    def trials(self):
        start = self.trial('probe', 'probe', dict(seed=0), yields='start')
        points = [dict(decay=d, seed=s) for d in self.decays for s in self.seeds]
        return [start, *map(self.base, points)]

    def base(self, hyper):
        name = f'decay{hyper["decay"]}_seed{hyper["seed"]}'
        return self.trial(name, 'base', hyper, parent='probe')

    def trial(self, trial_id, stage, hyper, **rest):
        overrides = common_overrides(2, hyper['seed'], self.augmentation)
        overrides['optim_wrapper.optimizer.weight_decay'] = hyper.get('decay', 0.0)
        best = dict(type='BestCheckpointHook', monitor='mcc', rule='greater')
        return Trial(trial_id, stage, 2, overrides, hyper, hooks=(best,), **rest)


@pytest.fixture(scope='module', autouse=True)
def added():
    """What the lines in tables and the imports would do, undone afterwards."""
    own = {DATASETS: Stains, TASK_UTILS: WeightDecayPlan}
    for registry, module in own.items():
        registry.register_module(module=module)
    method = Method(midrange, ordered=False, running=MidrangeSoFar)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, 'midrange', method)
        patch.setitem(multiclass.SCORES, 'mcc', mcc)
        yield
    for registry, module in own.items():
        del registry.module_dict[module.__name__]


@pytest.fixture(scope='module')
def fission(tmp_path_factory, generation_config):
    """The config of a finished generation, by the plan, of the data set."""
    root = tmp_path_factory.mktemp('stains')
    write_stains(root)
    cfg = generation_config(root / 'fission', data_preprocessor__num_classes=2)
    cfg.plan = dict(type='WeightDecayPlan', decays=[0.0, 10.0], seeds=[0, 1, 2])
    cfg.optim_wrapper.optimizer.lr = 1e-2
    cfg.ood_dataloaders = {}
    cfg.selection = dict(metric='mcc', rule='greater')
    metric = dict(type='MulticlassMetric', items=['accuracy', 'mcc'])
    cfg.val_evaluator = cfg.test_evaluator = [metric]
    cfg.evaluation = dict(batch_size=4)
    for name in ('train', 'val', 'test'):
        dataset = cfg[f'{name}_dataloader'].dataset
        dataset.pop('indices')
        dataset.update(type='Stains', data_root=str(root))
    for name in ('train_pipeline', 'test_pipeline'):
        cfg[name] = [dict(type='LoadImageFromFile'), *cfg[name]]
    RUNNERS.build(cfg).train()
    return cfg


def write_stains(root):
    random, rows = np.random.default_rng(0), []
    for number in range(180):
        patient, bright = number // 2, number // 2 % 2
        level = random.normal(70 + 30 * bright, 25)
        pixels = random.normal(level, 20, (8, 8, 3)).clip(0, 255)
        cv2.imwrite(str(root / f'v{number}.png'), pixels.astype(np.uint8))
        rows.append(f'v{number},patient{patient},{bright}')
    (root / 'stains.csv').write_text('\n'.join(rows))


def fusion(fission, work_dir, **changes):
    cfg = copy.deepcopy(fission)
    cfg.pop('plan')
    cfg.work_dir = str(work_dir)
    cfg.ingredients = f'{fission.work_dir}/ingredients.json'
    cfg.merge_from_dict(changes)
    return cfg


GREEDY = dict(runner_type='GreedySoupRunner', soup=dict(merge='midrange'))
HIERARCHICAL = dict(
    runner_type='HierarchicalSoupRunner',
    soup=dict(
        levels=[
            dict(soup='uniform', group_by='decay', merge='midrange'),
            dict(soup='greedy'),
        ]
    ),
)


def test_the_plan_trains_on_the_data_set_and_ranks_by_the_score(fission):
    folder = Path(fission.work_dir)
    manifest = read_json(folder / 'ingredients.json')
    hypers = [entry['hyper'] for entry in manifest['ingredients']]
    points = itertools.product((0.0, 10.0), (0, 1, 2))
    assert hypers == [dict(decay=decay, seed=seed) for decay, seed in points]
    assert manifest['origin']['name'] == 'probe'
    best = read_json(folder / 'ledger.json')['trials'][1]
    assert best['metrics']['mcc'] == manifest['ingredients'][0]['metrics']['mcc'] > 0
    splits = {}
    for row in csv.DictReader((folder / 'splits.csv').open()):
        splits.setdefault(row['group'], []).append(row['split'])
    assert len(splits) == 90 and all(one == other for one, other in splits.values())


def test_a_soup_of_the_merge_is_what_its_members_make(fission, tmp_path):
    report = RUNNERS.build(fusion(fission, tmp_path, **HIERARCHICAL)).run()
    (group,) = report['tree']['members']
    assert group['merge'] == dict(type='midrange') and len(group['members']) == 3
    names = [member['name'] for member in group['members']]
    folder = Path(fission.work_dir) / 'ingredients'
    members = [read_state_dict(folder / f'{name}.pth') for name in names]
    for key, found in read_state_dict(tmp_path / 'soup.pth').items():
        if found.is_floating_point():
            entries = torch.stack([member[key] for member in members])
            assert torch.equal(found, (entries.amin(0) + entries.amax(0)) / 2), key
    assert report['val']['mcc'] == group['score'] == report['tree']['score']


def test_passes_end_early_where_right_is_claimed_to_be_best(
    fission, tmp_path, monkeypatch
):
    full = RUNNERS.build(fusion(fission, tmp_path / 'full', **GREEDY)).run()
    # With two classes each further mistake lowers MCC, the truth being fixed.
    monkeypatch.setitem(multiclass.CLAIMS, 'mcc', Claim('greater'))
    early = RUNNERS.build(fusion(fission, tmp_path / 'early', **GREEDY)).run()
    passes = [report['evaluations'] for report in (full, early)]
    assert [p['selection'] for p in passes] == [5, 5]
    assert passes[0]['stopped'] == 0 < passes[1]['stopped']
    assert passes[1]['images']['val'] < passes[0]['images']['val']
    assert full['ingredients'] == early['ingredients'] and full['val'] == early['val']
    steps = zip(full['tree']['steps'], early['tree']['steps'], strict=True)
    assert all(
        one['score'] == other['score'] or one['score'] <= other['bound']
        for one, other in steps
    )


def test_a_comparison_gives_the_score_and_its_interval(fission, tmp_path):
    best = dict(runner_type='BestIngredientRunner')
    methods = {
        name: dict(title=name, pool='own', **soup)
        for name, soup in (('best', best), ('soup', HIERARCHICAL))
    }
    cfg = fusion(fission, tmp_path, runner_type='ComparisonRunner', baseline='best')
    cfg.update(pools=dict(own=cfg.pop('ingredients')), methods=methods)
    cfg.bootstrap = dict(resamples=100)
    found = RUNNERS.build(cfg).run()['methods']
    for split in ('val', 'test'):
        results = [found[name]['results'][split]['mcc'] for name in methods]
        folder = tmp_path / 'predictions' / split
        expected = [value_and_interval(file) for file in folder.glob('*.npz')]
        values = [[r['value'], r['low'], r['high']] for r in results]
        assert all(low < value < high for value, low, high in values)
        np.testing.assert_allclose(sorted(values), sorted(expected), atol=1e-12)


def value_and_interval(file):
    """By scikit-learn, resample by resample; patients are drawn with both views."""
    predictions = Predictions.read(file)
    predicted = predictions.scores.argmax(axis=1)
    batches = [np.ones((1, 60)), *Resampling(predictions, 100, 0).batches()]
    value, *resampled = [
        matthews_corrcoef(np.repeat(predictions.truth, n), np.repeat(predicted, n))
        for n in np.concatenate(batches).astype(int)
    ]
    return [value, *np.quantile(resampled, [0.025, 0.975])]
