"""Grouping by connectivity: soups by basin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import RUNNERS

from ff_mm.comparison.method import selection_cost
from ff_mm.config import load_config
from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.files import read_json
from ff_mm.merging import read_state_dict

ROOT = Path(__file__).parents[2]
WELLS = [[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]
# Near which well each of the models is.
NEAR = [0, 1, 0, 0, 1]
BY_BASIN = dict(group_by='basin', basins=dict(threshold=0.5))


def run(cfg):
    return RUNNERS.build(cfg).run()


@pytest.fixture
def wells(toy_pool):
    random = torch.Generator().manual_seed(0)
    weights = [
        torch.tensor(WELLS[well]) + 0.4 * torch.randn(3, generator=random)
        for well in NEAR
    ]
    return toy_pool(weights, WELLS)


def height(weight):
    return ((weight - np.array(WELLS)) ** 2).sum(-1).min()


def test_models_of_one_basin_are_one_group_and_barriers_are_the_analytic_ones(wells):
    config, weights = wells
    report = run(config('GoUSoupRunner', soup=BY_BASIN))
    basins = report['basins']
    assert basins['members'] == {'1': ['toy0', 'toy2', 'toy3'], '2': ['toy1', 'toy4']}
    assert basins['metric'] == 'loss' and basins['threshold'] == 0.5
    for i, a in enumerate(weights):
        for j, b in enumerate(weights):
            analytic = height((a + b) / 2) - (height(a) + height(b)) / 2
            expected = max(0, analytic) if i != j else 0
            assert basins['barriers'][i][j] == pytest.approx(expected, abs=1e-4)
    groups = [*report['tree']['members'], *report['tree']['rejected']]
    assert {group['name'] for group in groups} == {'basin=1', 'basin=2'}
    soups = {
        group['name']: {member['name'] for member in group['members']}
        for group in groups
    }
    assert soups == {
        'basin=1': {'toy0', 'toy2', 'toy3'},
        'basin=2': {'toy1', 'toy4'},
    }


def test_without_basins_the_uniform_soup_falls_between_the_wells(wells):
    config, _ = wells
    by_basin = run(config('GoUSoupRunner', soup=BY_BASIN))
    uniform = run(config('UniformSoupRunner', soup=dict()))
    assert by_basin['val']['loss'] < 1 < uniform['val']['loss']


def test_the_report_for_people_lists_them(wells, folder):
    config, _ = wells
    run(config('GoGSoupRunner', soup=BY_BASIN))
    assert read_json(folder / 'report.json')['basins']['members']['2'] == [
        'toy1',
        'toy4',
    ]
    text = (folder / 'report.md').read_text()
    assert '| 1 | toy0, toy2, toy3 |' in text
    assert 'barrier of loss of 0.5' in text


def test_a_model_without_a_loss_is_a_basin_of_its_own(toy_pool):
    broken = torch.full((3,), 1e30)
    config, _ = toy_pool(
        [torch.tensor(WELLS[0]), broken, torch.tensor(WELLS[0])], WELLS
    )
    report = run(config('GoUSoupRunner', soup=dict(BY_BASIN, keep_copies=True)))
    assert report['basins']['members'] == {'1': ['toy0', 'toy2'], '2': ['toy1']}


def test_the_passes_that_find_basins_are_counted(wells, folder):
    config, _ = wells
    report = run(config('GoUSoupRunner', soup=BY_BASIN))
    assert report['evaluations']['basins'] == 10
    assert selection_cost(report)['passes'] >= 10
    assert 'The basins took 10 more' in (folder / 'report.md').read_text()
    plain = run(config('UniformSoupRunner', soup=dict()))
    assert plain['evaluations']['basins'] == 0


def test_a_metric_that_there_is_not_is_said_before_all_pairs_are_evaluated(
    wells, monkeypatch
):
    config, _ = wells
    made, plain = [], EvaluationSet._pass
    monkeypatch.setattr(
        EvaluationSet, '_pass', lambda self, *a: made.append(1) or plain(self, *a)
    )
    soup = dict(group_by='basin', basins=dict(threshold=1, metric='lss'))
    with pytest.raises(ConfigError, match=r"'lss' is not among the metrics of val"):
        run(config('GoUSoupRunner', soup=soup))
    assert len(made) == 1


def test_a_number_of_basins_instead_of_a_threshold(wells):
    config, _ = wells
    options = dict(group_by='basin', basins=dict(count=2, linkage='average', points=5))
    report = run(config('GoGSoupRunner', soup=options))
    assert len(report['basins']['members']) == 2


def test_levels_can_group_by_basin_and_more(wells):
    config, weights = wells
    levels = [
        dict(soup='uniform', group_by='basin'),
        dict(soup='greedy'),
    ]
    cfg = config('HierarchicalSoupRunner')
    cfg.soup = dict(levels=levels, basins=dict(threshold=0.5))
    report = run(cfg)
    soup = read_state_dict(f'{cfg.work_dir}/soup.pth')['weight'].double().numpy()
    kept = [item['name'] for item in report['ingredients']]
    mean = weights[[int(name[-1]) for name in kept]].mean(0)
    np.testing.assert_allclose(soup, mean, atol=1e-6)


def test_a_pool_of_one_basin_is_one_soup(toy_pool):
    config, _ = toy_pool([torch.tensor(WELLS[0]) * s for s in (0.9, 1, 1.1)], WELLS)
    report = run(config('GoUSoupRunner', soup=BY_BASIN))
    assert len(report['basins']['members']) == 1
    assert len(report['ingredients']) == 3


def test_passes_are_remembered(wells, folder):
    config, _ = wells
    run(config('GoUSoupRunner', soup=BY_BASIN))
    lines = (folder / 'evaluations.jsonl').read_text()
    again = run(config('GoUSoupRunner', soup=BY_BASIN))
    assert again['evaluations']['val'] == 0
    assert (folder / 'evaluations.jsonl').read_text() == lines


@pytest.mark.parametrize(
    ('soup', 'message'),
    [
        (dict(basins=dict(threshold=1)), r"no level groups by them.*group_by='basin'"),
        (dict(group_by='basin'), r"groups by 'basin', which 'toy0' does not have"),
        (dict(group_by='basin', basins=dict()), 'give one of threshold'),
        (dict(group_by='basin', basins=dict(count=0)), 'count=0'),
        (dict(group_by='basin', basins=dict(thresh=1)), "unknown key 'thresh'"),
        (dict(group_by='basin', basins=3), r'soup\.basins=3: expected a dict'),
        (
            dict(group_by='basin', basins=dict(threshold=1, linkage='ward')),
            "linkage='ward'",
        ),
        (dict(group_by='basin', basins=dict(threshold=1, points=2)), 'points=2'),
    ],
)
def test_mistakes(wells, soup, message):
    config, _ = wells
    cfg = config('GoGSoupRunner')
    cfg.soup = soup
    with pytest.raises(ConfigError, match=message) as error:
        run(cfg)
    assert '\n' not in str(error.value)


def test_basins_given_by_hand_need_no_paths_but_are_not_overwritten(wells, tmp_path):
    config, _ = wells
    cfg = config('GoUSoupRunner', soup=dict(group_by='basin'))
    cfg.ingredients = [
        dict(file=str(tmp_path / f'toy{i}.pth'), basin=well)
        for i, well in enumerate(NEAR)
    ]
    report = run(cfg)
    assert report['basins'] is None
    cfg.soup = BY_BASIN
    with pytest.raises(ConfigError, match=r"toy0 has a hyper-parameter 'basin'"):
        run(cfg)


@pytest.mark.parametrize('name', ['gou_basin', 'gog_basin', 'bou_basin'])
def test_the_configs(wells, name):
    config, _ = wells
    base = load_config(ROOT / 'configs' / '_base_' / 'soups' / f'{name}.py')
    report = run(config(base.runner_type, soup=base.soup.to_dict()))
    assert report['method'] == name.split('_')[0]
    # Drawn far from the bottom, the five do not all see each other without a climb.
    assert len(report['basins']['members']) >= 2
