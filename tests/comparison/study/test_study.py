from __future__ import annotations

import json

import comparisons
import numpy as np
import pytest
from comparisons import SKILLS, write

from ff_mm.comparison.study import Study, read_settings
from ff_mm.comparison.study.setting import SELECTED
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import read_json, write_json


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Three settings of two runs; the last one has no set out of distribution."""
    folder = tmp_path_factory.mktemp('study')
    made = [
        write(folder / 'one/compare', seed=1, runs=2),
        write(folder / 'two/compare', seed=2, runs=2, metric='loss'),
    ]
    few = {name: SKILLS[name] for name in ('best', 'soup', 'ensemble')}
    sets = ('val', 'test')
    return [*made, write(folder / 'three/compare', seed=3, skills=few, sets=sets)]


@pytest.fixture(scope='module')
def study(folders):
    return Study(read_settings(folders)).describe()


def test_of_one_setting_and_run_it_is_the_comparison_itself(tmp_path):
    found = Study(read_settings([write(tmp_path / 'compare_a', seed=4)])).describe()
    comparison = read_json(tmp_path / 'compare_a/comparison.json')
    assert [setting['name'] for setting in found['settings']] == ['a']
    for method in ('soup', 'ensemble', 'bad'):
        for domain, split in (('test', 'test'), ('ood', 'ood/elsewhere')):
            for metric in ('loss', 'auroc', 'accuracy', 'macro_recall'):
                own = comparison['methods'][method]['results'][split][metric]
                own = [own['difference'][key] for key in ('value', 'low', 'high')]
                if metric == 'loss':
                    own = [-own[0], -own[2], -own[1]]
                result = found['methods'][method]['results'][domain][metric]
                for each in (result, result['settings']['a']):
                    values = [each[key] for key in ('value', 'low', 'high')]
                    assert values == pytest.approx(own, abs=1e-12)
                fixed = result['fixed']
                assert [fixed['low'], fixed['high']] == pytest.approx(own[1:])


def test_of_one_setting_with_runs_each_point_is_the_comparisons(folders, study):
    for folder, name in zip(folders, ('one', 'two', 'three'), strict=True):
        comparison = read_json(folder / 'comparison.json')
        own = comparison['methods']['soup']['results']['test']['auroc']['difference']
        found = study['methods']['soup']['results']['test']['auroc']['settings'][name]
        for key in ('value', 'low', 'high'):
            assert found[key] == pytest.approx(own[key], abs=1e-12)


def test_better_is_above_zero_of_losses_too(study):
    for domain in ('test', 'ood'):
        results = study['methods']['ensemble']['results'][domain]
        assert set(results) == {SELECTED, 'loss', 'auroc', 'accuracy', 'macro_recall'}
        assert all(result['value'] > 0 for result in results.values())
        results = study['methods']['bad']['results'][domain]
        assert all(result['value'] < 0 for result in results.values())


def test_the_selected_metric_is_that_of_each_setting(study):
    results = study['methods']['soup']['results']['test']
    found = results[SELECTED]['settings']
    assert found['one'] == results['macro_recall']['settings']['one']
    assert found['two'] == results['loss']['settings']['two']
    assert results[SELECTED]['value'] == pytest.approx(
        np.mean([each['value'] for each in found.values()])
    )


def test_what_is_missing_somewhere_goes_by_where_it_is(study):
    methods = study['methods']
    assert methods['bad']['settings'] == ['one', 'two']
    assert list(methods['bad']['results']['test']['auroc']['settings']) == [
        'one',
        'two',
    ]
    assert methods['soup']['settings'] == ['one', 'two', 'three']
    assert list(methods['soup']['results']['ood']['auroc']['settings']) == [
        'one',
        'two',
    ]
    assert methods['best']['results'] == {}
    assert [each['runs'] for each in study['settings']] == [2, 2, 1]


def test_worse_and_worst(folders):
    result = Study(read_settings(folders)).describe()['methods']['bad']
    result = result['results']['test']['auroc']
    values = {name: each['value'] for name, each in result['settings'].items()}
    assert values[result['worst']] == min(values.values())
    for margin, worse in ((0, 2), (max(-v for v in values.values()), 0)):
        found = Study(read_settings(folders), margin=margin).describe()
        assert found['methods']['bad']['results']['test']['auroc']['worse'] == worse


def test_the_way_to_the_ensemble(study):
    methods = study['methods']
    for metric in ('loss', 'auroc'):
        whole = methods['ensemble']['way']['test'][metric]
        assert [whole[key] for key in ('value', 'low', 'high')] == [1, 1, 1]
        part = methods['soup']['way']['test'][metric]
        gains = [
            methods[name]['results']['test'][metric]['value']
            for name in ('soup', 'ensemble')
        ]
        assert part['value'] == pytest.approx(gains[0] / gains[1])
        assert part['low'] < part['value'] < part['high']
        # Of the settings that have both.
        shared = methods['bad']['way']['test'][metric]
        assert shared['settings'] == 2
        of_two = methods['ensemble']['results']['test'][metric]['settings']
        gain = np.mean([of_two[name]['value'] for name in ('one', 'two')])
        loss = methods['bad']['results']['test'][metric]['value']
        assert shared['value'] == pytest.approx(loss / gain)


def test_without_a_gain_there_is_no_way(folders):
    found = Study(read_settings(folders), ensemble='bad').describe()
    assert found['methods']['soup']['way']['test'] == dict(loss=None, auroc=None)


def test_another_baseline_and_cost(folders):
    found = Study(read_settings(folders), baseline='soup').describe()
    results = found['methods']['best']['results']['test']
    assert results['auroc']['value'] < 0
    cost = found['methods']['best']['cost']
    assert cost['generation']['epochs'] == 12
    assert cost['selection']['passes'] == pytest.approx(np.mean([0.5, 0.5, 0]))


def test_it_is_plain(study):
    assert json.loads(json.dumps(study, allow_nan=False)) == study


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(baseline='bets'),
            "baseline='bets': no comparison has such a method.*best",
        ),
        (dict(ensemble='all'), "ensemble='all': no comparison has such a method"),
        (dict(confidence=95), 'confidence=95: expected a fraction'),
        (dict(margin=-1), 'margin=-1: expected 0 or more'),
        (dict(seed=-1), 'seed=-1: expected 0 or more'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_options_that_are_none(folders, options, message):
    with pytest.raises(ConfigError, match=message):
        Study(read_settings(folders), **options)


def test_settings_that_do_not_go_together(folders, tmp_path):
    fewer = write(tmp_path / 'four/compare', resamples=100)
    with pytest.raises(ConfigError, match=r'100 resamples .* 200, expected as many'):
        read_settings([folders[0], fewer])
    with pytest.raises(ConfigError, match='given twice'):
        read_settings([folders[0], folders[1], folders[0]])
    with pytest.raises(ConfigError, match='none is given'):
        read_settings([])
    comparison = read_json(fewer / 'comparison.json')
    write_json(dict(comparison, resamples=200), fewer / 'comparison.json')
    with pytest.raises(FFMMError, match='has not 200 resamples of each'):
        read_settings([fewer])


def _no_digest(folder):
    comparison = read_json(folder / 'comparison.json')
    comparison.pop('resampled')
    write_json(comparison, folder / 'comparison.json')


def _of_another(folder):
    comparisons.comparison(seed=9).resamples().save(folder / 'resamples.npz')


def _no_metric(folder):
    comparison = read_json(folder / 'comparison.json')
    comparison['methods']['best']['runs'][0].pop('metrics')
    write_json(comparison, folder / 'comparison.json')


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda folder: (folder / 'comparison.json').unlink(), 'no comparison in it'),
        (lambda folder: (folder / 'resamples.npz').unlink(), 'kept no resamples; give'),
        (_no_digest, 'kept no resamples; give'),
        (_of_another, r'resamples\.npz: is not of the comparison\.json beside it'),
        (_no_metric, r"comparison\.json: is not a comparison: .*'best'.*'metrics'"),
    ],
    ids=['none', 'no_resamples', 'older', 'of_another', 'damaged'],
)
def test_folders_that_are_none_are_one_line(tmp_path, spoil, message):
    folder = write(tmp_path / 'compare_a')
    spoil(folder)
    with pytest.raises(FFMMError, match=message) as error:
        read_settings([folder])
    assert '\n' not in str(error.value)
