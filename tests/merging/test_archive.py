from __future__ import annotations

import zipfile
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.engine.checkpoint_io import load_from_local
from ff_mm.merging.archive import Archive, damaged_part
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.contents import settle
from ff_mm.merging.pool import read_pool
from ff_mm.merging.state_dict import CheckpointError, read_checkpoint

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


@pytest.mark.parametrize('part', ['data.pkl', 'data/0', 'byteorder'])
def test_a_byte_that_has_changed_is_found_in_every_part(tmp_path, part):
    path = tmp_path / 'a.pth'
    torch.save(dict(w=torch.zeros(500)), path)
    assert damaged_part(path) is None
    with zipfile.ZipFile(path) as archive:
        (member,) = (m for m in archive.infolist() if m.filename.endswith(part))
    content = bytearray(path.read_bytes())
    # Behind the header comes padding, and then what is stored: its last byte.
    header = member.header_offset
    lengths = content[header + 26 : header + 30]
    first = header + 30 + lengths[0] + lengths[1] * 256 + lengths[2] + lengths[3] * 256
    content[first + member.file_size - 1] ^= 1
    path.write_bytes(content)
    assert part in damaged_part(path)


def test_a_checkpoint_that_is_read_whole_is_as_it_was_written(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(w=torch.zeros(500)), path)
    read_checkpoint(path, whole=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    read_checkpoint(path)
    for read in (partial(read_checkpoint, whole=True), load_from_local):
        with pytest.raises(
            CheckpointError, match=r"a\.pth: is damaged: part '.*data/0"
        ):
            read(str(path))
    with pytest.raises(CheckpointError, match=r"a\.pth: is damaged: part '.*data/0"):
        read_pool(str(path)).check_files()
