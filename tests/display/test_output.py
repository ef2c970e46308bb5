from __future__ import annotations

import os
import sys

import pytest
from rich.console import Console

from ff_mm.display.output import output_that_may_end


@pytest.fixture
def standard_output(monkeypatch):
    """Makes a descriptor the standard output of this process, and another its error."""

    def use(descriptor, errors):
        for name, file in (('stdout', os.fdopen(descriptor, 'w')), ('stderr', errors)):
            monkeypatch.setattr(sys, name, file)
            monkeypatch.setattr(sys, f'__{name}__', file)

    return use


def unread():
    read, write = os.pipe()
    os.close(read)
    return write


def full():
    return os.open('/dev/full', os.O_WRONLY)


@pytest.mark.parametrize(
    ('make', 'words', 'is_lost'),
    [(unread, 'Broken pipe', False), (full, 'No space left', True)],
)
def test_what_is_printed_does_not_stop_what_is_done(
    standard_output, tmp_path, make, words, is_lost
):
    with open(tmp_path / 'err', 'w') as errors:
        standard_output(make(), errors)
        with output_that_may_end() as lost:
            for _ in range(3):
                Console().print('a line')
                print('another', flush=True)
            reason = lost()
        assert sys.stderr is errors
    (line,) = (tmp_path / 'err').read_text().splitlines()
    assert line.startswith('note: standard output cannot be written') and words in line
    assert (reason is not None) == is_lost
    if reason is not None:
        assert reason.filename == 'standard output'


def test_standard_error_may_end_too(standard_output):
    standard_output(unread(), os.fdopen(unread(), 'w'))
    with output_that_may_end() as lost:
        print('a line', flush=True)
        print('another', file=sys.stderr)
    assert lost() is None


def test_what_is_read_arrives_in_order(standard_output, capfd):
    read, write = os.pipe()
    standard_output(write, sys.stderr)
    with output_that_may_end():
        print('one')
        Console().print('two')
        print('\xe4')
    assert os.read(read, 100).decode() == 'one\ntwo\n\xe4\n'
    os.close(read)


def test_a_closed_output_takes_everything(monkeypatch):
    monkeypatch.setattr(sys, 'stdout', None)
    with output_that_may_end() as lost:
        print('a line')
        assert lost() is None
    assert sys.stdout is None


def test_what_is_not_buffered_arrives_at_once(standard_output):
    read, write = os.pipe()
    standard_output(write, sys.stderr)
    sys.stdout.reconfigure(write_through=True)
    with output_that_may_end():
        print('one')
        assert os.read(read, 100) == b'one\n'
    os.close(read)
