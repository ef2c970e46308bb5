from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, RUNNERS
from mmpretrain.datasets import BaseDataset

from ff_mm.comparison.study import Study, read_settings
from ff_mm.datasets.digits import Digits
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.predictions import Predictions
from ff_mm.files import read_json, sha256
from ff_mm.merging import read_state_dict
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import METHODS as MERGING

MERGES = Path(__file__).parents[2] / 'configs/_base_/comparisons/merges.py'
METHODS = dict(
    gs_best=dict(title='GS (best)', pool='gs', runner_type='BestIngredientRunner'),
    fgg_uniform=dict(title='uniform', pool='fgg', runner_type='UniformSoupRunner'),
    fgg_gog=dict(
        title='GoG', pool='fgg', runner_type='GoGSoupRunner', soup=dict(group_by='lr')
    ),
    fgg_ensemble=dict(title='ensemble', pool='fgg', ensemble=True),
    fgg_file=dict(
        title='ensemble file',
        pool='fgg',
        runner_type='EnsembleRunner',
        soup=dict(average='logits'),
    ),
)
SETS = ['val', 'test', 'ood/corrupted']
BN = dict(bn_reestimation=dict(num_samples=40))


@pytest.fixture(scope='module')
def pools(tmp_path_factory, generation_config):
    """Two generations with other seeds and a grid search, with their config."""
    folder = tmp_path_factory.mktemp('pools')
    for seed in (0, 1):
        cfg = generation_config(folder / f'fgg{seed}', plan__seeds=[seed])
        RUNNERS.build(cfg).train()
    grid = generation_config(folder / 'gs')
    base = dict(epochs=3)
    grid.plan = dict(
        type='GridSearchPlan',
        lrs=[1e-2, 1e-3],
        seeds=[0],
        augmentations=['heavy', 'minimal'],
        probe=dict(epochs=2, freeze=False),
        base=base,
    )
    RUNNERS.build(grid).train()
    return cfg, folder


def comparison_config(made, work_dir, **changes):
    cfg, folder = made
    cfg = copy.deepcopy(cfg)
    cfg.pop('plan')
    cfg.merge_from_dict(
        dict(
            runner_type='ComparisonRunner',
            work_dir=str(work_dir),
            methods=copy.deepcopy(METHODS),
            baseline='gs_best',
            bootstrap=dict(resamples=100),
        )
    )
    cfg.pools = dict(
        gs=f'{folder}/gs/ingredients.json',
        fgg=[f'{folder}/fgg{seed}/ingredients.json' for seed in (0, 1)],
    )
    cfg.merge_from_dict({key.replace('__', '.'): v for key, v in changes.items()})
    return cfg


def run(cfg):
    return RUNNERS.build(cfg).run()


@pytest.fixture(scope='module')
def comparison(pools, tmp_path_factory):
    cfg = comparison_config(pools, tmp_path_factory.mktemp('compare'))
    return cfg, run(cfg)


def test_every_method_has_a_value_and_an_interval_on_every_set(comparison):
    _, found = comparison
    assert list(found['methods']) == list(METHODS)
    assert list(found['sets']) == SETS
    for name, method in found['methods'].items():
        assert len(method['runs']) == (1 if name == 'gs_best' else 2)
        for split in SETS:
            of = method['results'][split]['accuracy']
            assert of['low'] <= of['value'] <= of['high']
            values = [run['metrics'][split]['accuracy'] for run in method['runs']]
            assert of['value'] == pytest.approx(np.mean(values))
            assert (of['sd'] is None) == (len(values) == 1)
            assert (of['difference'] is None) == (name == 'gs_best')


def test_the_numbers_are_those_of_an_evaluation(comparison):
    cfg, found = comparison
    evaluator = ModelEvaluator(cfg)
    for method in found['methods'].values():
        for one in method['runs']:
            if one['file'] is None:
                continue
            if method['soup'] == 'ensemble':
                continue
            evaluator.load(read_state_dict(one['file']))
            for split in SETS:
                expected = evaluator.evaluate(split)
                for key, value in one['metrics'][split].items():
                    assert value == pytest.approx(expected[key], abs=1e-5), key
    evaluator.close()


def test_an_ensemble_in_a_file_is_judged_as_the_same_without_one(comparison):
    """The logit mean of all; it is asked itself, and leaves no one model."""
    methods = comparison[1]['methods']
    with_file, without = methods['fgg_file'], methods['fgg_ensemble']
    for one, other in zip(with_file['runs'], without['runs'], strict=True):
        assert one['file'].endswith('ensemble.pth')
        for split in SETS:
            assert one['metrics'][split] == pytest.approx(other['metrics'][split])
    assert with_file['soup'] == 'ensemble' and with_file['models'] == 6
    assert with_file['cost']['inference'] == without['cost']['inference']


def test_the_report_is_what_is_on_disk(comparison):
    cfg, found = comparison
    assert read_json(f'{cfg.work_dir}/comparison.json') == found
    json.dumps(found, allow_nan=False)
    with open(f'{cfg.work_dir}/comparison.html', encoding='utf-8') as file:
        assert 'GoG' in file.read()


def test_a_study_can_be_made_of_it(comparison):
    """The values of each run in each resample are kept, and what is better."""
    cfg, found = comparison
    (setting,) = read_settings([cfg.work_dir])
    assert found['rules']['accuracy'] == 'greater'
    for name, method in found['methods'].items():
        for split in SETS:
            kept = setting.resamples.values[split, name, 'accuracy']
            assert kept.shape == (len(method['runs']), 100)
        own = method['results']['test']['accuracy']['difference']
        if own is not None:
            values = Study([setting]).describe()['methods'][name]
            values = values['results']['test']['accuracy']
            for key in ('value', 'low', 'high'):
                assert values[key] == pytest.approx(own[key], abs=1e-12)


def test_the_costs_are_those_of_the_ledgers_and_reports(comparison, pools):
    _, found = comparison
    grid = found['methods']['gs_best']['cost']
    manifest = read_json(f'{pools[1]}/gs/ingredients.json')
    assert grid['generation'] == pytest.approx(manifest['cost'])
    assert grid['generation']['images'] == 40 * grid['generation']['epochs']
    assert grid['inference']['models'] == 1
    ensemble = found['methods']['fgg_ensemble']['cost']
    assert ensemble['inference']['models'] == 6
    single = grid['inference']['parameters']
    assert ensemble['inference']['parameters'] == 6 * single
    assert ensemble['selection']['passes'] == 0
    assert found['methods']['fgg_gog']['cost']['selection']['passes'] > 0


def test_the_recommendation_is_chosen_on_validation_and_its_file_is_there(comparison):
    _, found = comparison
    chosen = found['recommendation']
    assert chosen['method'] not in ('fgg_ensemble', 'fgg_file')
    means = {
        name: method['results']['val'][found['metric']]['value']
        for name, method in found['methods'].items()
        if method['soup'] != 'ensemble'
    }
    assert means[chosen['method']] == max(means.values())
    one = found['methods'][chosen['method']]['runs'][chosen['run']]
    assert chosen['file'] == one['file']
    assert read_state_dict(chosen['file'])
    assert set(chosen['results']) == {'test', 'ood/corrupted'}
    assert all(chosen['text'])


def test_the_ensemble_is_of_all_ingredients(comparison):
    runs = comparison[1]['methods']['fgg_ensemble']['runs']
    assert [len(run['ingredients']) for run in runs] == [6, 6]
    assert runs[0]['file'] is None


@DATASETS.register_module()
class OtherLabels(BaseDataset):
    """A test set with the labels of another seed: nothing can be learnt from it."""

    METAINFO = dict(classes=Digits.METAINFO['classes'])

    def __init__(self, seed=0, **kwargs):
        self.random = np.random.default_rng(seed)
        super().__init__(**kwargs)

    def load_data_list(self):
        return [
            dict(
                img=self.random.integers(0, 255, (8, 8, 3), dtype=np.uint8),
                gt_label=int(self.random.integers(10)),
                sample_idx=index,
            )
            for index in range(30)
        ]


def test_selection_does_not_see_the_test_set(comparison, pools, tmp_path):
    """Another test set, none out-of-distribution: the same models, bit for bit."""
    _, found = comparison
    other = comparison_config(pools, tmp_path)
    other.test_dataloader.dataset = dict(
        type='OtherLabels', ann_file='', pipeline='${test_pipeline}', test_mode=True
    )
    other.ood_dataloaders = dict()
    again = run(other)
    assert again['sets']['test']['cases'] == 30
    for name, method in found['methods'].items():
        for one, two in zip(
            method['runs'], again['methods'][name]['runs'], strict=True
        ):
            assert one['ingredients'] == two['ingredients']
            if one['file']:
                first = read_state_dict(one['file'])
                second = read_state_dict(two['file'])
                assert all(first[key].equal(second[key]) for key in first)
    keys = ('method', 'run', 'val')
    assert [again['recommendation'][k] for k in keys] == [
        found['recommendation'][k] for k in keys
    ]


def test_until_all_models_are_chosen_there_is_no_test_set(pools, tmp_path, monkeypatch):
    seen = []
    build = EvaluationSet.__init__

    def watch(self, name, *args, **kwargs):
        chosen = len(list(tmp_path.glob('*/run*/*.pth')))
        seen.append((name, chosen))
        build(self, name, *args, **kwargs)

    monkeypatch.setattr(EvaluationSet, '__init__', watch)
    run(comparison_config(pools, tmp_path))
    models = 7  # one of gs_best, two of each over fgg that has a file
    assert {chosen for name, chosen in seen if name != 'val'} == {models}
    assert ('val', 0) in seen


def test_predictions_and_models_are_made_once(comparison, no_passes):
    cfg, found = comparison
    before = sha256(f'{cfg.work_dir}/fgg_gog/run0/soup.pth')
    again = copy.deepcopy(cfg)
    again.bootstrap = dict(resamples=120)
    again.test_evaluator = [dict(type='MulticlassMetric', items=['kappa', 'accuracy'])]
    more = run(again)
    assert more['resamples'] == 120
    assert sha256(f'{cfg.work_dir}/fgg_gog/run0/soup.pth') == before
    for name, method in more['methods'].items():
        kappa = method['results']['test']['kappa']
        assert kappa['low'] <= kappa['value'] <= kappa['high']
        old = found['methods'][name]['results']['test']['accuracy']['value']
        assert method['results']['test']['accuracy']['value'] == pytest.approx(old)
        assert method['cost'] == found['methods'][name]['cost']


@DATASETS.register_module()
class Relabelled(Digits):
    """Digits of a file that somebody edits: labels and patients of the test's."""

    shift, patients, inverted = 0, 0, False

    def load_data_list(self):
        infos = super().load_data_list()
        for number, info in enumerate(infos):
            info['gt_label'] = (info['gt_label'] + self.shift) % 10
            if self.patients:
                info['group'] = f'patient {number % self.patients}'
        return infos


@pytest.fixture
def edited(monkeypatch):
    def edit(**values):
        for name, value in values.items():
            monkeypatch.setattr(Relabelled, name, value)

    return edit


def few(pools, work_dir, split):
    cfg = comparison_config(pools, work_dir)
    cfg.methods = dict(fgg_gog=METHODS['fgg_gog'], gs_best=METHODS['gs_best'])
    cfg[f'{split}_dataloader'].dataset.type = 'Relabelled'
    return cfg


def test_other_validation_labels_choose_anew(pools, tmp_path, edited):
    cfg = few(pools, tmp_path, 'val')
    first = run(cfg)
    edited(shift=3)
    second = run(cfg)
    fresh = run(few(pools, tmp_path / 'fresh', 'val'))
    for name, method in second['methods'].items():
        assert method['results'] == fresh['methods'][name]['results']
        assert method['results']['val'] != first['methods'][name]['results']['val']


def test_groups_that_are_told_later_count(pools, tmp_path, edited, monkeypatch):
    cfg = few(pools, tmp_path, 'test')
    first = run(cfg)
    assert first['sets']['test']['groups'] is None
    edited(patients=12)
    second = run(cfg)
    assert second['sets']['test']['groups'] == 12
    one, two = (f['methods']['gs_best']['results']['test'] for f in (first, second))
    assert one['accuracy']['value'] == two['accuracy']['value']
    assert one['accuracy']['low'] != two['accuracy']['low']


def test_a_method_chooses_by_its_own_metric_and_is_judged_by_that_of_all(
    pools, tmp_path
):
    cfg = few(pools, tmp_path, 'test')
    own = dict(METHODS['fgg_gog'], selection=dict(metric='loss'))
    cfg.methods = dict(cfg.methods, own=own)
    found = run(cfg)
    reports = {
        name: read_json(tmp_path / name / 'run0/report.json') for name in cfg.methods
    }
    assert found['metric'] == 'accuracy'
    assert {n: (r['metric'], r['rule']) for n, r in reports.items()} == {
        'fgg_gog': ('accuracy', 'greater'),
        'gs_best': ('accuracy', 'greater'),
        'own': ('loss', 'less'),
    }
    alone = copy.deepcopy(cfg)
    alone.work_dir = str(tmp_path / 'alone')
    alone.selection = dict(metric='loss', rule='less')
    alone.methods = dict(own=METHODS['fgg_gog'])
    alone.baseline = 'own'
    results = run(alone)['methods']['own']['results']
    for split, of_set in found['methods']['own']['results'].items():
        values = {name: each['value'] for name, each in of_set.items()}
        assert values == {name: each['value'] for name, each in results[split].items()}


def test_a_metric_of_a_method_that_nobody_knows_is_refused_first(pools, tmp_path):
    cfg = few(pools, tmp_path, 'test')
    cfg.methods.fgg_gog.selection = dict(metric='accurracy')
    message = r"methods\.fgg_gog\.selection\.metric='accurracy' is not among.*accuracy"
    with pytest.raises(ConfigError, match=message):
        run(cfg)
    assert not list(tmp_path.glob('*/run*'))


def test_a_set_that_shuffles_is_refused(pools, tmp_path):
    cfg = few(pools, tmp_path, 'test')
    cfg.test_dataloader.sampler.shuffle = True
    with pytest.raises(ConfigError, match='test: its sampler has shuffle=True'):
        run(cfg)


def test_ensembles_alone_are_compared_but_none_is_recommended(pools, tmp_path):
    cfg = comparison_config(pools, tmp_path, baseline='fgg_ensemble')
    cfg.methods = dict(fgg_ensemble=METHODS['fgg_ensemble'])
    found = run(cfg)
    assert found['recommendation'] is None
    for name in ('comparison.md', 'comparison.html', 'comparison.tex'):
        assert (tmp_path / name).is_file()


def test_a_confusion_matrix_is_no_number_and_goes_to_the_json(pools, tmp_path):
    cfg = few(pools, tmp_path, 'test')
    cfg.test_evaluator = [
        dict(type='ConfusionMatrix'),
        dict(type='MulticlassMetric', confusion_matrix=True),
    ]
    found = run(cfg)
    metrics = found['methods']['gs_best']['runs'][0]['metrics']['test']
    matrices = [value for value in metrics.values() if isinstance(value, list)]
    assert [np.shape(matrix) for matrix in matrices] == [(10, 10)] * 2
    assert 'accuracy' in found['methods']['gs_best']['results']['test']


def test_reestimated_soups_have_predictions_of_their_own(pools, tmp_path):
    cfg = comparison_config(pools, tmp_path, baseline='plain')
    plain = METHODS['fgg_uniform']
    cfg.methods = dict(plain=plain, bn=dict(plain, soup=BN))
    found = run(cfg)['methods']
    values = [found[name]['results']['test']['loss']['value'] for name in cfg.methods]
    assert values[0] != values[1]


def test_other_ingredients_make_another_model(pools, tmp_path):
    first = run(comparison_config(pools, tmp_path))
    swapped = comparison_config(pools, tmp_path)
    swapped.pools.fgg = list(reversed(swapped.pools.fgg))
    second = run(swapped)
    for name in ('fgg_uniform', 'fgg_ensemble'):
        one, two = (c['methods'][name]['runs'] for c in (first, second))
        assert [r['metrics'] for r in one] == [r['metrics'] for r in reversed(two)]


def test_a_damaged_prediction_is_named(comparison):
    cfg, _ = comparison
    stored = sorted((Path(cfg.work_dir) / 'predictions').glob('test/*.npz'))
    assert stored
    whole = stored[0].read_bytes()
    stored[0].write_bytes(whole[: len(whole) // 2])
    try:
        with pytest.raises(FFMMError, match=stored[0].name):
            run(cfg)
    finally:
        stored[0].write_bytes(whole)
    assert Predictions.read(stored[0]).scores.shape == (40, 10)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(pools=None), "'pools' is missing"),
        (
            dict(pools__fgg='absent/ingredients.json'),
            r"pools\.fgg='absent/.*: no such file; .* without it: pools\.fgg=None$",
        ),
        (
            dict(pools__gs='absent/ingredients.json'),
            r'without it: pools\.gs=None baseline=fgg_uniform$',
        ),
        (
            dict(test_evaluator=[dict(type='MulticlassMetric', items=['recal'])]),
            r'test_evaluator: .*recal',
        ),
        (dict(baseline='gog'), r"baseline='gog' is not among the methods.*gs_best"),
        (dict(pools__gs=None), r"baseline='gs_best' is not among the methods"),
        (dict(bootstrap__resample=10), r"bootstrap: unknown key 'resample'"),
        (dict(bootstrap__resamples=10), r'bootstrap\.resamples=10: expected 100'),
        (dict(bootstrap__confidence=95), r'bootstrap\.confidence=95: expected a frac'),
        (dict(methods__fgg_gog__pol='x'), r"methods\.fgg_gog: unknown key 'pol'"),
        (dict(methods__fgg_gog__pool=None), r'methods\.fgg_gog: expected such as'),
        (dict(methods__fgg_gog__ensemble=True), r'methods\.fgg_gog: give runner_type'),
        (
            dict(methods__fgg_gog__runner_type='GogRunner'),
            r"methods\.fgg_gog: runner_type='GogRunner' is not one of a soup",
        ),
        (
            dict(methods__fgg_gog__soup=dict(groupby='lr')),
            r"methods\.fgg_gog: soup: unknown key 'groupby'",
        ),
        (dict(bootstrap__seed=-1), r'bootstrap\.seed=-1: expected 0 or more'),
        (dict(bootstrap__seed=None), r'bootstrap\.seed=None: expected 0 or more'),
        (dict(published=dict(backbone='VGG', dataset='APTOS')), 'VGG'),
        (dict(published=dict(network='DeiT-B')), 'published: expected dict'),
        (dict(selection__metric='auroc'), r"'auroc' is not among"),
    ],
)
def test_what_cannot_be_compared_is_said_first(pools, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(comparison_config(pools, tmp_path, **changes))
    assert not list(tmp_path.glob('*/run*/soup.pth'))


def test_the_config_s_own_file_names_the_comparison(pools, tmp_path):
    cfg = comparison_config(pools, tmp_path / 'compare_mine')
    cfg.methods = dict(gs_best=METHODS['gs_best'], fgg_gog=METHODS['fgg_gog'])
    found = run(Config(cfg.to_dict(), filename=cfg.filename))
    assert found['title'] == 'mine'
    assert list(found['methods']) == ['gs_best', 'fgg_gog']


def test_all_merges_and_soups_without_a_plan_of_their_own(pools, tmp_path):
    """The shipped comparison of them, with values of the command line."""
    shipped = Config.fromfile(MERGES).to_dict()
    merges = [m.get('soup', {}).get('merge') for m in shipped['methods'].values()]
    covered = {Merge.read(merge).type for merge in merges}
    # These are given weights, by the user and by a learned soup.
    assert covered >= set(MERGING) - {'weighted', 'by_tensor'}
    cfg = comparison_config(pools, tmp_path)
    names = ['uniform', 'wise_ft', 'ties', 'fisher', 'gradient_matching', 'gou_ties']
    cfg.methods = {name: shipped['methods'][name] for name in names}
    cfg.baseline = 'uniform'
    cfg.pools = dict(fgg=cfg.pools['fgg'][:1])
    of_ties = 'methods.ties.soup.merge'
    cfg.merge_from_dict({f'{of_ties}.keep': 0.5, f'{of_ties}.scale': [0.5, 1.0]})
    found = run(cfg)['methods']
    assert list(found) == names
    assert found['wise_ft']['cost']['selection']['passes'] == 3
    assert found['ties']['cost']['selection']['passes'] == 2
    (file,) = (tmp_path / 'ties').rglob('report.json')
    report = read_json(file)
    assert report['tree']['merge']['keep'] == 0.5
    assert report['tree']['merge']['scale'] in (0.5, 1.0)
    # Both need the Fisher information, of the same images: it is made once.
    made = [
        read_json(next((tmp_path / name).rglob('report.json')))['statistics'][0]['made']
        for name in ('fisher', 'gradient_matching')
    ]
    assert made == [report['pool_size'], 0]


def test_a_method_with_a_decision_is_the_decided_model(pools, tmp_path):
    frequencies = [10.0, 1.0, 3.0, 1.0, 20.0, 5.0, 1.0, 1.0, 40.0, 2.0]
    decision = dict(type='prior', tau=0.5, frequencies=frequencies)
    steps = [decision, dict(type='temperature', accept=0)]
    uniform = METHODS['fgg_uniform']
    cfg = comparison_config(pools, tmp_path, baseline='plain')
    cfg.pools = dict(fgg=cfg.pools.fgg[0])
    cfg.methods = dict(
        plain=uniform,
        decided=dict(uniform, title='decided', soup=dict(decision=steps)),
    )
    found = run(cfg)
    (plain,), (one,) = (found['methods'][name]['runs'] for name in cfg.methods)
    report = read_json(tmp_path / 'decided' / 'run0' / 'report.json')
    # Of validation it is the cross-fitted value by which one is chosen.
    assert one['metrics']['val'] == pytest.approx(report['val'], abs=1e-5)
    assert report['decision']['val_as_fitted'] != pytest.approx(report['val'])
    assert one['metrics']['test'] != plain['metrics']['test']
    costs = [found['methods'][name]['cost']['selection'] for name in cfg.methods]
    assert costs[1]['passes'] == costs[0]['passes'] + 1
    evaluator = ModelEvaluator(cfg)
    evaluator.load(read_state_dict(one['file']))
    assert one['metrics']['test'] == pytest.approx(evaluator.evaluate('test'))
    evaluator.close()
    again = run(cfg)
    assert again['methods']['decided'] == found['methods']['decided']


def test_training_labels_belong_to_what_a_method_with_a_prior_made(pools, tmp_path):
    cfg = comparison_config(pools, tmp_path, baseline='decided')
    cfg.pools = dict(fgg=cfg.pools.fgg[0])
    cfg.methods = dict(
        decided=dict(METHODS['fgg_uniform'], soup=dict(decision='prior'))
    )
    run(cfg)
    made = tmp_path / 'decided' / 'run0' / 'made.json'
    before = read_json(made)
    run(cfg)
    assert read_json(made) == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            'ff_mm.fusion.decision.training_frequencies', lambda *_: [0.1] * 10
        )
        run(cfg)
    assert read_json(made)['key'] != before['key']
