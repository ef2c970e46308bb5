"""Analyses by several real processes: the numbers of one."""

from __future__ import annotations

from contextlib import redirect_stdout
from pathlib import Path

import pytest
from many_processes import make
from mmengine.registry import RUNNERS

from ff_mm.engine.fusion_session import FusionSession
from ff_mm.engine.passes.evaluation_set import EvaluationSet
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
    expected = [path.metrics for path in one.paths]
    assert [metrics for _, metrics in results] == [expected] * 2
    passes = [number for number, _ in results]
    # Five pairs of three points between the ends, of which each was made once.
    assert sum(passes) == 3 * len(one.paths) and min(passes) > 0
    assert 'paths on val' not in Path(tmp_path / 'said1').read_text()
