from __future__ import annotations

import numpy as np
import pytest
import torch
from analyses import pool_folder, rows, run

from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.files import read_json

pytestmark = pytest.mark.usefixtures('files_where_looked_at')

SMALL = dict(loss_surface__points=3)


@pytest.fixture
def bowls(toy_pool):
    """Five models of a quadratic loss: a function for configs, and their weights."""
    random = torch.Generator().manual_seed(1)
    weights = [2 * torch.randn(5, generator=random) for _ in range(5)]
    return toy_pool(weights, centres=[[1.0] * 5])


def test_a_quadratic_loss_has_the_analytic_surface(bowls):
    config, weights = bowls
    names = ['toy3', 'toy0', 'toy2']
    found = run(
        config(
            'LossSurfaceRunner', loss_surface=dict(models=names, points=7, margin=0.4)
        )
    )
    three = weights[[3, 0, 2]]
    u = three[1] - three[0]
    u /= np.linalg.norm(u)
    v = three[2] - three[0] - (three[2] - three[0]) @ u * u
    v /= np.linalg.norm(v)
    for j, y in enumerate(found.ys):
        for i, x in enumerate(found.xs):
            at = three[0] + x * u + y * v
            analytic = ((at - 1) ** 2).sum()
            assert found.values('loss')[j, i] == pytest.approx(analytic, rel=1e-4)
    for mark, weight in zip(found.marks[:3], three, strict=True):
        np.testing.assert_allclose(
            three[0] + mark.x * u + mark.y * v, weight, atol=1e-5
        )
    (summary,) = found.summary()
    assert summary['roughness'] == pytest.approx(0, abs=1e-6)
    assert summary['minima'] == 1
    marked = [metrics['loss'] for metrics in found.mark_metrics]
    expected = [((w - 1) ** 2).sum() for w in (*three, three.mean(0))]
    assert marked == pytest.approx(expected, rel=1e-4)


def test_a_quadratic_loss_has_no_barrier_and_the_analytic_path(bowls):
    config, weights = bowls
    found = run(config('LMCRunner', lmc=dict(points=5)))
    assert len(found.paths) == 10
    for path, barriers in zip(found.paths, found.barriers, strict=True):
        a, b = (weights[int(name[-1])] for name in (path.pair.a, path.pair.b))
        for share, metrics in zip(np.linspace(0, 1, 5), path.metrics, strict=True):
            analytic = ((share * a + (1 - share) * b - 1) ** 2).sum()
            assert metrics['loss'] == pytest.approx(analytic, rel=1e-4)
        assert barriers['loss'] == 0


def test_the_plane_of_a_pool(analysis_config, folder, capsys):
    cfg = analysis_config('LossSurfaceRunner', **SMALL)
    found = run(cfg)
    folder = folder / 'loss_surface' / 'val'
    assert len(rows(folder / 'plane_grid.csv')) == 9
    recorded = {i['name']: i for i in read_json(cfg.ingredients)['ingredients']}
    for mark, metrics in list(zip(found.marks, found.mark_metrics, strict=True))[:3]:
        assert metrics == pytest.approx(recorded[mark.name]['metrics'])
    assert found.marks[3].name == 'uniform soup of the three'
    # Two learning rates are too few for three models of different ones: the best three.
    best = sorted(recorded, key=lambda n: -recorded[n]['metrics']['accuracy'])
    assert [mark.name for mark in found.marks[:3]] == best[:3]
    for metric in ('accuracy', 'loss'):
        for suffix in ('png', 'svg'):
            assert (folder / f'plane_{metric}.{suffix}').stat().st_size
    assert {row['metric'] for row in rows(folder / 'plane_summary.csv')} == {
        'accuracy',
        'loss',
    }
    assert 'roughness' in capsys.readouterr().out


def test_soups_are_marked_where_they_are(analysis_config):
    run(analysis_config('GreedySoupRunner', soup=dict()))
    cfg = analysis_config('UniformSoupRunner', soup=dict())
    report = run(cfg)
    found = run(analysis_config('LossSurfaceRunner', **SMALL))
    mark, metrics = found.marks[-1], found.mark_metrics[-1]
    assert mark.name == 'uniform soup' and mark.kind == 'soup'
    assert mark.off_plane > 0
    assert metrics == pytest.approx(report['val'], rel=1e-4)


def test_a_model_without_a_loss_is_none_of_the_best(toy_pool):
    weights = [torch.tensor([float(i), 0.0]) for i in range(3)]
    weights.insert(1, torch.tensor([1e30, 0.0]))
    weights[2] = torch.tensor([0.3, 2.0])
    config, _ = toy_pool(weights, [[0.0, 0.0]])
    found = run(config('LossSurfaceRunner', **SMALL))
    assert {mark.name for mark in found.marks[:3]} == {'toy0', 'toy2', 'toy3'}


@pytest.mark.parametrize('count', [1, 2])
def test_random_directions(analysis_config, folder, count):
    cfg = analysis_config(
        'LossSurfaceRunner',
        loss_surface=dict(directions=count, points=3, span=0.1, models=['base_lr0.01']),
    )
    found = run(cfg)
    folder = folder / 'loss_surface' / 'val'
    assert (folder / 'directions_loss.png').is_file()
    values = found.values('loss')
    assert values.shape == ((3,) if count == 1 else (3, 3))
    recorded = {i['name']: i for i in read_json(cfg.ingredients)['ingredients']}
    middle = values[1] if count == 1 else values[1, 1]
    assert middle == pytest.approx(recorded['base_lr0.01']['metrics']['loss'])
    assert len(set(values.ravel().tolist())) == values.size
    cfg.loss_surface.seed = 1
    assert run(cfg).values('loss').tolist() != values.tolist()


def test_the_same_command_again_makes_no_pass(analysis_config, monkeypatch):
    cfg = analysis_config(
        'LossSurfaceRunner', loss_surface=dict(directions=2, points=3)
    )
    first = run(cfg)
    monkeypatch.setattr(EvaluationSet, '_pass', None)
    assert run(cfg).values('loss').tolist() == first.values('loss').tolist()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(models=['a', 'b']), r"models=\['a', 'b'\]: expected 3 names"),
        (dict(models=['a', 'b', 'b']), 'all different'),
        (dict(models=['a', 'b', 'c']), r"no ingredient 'a', there are base_lr0\.01"),
        (dict(models=['a', 'b'], directions=2), 'expected 1 names'),
        (dict(directions=3), 'directions=3'),
        (dict(points=2), 'points=2'),
        (dict(margin=-1), 'margin=-1'),
        (dict(span=0), 'span=0'),
        (dict(grid=5), "unknown key 'grid'"),
    ],
)
def test_mistakes(analysis_config, options, message):
    with pytest.raises(ConfigError, match=message) as error:
        run(analysis_config('LossSurfaceRunner', loss_surface=options))
    assert '\n' not in str(error.value)


def test_three_models_on_a_line(analysis_config):
    cfg = analysis_config('LossSurfaceRunner', **SMALL)
    base = f'{pool_folder(cfg)}/ingredients/'
    cfg.ingredients = [
        dict(file=f'{base}base_lr0.01.pth', name=name) for name in ('x', 'y', 'z')
    ]
    with pytest.raises(ConfigError, match=r'models: the models .* lie on one line'):
        run(cfg)
