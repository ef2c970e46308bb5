from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json
from ff_mm.fusion.collapse import collapse_note
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import Ingredient, read_state_dict

THREE_LEVELS = dict(
    levels=[
        dict(soup='uniform', group_by=['lr', 'stage']),
        dict(soup='greedy', group_by='lr'),
        dict(soup='greedy'),
    ]
)
SOUPS = {
    'best': ('BestIngredientRunner', {}),
    'uniform': ('UniformSoupRunner', {}),
    'greedy': ('GreedySoupRunner', {}),
    'gou': ('GoUSoupRunner', dict(group_by='lr')),
    'gog': ('GoGSoupRunner', dict(group_by='lr')),
    'bou': ('BoUSoupRunner', {}),
    'hierarchical': ('HierarchicalSoupRunner', THREE_LEVELS),
    'pruned': ('PrunedSoupRunner', {}),
    'ensemble_selection': ('EnsembleSelectionRunner', dict(rounds=9)),
    'learned': ('LearnedSoupRunner', dict(steps=3)),
}


@pytest.fixture(scope='module')
def generation(tmp_path_factory, generation_config):
    """The config and the folder of a finished generation: six ingredients."""
    work_dir = tmp_path_factory.mktemp('generation')
    cfg = generation_config(work_dir)
    RUNNERS.build(cfg).train()
    return cfg


def soup_config(generation, work_dir, method, **changes):
    runner, soup = SOUPS[method]
    cfg = copy.deepcopy(generation)
    cfg.pop('plan')
    cfg.merge_from_dict(dict(runner_type=runner, work_dir=str(work_dir)))
    cfg.ingredients = f'{generation.work_dir}/ingredients.json'
    cfg.soup = dict(soup)
    cfg.merge_from_dict({key.replace('__', '.'): v for key, v in changes.items()})
    return cfg


def run(cfg):
    return RUNNERS.build(cfg).run()


@pytest.fixture(scope='module')
def soups(tmp_path_factory, generation):
    """Method -> (config, report), all six made of the same pool."""
    made = {}
    for method in SOUPS:
        work_dir = tmp_path_factory.mktemp(method)
        cfg = soup_config(generation, work_dir, method)
        made[method] = cfg, run(cfg)
    return made


def manifest(generation):
    return read_json(f'{generation.work_dir}/ingredients.json')['ingredients']


def mean(generation, recipe):
    """The weighted mean of ingredient files, in float64, by hand."""
    files = {
        e['name']: f'{generation.work_dir}/{e["file"]}' for e in manifest(generation)
    }
    total = {}
    for item in recipe:
        content = torch.load(files[item['name']], weights_only=True)['state_dict']
        for key, value in content.items():
            if value.is_floating_point():
                total[key] = total.get(key, 0) + value.double() * item['weight']
    return total


@pytest.mark.parametrize('method', SOUPS)
def test_the_soup_is_the_mean_that_the_report_says(soups, generation, method):
    cfg, report = soups[method]
    assert sum(item['weight'] for item in report['ingredients']) == pytest.approx(1)
    soup = read_state_dict(f'{cfg.work_dir}/soup.pth')
    expected = mean(generation, report['ingredients'])
    for key, value in expected.items():
        torch.testing.assert_close(soup[key].double(), value, rtol=1e-6, atol=1e-7)
    assert set(soup) - set(expected) == {k for k in soup if 'num_batches' in k}


@pytest.mark.parametrize('method', SOUPS)
def test_the_report_is_what_is_on_disk(soups, method):
    cfg, report = soups[method]
    on_disk = read_json(f'{cfg.work_dir}/report.json')
    assert on_disk == {'format': 1, **report}
    assert report['method'] == method
    assert report['pool_size'] == 6
    assert set(report['ood']) == {'corrupted'}
    alone = [i['name'] for i in report['ingredients']] == [
        report['best_single']['name']
    ]
    passes = 1 if alone else 2  # of the best single model, to compare with
    for name in ('test', 'ood/corrupted'):
        assert report['evaluations'][name] == passes
    for metrics in (report['val'], report['test'], report['ood']['corrupted']):
        assert 0 <= metrics['accuracy'] <= 1
    with open(f'{cfg.work_dir}/report.md') as file:
        assert f'{report["val"]["accuracy"]:.4f}' in file.read()


@pytest.mark.parametrize('method', SOUPS)
def test_every_report_has_what_the_best_single_model_reaches(soups, method):
    best, (_, report) = soups['best'][1], soups[method]
    assert report['best_single']['name'] == best['ingredients'][0]['name']
    for name in ('val', 'test', 'ood'):
        assert report['best_single'][name] == best[name]


def test_the_uniform_soup_is_of_all_and_validated_once_at_most(soups, generation):
    _, report = soups['uniform']
    weights = {item['name']: item['weight'] for item in report['ingredients']}
    assert weights == pytest.approx({e['name']: 1 / 6 for e in manifest(generation)})
    assert report['evaluations']['selection'] <= 1


def test_the_best_single_is_the_best_recorded_and_reaches_what_was_recorded(
    soups, generation
):
    _, report = soups['best']
    recorded = {e['name']: e['metrics'] for e in manifest(generation)}
    (item,) = report['ingredients']
    best = max(m['accuracy'] for m in recorded.values())
    assert recorded[item['name']]['accuracy'] == best
    assert report['val'] == pytest.approx(recorded[item['name']])


@pytest.mark.parametrize('method', ['greedy', 'gog'])
def test_greedy_is_no_worse_than_the_best_single(soups, method):
    best = soups['best'][1]['val']['accuracy']
    assert soups[method][1]['val']['accuracy'] >= best


def test_the_best_of_uniform_is_a_whole_run_and_no_other_is_better(soups, generation):
    tree = soups['bou'][1]['tree']
    runs = [*tree['members'], *tree['rejected']]
    expected: dict = {}
    for each in manifest(generation):
        run = each['parent'] if each['stage'] == 'fission' else each['name']
        expected.setdefault(f'run={run}', set()).add(each['name'])
    assert {r['name']: {m['name'] for m in r['members']} for r in runs} == expected
    assert [run['method'] for run in runs] == ['uniform'] * len(runs)
    assert len(tree['members']) == 1
    assert tree['score'] == max(run['score'] for run in runs)


def test_three_levels_nest(soups):
    _, report = soups['hierarchical']
    assert [level['group_by'] for level in report['levels']][-1] in (None, [], ())
    assert len(report['levels']) == 3


def test_test_py_gets_the_same_figures_for_soup_pth(soups, tmp_path, tool, capsys):
    cfg, report = soups['gog']
    cfg.dump(tmp_path / 'gog.py')
    checkpoint, out = f'{cfg.work_dir}/soup.pth', tmp_path / 'out.json'
    assert tool('test.py', tmp_path / 'gog.py', checkpoint, '--out', out) == 0
    results = read_json(out)
    assert 'its images had' not in capsys.readouterr().out
    # The report has val from training, or from a pass in another order of the cases.
    assert results['val'] == pytest.approx(report['val'])
    assert results['test'] == report['test']
    assert results['ood'] == report['ood']


def test_test_py_refuses_a_checkpoint_of_another_model(soups, tmp_path, tool, capsys):
    cfg, _ = soups['gog']
    cfg.dump(tmp_path / 'gog.py')
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'other.pth')
    assert tool('test.py', tmp_path / 'gog.py', tmp_path / 'other.pth') == 2
    assert 'other.pth lacks keys' in capsys.readouterr().err


def test_selection_by_the_lower_loss(generation, tmp_path):
    changes = dict(selection=dict(metric='loss', rule='less'))
    report = run(soup_config(generation, tmp_path, 'best', **changes))
    losses = [e['metrics']['loss'] for e in manifest(generation)]
    assert report['val']['loss'] == pytest.approx(min(losses))


SMOOTH = [
    ('soft_macro_recall', 'greater'),
    ('class_balanced_loss', 'less'),
]


@pytest.mark.parametrize(('metric', 'rule'), SMOOTH, ids=[name for name, _ in SMOOTH])
def test_selection_by_a_smooth_score_that_the_pool_has_not_recorded(
    generation, tmp_path, metric, rule
):
    evaluators = [
        dict(type='MulticlassMetric', items=['accuracy', 'macro_recall', metric])
        if rule == 'greater'
        else dict(type='MulticlassMetric'),
        dict(type='ValidationLoss', items=['loss', 'class_balanced_loss']),
    ]
    changes = dict(
        selection=dict(metric=metric, rule=rule),
        val_evaluator=evaluators,
        test_evaluator=evaluators,
    )
    early, full = (
        run(
            soup_config(
                *(generation, tmp_path / str(stops), 'greedy'),
                **dict(changes, evaluation=dict(early_exit=stops, batch_size=7)),
            )
        )
        for stops in (True, False)
    )
    # Once for each of the six, as their metrics lack it, and for the soups.
    assert early['evaluations']['selection'] > 6
    assert early['ingredients'] == full['ingredients']
    assert early['val'] == pytest.approx(full['val'])
    assert {metric, 'accuracy', 'loss'} <= set(early['val']) & set(early['test'])


def test_on_another_validation_set_recorded_metrics_are_taken_anew(
    generation, tmp_path
):
    cfg = soup_config(generation, tmp_path, 'best', val_dataloader__dataset__indices=30)
    report = run(cfg)
    assert report['evaluations']['selection'] == 6


@pytest.mark.parametrize('method', ['greedy', 'gou', 'gog', 'hierarchical'])
@pytest.mark.parametrize(
    'evaluation',
    [
        dict(early_exit=False),
        dict(cache_memory=0),
        dict(batch_size=7),
        dict(channels_last=False),
        dict(fold_batch_norm=False),
    ],
    ids=lambda value: next(iter(value)),
)
def test_how_candidates_are_evaluated_changes_no_decision(
    soups, generation, tmp_path, method, evaluation
):
    cfg = soup_config(generation, tmp_path, method, evaluation=evaluation)
    report, (_, usual) = run(cfg), soups[method]
    assert report['ingredients'] == usual['ingredients']
    assert report['val'] == pytest.approx(usual['val'])
    if 'early_exit' in evaluation:
        assert report['evaluations']['stopped'] == 0


def test_a_pass_that_cannot_win_is_cut_short_and_the_report_says_so(soups):
    stopped = [s for _, r in soups.values() for s in steps(r['tree']) if s['bound']]
    passes = sum(report['evaluations']['stopped'] for _, report in soups.values())
    assert stopped
    assert passes == len(stopped)
    for name, (_, report) in soups.items():
        for step in steps(report['tree']):
            if not step['bound']:
                continue
            # Of a pruned soup it is what the others reach: the candidate stays.
            assert step['accepted'] == (name == 'pruned')
            assert step['score'] is None
            assert step['bound'] <= step['best']


def steps(node):
    for member in [*node.get('members', ()), *node.get('rejected', ())]:
        yield from steps(member)
    yield from node.get('steps', ())


def test_what_was_evaluated_is_not_evaluated_again(generation, tmp_path):
    cfg = soup_config(generation, tmp_path, 'gog')
    first = run(cfg)
    second = run(cfg)
    cost = second.pop('evaluations')
    assert cost['selection'] == cost['val'] == cost['test'] == 0
    assert cost['remembered'] == first.pop('evaluations')['selection']
    assert {**second, 'seconds': 0} == {**first, 'seconds': 0}


def test_what_no_pass_gives_does_not_count(generation, tmp_path):
    cfg = soup_config(generation, tmp_path, 'gog')
    first = run(cfg)
    memo = tmp_path / 'evaluations.jsonl'
    lines = [json.loads(line) for line in memo.read_text().splitlines() if line]
    passes = [line for line in lines if isinstance(line['value'], dict)]
    forged = [{}, {'accuracy': [1, 2]}, {'loss': 1.0}, {'accuracy': 10**400}]
    for number, line in enumerate(passes):
        other = {key: [1, 2] for key in line['value']}
        line['value'] = [*forged, other][number % 5]
    assert len(passes) > 5
    memo.write_text('\n'.join(map(json.dumps, lines)))
    again = run(cfg)
    for key in ('ingredients', 'val', 'test', 'ood', 'tree'):
        assert again[key] == first[key]


@pytest.mark.parametrize('passes', [0, 1, 3])
def test_an_interrupted_fusion_goes_on(
    soups, generation, tmp_path, monkeypatch, passes
):
    cfg = soup_config(generation, tmp_path, 'gog')
    make_pass, made = EvaluationSet._pass, []

    def interrupted(self, *args):
        if len(made) == passes:
            raise KeyboardInterrupt
        made.append(self)
        return make_pass(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(EvaluationSet, '_pass', interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(cfg)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith('.soups')]
    report, (_, usual) = run(cfg), soups['gog']
    assert report['evaluations']['remembered'] == passes
    total = usual['evaluations']['selection']
    assert report['evaluations']['selection'] == total - passes
    assert report['ingredients'] == usual['ingredients']
    assert report['val'] == pytest.approx(usual['val'])


def test_a_changed_ingredient_is_evaluated_anew(generation, tmp_path):
    files = [f'{generation.work_dir}/{e["file"]}' for e in manifest(generation)][:2]
    copies = [tmp_path / f'{number}.pth' for number in range(2)]
    for file, to in zip(files, copies, strict=True):
        shutil.copy(file, to)
    cfg = soup_config(generation, tmp_path / 'soup', 'uniform')
    cfg.ingredients = [str(path) for path in copies]
    assert run(cfg)['evaluations']['val'] == 1
    assert run(cfg)['evaluations']['val'] == 0
    shutil.copy(files[0], copies[1])
    assert run(cfg)['evaluations']['val'] == 1


def test_fusions_of_one_session_share_images_and_passes(
    generation, tmp_path, capsys, soups
):
    with FusionSession() as session:
        reports = {}
        for method in ('greedy', 'best', 'hierarchical', 'greedy'):
            cfg = soup_config(generation, tmp_path / method, method)
            reports.setdefault(method, []).append(RUNNERS.build(cfg).run(session))
    assert capsys.readouterr().out.count('decoded once') <= 3
    again = reports['greedy'][1]['evaluations']
    assert again['val'] == again['test'] == 0
    for method, (report, *_) in reports.items():
        usual = soups[method][1]
        assert report['ingredients'] == usual['ingredients']
        assert report['test'] == pytest.approx(usual['test'])
        assert report['evaluations']['selection'] <= usual['evaluations']['selection']


def test_a_session_gives_another_config_other_images(generation, tmp_path):
    with FusionSession() as session:
        for size, sub in ((8, 'a'), (10, 'b')):
            cfg = soup_config(
                generation,
                tmp_path / sub,
                'best',
                image_size=size,
                evaluation=dict(other_view=size != 8),
            )
            report = RUNNERS.build(cfg).run(session)
            assert report['evaluations']['selection'] == (0 if size == 8 else 6)


def test_another_image_size_than_in_training_is_an_error(generation, tmp_path):
    runner = RUNNERS.build(soup_config(generation, tmp_path, 'best', image_size=10))
    with pytest.raises(ConfigError) as caught:
        runner.run()
    line = str(caught.value)
    assert 'in its training images had pipeline.0.scale=8, in this config' in line
    assert 'it is 10; give the same image_size' in line
    assert 'evaluation.other_view=True' in line
    assert not (tmp_path / 'soup.pth').exists()


def test_a_manifest_that_says_nothing_of_the_view_is_as_before(generation, tmp_path):
    # Of an earlier version.
    pool = tmp_path / 'pool'
    shutil.copytree(generation.work_dir, pool)
    content = read_json(pool / 'ingredients.json')
    del content['validation']['view']
    (pool / 'ingredients.json').write_text(json.dumps(content))
    cfg = soup_config(generation, tmp_path / 'soup', 'best', image_size=10)
    cfg.ingredients = str(pool / 'ingredients.json')
    report = run(cfg)
    assert report['evaluations']['selection'] == 6


def test_no_more_passes_than_the_method_needs(soups):
    # Two groups of three, recorded metrics known. Local greedy soups: two candidates
    # each; local uniform soups: one each; at the top: one candidate.
    passes = {m: report['evaluations']['selection'] for m, (_, report) in soups.items()}
    assert passes['best'] == 0
    assert passes['greedy'] <= 5
    assert passes['gou'] <= 2 + 1
    assert passes['gog'] <= 2 * 2 + 1


def test_mixed_precision_is_an_option(generation, tmp_path):
    cfg = soup_config(generation, tmp_path, 'greedy', evaluation=dict(dtype='bfloat16'))
    assert 0 <= run(cfg)['test']['accuracy'] <= 1


def test_batch_norm_reestimation_changes_statistics_only_and_reports_both(
    soups, generation, tmp_path
):
    bn = dict(num_samples=40)
    cfg = soup_config(generation, tmp_path, 'uniform', soup__bn_reestimation=bn)
    report = run(cfg)
    plain_cfg, plain = soups['uniform']
    assert report['bn_reestimation']['num_samples'] == 40
    before = report['bn_reestimation']['before']
    assert before == {key: plain[key] for key in ('val', 'test', 'ood')}
    assert report['val']['loss'] != plain['val']['loss']
    new = read_state_dict(f'{cfg.work_dir}/soup.pth')
    old = read_state_dict(f'{plain_cfg.work_dir}/soup.pth')
    changed = {key for key in old if not torch.equal(old[key], new[key])}
    statistics = {k for k in old if k.endswith(('running_mean', 'running_var'))}
    assert statistics <= changed
    assert all(k in statistics or 'num_batches' in k for k in changed)
    again = run(cfg)
    assert again['val'] == report['val']


def test_the_written_soup_has_the_reestimated_statistics(generation, tmp_path):
    bn = dict(num_samples=40)
    cfg = soup_config(generation, tmp_path, 'uniform', soup__bn_reestimation=bn)
    report = run(cfg)
    evaluator = ModelEvaluator(cfg)
    try:
        evaluator.load(read_state_dict(f'{cfg.work_dir}/soup.pth'))
        for split in ('val', 'test'):
            assert evaluator.evaluate(split) == pytest.approx(report[split])
    finally:
        evaluator.close()


def test_reestimation_does_not_reach_the_next_soup_of_a_session(
    soups, generation, tmp_path
):
    bn = dict(soup__bn_reestimation=dict(num_samples=40))
    with FusionSession() as session:
        for method, changes in (('uniform', bn), ('greedy', {})):
            cfg = soup_config(generation, tmp_path / method, method, **changes)
            report = RUNNERS.build(cfg).run(session)
    usual_cfg, usual = soups['greedy']
    assert report['test'] == pytest.approx(usual['test'])
    weights = read_state_dict(f'{cfg.work_dir}/soup.pth')
    for key, value in read_state_dict(f'{usual_cfg.work_dir}/soup.pth').items():
        assert torch.equal(weights[key], value), key


@pytest.mark.parametrize(
    ('method', 'changes', 'message'),
    [
        ('gog', dict(soup__groupby='lr'), "unknown key 'groupby' for GoGSoupRunner"),
        ('greedy', dict(soup__group_by='lr'), "unknown key 'group_by'"),
        ('greedy', dict(selection__metric='auroc'), r"'auroc' is not among"),
        ('uniform', dict(selection__metric='auroc'), r"'auroc' is not among"),
        ('greedy', dict(selection__rule='max'), 'max'),
        ('uniform', dict(selection__rule='less'), "set rule='greater'"),
        ('gog', dict(soup__group_by='colour'), 'colour'),
        ('greedy', dict(selection=dict(metric='loss', _delete_=True)), 'selection'),
        ('greedy', dict(ingredients=None), "'ingredients' is missing"),
        ('hierarchical', dict(soup=dict(_delete_=True)), r'soup\.levels is missing'),
        (
            'hierarchical',
            dict(soup=dict(levels=[dict(soup='stew')], _delete_=True)),
            'stew',
        ),
        (
            'hierarchical',
            dict(soup=dict(levels=[dict(soup='greedy', by='lr')], _delete_=True)),
            r'soup\.levels',
        ),
        (
            'hierarchical',
            dict(soup=dict(levels=[dict(soup='greedy', group_by='lr')], _delete_=True)),
            'level',
        ),
        ('uniform', dict(soup__bn_reestimation=dict(num_samples=4)), 'num_samples=4'),
        ('uniform', dict(soup__bn_reestimation=dict(samples=40)), 'num_samples'),
        ('uniform', dict(soup__bn_reestimation=True), 'bn_reestimation'),
    ],
)
def test_a_config_that_cannot_be_is_one_clear_error(
    generation, tmp_path, method, changes, message
):
    with pytest.raises(FFMMError, match=message):
        run(soup_config(generation, tmp_path, method, **changes))
    assert not (tmp_path / 'soup.pth').exists()


def test_another_architecture_in_the_pool_is_named(generation, tmp_path):
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'other.pth')
    pool = [f'{generation.work_dir}/ingredients.json', str(tmp_path / 'other.pth')]
    cfg = soup_config(generation, tmp_path, 'uniform')
    cfg.ingredients = pool
    with pytest.raises(FFMMError, match=r'other .*lacks keys'):
        run(cfg)


@pytest.mark.parametrize('method', ['best', 'uniform', 'greedy'])
def test_a_pool_of_another_model_than_the_configs_is_one_clear_error(
    generation, tmp_path, method
):
    cfg = soup_config(generation, tmp_path, method, model__head__in_channels=7)
    with pytest.raises(FFMMError, match=r'head\.fc\.(weight|bias)'):
        run(cfg)


@pytest.mark.parametrize(
    ('rule', 'value', 'score', 'said'),
    [
        ('greater', 0.33, 0.86, True),
        ('greater', 0.82, 0.86, False),
        ('less', 2.0, 0.4, True),
        ('less', 0.3, 0.4, False),
        ('greater', 0.33, None, False),
    ],
)
def test_a_soup_far_worse_than_its_best_ingredient_is_remarked_on(
    rule, value, score, said
):
    report = dict(val=dict(m=value), bn_reestimation=None)
    ingredients = [Ingredient('a', dict, score=score)]
    line = collapse_note(report, 'm', rule == 'greater', ingredients, True)
    assert (line is not None) == said
    if line:
        assert f'{value:.4f} of the soup' in line and f'{score:.4f}' in line
        assert 'soup.bn_reestimation' in line


def test_a_model_that_is_twice_in_the_pool_counts_once(generation, tmp_path, capsys):
    one, two = (f'{generation.work_dir}/{e["file"]}' for e in manifest(generation)[:2])
    copied = torch.load(one, weights_only=True)
    copied['meta'] = dict(epoch=99)
    torch.save(copied, tmp_path / 'best_accuracy.pth')
    pool = [one, two, str(tmp_path / 'best_accuracy.pth')]

    def weights(name, **soup):
        cfg = soup_config(generation, tmp_path / name, 'uniform', ingredients=pool)
        cfg.soup = soup
        report = run(cfg)
        return report, [item['weight'] for item in report['ingredients']]

    report, counted = weights('once')
    assert counted == [0.5, 0.5]
    (copy,) = report['copies']
    assert copy['name'] == 'best_accuracy'
    assert f'note: best_accuracy has the weights of {copy["of"]}' in (
        ' '.join(capsys.readouterr().out.split())
    )
    assert 'best_accuracy, a copy of' in (tmp_path / 'once/report.md').read_text()
    report, counted = weights('each', keep_copies=True)
    assert counted == pytest.approx([1 / 3] * 3) and report['copies'] == []


def renamed(generation, folder, classes):
    """The pool as it would be, had it been trained with classes of these names."""
    for entry in manifest(generation):
        file = f'{generation.work_dir}/{entry["file"]}'
        content = torch.load(file, weights_only=True)
        content['meta']['dataset_meta']['classes'] = classes
        torch.save(content, folder / f'{entry["name"]}.pth')
    return f'{folder}/*.pth'


def test_a_pool_that_numbers_the_classes_otherwise_is_refused(
    generation, tmp_path, tool, capsys
):
    cfg = soup_config(generation, tmp_path / 'soup', 'uniform')
    names = ['one', 'zero', *(f'digit {i}' for i in range(2, 10))]
    cfg.ingredients = renamed(generation, tmp_path, names)
    with pytest.raises(FFMMError, match=r"\.pth: .*'one' is number 0 there and 1"):
        run(cfg)
    cfg.dump(tmp_path / 'soup.py')
    file = next(tmp_path.glob('base_*.pth'))
    assert tool('test.py', tmp_path / 'soup.py', file) == 2
    assert "'one' is number 0 there" in capsys.readouterr().err


def test_a_pool_with_other_names_of_classes_is_noted(generation, tmp_path, capsys):
    cfg = soup_config(generation, tmp_path / 'soup', 'uniform')
    cfg.ingredients = renamed(generation, tmp_path, [f'digit {i}' for i in range(10)])
    run(cfg)
    text = ' '.join(capsys.readouterr().out.split())
    assert 'trained with classes of other names' in text


def test_a_malicious_ingredient_does_not_run(generation, tmp_path, malicious):
    file, marker = malicious
    cfg = soup_config(generation, tmp_path, 'uniform')
    cfg.ingredients = str(file)
    with pytest.raises(FFMMError, match=r'evil\.pth'):
        run(cfg)
    assert not marker.exists()


def test_an_ood_set_that_is_not_there_says_how_to_do_without(generation, tmp_path):
    ham = dict(type='HAM10000', data_root='nowhere')
    ood = dict(corrupted=dict(), elsewhere=dict(dataset=ham))
    cfg = soup_config(generation, tmp_path, 'uniform', ood_dataloaders=ood)
    with pytest.raises(FFMMError, match=r'no such folder(.|\n)*elsewhere=None$'):
        run(cfg)


def test_sets_of_equal_names_and_labels_are_not_taken_for_one(
    generation, tmp_path, monkeypatch
):
    # As with a copy of the test images in another folder, blurred say.
    monkeypatch.setattr(
        'ff_mm.evaluation.fingerprint.fingerprint', lambda dataset: 'same'
    )
    evaluator = ModelEvaluator(soup_config(generation, tmp_path, 'uniform'))
    for keys in (evaluator.keys, evaluator.prediction_keys):
        assert len({keys['test'], keys['ood/corrupted']}) == 2
    evaluator.close()


def test_a_config_without_test_and_ood_sets_will_do(generation, tmp_path):
    cfg = soup_config(generation, tmp_path, 'uniform', ood_dataloaders=None)
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        cfg.pop(key)
    report = run(cfg)
    assert report['test'] is None and report['ood'] == {}


STOCK = """
import sys
sys.modules['ff_mm'] = None  # importing it would raise
import numpy as np
from sklearn.datasets import load_digits
from mmpretrain import ImageClassificationInferencer, get_model
config, checkpoint = sys.argv[1:]
digits = load_digits().images[:5]
images = [np.stack([d * 15.9] * 3, -1).astype('uint8') for d in digits]
model = get_model(config, pretrained=checkpoint)
found = ImageClassificationInferencer(model)(images)
again = ImageClassificationInferencer(config, pretrained=checkpoint)(images)
for a, b in zip(found, again):
    assert a['pred_class'] == b['pred_class']
    assert abs(a['pred_scores'].sum() - 1) < 1e-5
assert not any(name.startswith('ff_mm.') for name in sys.modules)
print('classes', *(r['pred_class'] for r in found))
"""


def test_stock_mmpretrain_predicts_with_the_soup(soups, tmp_path):
    cfg, _ = soups['gog']
    paths = [f'{cfg.work_dir}/deploy.py', f'{cfg.work_dir}/soup.pth']
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    result = subprocess.run(
        [sys.executable, '-c', STOCK, *paths],
        cwd=tmp_path,
        env=dict(environment, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    predicted = result.stdout.split('classes')[1].split()
    assert len(predicted) == 5
    meta = torch.load(paths[1], weights_only=True)['meta']
    assert set(predicted) <= set(meta['dataset_meta']['classes'])
