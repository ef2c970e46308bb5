"""Comparison and analyses of a model that gives no probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from foreign import SquaredError, foreign_config
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, RUNNERS

from ff_mm.analysis.trajectory.diversity import diversity
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation import kept_results
from ff_mm.evaluation.ensemble import logit_ensemble
from ff_mm.evaluation.predictions import Predictions, PredictionsError


@METRICS.register_module()
class OneABatch(SquaredError):
    """Keeps the mean of a batch, of which no case can be drawn."""

    def process(self, data_batch, data_samples):
        said, truth = data_samples
        self.results.append(float(((said - truth) ** 2).mean()))


@METRICS.register_module()
class KeepsDicts(SquaredError):
    """Keeps what no array can hold."""

    def process(self, data_batch, data_samples):
        said, truth = data_samples
        self.results += [dict(d=float(d)) for d in (said - truth)]

    def compute_metrics(self, results):
        return dict(mse=float(np.mean([each['d'] ** 2 for each in results])))


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp('compared') / 'plan'
    RUNNERS.build(Config(foreign_config(folder))).train()
    return folder / 'ingredients.json'


def compare(pool, folder, **changes):
    cfg = foreign_config(
        folder,
        runner_type='ComparisonRunner',
        pools=dict(fgg=str(pool)),
        methods=dict(
            best=dict(title='best', pool='fgg', runner_type='BestIngredientRunner'),
            mean=dict(title='mean', pool='fgg', runner_type='UniformSoupRunner'),
        ),
        baseline='best',
        bootstrap=dict(resamples=200),
    )
    cfg.pop('plan')
    cfg.update(changes)
    return RUNNERS.build(Config(cfg)).run()


def test_methods_are_compared_by_what_their_metric_keeps(pool, tmp_path):
    found = compare(pool, tmp_path)
    assert set(found['sets']) == {'val', 'test', 'ood/shifted'}
    for name, of_set in found['sets'].items():
        assert (of_set['cases'], of_set['classes']) == (24, {})
        file = next((tmp_path / 'predictions' / name).glob('*.npz'))
        kept = Predictions.read(file).kept['kept_0']
        values = [
            row['results'][name]['curve/mse'] for row in found['methods'].values()
        ]
        assert any(v['value'] == pytest.approx(kept.mean()) for v in values)
        assert all(v['low'] < v['value'] < v['high'] for v in values)
    assert found['delong'] == {'test': [], 'ood/shifted': []}
    assert found['recommendation']['method'] == 'best'
    page = (tmp_path / 'comparison.md').read_text()
    assert 'curve/mse' in page


def test_the_interval_is_that_of_resamples_by_hand(pool, tmp_path):
    found = compare(pool, tmp_path)
    drawn = found['methods']['best']['results']['test']['curve/mse']
    kept = [
        Predictions.read(file).kept['kept_0']
        for file in (tmp_path / 'predictions' / 'test').glob('*.npz')
    ]
    (own,) = (each for each in kept if each.mean() == pytest.approx(drawn['value']))
    random = np.random.default_rng(1)
    means = own[random.integers(24, size=(4000, 24))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    assert drawn['low'] == pytest.approx(low, rel=0.2)
    assert drawn['high'] == pytest.approx(high, rel=0.2)


@pytest.mark.parametrize(
    ('metric', 'message'),
    [
        ('OneABatch', 'OneABatch keeps 1 results of 8 cases'),
        ('KeepsDicts', 'KeepsDicts keeps of each case dict, which'),
    ],
)
def test_metrics_that_keep_nothing_to_compare_by_are_refused_before_any_soup(
    metric, message, pool, tmp_path
):
    with pytest.raises(FFMMError, match=message):
        compare(pool, tmp_path, test_evaluator=dict(type=metric))
    assert not (tmp_path / 'best').exists()


def test_an_ensemble_is_refused_before_any_soup(pool, tmp_path):
    methods = dict(
        best=dict(title='best', pool='fgg', runner_type='BestIngredientRunner'),
        all=dict(title='all', pool='fgg', ensemble=True),
    )
    with pytest.raises(ConfigError, match=r'methods\.all: needs the probability'):
        compare(pool, tmp_path, methods=methods)
    assert not (tmp_path / 'best').exists()


def test_fuse_is_refused_when_its_config_is_read(pool, tmp_path):
    cfg = foreign_config(tmp_path, runner_type='FuseRunner', pool=str(pool))
    with pytest.raises(ConfigError, match=r'tools/fuse\.py: needs the probability'):
        RUNNERS.build(Config(cfg))


@pytest.mark.parametrize(
    ('kind', 'options'),
    [
        ('LMCRunner', dict(lmc=dict(points=3))),
        ('LossSurfaceRunner', dict(loss_surface=dict(points=3))),
    ],
)
def test_analyses_need_metrics_only(kind, options, pool, tmp_path):
    cfg = foreign_config(
        tmp_path, runner_type=kind, ingredients=str(pool), soup={}, **options
    )
    RUNNERS.build(Config(cfg)).run()
    written = {path.suffix for path in tmp_path.rglob('*')}
    assert {'.png', '.csv'} <= written


def test_trajectories_are_drawn_and_disagreement_is_left_out_in_words(
    pool, tmp_path, capsys
):
    cfg = foreign_config(
        tmp_path, runner_type='TrajectoryRunner', ingredients=str(pool), soup={}
    )
    assert RUNNERS.build(Config(cfg)).run() is None
    assert (tmp_path / 'trajectory' / 'trajectory.png').exists()
    assert not (tmp_path / 'trajectory' / 'predictions').exists()
    assert 'needs the class that a model predicts' in capsys.readouterr().out


def test_the_tree_of_a_soup_is_drawn(pool, tmp_path):
    for kind in ('GoGSoupRunner', 'SoupTreeRunner'):
        cfg = foreign_config(tmp_path, runner_type=kind, ingredients=str(pool), soup={})
        RUNNERS.build(Config(cfg)).run()
    assert list((tmp_path / 'soup_tree').glob('*.png'))


@pytest.mark.parametrize(
    'results',
    [
        [0.5, 1.5, 2.0],
        [(1, 2.0), (3, 4.0)],
        [np.arange(3), np.arange(3) + 1],
        [(torch.arange(2), torch.ones(2)), (torch.arange(2) + 1, torch.zeros(2))],
        [(np.arange(2), np.ones((2, 2)))] * 2,
    ],
)
def test_what_a_metric_keeps_comes_back_as_it_was(results):
    arrays = kept_results.pack(BaseMetric.__new__(SquaredError), 3, results)
    again = kept_results.unpack(arrays, 3)
    assert len(again) == len(results)
    for one, other in zip(again, results, strict=True):
        assert type(one) is type(other)
        pairs = (
            zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
        )
        for got, expected in pairs:
            np.testing.assert_array_equal(got, expected)


def test_predictions_of_results_are_read_as_they_were_written(tmp_path):
    kept = dict(kept_0=np.arange(4.0), kept_1_0=np.ones((4, 2), np.int64))
    Predictions.of_results(kept, 'abcd').save(tmp_path / 'p.npz')
    found = Predictions.read(tmp_path / 'p.npz')
    assert set(found.kept) == set(kept)
    np.testing.assert_equal(found.kept, kept)
    short = dict(kept_0=np.arange(3.0))
    with pytest.raises(PredictionsError, match=r'kept_0 of shape \(3,\) for 4 cases'):
        Predictions.of_results(short, 'abcd')


@pytest.mark.parametrize(
    'use', [lambda p: logit_ensemble([p, p]), lambda p: diversity(dict(a=p, b=p))]
)
def test_nobody_takes_results_for_probabilities(use):
    with pytest.raises(PredictionsError, match='there are no probabilities'):
        use(Predictions.of_results(dict(kept_0=np.arange(4.0)), 'abcd'))
