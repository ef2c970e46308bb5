from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from ff_mm.merging import CheckpointError, read_state_dict, write_checkpoint
from ff_mm.merging import checkpoint_file as module
from ff_mm.merging.checkpoint_file import CheckpointFile


def all_kinds():
    """Tensors of many dtypes, strides and storages."""
    shared = torch.arange(20.0)
    return {
        'float32': torch.randn(3, 4),
        'float16': torch.randn(5).half(),
        'bfloat16': torch.randn(5).bfloat16(),
        'float64': torch.randn(2, dtype=torch.float64),
        'complex': torch.randn(2, dtype=torch.complex64),
        'bool': torch.tensor([True, False]),
        'scalar': torch.tensor(7),
        'empty': torch.zeros(0, 3),
        'transposed': torch.randn(4, 5).t(),
        'channels_last': torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        'expanded': torch.ones(1, 3).expand(4, 3),
        'first_half': shared[:10],
        'second_half': shared[10:],
        'every_second': shared[::2],
        'conjugate': torch.randn(2, dtype=torch.complex64).conj(),
    }


def optimizer_state():
    return {'state': {i: {'exp_avg': torch.zeros(1000)} for i in range(3)}}


def assert_equal(found, expected):
    assert list(found) == list(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype and found[key].shape == tensor.shape
        assert torch.equal(found[key], tensor), key


@pytest.fixture
def unpickled(monkeypatch):
    """Which files are unpickled, in order."""
    paths = []

    def read(path, **options):
        paths.append(str(path))
        return real(path, **options)

    real = module.read_checkpoint
    monkeypatch.setattr(module, 'read_checkpoint', read)
    return paths


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(
        {
            'meta': {'epoch': 3},
            'state_dict': all_kinds(),
            'optimizer': optimizer_state(),
        },
        path,
    )
    return path


@pytest.mark.parametrize('conjugate', [False, True])
@pytest.mark.parametrize('method', ['weights', 'in_passing'])
def test_the_weights_are_those_of_read_state_dict(path, method, conjugate):
    if not conjugate:  # else the file is not mapped by what was read before
        state = all_kinds()
        del state['conjugate']
        torch.save({'state_dict': state}, path)
    file = CheckpointFile(path)
    for _ in range(2):
        found, expected = getattr(file, method)(), read_state_dict(path)
        assert_equal(found, expected)
        for key, tensor in expected.items():
            assert found[key].stride() == tensor.stride()


@pytest.mark.parametrize(
    'wrap',
    [
        lambda w: w,
        lambda w: {'state_dict': {f'module.{key}': v for key, v in w.items()}},
        lambda w: {'state_dict': {k: torch.nn.Parameter(v) for k, v in w.items()}},
    ],
    ids=['bare', 'data_parallel', 'parameters'],
)
def test_other_ways_of_saving(tmp_path, wrap, unpickled):
    weights = {'w': torch.randn(3), 'b': torch.randn(2)}
    torch.save(wrap(weights), tmp_path / 'a.pth')
    file = CheckpointFile(tmp_path / 'a.pth')
    for _ in range(3):
        assert_equal(file.weights(), weights)
        assert not any(tensor.requires_grad for tensor in file.weights().values())
    assert file.meta == {}
    assert len(unpickled) == 1


def test_a_file_is_unpickled_once_and_only_when_needed(tmp_path, unpickled):
    path = tmp_path / 'a.pth'
    file = CheckpointFile(path)
    write_checkpoint({'state_dict': {'w': torch.ones(2)}, 'meta': {'epoch': 3}}, path)
    assert not unpickled
    assert file.meta == {'epoch': 3}
    assert file.outline()['w'].shape == (2,)
    file.prefetch()
    for _ in range(3):
        assert_equal(file.weights(), {'w': torch.ones(2)})
        assert_equal(file.in_passing(), {'w': torch.ones(2)})
    assert unpickled == [str(path)]


def test_a_changed_file_is_read_anew(tmp_path):
    path = tmp_path / 'a.pth'
    file = CheckpointFile(path)
    for shape in [(2,), (3, 3), (1,)]:
        write_checkpoint({'state_dict': {'w': torch.randn(shape)}}, path)
        assert_equal(file.weights(), read_state_dict(path))
        assert file.outline()['w'].shape == shape


def test_a_file_that_is_changed_while_it_is_opened(tmp_path, monkeypatch):
    """Old offsets never meet new bytes."""
    path = tmp_path / 'a.pth'
    write_checkpoint({'state_dict': {'w': torch.ones(2)}}, path)
    file = CheckpointFile(path)
    contents = file._contents()
    changed = {'x': torch.zeros(1), 'w': torch.full((2,), 7.0)}
    write_checkpoint({'state_dict': changed}, path)
    monkeypatch.setattr(file, '_contents', lambda: contents)
    assert_equal(file.weights(), changed)


def test_the_outline_has_no_values(path):
    outline = CheckpointFile(path).outline()
    assert list(outline) == list(all_kinds())
    for key, tensor in all_kinds().items():
        assert outline[key].device.type == 'meta'
        assert (outline[key].shape, outline[key].dtype) == (tensor.shape, tensor.dtype)


def test_files_that_cannot_be_mapped(tmp_path, path, monkeypatch):
    weights = {'w': torch.randn(3)}
    torch.save(
        {'state_dict': weights, 'meta': {'epoch': 1}},
        tmp_path / 'legacy.pth',
        _use_new_zipfile_serialization=False,
    )
    legacy = CheckpointFile(tmp_path / 'legacy.pth')
    assert_equal(legacy.weights(), weights)
    assert_equal(legacy.in_passing(), weights)
    assert legacy.meta == {'epoch': 1} and legacy.outline()['w'].shape == (3,)
    assert legacy.extent() is None
    legacy.prefetch()


def test_a_torch_that_does_not_tell_offsets(path, monkeypatch):
    def read(path, **options):
        checkpoint = real(path, **options)
        for tensor in checkpoint['state_dict'].values():
            tensor.untyped_storage()._checkpoint_offset = None
        return checkpoint

    real = module.read_checkpoint
    assert CheckpointFile(path)._contents().entries['bool'].offset is not None
    monkeypatch.setattr(module, 'read_checkpoint', read)
    file = CheckpointFile(path)
    assert file.extent() is None
    assert_equal(file.weights(), read_state_dict(path))


def test_writing_to_weights_does_not_change_the_file(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'w': torch.ones(3)}, path)
    file = CheckpointFile(path)
    file.weights()['w'].zero_()
    assert torch.equal(file.weights()['w'], torch.ones(3))


def test_the_extent_is_that_of_the_weights(tmp_path):
    path = tmp_path / 'a.pth'
    weights = {'w': torch.randn(5000), 'b': torch.randn(50)}
    torch.save({'state_dict': weights, 'optimizer': optimizer_state()}, path)
    first, size = CheckpointFile(path).extent()
    assert 5050 * 4 <= size < 5050 * 4 + 1000
    content = path.read_bytes()
    part = content[first : first + size]
    assert part.startswith(weights['w'].numpy().tobytes())
    assert part.endswith(weights['b'].numpy().tobytes())
    assert len(content) > size + 3 * 4000


def test_tensors_in_passing_stay_valid(tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_RESIDENT', 0)
    weights = {str(i): torch.randn(3000) for i in range(5)}
    torch.save(weights, tmp_path / 'a.pth')
    found = CheckpointFile(tmp_path / 'a.pth').in_passing()
    kept = [found[key] for key in weights]
    del found
    for tensor, expected in zip(kept, weights.values(), strict=True):
        assert torch.equal(tensor, expected)


def test_weights_in_passing_are_not_all_resident(tmp_path):
    """Of 64 MB, at most the 8 that are kept and the tensor at hand."""
    if not Path('/proc/self/smaps').exists():
        pytest.skip('the system does not tell')
    path = tmp_path / 'a.pth'
    torch.save({str(i): torch.ones(1 << 20) for i in range(16)}, path)

    def resident():
        """Of this file, in this process, in MB."""
        text = Path('/proc/self/smaps').read_text()
        mapping = text[text.index(str(path)) :]
        return int(re.search(r'Rss: +(\d+) kB', mapping)[1]) / 1e3

    def most(weights):
        found = []
        for key in weights:
            weights[key].sum()
            found.append(resident())
        return max(found)

    file = CheckpointFile(path)
    assert most(file.weights()) > 60
    assert most(file.in_passing()) < 20


def test_what_is_wrong_is_said_as_by_read_state_dict(tmp_path):
    file = CheckpointFile(tmp_path / 'a.pth')
    methods = [file.weights, file.in_passing, file.outline, file.prefetch, file.extent]
    for content, match in [
        (None, r'a\.pth: cannot be opened'),
        (b'', r'a\.pth: is empty'),
        (b'PK\x03\x04nothing', r'a\.pth: is truncated'),
        ({'state_dict': {}}, r'a\.pth: has no weights'),
        ({'epoch': 3}, r"a\.pth: key 'epoch' holds a int"),
    ]:
        if isinstance(content, bytes):
            file.path.write_bytes(content)
        elif content is not None:
            torch.save(content, file.path)
        for method in methods:
            with pytest.raises(CheckpointError, match=match):
                method()


def test_a_forged_size_is_refused_as_by_read_state_dict(tmp_path):
    """It would have the tensor reach into the next one."""
    path = tmp_path / 'a.pth'
    torch.save({'w': torch.ones(300, 300), 'b': torch.ones(999)}, path)
    content = path.read_bytes()
    shape, larger = b'M,\x01M,\x01\x86', b'M\x90\x01M,\x01\x86'
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, larger))
    for read in (read_state_dict, lambda path: CheckpointFile(path).weights()):
        with pytest.raises(CheckpointError, match='damaged'):
            read(path)
