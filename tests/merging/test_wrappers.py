from __future__ import annotations

import pytest
import torch

from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.state_dict import read_state_dict
from ff_mm.merging.wrappers import as_float32

WEIGHTS = {'a.w': torch.arange(6.0).reshape(2, 3), 'b': torch.tensor(7)}


def prefixed(prefix):
    return {prefix + key: value for key, value in WEIGHTS.items()}


WRAPPED = {
    'compiled': dict(state_dict=prefixed('_orig_mod.')),
    'compiled part': {'a._orig_mod.w': WEIGHTS['a.w'], 'b': WEIGHTS['b']},
    'compiled in parallel': dict(state_dict=prefixed('module._orig_mod.')),
    'averaged': {'n_averaged': torch.tensor(3), **prefixed('module.')},
    'lightning': dict(state_dict=prefixed('model.'), hyper_parameters=dict(lr=0.1)),
    'model': dict(model=WEIGHTS, epoch=3),
    'net': dict(net=prefixed('module.'), optimizer=dict(lr=0.1)),
}


@pytest.mark.parametrize('kind', WRAPPED)
def test_wrapped_weights_are_those_of_the_plain_file(tmp_path, kind):
    path = tmp_path / 'a.pth'
    torch.save(WRAPPED[kind], path)
    file = CheckpointFile(path)
    for found in (read_state_dict(path), file.weights(), file.in_passing()):
        assert list(found) == list(WEIGHTS)
        for key, value in WEIGHTS.items():
            assert found[key].dtype == value.dtype
            assert torch.equal(found[key], value)
    outline = file.outline()
    assert {k: v.dtype for k, v in outline.items()} == {
        k: v.dtype for k, v in WEIGHTS.items()
    }


def test_a_prefix_of_the_network_itself_stays(tmp_path):
    torch.save(dict(state_dict=prefixed('model.')), tmp_path / 'a.pth')
    assert list(read_state_dict(tmp_path / 'a.pth')) == ['model.a.w', 'model.b']


def test_half_floats_are_cast_and_nothing_else():
    halves = {'a': torch.ones(2).half(), 'b': torch.ones(2).bfloat16(), **WEIGHTS}
    cast = as_float32(halves)
    assert {k: v.dtype for k, v in cast.items()} == {
        'a': torch.float32,
        'b': torch.float32,
        **{k: v.dtype for k, v in WEIGHTS.items()},
    }
    assert torch.equal(cast['a'], torch.ones(2))
