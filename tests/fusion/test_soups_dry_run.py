"""``--dry-run`` of soups: what they take, with nothing left behind."""

from __future__ import annotations

import copy

import pytest
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import SetPace
from ff_mm.fission.disk import DiskError
from ff_mm.fusion import dry_run as module
from ff_mm.fusion.bill import Bill, EvaluatorPace, measure
from ff_mm.fusion.dry_run import Forecast, dry_run_soups, dry_session
from ff_mm.fusion.session import FusionSession

MARGIN = dict(accept=0.6)
KINDS = {
    'best': ('BestIngredientRunner', {}),
    'uniform': ('UniformSoupRunner', {}),
    'greedy': ('GreedySoupRunner', {}),
    'gou': ('GoUSoupRunner', {}),
    'gog': ('GoGSoupRunner', {}),
    'gog_margin': ('GoGSoupRunner', MARGIN),
    'searched': ('GreedySoupRunner', dict(merge=dict(type='ties', keep=[0.2, 0.5]))),
    'pruned': ('PrunedSoupRunner', {}),
    'ensemble_selection': ('EnsembleSelectionRunner', dict(rounds=5)),
    'learned': ('LearnedSoupRunner', dict(steps=3)),
    'ensemble': ('EnsembleRunner', {}),
    'selected': ('EnsembleRunner', dict(members='selection', rounds=5)),
}
#: Those of which as many passes are made, whatever comes out.
EXACT = {'best': 0, 'uniform': 1, 'greedy': 5, 'gou': 2 + 1, 'gog': 2 + 2 + 1}
PACE = EvaluatorPace(
    2.0,
    {n: SetPace(0.5, 0.1, 4, 40) for n in ('val', 'test', 'ood/corrupted')},
    frozenset({'val'}),
)


@pytest.fixture
def soup_of(analysis_config, tmp_path):
    def make(kind, **changes):
        runner, soup = KINDS[kind]
        cfg = analysis_config(runner, tmp_path / kind, **changes)
        cfg.soup = copy.deepcopy(soup)
        return cfg

    return make


def forecast(*cfgs):
    """The bill of some soups, each alone and all together."""
    with dry_session() as session:
        whole = Forecast(session, 0.01)
        bills = [whole.add(RUNNERS.build(cfg)) for cfg in cfgs]
    return bills, whole


@pytest.mark.parametrize('kind', KINDS)
def test_no_soup_takes_more_than_was_said(soup_of, tmp_path, kind):
    (bill,), _ = forecast(soup_of(kind))
    assert list(tmp_path.iterdir()) == []
    report = RUNNERS.build(soup_of(kind)).run()
    spent = report['evaluations']
    gradients = 2 * spent['gradients']
    chosen = spent['selection'] - gradients
    assert chosen <= bill.passes['val'], (chosen, bill)
    assert spent['val'] - gradients <= bill.passes['val']
    for name in ('test', 'ood/corrupted'):
        assert 0 < spent[name] <= bill.passes[name]
    if kind in EXACT:
        assert chosen == bill.passes['val'] == EXACT[kind]
    assert bool(gradients) == any('gradients' in what for what in bill.besides)


def test_what_soups_have_in_common_counts_once(soup_of):
    # Another metric than those recorded at training.
    changes = dict(val_evaluator=[dict(type='MulticlassMetric', items=['accuracy'])])
    cfgs = [soup_of(kind) for kind in ('best', 'greedy', 'gog')]
    for cfg in cfgs:
        cfg.merge_from_dict(copy.deepcopy(changes))
        cfg.evaluation = dict(cfg.get('evaluation') or {}, dtype='bfloat16')
    bills, whole = forecast(*cfgs)
    assert [bill.passes['val'] for bill in bills] == [6, 5, 5]
    assert whole.bill.passes['val'] == 16
    # That of the best single, and of two soups.
    assert whole.bill.passes['test'] == 3


def test_what_is_known_is_said_and_stays(soup_of, tmp_path, capsys):
    cfg = soup_of('greedy')
    RUNNERS.build(cfg).run()
    before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    capsys.readouterr()
    dry_run_soups([cfg], 0.01)
    assert 'evaluations.jsonl: ' in capsys.readouterr().out
    assert {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()} == before
    (bill,), _ = forecast(cfg_of_known(cfg))
    assert bill.passes['val'] == 0


def cfg_of_known(cfg):
    """The uniform soup, whose one pass stands in the memo."""
    cfg = copy.deepcopy(cfg)
    cfg.runner_type = 'UniformSoupRunner'
    RUNNERS.build(cfg).run()
    return cfg


def test_time_is_counted_up_from_what_was_measured(soup_of, monkeypatch, capsys):
    monkeypatch.setattr(module, 'measure', lambda *_: PACE)
    monkeypatch.setattr(module.time, 'perf_counter', lambda: 0.0)
    # Val is loaded once, test once in each pass: of the soup and of the best single.
    val, test = 40 * (5 * 0.1 + 0.5), 40 * (2 * 0.1 + 2 * 0.5)
    reads = 5 + 6 + 1 + 6  # each step, the soup kept, the best single, the soup
    seconds = dry_run_soups([soup_of('greedy')], 1.0)
    assert seconds == pytest.approx(val + 2 * test + reads * 2.0)
    out = capsys.readouterr().out
    assert '5 over val (40 images), 2 over test (40 images)' in out
    assert 'time: about 2 min 52 s if all of that is needed' in out


def test_a_full_disk_is_found(soup_of, monkeypatch):
    monkeypatch.setattr('ff_mm.fusion.bill.free_space', lambda _: 1000)
    with pytest.raises(DiskError, match=r'take .* free there'):
        dry_run_soups([soup_of('gog')], 0.01)


@pytest.mark.parametrize('seconds', [0, -1, float('inf'), float('nan')])
def test_no_time_to_measure_is_one_line(soup_of, seconds):
    with pytest.raises(ConfigError, match=r'--dry-run .*: expected seconds'):
        dry_run_soups([soup_of('best')], seconds)


def test_what_a_soup_would_refuse_is_refused(soup_of):
    cfg = soup_of('gog')
    cfg.soup.group_by = 'colour'
    with pytest.raises(ConfigError, match=r"groups by 'colour'"):
        dry_run_soups([cfg], 0.01)
    with pytest.raises(ConfigError, match=r'selection.metric'):
        dry_run_soups([soup_of('best', selection__metric='beauty')], 0.01)


def test_a_batch_is_measured_and_forgotten(soup_of):
    cfg = soup_of('best', val_dataloader__batch_size=8)
    runner = RUNNERS.build(cfg)
    with FusionSession() as session:
        (first, *_) = runner.prepare(session)
        pace = measure(runner.evaluator, first.load, 1e-9)
        assert (pace.sets['val'].seen, pace.sets['val'].images) == (8, 40)
        assert 'val' in pace.kept
        metrics = runner.evaluator.sets['val'].evaluator.metrics
        assert not any(metric.results for metric in metrics)
        assert runner.evaluator.evaluate('val')['accuracy'] == pytest.approx(
            first.score
        )


def test_batch_norm_takes_training_images(soup_of):
    cfg = soup_of('greedy')
    cfg.soup.bn_reestimation = dict(num_samples=16, candidates=True)
    (bill,), _ = forecast(cfg)
    spent = RUNNERS.build(cfg).run()['evaluations']
    assert 0 < spent['images']['train'] <= bill.trained == 5 * 16
    assert spent['selection'] == bill.passes['val']
    assert PACE.seconds(Bill(trained=10)) == pytest.approx(1.0)


def test_bills_add_up():
    bill = Bill(passing=5, kept=1, besides=['a'])
    bill.add(Bill(passing=3, kept=2, reads=4, besides=['a', 'b']))
    assert (bill.passing, bill.kept, bill.reads) == (5, 3, 4)
    assert bill.besides == ['a', 'b']
