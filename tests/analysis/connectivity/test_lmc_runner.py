from __future__ import annotations

from itertools import combinations

import pytest
import torch
from analyses import evaluator_of, manifest, pool_folder, rows, run, weights_of
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.fusion.session import FusionSession

pytestmark = pytest.mark.usefixtures('files_where_looked_at')


def require_ends(found, cfg, **close):
    """The ends of all paths are what was recorded of the ingredients."""
    recorded = manifest(cfg)
    for path in found.paths:
        for name, metrics in (
            (path.pair.b, path.metrics[0]),
            (path.pair.a, path.metrics[-1]),
        ):
            assert metrics == pytest.approx(recorded[name]['metrics'], **close)


def test_ends_are_the_ingredients_own_metrics_and_what_lies_between_is_the_mean(
    analysis_config,
):
    cfg = analysis_config('LMCRunner', lmc__points=5)
    found = run(cfg)
    pairs = [(path.pair.a, path.pair.b) for path in found.paths]
    assert pairs == list(combinations(manifest(cfg), 2))
    require_ends(found, cfg)
    # One point of one path, by hand.
    path = found.paths[3]
    a, b = (weights_of(cfg, name) for name in (path.pair.a, path.pair.b))
    middle = {
        k: (0.25 * a[k].double() + 0.75 * b[k].double()).to(v.dtype)
        if v.is_floating_point()
        else v
        for k, v in a.items()
    }
    cfg.evaluation = dict(fold_batch_norm=False)
    with evaluator_of(cfg) as evaluator:
        evaluator.load(middle)
        assert path.metrics[1] == pytest.approx(evaluator.evaluate('val'), rel=1e-4)


def test_ends_that_are_evaluated_are_what_was_recorded(analysis_config, monkeypatch):
    """Without the records, and with batch norm as it is: the same numbers."""
    cfg = analysis_config('LMCRunner', lmc__points=3, evaluation__fold_batch_norm=False)
    monkeypatch.setattr(
        'ff_mm.evaluation.candidate_evaluator.CandidateEvaluator.take_over',
        lambda *_: None,
    )
    require_ends(run(cfg), cfg, rel=1e-5)


def test_files_say_the_same_as_what_is_returned(analysis_config, folder, capsys):
    found = run(analysis_config('LMCRunner', lmc__points=3))
    points, pairs, kinds = (
        rows(folder / 'lmc' / 'val' / f'{name}.csv')
        for name in ('paths', 'pairs', 'by_difference')
    )
    assert len(points) == 3 * len(pairs) == 3 * 15
    assert [row['lambda'] for row in points[:3]] == ['0.0', '0.5', '1.0']
    assert float(points[0]['loss']) == pytest.approx(found.paths[0].metrics[0]['loss'])
    for row, barriers in zip(pairs, found.barriers, strict=True):
        assert float(row['loss_barrier']) == pytest.approx(barriers['loss'])
    assert sum(int(row['pairs']) for row in kinds) == 15
    assert {row['differ'] for row in kinds} == {
        'lr',
        'cycle',
        'base to snapshot',
        'lr + cycle',
        'lr + stage',
    }
    for metric in ('accuracy', 'loss'):
        for kind in ('paths', 'barriers'):
            for suffix in ('png', 'svg'):
                file = folder / 'lmc' / 'val' / f'{kind}_{metric}.{suffix}'
                assert file.stat().st_size
    assert 'base to snapshot' in capsys.readouterr().out


def test_nothing_is_evaluated_twice_and_soups_share_what_is_known(
    analysis_config, passes
):
    cfg = analysis_config('LMCRunner', lmc__points=3)
    first = run(cfg)
    soup = analysis_config('GreedySoupRunner', soup=dict())
    # The first step of a greedy soup is a mean of two, which a path has as its middle.
    assert run(soup)['evaluations']['remembered'] >= 1
    passes.clear()
    assert run(cfg).barriers == first.barriers
    assert not passes


def test_an_interrupted_run_goes_on(analysis_config, passes):
    cfg = analysis_config('LMCRunner', lmc__points=3)
    passes.stop_at = 7
    with pytest.raises(KeyboardInterrupt):
        run(cfg)
    run(cfg)
    # 15 pairs, one point between; the seventh was made twice.
    assert len(passes) == 16


def test_pairs_can_be_chosen(analysis_config):
    found = run(
        analysis_config(
            'LMCRunner', lmc__points=3, lmc__differ=['lr', 'cycle'], lmc__at_most=2
        )
    )
    kinds = [path.pair.differ for path in found.paths]
    assert sorted(kinds) == ['cycle', 'cycle', 'lr', 'lr']


@pytest.mark.parametrize('split', ['test', 'ood/corrupted'])
def test_other_sets(analysis_config, folder, split):
    cfg = analysis_config(
        'LMCRunner', lmc__points=3, lmc__differ=['cycle'], lmc__split=split
    )
    found = run(cfg)
    assert (folder / 'lmc' / split / 'pairs.csv').is_file()
    with evaluator_of(cfg) as evaluator:
        evaluator.load(weights_of(cfg, found.paths[0].pair.a))
        expected = evaluator.evaluate(split)
    assert found.paths[0].metrics[-1] == pytest.approx(expected, rel=1e-4)


def test_metrics_that_only_the_other_sets_have(analysis_config):
    cfg = analysis_config(
        'LMCRunner',
        lmc=dict(points=3, differ=['cycle'], split='test', metrics=['macro_precision']),
    )
    cfg.test_evaluator = [dict(type='MulticlassMetric', items=['macro_precision'])]
    found = run(cfg)
    assert found.rules == dict(macro_precision='greater')


def test_in_another_precision_nothing_is_recalled(analysis_config, passes):
    options = dict(lmc__points=3, lmc__differ=['cycle'])
    run(analysis_config('LMCRunner', **options))
    assert len(passes) == 2  # of each of two pairs the middle
    run(analysis_config('LMCRunner', **options, evaluation__dtype='bfloat16'))
    assert len(passes) == 2 + 2 + 4


def test_batch_norm_is_reestimated_at_each_point_the_ends_too(analysis_config):
    options = dict(lmc__points=3, lmc__differ=['cycle'])
    plain = run(analysis_config('LMCRunner', **options))
    cfg = analysis_config(
        'LMCRunner', **options, lmc__bn_reestimation=dict(num_samples=16)
    )
    anew = run(cfg)
    assert [p.metrics for p in anew.paths] != [p.metrics for p in plain.paths]
    with evaluator_of(cfg) as evaluator:
        evaluator.load(weights_of(cfg, anew.paths[0].pair.a))
        assert evaluator.reestimate_batch_norm(16) == 16
        expected = evaluator.evaluate('val')
    assert anew.paths[0].metrics[-1] == pytest.approx(expected, rel=1e-4)
    # Kept apart from what was evaluated without it.
    assert [p.metrics for p in run(cfg).paths] == [p.metrics for p in anew.paths]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(lmc__points=2), r'points=2.*3 or more'),
        (dict(lmc__pionts=9), r"lmc: unknown key 'pionts'"),
        (dict(lmc__split='tset'), r"lmc: there is no set 'tset', there are \['val', "),
        (dict(lmc__metrics=['acuracy']), r"'acuracy'.*did you mean 'accuracy'"),
        (dict(lmc__differ=['momentum']), r"'momentum'.*'lr'"),
        (dict(lmc__metrics='loss'), r"lmc.metrics='loss': expected a list of names"),
        (dict(lmc__differ='lr'), r"lmc.differ='lr': expected a list of names"),
        (dict(lmc__at_most=0), r'lmc.at_most=0'),
        (dict(lmc__linkage='ward'), r"lmc.linkage='ward'"),
        (dict(lmc__bn_reestimation=5), r'lmc.bn_reestimation: expected dict'),
        (dict(ingredients=None), r"'ingredients' is missing"),
        (
            dict(selection=dict(rule='greater', _delete_=True)),
            r"selection: expected dict\(metric='macro_recall', rule='greater'\)",
        ),
        (dict(lmc__bn_reestimation=dict(num_samples='x')), r"num_samples='x'"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_evaluated(
    analysis_config, changes, message, passes
):
    with pytest.raises(ConfigError, match=message) as error:
        run(analysis_config('LMCRunner', **changes))
    assert '\n' not in str(error.value)
    assert not passes


def test_a_metric_that_the_set_lacks_is_said_after_one_pass(analysis_config, passes):
    cfg = analysis_config('LMCRunner', lmc__points=3, lmc__split='test')
    cfg.test_evaluator = [dict(type='MulticlassMetric', items=['accuracy'])]
    with pytest.raises(ConfigError, match=r"'loss' is not among the metrics of test"):
        run(cfg)
    assert len(passes) == 1


def test_one_ingredient_has_no_paths(analysis_config):
    cfg = analysis_config('LMCRunner')
    cfg.ingredients = f'{pool_folder(cfg)}/ingredients/base_lr0.01.pth'
    with pytest.raises(ConfigError, match='takes two ingredients'):
        run(cfg)


def test_a_session_is_shared_with_soups(analysis_config):
    with FusionSession() as session:
        lmc = RUNNERS.build(analysis_config('LMCRunner', lmc__points=3)).run(session)
        cfg = analysis_config('UniformSoupRunner', soup=dict())
        report = RUNNERS.build(cfg).run(session)
        setup = session.setup(RUNNERS.build(cfg).cfg, print)
        assert setup is session.setup(RUNNERS.build(cfg).cfg, print)
    assert len(lmc.paths) == 15
    assert report['pool_size'] == 6


def test_torch_is_left_as_it_was(analysis_config):
    run(analysis_config('LMCRunner', lmc__points=3, lmc__differ=['cycle']))
    assert torch.is_grad_enabled()
