from __future__ import annotations

import os

import pytest

from ff_mm.engine.weights_only import weights_only

FORCED, FORBIDDEN = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


@pytest.mark.parametrize('before', [{}, {FORCED: '0'}, {FORBIDDEN: '1'}])
def test_the_environment_is_as_before_also_after_an_error(monkeypatch, before):
    for name in (FORCED, FORBIDDEN):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KeyError), weights_only():
        assert os.environ[FORCED] == '1' and FORBIDDEN not in os.environ
        raise KeyError
    assert {n: os.environ[n] for n in (FORCED, FORBIDDEN) if n in os.environ} == before
