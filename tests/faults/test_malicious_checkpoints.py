"""Checkpoints as nobody should send them, given to tools/soup.py."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from malicious_files import changed, pack, png, records, tar, weights
from toys import Canary

from ff_mm.merging import CheckpointError, check_ingredients, read_state_dict
from ff_mm.merging.pool import read_pool

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'gog_digits_resnet18.py'


def save(state_dict, **more):
    return lambda path, _: torch.save(dict(state_dict=state_dict(), **more), path)


def archive(end, content, compression=zipfile.ZIP_STORED):
    def write(path, _):
        pack(path, changed(records(weights()), end, content), compression)

    return write


def evil(zipped):
    def write(path, canary):
        content = dict(state_dict=weights(), meta=Canary(canary))
        torch.save(content, path, _use_new_zipfile_serialization=zipped)

    return write


def hidden_in_weights(path, canary):
    torch.save(dict(state_dict=dict(weights(), x=Canary(canary))), path)


def torchscript(path, canary):
    parts = records(weights())
    code = pickle.dumps(Canary(canary), protocol=2)
    pack(path, [*parts.items(), ('archive/constants.pkl', code)])


def bare_pickle(path, canary):
    path.write_bytes(pickle.dumps(Canary(canary), protocol=4))


def second_part(path, _):
    """Two parts of one name, of which readers may take either."""
    parts = records(weights())
    again = [(n, bytes(len(c))) for n, c in parts.items() if n.endswith('data/0')]
    with pytest.warns(UserWarning, match='Duplicate name'):
        pack(path, [*parts.items(), *again])


def reaching_out(path, _):
    """A tensor that begins in its own storage and ends in the next."""
    parts = records(weights())
    (name,) = (n for n in parts if n.endswith('data.pkl'))
    shape = b'K\x02K\x03\x86'
    assert parts[name].count(shape) == 1
    pack(
        path, changed(parts, 'data.pkl', parts[name].replace(shape, b'K\x02K\x09\x86'))
    )


def bytes_without_end(path, _):
    class Bytes:
        def __reduce__(self):
            return bytearray, (1 << 50,)

    file = io.BytesIO()
    pickle._Pickler(file, 2).dump(dict(state_dict=dict(w=Bytes())))
    pack(path, changed(records(weights()), 'data.pkl', file.getvalue()))


def hidden_method(path, _):
    weight = torch.nn.Parameter(torch.ones(2))
    weight.detach = 'text'
    torch.save(dict(w=weight), path)


def within(depth):
    item = []
    for _ in range(depth):
        item = [item]
    return item


def truncated(path, _):
    torch.save(weights(), path)
    path.write_bytes(path.read_bytes()[:-100])


def image(path, _):
    png(path, 10, 10)


def pipe(path, _):
    os.mkfifo(path)


NAN = {'w': torch.tensor([0.0, float('nan')])}

# How the file is made, and what is said of it.
CASES = {
    'code': (evil(True), r'needs the Python object \S*mkdir'),
    'code, legacy format': (evil(False), r'needs the Python object \S*mkdir'),
    'code among the weights': (hidden_in_weights, r'needs the Python object'),
    'code, tar format': (tar, r'legacy \.tar format'),
    'code, bare pickle': (bare_pickle, 'not a checkpoint'),
    'code, TorchScript': (torchscript, 'TorchScript'),
    'a part twice': (second_part, "two parts are called '.*data/0'"),
    'a part too short': (archive('data/0', bytes(4)), 'parts of 24 bytes'),
    'a part too long': (archive('data/0', bytes(400)), 'parts of 24 bytes'),
    'compressed': (archive('-', b'', zipfile.ZIP_DEFLATED), 'is compressed'),
    'other byte order': (archive('byteorder', b'big'), 'byte order'),
    'unknown byte order': (archive('byteorder', b'\xff'), 'byte order'),
    'name of a part leaves the folder': (
        lambda path, _: pack(path, [*records(weights()).items(), ('../../evil', b'x')]),
        'not a checkpoint',
    ),
    'tensor reaching out of its storage': (reaching_out, 'not a checkpoint'),
    'memory without end': (bytes_without_end, 'not a checkpoint'),
    'truncated': (truncated, 'truncated'),
    'an image': (image, 'not a checkpoint'),
    'a folder': (lambda path, _: path.mkdir(), 'fits no file'),
    'a link to itself': (lambda path, _: path.symlink_to(path), 'fits no file'),
    'a pipe': (pipe, 'fits no file'),
    'no tensor': (save(lambda: {'w': 'text'}), "'w' holds a str"),
    'tensors without values': (
        save(lambda: {'w': torch.ones(2, device='meta')}),
        "'w' was saved on the device 'meta'",
    ),
    'sparse': (save(lambda: {'w': torch.eye(3).to_sparse()}), "'w' holds a sparse"),
    'quantised': (
        save(
            lambda: {'w': torch.quantize_per_tensor(torch.ones(2), 1, 0, torch.qint8)}
        ),
        "'w' holds a quantised",
    ),
    'a key that is a tuple in a million of tuples': (
        archive('data.pkl', b'\x80\x02}()' + b'\x85' * 3_000_000 + b'K\x01s.'),
        'tuples within each other',
    ),
    'the same, legacy format': (
        lambda path, _: path.write_bytes(
            b'\x80\x02}()' + b'\x85' * 3_000_000 + b'K\x01s.'
        ),
        'tuples within each other',
    ),
    'a method that is hidden': (hidden_method, "attribute 'detach' of a Parameter"),
    'classes without end': (
        save(weights, meta=dict(classes=[within(400)])),
        'containers within each other',
    ),
    'NaN': (save(lambda: NAN), "'w' is NaN somewhere"),
    'commands to the terminal': (
        save(lambda: {'w\x1b]0;x\x07': torch.ones(1)}),
        r'is no name of a weight',
    ),
    'hyper-parameters that are none': (
        save(weights, meta=dict(ingredient=dict(hyper='lr'))),
        r'meta\.ingredient: hyper: expected',
    ),
    'a hyper-parameter that is a tensor': (
        save(weights, meta=dict(ingredient=dict(hyper=dict(lr=torch.ones(1))))),
        r'meta\.ingredient: hyper: expected',
    ),
}


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
@pytest.mark.parametrize('case', CASES)
def test_a_checkpoint_is_refused_and_runs_nothing(case, tmp_path, tool, capsys):
    write, reason = CASES[case]
    file, canary = tmp_path / 'evil.pth', tmp_path / 'it-ran'
    write(file, canary)
    options = ['--work-dir', tmp_path / 'out', '--cfg-options', f'ingredients={file}']
    assert tool('soup.py', CONFIG, *options) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: ') and said.count('\n') == 1, said
    assert str(file) in said
    assert re.search(reason, said), said
    assert said.strip().isprintable()
    assert not canary.exists()
    assert not (tmp_path / 'out' / 'soup.pth').exists()


def test_the_canary_would_sing(tmp_path):
    """Else the tests above show nothing."""
    for number, write in enumerate([evil(True), evil(False), hidden_in_weights]):
        file, canary = tmp_path / f'{number}.pth', tmp_path / f'{number}-ran'
        write(file, canary)
        torch.load(file, weights_only=False)
        assert canary.exists()


def test_an_archive_that_was_packed_anew_is_read_right(tmp_path):
    """torch.save aligns what it stores, other programs do not."""
    file = tmp_path / 'packed.pth'
    pack(file, records(dict(state_dict=weights())).items())
    (entry,) = read_pool(str(file)).entries
    made = entry.ingredient('accuracy', None)
    check_ingredients([made])
    for found in (made.load(), made.in_passing(), read_state_dict(file)):
        for key, tensor in weights().items():
            assert torch.equal(found[key], tensor), key


def test_a_tensor_larger_than_its_file_is_no_weight_of_the_model(
    tmp_path, tool, capsys
):
    """One value that says it is 4 TB is compared by its shape, and never made."""
    file = tmp_path / 'large.pth'
    torch.save({'backbone.conv1.weight': torch.ones(1).expand(1 << 40)}, file)
    options = ['--work-dir', tmp_path / 'out', '--cfg-options', f'ingredients={file}']
    assert tool('soup.py', CONFIG, *options) == 2
    assert 'large.pth' in capsys.readouterr().err


@pytest.mark.parametrize(
    'dtype',
    [
        *(torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn),
        *(torch.complex64, torch.int64, torch.bool),
    ],
)
def test_nan_of_any_type_and_nothing_else(dtype, tmp_path):
    """Infinite values can be meant, and sums of large half floats are infinite."""
    values = torch.tensor([6e4, 6e4]).to(dtype)
    infinite = torch.tensor([float('inf'), float('-inf')])
    torch.save(dict(w=values, mask=infinite), tmp_path / 'a.pth')
    read_pool(str(tmp_path / 'a.pth')).check_files()
    if dtype not in (torch.int64, torch.bool):
        values = torch.tensor([1.0, float('nan')]).to(dtype)
        torch.save(dict(w=values, mask=infinite), tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match=r"a\.pth: 'w' is NaN"):
            read_pool(str(tmp_path / 'a.pth')).check_files()


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_conjugate_weights_are_resolved(tmp_path):
    value = torch.tensor([1 + 2j])
    torch.save({'w': value.conj()}, tmp_path / 'a.pth')
    found = read_state_dict(tmp_path / 'a.pth')['w']
    assert not found.is_conj() and torch.equal(found, value.conj())


def test_circular_content_ends(tmp_path):
    circle: list = []
    circle.append(circle)
    torch.save(dict(state_dict=weights(), meta=dict(circle=circle)), tmp_path / 'a.pth')
    assert set(read_state_dict(tmp_path / 'a.pth')) == set(weights())


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth: is a pipe'):
        read_state_dict(tmp_path / 'a.pth')
