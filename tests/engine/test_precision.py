"""TF32 where it is asked for and nowhere else, by whatever settings torch has."""

from __future__ import annotations

import warnings
from collections import namedtuple

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import RUNNERS

from ff_mm.engine import precision
from ff_mm.engine.precision import float32, has_tf32
from ff_mm.errors import ConfigError
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json

Flags = namedtuple('Flags', 'cudnn matmul newer')
NEWER = ('cudnn.conv', 'cudnn.rnn', 'cuda.matmul')


def flags():
    """What torch itself says, by its older names and, where there are, its newer."""
    backends = torch.backends
    newer = (backends.cudnn, backends.cudnn, backends.cuda)
    newer = [
        getattr(getattr(backend, name.split('.')[1], None), 'fp32_precision', None)
        for backend, name in zip(newer, NEWER, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        matmul = backends.cuda.matmul.allow_tf32
        return Flags(backends.cudnn.allow_tf32, matmul, newer)


def says(tf32):
    newer = ('tf32' if tf32 else 'ieee') if precision._there() else None
    return Flags(tf32, tf32, [newer] * 3)


@pytest.fixture(autouse=True)
def settings_stay():
    before = precision._Settings.now()
    yield
    before.set()


def by_older(cudnn, matmul):
    torch.backends.cudnn.allow_tf32 = cudnn
    torch.set_float32_matmul_precision(matmul)


SET_BY_USERS = {
    'nothing': lambda: None,
    'none': lambda: by_older(False, 'highest'),
    'both': lambda: by_older(True, 'high'),
    'bfloat16 too': lambda: by_older(False, 'medium'),
}


@pytest.mark.parametrize('tf32', [False, True])
@pytest.mark.parametrize('given', SET_BY_USERS.values(), ids=SET_BY_USERS)
def test_what_users_have_set_does_not_count_within_and_is_there_again(given, tf32):
    given()
    before = flags(), torch.get_float32_matmul_precision()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with float32(tf32):
            assert flags() == says(tf32)
            with float32(not tf32):
                assert flags() == says(not tf32)
            assert flags() == says(tf32)
    assert (flags(), torch.get_float32_matmul_precision()) == before
    with pytest.raises(KeyError), float32(tf32):
        raise KeyError
    assert flags() == before[0]


@pytest.mark.skipif(not precision._there(), reason='torch before 2.9')
@pytest.mark.parametrize('place', NEWER)
def test_nor_does_what_they_have_set_by_the_newer_names_alone(place):
    """torch then raises an error where the older ones are read."""
    precision._place(place).fp32_precision = 'tf32'
    torch.backends.cudnn.rnn.fp32_precision = 'ieee'
    newer = [precision._place(name).fp32_precision for name in NEWER]
    with float32():
        assert flags() == says(False)
    assert [precision._place(name).fp32_precision for name in NEWER] == newer


def test_versions_that_have_the_older_names_alone(monkeypatch):
    monkeypatch.setattr(precision, '_there', list)
    before = precision._Settings.now()
    with float32():
        assert flags()[:2] == (False, False)
        with float32(True):
            assert flags()[:2] == (True, True)
    assert precision._Settings.now() == before


def test_which_devices_have_it(monkeypatch):
    assert not has_tf32(torch.device('cpu'))
    monkeypatch.setattr(torch.version, 'hip', None)
    for capability, expected in [((7, 5), False), ((8, 0), True), ((9, 0), True)]:
        monkeypatch.setattr(
            torch.cuda, 'get_device_capability', lambda device, c=capability: c
        )
        assert has_tf32(torch.device('cuda')) is expected


@pytest.fixture
def seen(monkeypatch):
    """(mode, flags) of each call of a network."""
    calls = []
    real = BaseModel._run_forward

    def forward(self, data, mode):
        calls.append((mode, flags()))
        return real(self, data, mode)

    monkeypatch.setattr(BaseModel, '_run_forward', forward)
    return calls


SHORT = dict(
    plan__lrs=[1e-2],
    plan__probe=dict(epochs=1, lr=1e-2, _delete_=True),
    plan__base=dict(epochs=1, _delete_=True),
    plan__fission__epochs=1,
)


@pytest.mark.parametrize('tf32', [None, True], ids=['by default', 'tf32=True'])
def test_training_may_be_tf32_and_its_validation_is_float32(
    tmp_path, generation_config, seen, tf32
):
    before = flags()
    changes = {} if tf32 is None else dict(tf32=tf32)
    RUNNERS.build(generation_config(tmp_path, **SHORT, **changes)).train()
    trained = [f for mode, f in seen if mode == 'loss']
    assert len(trained) == 3 * 5
    assert all(f == says(bool(tf32)) for f in trained)
    validated = [f for mode, f in seen if mode == 'predict']
    assert len(validated) >= 3  # probe, base and fission
    assert all(f == says(False) for f in validated)
    assert flags() == before
    config = read_json(tmp_path / 'ledger.json')['config']
    assert config.get('tf32') is tf32
    if tf32:
        with pytest.raises(Exception, match='tf32: true -> '):
            RUNNERS.build(generation_config(tmp_path, **SHORT)).train()


def test_averages_of_a_run_have_batch_norm_of_float32(
    tmp_path, generation_config, monkeypatch
):
    done = []

    def note(*_):
        done.append(flags())
        return 0

    monkeypatch.setattr('ff_mm.fission.averaging_hook.reestimate_batch_norm', note)
    averages = [dict(type='swa')]
    cfg = generation_config(tmp_path, **SHORT, tf32=True, plan__base__averages=averages)
    RUNNERS.build(cfg).train()
    assert done == [says(False)]


def test_a_training_precision_that_is_none_is_refused(tmp_path, generation_config):
    with pytest.raises(ConfigError, match="tf32='high': expected True"):
        RUNNERS.build(generation_config(tmp_path, **SHORT, tf32='high')).train()


def test_a_teacher_says_what_it_says_in_float32(
    tmp_path, generation_config, small_pool, seen
):
    cfg = generation_config(tmp_path, tf32=True)
    cfg.plan = dict(
        type='DistillationPlan',
        pool=f'{small_pool.work_dir}/ingredients.json',
        lrs=[1e-3],
        views=1,
        student=dict(epochs=1),
    )
    RUNNERS.build(cfg).train()
    said = [f for mode, f in seen if mode == 'predict']
    # Six models in batches of 8 images; the start and the student are validated.
    assert len(said) >= 6 * 5 + 2
    assert all(f == says(False) for f in said)


@pytest.mark.parametrize('dtype', [None, 'tf32'])
def test_a_soup_is_chosen_in_what_evaluation_says(
    tmp_path, small_pool, analysis_config, seen, dtype
):
    before = flags()
    cfg = analysis_config('GreedySoupRunner', tmp_path)
    cfg.selection = dict(metric='loss', rule='less')
    cfg.evaluation = dict(dtype=dtype)
    cfg.soup = dict(bn_reestimation=dict(num_samples=40, candidates=True))
    RUNNERS.build(cfg).run()
    assert {mode for mode, _ in seen} >= {'predict'}
    assert all(f == says(dtype == 'tf32') for _, f in seen)
    assert flags() == before


def test_each_precision_has_evaluations_and_predictions_of_its_own(
    small_pool, monkeypatch
):
    keys = {}

    def note(name, dtype):
        cfg = small_pool.copy()
        cfg.evaluation = dict(dtype=dtype)
        evaluator = ModelEvaluator(cfg)
        keys[name] = evaluator.keys['val'], evaluator.prediction_keys['val']
        evaluator.close()

    for dtype in (None, 'float32', 'tf32', 'bfloat16'):
        note(dtype, dtype)
    assert keys[None] == keys['float32']
    assert len(set(keys.values())) == 3
    # What earlier versions have found on such a device was TF32.
    monkeypatch.setattr('ff_mm.evaluation.model_evaluator.has_tf32', lambda d: True)
    note('on a device with TF32', None)
    assert len({key for pair in keys.values() for key in pair}) == 8
