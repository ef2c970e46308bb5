"""Analyses by several real processes: the numbers of one."""

from __future__ import annotations

import copy
import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from many_processes import make
from mmengine.registry import RUNNERS

from ff_mm.errors import FFMMError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.fusion.session import FusionSession
from ff_mm.parallel.team import Team

pytestmark = pytest.mark.usefixtures('files_where_looked_at')


def analyse(cfg, said):
    """The passes of this process, and what came out, of one member of a team."""
    cfg.launcher = 'pytorch'
    passes, plain = [], EvaluationSet._pass

    def count(self, *args):
        passes.append(self.name)
        return plain(self, *args)

    EvaluationSet._pass = count
    team = Team.of_launcher('pytorch')
    with (
        open(f'{said}{team.rank}', 'w') as file,
        redirect_stdout(file),
        FusionSession(team) as session,
    ):
        found = RUNNERS.build(cfg).run(session)
    return len(passes), [path.metrics for path in found.paths]


def test_points_are_shared_out_and_come_to_the_same(analysis_config, tmp_path):
    options = dict(lmc__points=5, lmc__differ=['lr', 'cycle'])
    one = RUNNERS.build(analysis_config('LMCRunner', tmp_path / 'one', **options)).run()
    cfg = analysis_config('LMCRunner', tmp_path / 'two', **options)
    results = make(2, analyse, cfg, str(tmp_path / 'said'))
    first, second = (metrics for _, metrics in results)
    assert first == second
    # To rounding: this process may compute with more threads.
    for path, metrics in zip(one.paths, first, strict=True):
        for ours, theirs in zip(path.metrics, metrics, strict=True):
            assert theirs == pytest.approx(ours, rel=1e-5)
    passes = [number for number, _ in results]
    # Five pairs of three points between the ends, of which each was made once.
    assert sum(passes) == 3 * len(one.paths) and min(passes) > 0
    assert 'paths on val' not in Path(tmp_path / 'said1').read_text()


def test_batch_norm_of_ranks_that_split_the_data_is_not_that_of_one(
    analysis_config, tmp_path
):
    """Nor is one taken for the other, should they share a work directory."""
    options = dict(
        lmc=dict(points=3, differ=['cycle'], bn_reestimation=dict(num_samples=16)),
        evaluation=dict(parallel='images'),
    )
    cfg = analysis_config('LMCRunner', tmp_path / 'both', **options)
    ranks = make(2, analyse, copy.deepcopy(cfg), str(tmp_path / 'said'))
    assert ranks[0][1] == ranks[1][1]
    alone = RUNNERS.build(cfg).run()
    for two, one in zip(ranks[0][1], alone.paths, strict=True):
        for metrics, own in zip(two, one.metrics, strict=True):
            assert metrics['loss'] != own['loss']
            assert metrics['loss'] == pytest.approx(own['loss'], rel=0.2)


def test_too_few_images_for_each_rank(analysis_config, tmp_path):
    cfg = analysis_config(
        'LMCRunner',
        lmc=dict(points=3, differ=['cycle'], bn_reestimation=dict(num_samples=8)),
        evaluation=dict(parallel='images'),
    )
    results = make(2, refusal, cfg)
    assert all('for each of 2 processes' in text for text in results)


def refusal(cfg):
    """What a member of a team is told."""
    cfg.launcher = 'pytorch'
    try:
        with (
            redirect_stdout(io.StringIO()),
            FusionSession(Team.of_launcher('pytorch')) as session,
        ):
            RUNNERS.build(cfg).run(session)
    except FFMMError as error:
        return str(error)
    return ''
