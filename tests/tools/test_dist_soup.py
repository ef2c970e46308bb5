"""tools/dist_soup.sh: what it starts, and that it makes a soup."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from ff_mm.config import resolve
from ff_mm.files import read_json

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools' / 'dist_soup.sh'
LOCAL = ['--standalone', '--local-addr=127.0.0.1']
# Shows what it is started with.
STUB = '#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n'


def start(*arguments, **environment):
    own = {'NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'PYTHONPATH'}
    kept = {key: value for key, value in os.environ.items() if key not in own}
    return subprocess.run(
        [str(SCRIPT), *map(str, arguments)],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def words(tmp_path):
    """A function: what torchrun is given."""
    python = tmp_path / 'python'
    python.write_text(STUB)
    python.chmod(0o755)

    def started(*arguments, **environment):
        result = start(*arguments, PYTHON=str(python), **environment)
        assert result.returncode == 0, result.stderr
        launcher, *rest = result.stdout.splitlines()
        assert launcher == f'{ROOT}/tools/torchrun.py'
        return rest

    return started


def test_one_machine_takes_a_free_port(words):
    soup = f'{ROOT}/tools/soup.py'
    torchrun = [*LOCAL, '--nproc-per-node=2', '--max-restarts=0']
    assert words('a.py', 2) == [*torchrun, soup, 'a.py', '--launcher', 'pytorch']


def test_options_are_those_of_soup_py(words):
    options = ['--soup', 'best', 'gou', '--cfg-options', 'a=b c', 'n=3']
    assert words('a.py', 2, *options)[-6:] == options


def test_several_configs_come_before_the_number(words):
    given = words('a.py', 'b 2.py', '3.py', 12, '--cfg-options', 'x=4')
    assert '--nproc-per-node=12' in given
    assert given[-7:-4] == ['a.py', 'b 2.py', '3.py']


def test_machines_meet_where_the_environment_says(words):
    several = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='node7', PORT='1234')
    assert words('a.py', 4, **several)[:4] == [
        '--nnodes=2',
        '--node-rank=1',
        '--master-addr=node7',
        '--master-port=1234',
    ]
    assert '--master-port=29500' in words('a.py', 4, NNODES='2')
    one = words('a.py', 4, PORT='1234')
    assert one[:4] == [
        '--nnodes=1',
        '--node-rank=0',
        '--master-addr=127.0.0.1',
        '--master-port=1234',
    ]


@pytest.mark.parametrize(
    'arguments', [(), ('a.py',), (2,), ('a.py', 0), ('a.py', '--cfg-options', 'x=1', 2)]
)
def test_what_is_missing_is_said(arguments):
    result = start(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f'usage: {SCRIPT} CONFIG')


def test_two_processes_make_two_soups(tmp_path, generation_config):
    cfg = generation_config(tmp_path / 'soup', runner_type='GreedySoupRunner')
    cfg.pop('plan')
    init_default_scope('mmpretrain')
    cfg.ingredients = []
    for seed in range(4):
        torch.manual_seed(seed)
        file = tmp_path / f'm{seed}.pth'
        torch.save(dict(state_dict=MODELS.build(resolve(cfg).model).state_dict()), file)
        cfg.ingredients.append(str(file))
    cfg.dump(tmp_path / 'soup.py')
    environment = dict(PYTHON=sys.executable, OMP_NUM_THREADS='1')
    result = start(tmp_path / 'soup.py', 2, '--soup', 'best', 'greedy', **environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count('/soup.pth') == 2  # the first process prints
    assert result.stdout.count('the best one alone') == 1
    for name in ('best', 'greedy'):
        report = read_json(tmp_path / 'soup' / name / 'report.json')
        assert (report['method'], report['pool_size']) == (name, 4)
        assert (tmp_path / 'soup' / name / 'soup.pth').is_file()
