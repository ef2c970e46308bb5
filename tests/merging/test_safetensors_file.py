from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from ff_mm.merging.safetensors_file import read_meta, write_safetensors


def test_weights_and_what_is_said_of_them_come_back(tmp_path):
    file = tmp_path / 'a.safetensors'
    shared = torch.arange(6.0)
    weights = dict(a=shared.view(2, 3).t(), b=shared, c=torch.tensor(3))
    write_safetensors(weights, file, dict(classes=['é', 'b'], n=1))
    found = load_file(file)
    assert all(torch.equal(found[key], weights[key]) for key in weights)
    assert read_meta(file) == dict(classes=['é', 'b'], n=1)


def test_equal_content_is_equal_bytes(tmp_path):
    for name in ('a', 'b'):
        meta = dict(x=1, y=2) if name == 'a' else dict(y=2, x=1)
        write_safetensors(dict(w=torch.ones(2)), tmp_path / name, meta)
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


@pytest.mark.parametrize('text', ['{', '[1]', '[' * 100_000, 'null'])
def test_what_another_has_written_there_says_nothing(tmp_path, text):
    file = tmp_path / 'a.safetensors'
    save_file(dict(w=torch.ones(2)), file, metadata=dict(ff_mm=text))
    assert read_meta(file) == {}
    save_file(dict(w=torch.ones(2)), file)
    assert read_meta(file) == {}
