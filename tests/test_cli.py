from __future__ import annotations

import argparse
import errno
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch

from ff_mm import cli
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import write_json
from ff_mm.merging import CheckpointError
from ff_mm_commands.options import add_common_options


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    'error',
    [ConfigError('mend this'), FFMMError('mend this'), CheckpointError('mend this')],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(error, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(raising(error))
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err) == ('', 'error: mend this\n')


def test_a_package_that_a_network_needs_is_one_line(capsys):
    said = 'TIMMBackbone requires timm, please install it by `pip install "timm"`.'
    with pytest.raises(SystemExit) as stop:
        cli.run(raising(ImportError(said)))
    assert stop.value.code == 2
    assert capsys.readouterr().err == f'error: {said}\n'
    with pytest.raises(ImportError):
        cli.run(raising(ImportError("cannot import name 'x'")))


def test_an_interruption_is_status_130_and_says_how_to_go_on(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(raising(KeyboardInterrupt()))
    assert stop.value.code == 130
    assert 'the same command' in capsys.readouterr().err


def test_a_termination_is_status_0_and_says_how_to_go_on(capsys):
    def main():
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail('went on')

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 0
    out, err = capsys.readouterr()
    assert (out, err.count('\n')) == ('', 1)
    assert err.startswith('terminated; everything finished is kept, the same command')
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ('number', 'words'),
    [
        (errno.ENOSPC, 'no space left on the disk: free some and give the same'),
        (errno.EDQUOT, 'your quota'),
        (errno.EROFS, 'read-only'),
        (errno.EACCES, 'permission denied'),
        (errno.EPERM, 'not permitted'),
        (errno.EFBIG, 'ulimit -f'),
        (errno.EMFILE, 'ulimit -n'),
    ],
)
@pytest.mark.parametrize('name', ['/data/ledger.json', None])
def test_what_the_disk_refuses_is_one_line_and_status_1(capsys, number, words, name):
    with pytest.raises(SystemExit) as stop:
        cli.run(raising(OSError(number, os.strerror(number), name)))
    assert stop.value.code == 1
    out, err = capsys.readouterr()
    assert (out, err.count('\n')) == ('', 1)
    assert err.startswith(f'error: {name}: ' if name else 'error: ')
    assert words in err
    assert 'nothing finished is lost' in err
    assert 'None' not in err


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (torch.OutOfMemoryError('CUDA out of memory. Tried\nmore'), 'out of memory'),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 'out of memory'),
        (MemoryError(), 'out of memory'),
        (OSError(errno.ENOMEM, 'Cannot allocate memory'), 'out of memory'),
        (RuntimeError('DataLoader worker (pid 7) is killed'), 'data worker died'),
    ],
)
def test_memory_that_has_run_out_is_one_line_and_status_1(capsys, error, words):
    with pytest.raises(SystemExit) as stop:
        cli.run(raising(error))
    assert stop.value.code == 1
    out, err = capsys.readouterr()
    assert (out, err.count('\n')) == ('', 1)
    assert err.startswith(f'error: {words}: ')


def test_other_errors_of_torch_keep_their_traceback():
    with pytest.raises(RuntimeError, match='shapes'):
        cli.run(raising(RuntimeError('shapes cannot be multiplied')))


def too_long(tmp_path):
    return tmp_path / ('z' * 256)


def of_itself(tmp_path):
    (tmp_path / 'loop').symlink_to('loop')
    return tmp_path / 'loop'


def a_file(tmp_path):
    (tmp_path / 'file').touch()
    return tmp_path / 'file'


def below_a_file(tmp_path):
    return a_file(tmp_path) / 'x'


def to_nowhere(tmp_path):
    (tmp_path / 'link').symlink_to('nowhere')
    return tmp_path / 'link'


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (too_long, 'this name is too long'),
        (of_itself, 'a link leads to itself'),
        (a_file, 'is no folder'),
        (below_a_file, 'a part of this path is no folder'),
        (to_nowhere, 'something else is there already'),
    ],
)
def test_a_work_directory_that_cannot_be_one_is_one_line(
    tmp_path, capsys, monkeypatch, make, words
):
    monkeypatch.setenv('LOCAL_RANK', '0')
    (tmp_path / 'c.py').touch()
    folder = make(tmp_path)

    def main():
        args = parse(f'--work-dir={folder}')
        write_json({}, Path(cli.read_config(args, tmp_path / 'c.py').work_dir, 'a'))

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count('\n')) == ('', 1)
    assert str(folder.parent) in err and words in err


def test_other_errors_of_the_system_keep_their_traceback():
    with pytest.raises(FileNotFoundError):
        cli.run(lambda: os.stat('/no/such/file'))


def test_a_programming_error_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 / 0)


def test_no_library_can_run_a_checkpoints_code_within_a_tool(malicious):
    file, marker = malicious
    with pytest.raises(pickle.UnpicklingError):
        cli.run(lambda: torch.load(file, weights_only=False))
    assert not marker.exists()


def parse(*arguments):
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    return parser.parse_args(arguments)


def test_options_have_types_and_reach_nested_keys(tmp_path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    path = tmp_path / 'c.py'
    path.write_text(
        "plan = dict(lrs=[1e-3], base=dict(epochs=50))\nmodel = dict(x='a')"
    )
    args = parse(
        '--work-dir=here',
        '--cfg-options',
        'plan.base.epochs=3',
        'plan.lrs=[1e-2,1e-3]',
        'model.x=None',
    )
    cfg = cli.read_config(args, path)
    assert (cfg.work_dir, cfg.launcher) == ('here', 'none')
    assert cfg.plan.base.epochs == 3
    assert cfg.plan.lrs == [1e-2, 1e-3]
    assert cfg.model.x is None


def test_an_unknown_launcher_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse('--launcher', 'magic')
    assert 'magic' in capsys.readouterr().err
