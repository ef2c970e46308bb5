"""``--dry-run`` of compare and fuse: what they take, with nothing left behind."""

from __future__ import annotations

import copy

import pytest
from mmengine.registry import RUNNERS

from ff_mm.comparison.dry_run import dry_run_comparison, dry_run_fuse
from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import EvaluationSet

COMPARED = dict(
    best=dict(title='best', pool='fgg', runner_type='BestIngredientRunner'),
    gog=dict(title='GoG', pool='fgg', runner_type='GoGSoupRunner'),
    all=dict(title='ensemble', pool='fgg', ensemble=True),
    file=dict(title='file', pool='fgg', runner_type='EnsembleRunner'),
)
FUSED = dict(
    best=dict(title='best', runner_type='BestIngredientRunner'),
    bou=dict(title='BoU', runner_type='BoUSoupRunner'),
)
COMMANDS = {
    'compare': ('ComparisonRunner', dict(methods=COMPARED), dry_run_comparison),
    'fuse': ('FuseRunner', dict(fusions=FUSED), dry_run_fuse),
}


@pytest.fixture
def config_of(small_pool, tmp_path):
    def make(command, **changes):
        kind, keys, _ = COMMANDS[command]
        cfg = copy.deepcopy(small_pool)
        cfg.pop('plan')
        source = f'{small_pool.work_dir}/ingredients.json'
        cfg.merge_from_dict(
            dict(
                copy.deepcopy(keys),
                runner_type=kind,
                work_dir=str(tmp_path / command),
                pool=source,
                baseline='best',
                bootstrap=dict(resamples=100),
            )
        )
        cfg.pools = dict(fgg=source)
        if command == 'compare':
            cfg.pop('pool')
        cfg.merge_from_dict({k.replace('__', '.'): v for k, v in changes.items()})
        return cfg

    return make


@pytest.fixture
def passes(monkeypatch):
    """Which passes are made, by the name of the set."""
    made = []
    for name in ('predict', 'evaluate'):
        real = getattr(EvaluationSet, name)

        def watch(self, model, *args, real=real):
            made.append(self.name)
            return real(self, model, *args)

        monkeypatch.setattr(EvaluationSet, name, watch)
    return made


def said_of(out):
    """The passes for predictions over each set, and how many are known."""
    line = ' '.join(out[out.index('predictions: passes') :].split())
    line = line[: line.index(' are known')]
    counts = {
        name: int(line.split(f' over {name} ')[0].split()[-1])
        for name in ('val', 'test', 'ood/corrupted')
    }
    return counts, int(line.split()[-1])


@pytest.mark.parametrize(('command', 'most'), [('compare', 2 + 6 + 6), ('fuse', 2 + 6)])
def test_predictions_are_counted_before_and_known_after(
    config_of, tmp_path, capsys, passes, command, most
):
    dry_run = COMMANDS[command][2]
    assert dry_run(RUNNERS.build(config_of(command)), 0.01) > 0
    assert list(tmp_path.iterdir()) == [] and not passes
    assert said_of(capsys.readouterr().out) == (
        dict.fromkeys(['val', 'test', 'ood/corrupted'], most),
        0,
    )
    RUNNERS.build(config_of(command)).run()
    assert 0 < passes.count('test') <= most  # an ensemble in a file passes once
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}
    capsys.readouterr()
    del passes[:]
    dry_run(RUNNERS.build(config_of(command)), 0.01)
    out = capsys.readouterr().out
    counts, known = said_of(out)
    assert set(counts.values()) == {0} and known > 0
    assert 'made before, in ' in out and 'over val' in out
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')} == before
    assert not passes


def test_what_cannot_be_measured_is_named(config_of, capsys):
    cfg = config_of('fuse')
    runner = RUNNERS.build(cfg)
    runner.budget = 7
    runner.cfg.plan = dict(type='DistillationPlan')
    dry_run_fuse(runner, 0.01)
    out = ' '.join(capsys.readouterr().out.split())
    assert 'not in these figures: distillation in 7 epochs' in out
    assert 'the report, of 100 resamples' in out


@pytest.mark.parametrize('command', COMMANDS)
def test_what_the_command_would_refuse_is_refused(config_of, tmp_path, command):
    cfg = config_of(command)
    cfg.selection = dict(metric='beauty', rule='greater')
    with pytest.raises(ConfigError, match='beauty'):
        COMMANDS[command][2](RUNNERS.build(cfg), 0.01)
    with pytest.raises(ConfigError, match=r'--dry-run 0: expected seconds'):
        COMMANDS[command][2](RUNNERS.build(config_of(command)), 0)
    assert list(tmp_path.iterdir()) == []
