from __future__ import annotations

import pytest
import torch
from toys import Loads

from ff_mm.merging import checkpoint_file
from ff_mm.merging.ingredient import Ingredient, check_ingredients, hashable
from ff_mm.merging.state_dict import CheckpointError


def save(path, **tensors):
    torch.save({'state_dict': tensors}, path)
    return Ingredient.from_file(path)


def test_from_file_reads_when_asked_and_not_before(tmp_path):
    path = tmp_path / 'lr1e-3.pth'
    ingredient = Ingredient.from_file(path, hyper={'lr': 1e-3}, score=0.5)
    torch.save({'w': torch.ones(2)}, path)
    assert torch.equal(ingredient.load()['w'], torch.ones(2))
    assert ingredient.name == 'lr1e-3'
    assert (ingredient.hyper, ingredient.score) == ({'lr': 1e-3}, 0.5)
    assert ingredient.recipe == {'lr1e-3': 1.0}
    assert Ingredient.from_file(path, name='x').recipe == {'x': 1.0}


def test_any_function_without_arguments_makes_an_ingredient():
    weights = {'w': torch.arange(3.0), 'n': torch.tensor(2)}
    ingredient = Ingredient('a', lambda: weights)
    assert ingredient.load() is weights
    assert dict(ingredient.in_passing()) == weights
    assert ingredient.file is None
    assert ingredient.outline()['w'].device.type == 'meta'
    ingredient.prefetch()
    out = {key: torch.zeros_like(tensor) for key, tensor in weights.items()}
    assert ingredient.load(out) is out
    assert torch.equal(out['w'], weights['w']) and out['n'] == 2


def test_a_file_fills_what_it_is_given(tmp_path):
    weights = {'w': torch.randn(2, 3, 4, 4), 'n': torch.tensor(3)}
    ingredient = save(tmp_path / 'a.pth', **weights)
    assert ingredient.file == str(tmp_path / 'a.pth')
    last = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    out = {'n': torch.tensor(0), 'w': torch.nn.Parameter(last)}
    assert ingredient.load(out) is out
    assert torch.equal(out['w'], weights['w']) and out['n'] == 3
    assert out['w'].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    'out',
    [
        {'w': torch.zeros(3)},
        {'w': torch.zeros(2), 'b': torch.zeros(1)},
        {'w': torch.zeros(2).half()},
        {},
    ],
)
def test_what_does_not_fit_is_not_filled(tmp_path, out):
    ingredient = save(tmp_path / 'a.pth', w=torch.ones(2))
    with pytest.raises(ValueError, match=r'out .*compared with a'):
        ingredient.load(out)
    assert not any(tensor.any() for tensor in out.values())


def test_checking_a_file_reads_its_pickle_once_and_no_weights(tmp_path, monkeypatch):
    read = []
    real = checkpoint_file.read_checkpoint

    def spy(path, **options):
        read.append(options)
        return real(path, **options)

    monkeypatch.setattr(checkpoint_file, 'read_checkpoint', spy)
    ingredients = [save(tmp_path / f'{i}.pth', w=torch.ones(2)) for i in range(3)]
    check_ingredients(ingredients)
    check_ingredients(ingredients)
    for ingredient in ingredients:
        ingredient.load()
    assert read == [{'device': 'meta'}] * 3


def test_ingredients_that_fit_pass(tmp_path):
    check_ingredients(
        [
            save(tmp_path / f'{i}.pth', w=torch.ones(i + 1, 2)[:1].clone())
            for i in range(3)
        ]
    )


def test_all_problems_come_at_once_with_file_and_key(tmp_path):
    good = save(tmp_path / 'good.pth', w=torch.ones(2), b=torch.ones(1))
    shape = save(tmp_path / 'shape.pth', w=torch.ones(3), b=torch.ones(1))
    other = save(tmp_path / 'other.pth', conv=torch.ones(2), b=torch.ones(1))
    cut = save(tmp_path / 'cut.pth', w=torch.ones(2), b=torch.ones(1))
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'cut.pth').read_bytes()[:-9])
    missing = Ingredient.from_file(tmp_path / 'missing.pth')
    twin = Ingredient.from_file(tmp_path / 'good.pth')
    with pytest.raises(CheckpointError) as caught:
        check_ingredients([missing, good, shape, other, cut, twin])
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith('good: 2 ingredients have this name')
    assert 'missing.pth: cannot be opened' in lines[1]
    assert 'shape.pth' in lines[2] and 'w (3,) instead of (2,)' in lines[2]
    assert 'other.pth' in lines[3] and 'conv' in lines[3] and 'w' in lines[3]
    assert 'cut.pth: is truncated' in lines[4]


def test_no_ingredients():
    with pytest.raises(CheckpointError, match='no ingredients'):
        check_ingredients([])


def test_only_one_model_is_in_memory_at_a_time():
    loads = Loads()
    check_ingredients([Ingredient(str(i), loads) for i in range(6)])
    assert len(loads.most) == 6
    assert max(loads.most) <= 2  # the next one is there before the last one goes


@pytest.mark.parametrize(
    ('a', 'b', 'equal'),
    [
        (1e-3, 0.001, True),
        (1, 1.0, True),
        (1, True, False),
        ([1, [2.0]], (1, (2,)), True),
        ([1, True], [1, 1], False),
        ({'a': [1], 'b': None}, {'b': None, 'a': [1]}, True),
        ('1', 1, False),
        ([], {}, False),
        (None, 0, False),
    ],
)
def test_equality_of_hyper_parameters(a, b, equal):
    assert (hashable(a) == hashable(b)) is equal
    assert not equal or hash(hashable(a)) == hash(hashable(b))


def test_other_values_are_no_hyper_parameters():
    with pytest.raises(TypeError, match='JSON-like'):
        hashable({1, 2})
