from __future__ import annotations

import errno
import glob
import hashlib
import json
import math
import os
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ff_mm.files import (
    NotRegularError,
    append_text,
    atomic_write,
    check_own_folder,
    matching,
    open_regular,
    read_json,
    sha256,
    write_json,
)


def test_atomic_write_creates_directories_and_leaves_only_the_file(tmp_path):
    path = tmp_path / 'a' / 'b' / 'c.bin'
    with atomic_write(path) as file:
        file.write(b'\x00whole')
    assert path.read_bytes() == b'\x00whole'
    assert os.listdir(path.parent) == ['c.bin']


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(error), atomic_write(path, 'w') as file:
        file.write('new')
        file.flush()
        raise error
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a.txt']


def test_nothing_is_seen_under_the_name_before_the_end(tmp_path):
    path = tmp_path / 'a.txt'
    with atomic_write(path, 'w') as file:
        file.write('new')
        file.flush()
        assert not path.exists()
        assert len(os.listdir(tmp_path)) == 1  # in the same directory, as replace needs
    assert path.read_text() == 'new'


def test_a_failing_replace_removes_the_temporary_file(tmp_path):
    path = tmp_path / 'taken'
    path.mkdir()
    with pytest.raises(OSError), atomic_write(path) as file:
        file.write(b'x')
    assert os.listdir(tmp_path) == ['taken']


@contextmanager
def limited_size():
    """Files cannot grow beyond 20 kB, a limit of the system as a full disk is one.

    Not a fixture: pytest writes between those and the test, maybe to a large file.
    """
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def large(file):
    file.write(b'x' * 1_000_000)


def one_tensor(file):
    torch.save(dict(a=torch.zeros(100_000)), file)


def many_tensors(file):
    torch.save({str(number): torch.zeros(100) for number in range(1000)}, file)


@pytest.mark.parametrize('write', [large, one_tensor, many_tensors])
def test_what_does_not_fit_is_the_systems_error_with_the_files_name(tmp_path, write):
    path = tmp_path / 'a.pth'
    path.write_bytes(b'old')
    refused = pytest.raises(OSError)
    with limited_size(), refused as caught, atomic_write(path) as file:
        write(file)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.pth']


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_when_the_file_is_synced(tmp_path, monkeypatch, number):
    def fsync(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', fsync)
    with pytest.raises(OSError) as caught:
        write_json([1], tmp_path / 'a.json')
    assert caught.value.errno == number
    assert caught.value.filename == str(tmp_path / 'a.json')
    assert not os.listdir(tmp_path)


def test_a_file_that_cannot_be_opened_is_named_without_its_temporary_name(
    tmp_path, monkeypatch
):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, 'Permission denied', str(path))

    monkeypatch.setattr('builtins.open', refuse)
    with pytest.raises(PermissionError) as caught:
        write_json([1], tmp_path / 'a.json')
    assert caught.value.filename == str(tmp_path / 'a.json')


def test_errors_of_another_file_and_interruptions_stay_what_they_are(tmp_path):
    missing = str(tmp_path / 'missing')
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / 'a'):
        os.stat(missing)
    assert caught.value.filename == missing
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / 'a'):
        try:
            raise OSError(errno.EIO, 'Input/output error')
        except OSError:
            raise KeyboardInterrupt from None
    with pytest.raises(RuntimeError, match='mine'), atomic_write(tmp_path / 'a'):
        raise RuntimeError('mine')
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(os.name != 'posix', reason='permissions are POSIX')
def test_written_files_are_as_readable_as_any(tmp_path):
    (tmp_path / 'plain').touch()
    with atomic_write(tmp_path / 'atomic'):
        pass
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1


def test_only_writing_modes(tmp_path):
    with (
        pytest.raises(ValueError, match="got 'rb'"),
        atomic_write(tmp_path / 'a', 'rb'),
    ):
        pass


def test_json_is_strict_readable_and_comes_back(tmp_path):
    path = tmp_path / 'a.json'
    write_json({'ü': [1, 0.1, True, None], 'bad': (math.nan, -math.inf)}, path)
    text = path.read_text(encoding='utf-8')
    assert '"ü": [\n    1,' in text
    assert text.endswith('}\n')
    assert read_json(path) == {'ü': [1, 0.1, True, None], 'bad': [None, None]}


def test_what_json_cannot_say_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.json'
    write_json([1], path)
    with pytest.raises(TypeError):
        write_json([1, object()], path)
    assert read_json(path) == [1]
    assert os.listdir(tmp_path) == ['a.json']


@pytest.mark.parametrize('content', [b'', b'{"a": [1, 2', b'\xff\xfe\x00', b'hello'])
def test_broken_json_is_one_error_that_names_the_file(tmp_path, content):
    path = tmp_path / 'ledger.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'ledger\.json: not JSON') as caught:
        read_json(path)
    assert type(caught.value) is ValueError
    assert not isinstance(caught.value, json.JSONDecodeError)


def test_sha256_of_more_than_a_chunk(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / 'a').write_bytes(content)
    assert sha256(tmp_path / 'a') == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize('content', ['{"a": NaN}', '[-Infinity]', '[' * 100_000])
def test_what_is_no_json_is_refused_however_deep(tmp_path, content):
    (tmp_path / 'a.json').write_text(content)
    with pytest.raises(ValueError, match=r'a\.json: not JSON'):
        read_json(tmp_path / 'a.json')


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to('/dev/zero')


def link(path):
    (path.parent / 'victim').write_text('{}')
    path.symlink_to('victim')


def dangling(path):
    path.symlink_to('nowhere')


@pytest.mark.parametrize('make', [pipe, device])
@pytest.mark.parametrize('read', [open_regular, read_json, sha256])
def test_what_has_no_end_is_not_read(tmp_path, make, read):
    make(tmp_path / 'a')
    with pytest.raises(NotRegularError, match=r'a: is a (pipe|device), expected a reg'):
        read(tmp_path / 'a')


def test_a_link_to_a_file_is_read(tmp_path):
    link(tmp_path / 'a')
    assert read_json(tmp_path / 'a') == {}


@pytest.mark.parametrize('make', [pipe, device, link, dangling, Path.mkdir])
def test_nothing_is_appended_to_what_is_no_file(tmp_path, make):
    make(tmp_path / 'a')
    with pytest.raises(NotRegularError, match='a: is a '):
        append_text(tmp_path / 'a', 'more')
    assert not (tmp_path / 'nowhere').exists()
    if make is link:
        assert (tmp_path / 'victim').read_text() == '{}'


@pytest.mark.parametrize('kind', [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_is_not_replaced(tmp_path, monkeypatch, kind):
    found = os.stat_result([kind, *range(9)])
    monkeypatch.setattr('ff_mm.files.os.lstat', lambda _: found)
    with pytest.raises(NotRegularError, match='null: is a device'):
        write_json({}, tmp_path / 'null')


def test_text_is_appended_to_a_file_that_need_not_be_there(tmp_path):
    append_text(tmp_path / 'b' / 'a', 'one ')
    append_text(tmp_path / 'b' / 'a', 'two')
    assert (tmp_path / 'b' / 'a').read_text() == 'one two'


def test_a_link_is_replaced_and_what_it_led_to_stays(tmp_path):
    link(tmp_path / 'a')
    write_json([1], tmp_path / 'a')
    assert read_json(tmp_path / 'a') == [1]
    assert (tmp_path / 'victim').read_text() == '{}'


def test_folders_that_are_links_must_not_lead_out_of_a_work_directory(tmp_path):
    work, elsewhere = tmp_path / 'work', tmp_path / 'elsewhere'
    check_own_folder(work)  # to be made
    (work / 'trials' / 'probe').mkdir(parents=True)
    elsewhere.mkdir()
    (tmp_path / 'shortcut').symlink_to(work)
    (work / 'latest').symlink_to(work / 'trials')
    (work / 'table.csv').symlink_to(elsewhere / 'table.csv')
    check_own_folder(tmp_path / 'shortcut')
    (work / 'trials' / 'base').symlink_to(elsewhere)
    with pytest.raises(NotRegularError, match='trials/base: is a link that leads out'):
        check_own_folder(tmp_path / 'shortcut')


def test_a_work_directory_is_a_folder(tmp_path):
    (tmp_path / 'work').touch()
    with pytest.raises(NotRegularError, match='work: is no folder'):
        check_own_folder(tmp_path / 'work')


FILES = [
    'runs[1]/a.pth',
    'runs[1]/b.pth',
    'runs1/a.pth',
    'x/deep[2]/a.pth',
    'x/deep2/a.pth',
]


@pytest.mark.parametrize(
    ('pattern', 'found'),
    [
        ('runs[1]/a.pth', ['runs[1]/a.pth']),
        ('runs[1]/*.pth', ['runs[1]/a.pth', 'runs[1]/b.pth']),
        ('runs[12]/*.pth', ['runs1/a.pth']),
        ('*/deep[2]/a.pth', ['x/deep[2]/a.pth']),
        ('x/deep?/a.pth', ['x/deep2/a.pth']),
        ('**/a.pth', sorted(file for file in FILES if file.endswith('a.pth'))),
        ('./runs1/a.pth', ['runs1/a.pth']),
        ('nothing/*.pth', []),
        ('nothing.pth', []),
    ],
)
@pytest.mark.parametrize('absolute', [False, True])
def test_what_is_literally_called_so_wins_over_a_pattern(
    tmp_path, monkeypatch, pattern, found, absolute
):
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    if absolute:
        found = [str(tmp_path / file) for file in found]
        pattern = os.path.join(glob.escape(str(tmp_path)), pattern)
    assert matching(pattern) == found
