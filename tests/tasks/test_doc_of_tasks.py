"""The example of docs/your_own_task.md, as a user runs it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ('diabetes.py', 'fgg_diabetes.py', 'gog_diabetes.py')


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Its files, in a folder where Python finds them."""
    text = (ROOT / 'docs' / 'your_own_task.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    for name, block in zip(FILES, blocks, strict=True):
        (tmp_path / name).write_text(block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop('diabetes', None)


def test_the_example_is_trained_and_souped(example, tool):
    fewer = ['plan.probe.epochs=1', 'plan.base.epochs=2', 'plan.lrs=[0.01,0.001]']
    assert tool('train.py', 'fgg_diabetes.py', '--cfg-options', *fewer) == 0
    assert tool('soup.py', 'gog_diabetes.py', '--soup', 'best', 'gog') == 0
    best, gog = (
        json.loads((example / f'work_dirs/{name}_diabetes/report.json').read_text())
        for name in ('best', 'gog')
    )
    assert gog['val']['mae'] <= best['val']['mae']
    assert (example / 'work_dirs/gog_diabetes/deploy.py').exists()
