from __future__ import annotations

import pytest
import torch

from ff_mm.errors import ConfigError
from ff_mm.evaluation.options import EvaluationOptions


def test_nothing_given_is_the_default():
    assert EvaluationOptions.from_config(None) == EvaluationOptions()
    assert EvaluationOptions().dtype is None


def test_channels_last_where_it_is_faster(monkeypatch):
    assert EvaluationOptions().channels_last is not torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert EvaluationOptions().channels_last is False
    assert EvaluationOptions(dtype='float16').channels_last is True
    assert EvaluationOptions(channels_last=True).channels_last is True


@pytest.mark.parametrize(
    ('values', 'named'),
    [
        (dict(batchsize=3), 'batchsize'),
        (dict(batch_size=0), 'batch_size=0'),
        (dict(batch_size='8'), "batch_size='8'"),
        (dict(batch_size=True), 'batch_size=True'),
        (dict(keep_pool='auto'), "keep_pool='auto': expected True, False or None"),
        (dict(cache_memory=-1), 'cache_memory=-1'),
        (dict(cache_memory=0.5), 'cache_memory=0.5'),
        (dict(dtype='bf16'), 'bfloat16'),
        (dict(parallel='data'), "parallel='data'.*'auto', 'candidates', 'images'"),
        (dict(parallel=True), 'parallel=True'),
    ],
)
def test_what_cannot_be_is_named(values, named):
    with pytest.raises(ConfigError, match=named):
        EvaluationOptions.from_config(values)
