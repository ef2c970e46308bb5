from __future__ import annotations

import pytest
import torch

from ff_mm.evaluation.fingerprint import check_class_numbering
from ff_mm.merging import CheckpointError
from ff_mm.merging.checkpoint_file import CheckpointFile


@pytest.fixture
def trained(tmp_path):
    def write(classes, **meta):
        path = tmp_path / 'model.pth'
        meta = dict(meta, dataset_meta=dict(classes=classes))
        torch.save(dict(state_dict=dict(w=torch.ones(1)), meta=meta), path)
        return CheckpointFile(path)

    return write


def test_the_same_classes(trained):
    assert check_class_numbering(trained(('a', 'b')), ['a', 'b'])
    assert check_class_numbering(trained([0, 1]), ['0', '1'])


@pytest.mark.parametrize('classes', [['b', 'a', 'c'], ['a', 'c', 'd'], ['b', 'x', 'y']])
def test_a_class_with_two_numbers(trained, classes):
    with pytest.raises(CheckpointError, match=r"model\.pth.*give classes=\['a', 'b'"):
        check_class_numbering(trained(['a', 'b', 'c']), classes)


@pytest.mark.parametrize('classes', [['x', 'y'], ['a', 'y']])
def test_other_names_may_mean_the_same(trained, classes):
    assert not check_class_numbering(trained(['a', 'b']), classes)


@pytest.mark.parametrize('meta', [{}, dict(meta=None), dict(meta=dict(epoch=3))])
def test_where_no_names_are_known_nothing_is_compared(tmp_path, trained, meta):
    torch.save(dict(state_dict=dict(w=torch.ones(1)), **meta), tmp_path / 'other.pth')
    assert check_class_numbering(CheckpointFile(tmp_path / 'other.pth'), ['a', 'b'])
    assert check_class_numbering(trained(['a', 'b']), None)


@pytest.mark.parametrize(
    'meta',
    [
        dict(mmcls_version='0.25.0', CLASSES=['b', 'a']),
        dict(dataset_meta=dict(CLASSES=('b', 'a'))),
        dict(dataset_meta=dict(palette=None), CLASSES=['b', 'a']),
        dict(classes=['b', 'a']),
    ],
    ids=['mmcls 0.x', 'mmpretrain 1.0rc', 'both', 'bare'],
)
def test_old_checkpoints_name_their_classes_elsewhere(tmp_path, meta):
    path = tmp_path / 'old.pth'
    torch.save(dict(state_dict=dict(w=torch.ones(1)), meta=meta), path)
    with pytest.raises(CheckpointError, match=r"old\.pth.*give classes=\['b', 'a'"):
        check_class_numbering(CheckpointFile(path), ['a', 'b'])
    assert check_class_numbering(CheckpointFile(path), ['b', 'a'])
