"""Who teaches: all of a pool, some of it, or what a soup's report says."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
import torch

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.fission.distillation.targets import Targets, TargetsError
from ff_mm.fission.distillation.teacher import find_start, read_teacher
from ff_mm.fission.distillation.teaching_hook import _check_fits
from ff_mm.merging.checkpoint_file import CheckpointFile


@pytest.fixture
def pool(tmp_path):
    for name in 'abc':
        torch.save(dict(state_dict={'w': torch.ones(2)}), tmp_path / f'{name}.pth')
    return str(tmp_path / '*.pth')


@pytest.mark.parametrize(
    ('spec', 'weights'),
    [
        (None, dict(a=1 / 3, b=1 / 3, c=1 / 3)),
        (['c', 'a'], dict(c=0.5, a=0.5)),
        (dict(a=3, b=0, c=1), dict(a=0.75, c=0.25)),
    ],
)
def test_weights(pool, spec, weights):
    assert read_teacher(pool, spec).weights == pytest.approx(weights)


@pytest.mark.parametrize(
    ('weight', 'words'),
    [
        (1.0, None),
        (None, "'b'=None: expected a weight"),
        (-1, "'b'=-1: expected a weight"),
    ],
)
def test_a_soups_report(pool, tmp_path, weight, words):
    rows = [dict(name='a', weight=3.0), dict(name='b', weight=weight)]
    report = tmp_path / 'report.json'
    report.write_text(json.dumps(dict(format=1, ingredients=rows)))
    if words is None:
        assert read_teacher(pool, str(report)).weights == dict(a=0.75, b=0.25)
        return
    with pytest.raises(ConfigError, match=words):
        read_teacher(pool, str(report))


def test_the_start_is_a_name_or_a_file(pool, tmp_path):
    of_pool = read_teacher(pool, None).pool
    assert find_start('b', of_pool, 'loss', 'less').path == tmp_path / 'b.pth'
    file = str(tmp_path / 'c.pth')
    assert find_start(file, of_pool, 'loss', 'less').path == tmp_path / 'c.pth'
    with pytest.raises(ConfigError, match="has recorded no 'loss'"):
        find_start('best', of_pool, 'loss', 'less')


def test_damaged_targets_are_told(tmp_path):
    file = tmp_path / 'targets.npz'
    with pytest.raises(TargetsError, match='no such file'):
        Targets.read(file)
    file.write_bytes(b'PK\x03\x04 and so on')
    with pytest.raises(FFMMError, match='damaged, or no targets'):
        Targets.read(file)


@pytest.mark.parametrize(
    ('classes', 'outputs', 'words'),
    [
        (['dog', 'cat'], 2, "'dog' is number 0 there and 1 here"),
        (['cat', 'dog', 'cow'], 3, 'differs in shape'),
        (['Katze', 'Hund'], 2, None),
        (['cat', 'dog'], 2, None),
    ],
)
def test_a_model_with_other_classes(classes, outputs, words, tmp_path, caplog):
    weights = torch.nn.Linear(4, outputs).state_dict()
    file = tmp_path / 'm.pth'
    torch.save(
        dict(meta=dict(dataset_meta=dict(classes=classes)), state_dict=weights), file
    )
    dataset = SimpleNamespace(metainfo=dict(classes=('cat', 'dog')))
    runner = SimpleNamespace(
        model=torch.nn.Linear(4, 2),
        train_dataloader=SimpleNamespace(dataset=dataset),
        hooks=[],
        logger=logging.getLogger('teacher'),
    )
    caplog.set_level(logging.INFO)
    if words is None:
        _check_fits(runner, CheckpointFile(file, full=True), 'the teacher')
        assert ('names its classes differently' in caplog.text) == (
            classes[0] == 'Katze'
        )
        return
    with pytest.raises(FFMMError, match=words):
        _check_fits(runner, CheckpointFile(file, full=True), 'the teacher')
