"""Packages beside ff_mm that cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ff_mm import environment
from ff_mm.environment import import_problem
from ff_mm.errors import ConfigError
from ff_mm.tasks import task_of

ROOT = Path(__file__).parents[1]
REFUSES = 'assert False, "MMCV==2.2.0 is used but incompatible.\\nInstall <2.2.0."'


def package(folder, name, text):
    (folder / name).mkdir(parents=True)
    (folder / name / '__init__.py').write_text(text)
    (folder / name / 'registry.py').write_text('')


def test_a_broken_mmdet_is_one_warning_and_an_error_only_where_it_is_asked_for(
    tmp_path,
):
    package(tmp_path, 'mmdet', REFUSES)
    program = """
import ff_mm
from ff_mm.errors import ConfigError
from ff_mm.tasks import task_of
print(type(task_of(dict(default_scope='mmpretrain'))).__name__)
try:
    task_of(dict(default_scope='mmdet'))
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-W', 'default', '-c', program],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            'PYTHONPATH': f'{tmp_path}:{ROOT}',
        },
        check=True,
    )
    line = (
        'mmdet is installed and cannot be imported (AssertionError: MMCV==2.2.0 is '
        'used but incompatible. Install <2.2.0.): pip install "mmcv>=2.0.0,<2.2.0", '
        'or onedl-mmdetection in its place'
    )
    assert done.stderr.count(f'ff_mm goes on without mmdet: {line}') == 1
    assert done.stdout.splitlines() == [
        'Classification',
        f"default_scope='mmdet': {line}",
    ]


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (REFUSES, 'AssertionError: MMCV==2.2.0 is used but incompatible'),
        ('import no_such_module_at_all', "No module named 'no_such_module_at_all'"),
        ('1 / 0', 'ZeroDivisionError'),
    ],
)
def test_a_library_whose_import_fails_is_an_error_of_its_config(
    text, reason, tmp_path, monkeypatch
):
    package(tmp_path, 'brokenlib', text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=reason) as caught:
        task_of(dict(default_scope='brokenlib'))
    (line,) = caught.value.lines
    assert line.startswith("default_scope='brokenlib': brokenlib is installed and")
    assert '\n' not in line
    assert 'install versions that go together' in line


def test_what_is_absent_or_whole_is_no_problem(tmp_path, monkeypatch):
    package(tmp_path, 'wholelib', 'x = 1')
    monkeypatch.syspath_prepend(tmp_path)
    assert import_problem('wholelib') is None
    assert import_problem('nowhere_to_be_found') is None
    assert environment.import_problem('mmengine') is None
