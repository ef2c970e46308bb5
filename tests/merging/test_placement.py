"""Where models are added up makes no difference to their sum."""

from __future__ import annotations

import pytest
import torch

from ff_mm.merging import Ingredient, Soup, write_checkpoint
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.merge import Merge
from ff_mm.merging.placement import Placement
from ff_mm.weight_space.affine import point

CPU = torch.device('cpu')


def model(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {
        'conv.weight': torch.randn(6, 5, 3, 3, generator=generator).to(dtype),
        'bn.running_var': torch.rand(6, generator=generator).to(dtype),
        'bn.num_batches_tracked': torch.tensor(seed),
        'wide': torch.randn(4, generator=generator, dtype=torch.float64),
    }


@pytest.fixture
def pool(tmp_path):
    """A function: the same models on disk, placed somewhere."""
    for seed in range(4):
        dtype = torch.bfloat16 if seed == 3 else torch.float32
        write_checkpoint(dict(state_dict=model(seed, dtype)), tmp_path / f'{seed}.pth')

    def make(placement):
        return [
            Ingredient.from_file(
                CheckpointFile(tmp_path / f'{seed}.pth', full=True),
                placement=placement,
            )
            for seed in range(4)
        ]

    return make


def soups(models, folder):
    """A mean, one of others, a soup of soups of which one is in a file, and a point."""
    a, b, c, d = models
    written = Soup('first', 'uniform', (a, b)).written(folder / 'first.pth')
    both = Soup('both', 'uniform', (written, Soup('other', 'uniform', (c, d))))
    rest = Merge.read(dict(type='mean', leave_out='conv'))
    return [
        Soup('all', 'uniform', (a, b, c, d)),
        Soup('shares', 'uniform', (a, b, c), weights=(0.5, 0.2, 0.3)),
        both,
        Soup('rest', 'uniform', (a, b), merge=rest),
        point({m.name: m for m in models}, {a.name: 1.5, b.name: -0.5}),
    ]


def require_equal(got, expected):
    assert set(got) == set(expected)
    for key, value in expected.items():
        assert got[key].device.type == 'cpu'
        assert got[key].dtype == value.dtype
        assert torch.equal(got[key], value), key


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason='takes a GPU')


@pytest.mark.parametrize('keeps', [False, True], ids=['read', 'kept'])
@pytest.mark.parametrize('device', ['cpu', pytest.param('cuda', marks=GPU)])
def test_sums_are_those_of_main_memory_bit_for_bit(pool, tmp_path, device, keeps):
    placement = Placement(torch.device(device), keeps)
    plain = [soup.load() for soup in soups(pool(None), tmp_path)]
    for _ in range(2):
        placed = soups(pool(placement), tmp_path)
        for soup, expected in zip(placed, plain, strict=True):
            require_equal(soup.load(), expected)
            out = {key: torch.empty_like(value) for key, value in expected.items()}
            assert soup.load(out) is out
            require_equal(out, expected)


@pytest.mark.parametrize('keeps', [False, True])
def test_what_is_kept_is_read_once_and_belongs_to_nobody_else(pool, tmp_path, keeps):
    placement = Placement(CPU, keeps)
    models = pool(placement)
    whole = Soup('all', 'uniform', tuple(models))
    first = whole.load()
    assert [placement.holds(m.checkpoint) for m in models] == 4 * [keeps]
    models[0].load()['conv.weight'].zero_()
    with open(tmp_path / '1.pth', 'r+b') as file:
        file.truncate(100)
    if keeps:
        require_equal(whole.load(), first)
    else:
        with pytest.raises(ValueError, match=r'1\.pth'):
            whole.load()


def test_where_memory_does_not_do_nothing_is_kept(pool, monkeypatch):
    """Another process may have taken what was free."""
    placement = Placement(CPU, keeps=True)
    models = pool(placement)
    expected = Soup('all', 'uniform', tuple(pool(None))).load()
    models[0].to_sum()
    real = torch.Tensor.to

    def to(tensor, *args, copy=False, **kwargs):
        if copy and args == (CPU,):
            raise torch.OutOfMemoryError
        return real(tensor, *args, copy=copy, **kwargs)

    monkeypatch.setattr(torch.Tensor, 'to', to)
    require_equal(Soup('all', 'uniform', tuple(models)).load(), expected)
    assert not placement.keeps and not placement.holds(models[0].checkpoint)
