"""What docs/tutorial.md has its reader type makes images and configs that fit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.registry import RUNNERS

from ff_mm.config import load_config, resolve
from ff_mm.datasets import FolderDataset

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r'```python\n(.*?)```', (ROOT / 'docs/tutorial.md').read_text('utf-8'), re.DOTALL
)


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """A clone in which all of it was typed."""
    folder = tmp_path_factory.mktemp('tutorial')
    shutil.copytree(ROOT / 'configs/_base_', folder / 'configs/_base_')
    for block in BLOCKS:
        if name := re.match(r'# (configs/\S+\.py)\n', block):
            (folder / name[1]).write_text(block, encoding='utf-8')
    (script,) = (block for block in BLOCKS if 'load_digits' in block)
    subprocess.run([sys.executable, '-c', script], cwd=folder, check=True)
    return folder


def test_there_is_a_folder_for_each_digit(clone):
    cfg = resolve(load_config(clone / 'configs/fgg_my_digits.py'))
    names = [str(digit) for digit in range(10)]
    sizes = {}
    for split in ('train', 'val', 'test'):
        dataset = FolderDataset(clone / cfg.data_root, split=split, pipeline=[])
        assert list(dataset.metainfo['classes']) == names
        sizes[split] = len(dataset)
    # As the tutorial shows.
    assert sizes == dict(train=1437, val=180, test=180)
    assert cfg.model.head.num_classes == 10


def test_the_plan_is_the_one_that_is_told(clone):
    runner = RUNNERS.build(load_config(clone / 'configs/fgg_my_digits.py'))
    kinds = [trial.id.split('_')[0] for trial in runner.trials]
    assert sorted(kinds) == ['base'] * 3 + ['fission'] * 3 + ['probe']


def test_the_fusion_takes_the_pool_that_the_plan_leaves(clone):
    fusion = load_config(clone / 'configs/fuse_my_digits.py')
    plan = load_config(clone / 'configs/fgg_my_digits.py')
    assert fusion.pool == f'{plan.work_dir}/ingredients.json'
    assert resolve(fusion).image_size == plan.image_size
    RUNNERS.build(fusion)
