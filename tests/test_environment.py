from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ff_mm import environment
from ff_mm.environment import check_environment, find_problem

ROOT = Path(__file__).parents[1]

STOCK = {
    'torch': '2.14.1',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.2.0',
    'mmpretrain': '1.2.0',
    'setuptools': '80.8.0',
}
ONEDL = {
    'torch': '2.14.1',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmpretrain': '1.3.6',
    'setuptools': '84.0.0',
}
MODULES = {'mmengine', 'mmcv', 'mmpretrain', 'pkg_resources'}


def problem(distributions, modules=MODULES, **changes):
    """What find_problem says of an environment; None takes a distribution out."""
    found = {**distributions, **changes}
    return find_problem(installed=found.get, importable=modules.__contains__)


def test_stock_packages_are_fine():
    assert problem(STOCK) is None


def test_the_forks_need_no_pkg_resources():
    assert problem(ONEDL, MODULES - {'pkg_resources'}) is None


@pytest.mark.parametrize(
    'torch',
    ['2.6.0', '2.6.0+cu118', '2.6.0a0+ecf3bae40a.nv25.01', '2.10.0', '3.0.1', '2.6rc1'],
)
def test_new_enough_torch(torch):
    assert problem(STOCK, torch=torch) is None


@pytest.mark.parametrize('torch', ['1.13.1', '2.5.1', '2.5.1+cpu', '2.0.0a0+git1'])
def test_a_torch_too_old(torch):
    said = problem(STOCK, torch=torch)
    assert torch in said
    assert said.endswith('pip install -U torch torchvision')


def test_no_torch():
    said = problem(STOCK, torch=None)
    assert said.startswith('torch is not installed')
    assert '.[openmmlab]' in said


@pytest.mark.parametrize('module', ['mmengine', 'mmcv', 'mmpretrain'])
def test_a_missing_package_is_named_with_both_ways_to_get_it(module):
    said = problem(STOCK, MODULES - {module})
    assert said.startswith(f'{module} is not installed')
    assert '.[openmmlab]' in said
    assert '.[onedl]' in said


def test_stock_packages_and_forks_together():
    said = problem({**ONEDL, **STOCK})
    assert 'mmengine and onedl-mmengine are both installed' in said
    assert '.[onedl]' in said


@pytest.mark.parametrize('setuptools', ['82.0.0', '84.0.0', None])
def test_stock_mmengine_without_pkg_resources(setuptools):
    said = problem(STOCK, MODULES - {'pkg_resources'}, setuptools=setuptools)
    assert 'pkg_resources' in said
    assert said.endswith('pip install "setuptools<82"')


@pytest.mark.parametrize(
    ('distributions', 'modules'),
    [
        ({}, set()),
        ({**STOCK, 'torch': '2.5.1'}, MODULES),
        (STOCK, {'mmengine'}),
        (STOCK, MODULES - {'pkg_resources'}),
    ],
)
def test_each_problem_is_one_line(distributions, modules):
    said = problem(distributions, modules)
    assert len(said.splitlines()) == 1
    assert 'pip install' in said


def test_this_environment_passes():
    assert find_problem() is None
    check_environment()


def test_a_problem_is_an_import_error(monkeypatch):
    monkeypatch.setattr(environment, 'find_problem', lambda: 'no torch: get it')
    with pytest.raises(ImportError, match=r'^ff_mm: no torch: get it$'):
        check_environment()


def test_importing_says_it_where_nothing_is_installed():
    # -I and -S: an interpreter that sees the standard library alone.
    code = f'import sys; sys.path.insert(0, {str(ROOT)!r}); import ff_mm'
    run = subprocess.run(
        [sys.executable, '-I', '-S', '-B', '-c', code], capture_output=True, text=True
    )
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: ff_mm: torch is not installed')
