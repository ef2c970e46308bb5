from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.merging.archive import Archive
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.contents import settle

DTYPES = st.sampled_from([torch.float32, torch.float16, torch.bool, torch.complex128])
TENSORS = st.lists(st.tuples(DTYPES, st.integers(0, 300)), min_size=1, max_size=8)


@settings(deadline=None, max_examples=60)
@given(TENSORS, st.text('ab/.', max_size=5))
def test_what_torch_saves_lies_where_the_archive_says(tmp_path_factory, kinds, name):
    path = tmp_path_factory.mktemp('archive') / f'x{name.replace("/", "_")}.pth'
    content = {str(i): torch.ones(n).to(dtype) for i, (dtype, n) in enumerate(kinds)}
    torch.save(content, path)
    sizes = sorted(tensor.nbytes for tensor in content.values())
    found = Archive.read(path).storages
    assert sorted(size for _, size in found) == sizes
    raw = path.read_bytes()
    stored = sorted(raw[first : first + size] for first, size in found)
    assert stored == sorted(
        bytes(tensor.view(torch.uint8).numpy()) for tensor in content.values()
    )
    # So its weights are mapped, and not read another way.
    assert CheckpointFile(path).extent() is not None


@pytest.mark.parametrize('shared', [False, True])
def test_sizes_count_once_for_what_shares_a_storage(tmp_path, shared):
    one = torch.ones(5)
    content = dict(a=one, b=[one if shared else torch.ones(5)])
    torch.save(content, tmp_path / 'a.pth')
    archive = Archive.read(tmp_path / 'a.pth')
    tensors = settle(content)
    archive.check_sizes(tensors)
    archive.check_sizes([*tensors, torch.ones(0)])
    with pytest.raises(ValueError, match='parts of 20 bytes are needed, it has'):
        archive.check_sizes([*tensors, torch.ones(5)])


def test_a_directory_that_points_beyond_the_end(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(w=torch.ones(5)), path)
    content = bytearray(path.read_bytes())
    # The entry of the directory names its header 42 bytes after it begins.
    entry = content.rindex(b'PK\x01\x02', 0, content.rindex(b'/data/0'))
    content[entry + 42 : entry + 46] = (1 << 31).to_bytes(4, 'little')
    path.write_bytes(content)
    with pytest.raises(ValueError, match='beyond its end'):
        Archive.read(path)
