"""In which precision --amp trains."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from ff_mm.files import write_json
from ff_mm.fission import mixed_precision
from ff_mm.fission.mixed_precision import use_mixed_precision

HALF, BRAIN = 'AmpOptimWrapper', 'Bfloat16OptimWrapper'


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """A function: the wrapper of a plan on a device, with what the config says."""

    def choose(device='cuda', bfloat16=True, begun=None, **wrapper):
        monkeypatch.setattr(mixed_precision, 'get_device', lambda: device)
        monkeypatch.setattr(mixed_precision, 'computes_bfloat16', lambda: bfloat16)
        if begun:
            config = dict(optim_wrapper=dict(type=begun))
            write_json(dict(config=config), tmp_path / 'ledger.json')
        wrapper = dict(dict(type='OptimWrapper'), **wrapper)
        cfg = Config(dict(plan={}, work_dir=str(tmp_path), optim_wrapper=wrapper))
        use_mixed_precision(cfg)
        return cfg.optim_wrapper

    return choose


@pytest.mark.parametrize('device', ['cuda', 'cpu'])
def test_bfloat16_where_it_is_computed(chosen, device):
    assert chosen(device) == dict(type=BRAIN)


def test_float16_where_it_is_not(chosen):
    assert chosen(bfloat16=False) == dict(type=HALF, loss_scale='dynamic')


@pytest.mark.parametrize(
    'said',
    [dict(dtype='float16'), dict(loss_scale=512.0), dict(type=HALF)],
    ids=['dtype', 'scale', 'type'],
)
def test_float16_where_the_config_speaks_of_it(chosen, said):
    wrapper = chosen(**said)
    assert wrapper == dict(dict(type=HALF, loss_scale='dynamic'), **said)


def test_bfloat16_where_the_config_says_so(chosen):
    assert chosen(bfloat16=False, dtype='bfloat16') == dict(type=BRAIN)


@pytest.mark.parametrize('begun', [HALF, BRAIN])
@pytest.mark.parametrize('bfloat16', [True, False])
def test_a_plan_goes_on_as_it_was_begun(chosen, begun, bfloat16):
    assert chosen(begun=begun, bfloat16=bfloat16)['type'] == begun


def test_one_begun_without_is_for_the_ledger_to_refuse(chosen):
    assert chosen(begun='OptimWrapper')['type'] == BRAIN
