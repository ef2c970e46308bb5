from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.merging import Ingredient
from ff_mm.weight_space import geometry
from ff_mm.weight_space.geometry import weight_geometry, weight_names


def model(seed, scale=1.0, around=None):
    generator = torch.Generator().manual_seed(seed)
    made = {
        'conv.weight': torch.randn(4, 3, 3, 3, generator=generator) * scale,
        'bn.weight': torch.randn(4, generator=generator) * scale,
        'bn.running_mean': torch.randn(4, generator=generator) * 1e3,
        'bn.running_var': torch.rand(4, generator=generator) * 1e6,
        'bn.num_batches_tracked': torch.tensor(seed),
        'fc.bias': torch.randn(5, generator=generator).bfloat16() * scale,
    }
    if around is not None:
        for key in weight_names(made):
            made[key] = (around[key] + made[key]).to(made[key].dtype)
    return made


def flat(state_dict):
    names = ('conv.weight', 'bn.weight', 'fc.bias')
    return np.concatenate([state_dict[n].double().numpy().ravel() for n in names])


def dense(models, origins):
    points = np.stack([flat(m) for m in models])
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    moved = points - np.stack([flat(o) for o in origins]) if origins else points
    norms = np.linalg.norm(moved, axis=1)
    return distances, moved @ moved.T / np.outer(norms, norms), norms


@given(
    seeds=st.lists(st.integers(0, 2**30), min_size=1, max_size=6),
    shared=st.sampled_from([None, 'one', 'each']),
    chunk=st.sampled_from([1, 7, 1 << 14]),
)
@settings(max_examples=40, deadline=None)
def test_it_is_what_a_dense_computation_gives(seeds, shared, chunk):
    models = [model(seed) for seed in seeds]
    start = model(1 << 31)
    origins = {
        None: None,
        'one': [start] * len(seeds),
        'each': [model((1 << 31) + i) for i in range(len(seeds))],
    }[shared]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, '_CHUNK', chunk)
        found = weight_geometry(models, origins)
    distances, cosines, norms = dense(models, origins)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=0)
    np.testing.assert_allclose(found.cosines, cosines, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.norms, norms, rtol=1e-12)
    assert (found.distances == found.distances.T).all()
    assert (found.cosines == found.cosines.T).all()
    assert (np.diag(found.distances) == 0).all()
    assert (np.diag(found.cosines) == 1).all()


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_models_close_together_and_far_from_the_origin_keep_their_distance(seed):
    far = {k: v.double() for k, v in model(seed, 1e6).items()}
    near = [
        {k: v.double() for k, v in model(seed + i, 1e-6, around=far).items()}
        for i in (1, 2)
    ]
    found = weight_geometry(near)
    expected = np.linalg.norm(flat(near[0]) - flat(near[1]))
    assert found.distances[0, 1] == pytest.approx(expected, rel=1e-12)
    assert expected < 1e-10 * found.norms[0]


def test_a_copy_of_a_model_is_at_distance_zero():
    one = model(1, 1e3)
    copy = {key: value.clone() for key, value in one.items()}
    found = weight_geometry([one, model(2), copy])
    assert found.distances[0, 2] == 0
    assert found.cosines[0, 2] == pytest.approx(1, abs=1e-15)


def test_batch_norm_statistics_are_no_weights():
    one = model(1)
    other = dict(one, **{'bn.running_var': one['bn.running_var'] + 1e9})
    assert weight_geometry([one, other]).distances[0, 1] == 0
    assert weight_names(one) == ['conv.weight', 'bn.weight', 'fc.bias']


def test_a_model_that_is_its_own_origin_has_no_direction():
    start = model(0)
    found = weight_geometry([start, model(1)], [start, start])
    assert found.norms[0] == 0
    assert np.isnan(found.cosines[0]).all()
    assert np.isnan(found.cosines[:, 0]).all()
    assert found.cosines[1, 1] == 1
    assert found.distances[0, 1] == pytest.approx(found.norms[1])


def test_a_mask_of_infinite_values_does_no_harm():
    models = [dict(model(i), mask=torch.tensor([0.0, float('-inf')])) for i in (1, 2)]
    found = weight_geometry(models)
    assert found.distances == pytest.approx(dense(models, None)[0])


def test_files_are_read_in_passing_and_each_weight_is_counted(tmp_path):
    models = [model(i) for i in range(3)]
    files = []
    for number, each in enumerate(models):
        torch.save(each, tmp_path / f'{number}.pth')
        files.append(Ingredient.from_file(tmp_path / f'{number}.pth').in_passing())
    seen = []
    found = weight_geometry(files, None, lambda: seen.append(1))
    assert found.distances == pytest.approx(weight_geometry(models).distances)
    assert len(seen) == len(weight_names(models[0])) == 3


def test_channels_last_is_the_same_point():
    one = model(1)
    other = dict(one)
    other['conv.weight'] = one['conv.weight'].contiguous(
        memory_format=torch.channels_last
    )
    assert weight_geometry([one, other]).distances[0, 1] == 0


@pytest.mark.parametrize(
    ('models', 'origins', 'said'),
    [
        ([], None, 'no models'),
        ([model(1), model(2)], [model(3)], '1 origins for 2 models'),
        ([model(1), {'fc.bias': torch.ones(5)}], None, 'model 1 lacks keys'),
        ([model(1)], [{'fc.bias': torch.ones(5)}], 'origin 0 lacks keys'),
    ],
)
def test_what_does_not_fit_is_refused(models, origins, said):
    with pytest.raises(ValueError, match=said):
        weight_geometry(models, origins)
