from __future__ import annotations

import pytest
import torch

from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.state_dict import CheckpointError, read_state_dict

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
    'averaged by MMEngine': {'steps': torch.tensor(3), **prefixed('module.')},
    'lightning, net': dict(
        state_dict=prefixed('net._orig_mod.'), **{'pytorch-lightning_version': '2.5'}
    ),
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


@pytest.mark.parametrize('zipped', [True, False])
def test_half_floats_are_cast_if_asked_and_nothing_else(tmp_path, zipped):
    halves = {
        'a': torch.ones(2).half(),
        'b': torch.ones(2).bfloat16(),
        'n': torch.tensor(7),
    }
    path = tmp_path / 'a.pth'
    torch.save(halves, path, _use_new_zipfile_serialization=zipped)
    for full in (True, False):
        file = CheckpointFile(path, full=full)
        wanted = [torch.float32] * 2 if full else [torch.float16, torch.bfloat16]
        for found in (file.weights(), file.in_passing(), file.outline()):
            assert [found[key].dtype for key in found] == [*wanted, torch.int64]
        assert file.notes == (
            ('2 weights of torch.float16 are cast to float32',) * full
        )
        assert torch.equal(file.weights()['a'].float(), torch.ones(2))


AVERAGED = {key: value + 1 for key, value in WEIGHTS.items()}
MMENGINE = {'steps': torch.tensor(3)}
MMENGINE |= {f'module.{key}': value for key, value in AVERAGED.items()}
# Content, the entry that is not taken, and what is said.
BESIDE = {
    'timm': (
        dict(state_dict=WEIGHTS, state_dict_ema=AVERAGED),
        "of 'state_dict', not of 'state_dict_ema' (entry='state_dict_ema' takes it)",
    ),
    'ConvNeXt': (
        dict(model=WEIGHTS, model_ema=prefixed('module.'), epoch=3),
        "of 'model', not of 'model_ema' (entry='model_ema' takes it)",
    ),
    'MMEngine': (
        dict(state_dict=WEIGHTS, ema_state_dict=MMENGINE),
        "of 'state_dict', the averaged weights, not of 'ema_state_dict', the last ones",
    ),
    'other names': (dict(state_dict=WEIGHTS, ema={'x': torch.ones(1)}), None),
}


@pytest.mark.parametrize('kind', BESIDE)
def test_which_of_two_entries_was_taken_is_said(tmp_path, kind):
    content, said = BESIDE[kind]
    path = tmp_path / 'a.pth'
    torch.save(content, path)
    file = CheckpointFile(path)
    assert torch.equal(file.weights()['a.w'], WEIGHTS['a.w'])
    assert file.notes == ((f'the weights are those {said}',) if said else ())


@pytest.mark.parametrize(
    ('kind', 'entry'), [('timm', 'state_dict_ema'), ('MMEngine', 'ema_state_dict')]
)
def test_another_entry_can_be_taken(tmp_path, kind, entry):
    path = tmp_path / 'a.pth'
    torch.save(BESIDE[kind][0], path)
    file = CheckpointFile(path, entry)
    for found in (file.weights(), file.in_passing(), read_state_dict(path, entry)):
        assert list(found) == list(WEIGHTS)
        assert torch.equal(found['a.w'], AVERAGED['a.w'])
    assert file.named('abc') != CheckpointFile(path).named('abc') == 'abc'


def test_an_entry_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(BESIDE['timm'][0], path)
    for read in (read_state_dict, lambda *a: CheckpointFile(*a).outline()):
        with pytest.raises(CheckpointError, match=r"a\.pth: no entry='ema'.*_ema'"):
            read(path, 'ema')
