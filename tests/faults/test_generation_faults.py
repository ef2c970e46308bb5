"""What becomes of a plan when trials fail, files are damaged or two runs meet."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from trained_plans import listed_digests, train

from ff_mm.errors import ConfigError, TrialError
from ff_mm.files import read_json
from ff_mm.parallel.claim import Claim, InUseError

BASES = ['base_lr0.01', 'base_lr0.001']
SHORT = dict(
    plan__lrs=[1e-2, 1e-3],
    plan__probe__epochs=1,
    plan__base__epochs=2,
    custom_hooks=[dict(type='Sabotage')],
)


@HOOKS.register_module(force=True)
class Sabotage(Hook):
    """Does what a test wants in the second epoch of one trial."""

    trial = ''
    deed = staticmethod(lambda runner: None)

    def before_train_epoch(self, runner):
        if Path(runner.work_dir).name == Sabotage.trial and runner.epoch == 1:
            Sabotage.deed(runner)


@pytest.fixture
def sabotage(monkeypatch):
    """``sabotage(trial, deed)`` has ``deed(runner)`` done in that trial."""

    def set_up(trial, deed):
        monkeypatch.setattr(Sabotage, 'trial', trial)
        monkeypatch.setattr(Sabotage, 'deed', staticmethod(deed))

    return set_up


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, generation_config):
    """The work directory of a plan in which nothing went wrong."""
    work_dir = tmp_path_factory.mktemp('unbroken')
    train(generation_config(work_dir, **SHORT))
    return work_dir


@pytest.fixture
def finished(tmp_path, generation_config, unbroken):
    """A copy of that, and the function that gives the same command again."""
    shutil.copytree(unbroken, tmp_path / 'run')

    def again(**options):
        return train(generation_config(tmp_path / 'run', **SHORT, **options))

    again.work_dir = tmp_path / 'run'
    return again


def spoil(runner):
    """Makes the weights and so every loss NaN."""
    for parameter in runner.model.parameters():
        parameter.data.fill_(float('nan'))


def test_a_trial_that_diverges_is_left_out_and_the_plan_goes_on(
    tmp_path, generation_config, sabotage, unbroken, capsys
):
    sabotage(BASES[0], spoil)
    manifest = train(generation_config(tmp_path, **SHORT))
    out = capsys.readouterr().out
    assert 'base_lr0.01 has failed (diverged: diverged in epoch 2' in out
    assert 'base_lr0.01 is left out, diverged' in out
    assert manifest['complete'] is True
    failed = {failure['trial']: failure['kind'] for failure in manifest['failed']}
    assert failed == {'base_lr0.01': 'diverged', 'fission_lr0.01': 'parent failed'}
    # The other group is what it would have been.
    expected = {k: v for k, v in listed_digests(unbroken).items() if 'lr0.001' in k}
    assert listed_digests(tmp_path) == expected
    states = {
        e['id']: e['state'] for e in read_json(tmp_path / 'ledger.json')['trials']
    }
    assert states['base_lr0.01'] == states['fission_lr0.01'] == 'failed'


def test_a_failed_trial_is_tried_again_only_if_asked_for(
    tmp_path, generation_config, sabotage, unbroken, capsys
):
    sabotage(BASES[0], spoil)
    train(generation_config(tmp_path, **SHORT))
    before = listed_digests(tmp_path)
    sabotage('', spoil)
    train(generation_config(tmp_path, **SHORT))
    assert listed_digests(tmp_path) == before
    assert '--retry-failed tries it again' in capsys.readouterr().out
    manifest = train(generation_config(tmp_path, **SHORT, retry_failed=True))
    assert listed_digests(tmp_path) == listed_digests(unbroken)
    assert manifest['failed'] == []


@pytest.mark.parametrize(
    ('error', 'kind', 'remedy'),
    [
        (torch.OutOfMemoryError('CUDA out of memory.'), 'out of memory', 'more memory'),
        (
            RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: 9"),
            'out of memory',
            'more memory',
        ),
        (
            RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed.'),
            'data worker died',
            'num_workers',
        ),
    ],
)
def test_what_may_pass_fails_one_trial_and_is_an_error_in_the_end(
    tmp_path, generation_config, sabotage, unbroken, error, kind, remedy
):
    def fail(runner):
        raise error

    sabotage(BASES[0], fail)
    with pytest.raises(TrialError, match=rf'base_lr0\.01 \({kind}\).*--retry-failed'):
        train(generation_config(tmp_path, **SHORT))
    manifest = read_json(tmp_path / 'ingredients.json')
    assert remedy in manifest['failed'][0]['reason']
    assert set(listed_digests(tmp_path)) == {
        k for k in listed_digests(unbroken) if 'lr0.001' in k
    }
    # It goes on from its last state.
    sabotage('', fail)
    state = tmp_path / 'trials' / BASES[0] / 'state_epoch_1.pth'
    assert state.is_file()
    train(generation_config(tmp_path, **SHORT, retry_failed=True))
    assert listed_digests(tmp_path) == listed_digests(unbroken) and not state.exists()


def test_if_the_probe_diverges_there_is_nothing_and_that_is_an_error(
    tmp_path, generation_config
):
    probe = dict(plan__probe=dict(lr=1e30, epochs=2))
    with pytest.raises(TrialError, match=r'no trial has yielded .*: diverged'):
        train(generation_config(tmp_path, **SHORT | probe))
    kinds = [f['kind'] for f in read_json(tmp_path / 'ingredients.json')['failed']]
    assert kinds == ['diverged'] + ['parent failed'] * 4


@pytest.mark.parametrize(
    'error', [OSError(errno.ENOSPC, 'No space left on device'), KeyError('a mistake')]
)
def test_what_would_meet_every_trial_ends_the_run_and_fails_none(
    tmp_path, generation_config, sabotage, unbroken, error
):
    def fail(runner):
        raise error

    sabotage(BASES[0], fail)
    with pytest.raises(type(error)):
        train(generation_config(tmp_path, **SHORT))
    sabotage('', fail)
    train(generation_config(tmp_path, **SHORT))
    assert listed_digests(tmp_path) == listed_digests(unbroken)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap(path):
    other = next(p for p in sorted(path.parent.iterdir()) if p != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize('damage', [cut, swap, Path.unlink])
@pytest.mark.parametrize('file', ['base_lr0.01.pth', 'fission_lr0.001_cycle2.pth'])
def test_a_damaged_ingredient_is_made_again(finished, capsys, damage, file):
    before = listed_digests(finished.work_dir)
    damage(finished.work_dir / 'ingredients' / file)
    finished()
    assert listed_digests(finished.work_dir) == before
    out = capsys.readouterr().out
    assert re.search(rf'note: \S*{file}: is .*trained again', out)


@pytest.mark.parametrize('damage', [cut, Path.unlink])
def test_a_damaged_start_of_a_trial_is_made_again(finished, damage):
    before = listed_digests(finished.work_dir)
    trials = finished.work_dir / 'trials'
    (trials / 'fission_lr0.01' / 'record.json').unlink()
    damage(trials / 'base_lr0.01' / 'best.pth')
    finished()
    assert listed_digests(finished.work_dir) == before


@pytest.mark.parametrize('damage', [cut, Path.unlink])
@pytest.mark.parametrize(
    'file', ['ledger.json', 'ingredients.json', 'trials/base_lr0.01/record.json']
)
def test_a_damaged_table_of_contents_is_made_again(finished, damage, file):
    before = listed_digests(finished.work_dir)
    times = {
        f: f.stat().st_mtime_ns for f in (finished.work_dir / 'ingredients').rglob('*')
    }
    damage(finished.work_dir / file)
    finished()
    assert listed_digests(finished.work_dir) == before
    if 'record' not in file:  # nothing had to be trained
        assert times == {f: f.stat().st_mtime_ns for f in times}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    ('damage', 'file'),
    [(flip, 'state_epoch_1.pth'), (cut, 'state_epoch_1.pth'), (flip, 'best.pth')],
)
def test_a_trial_whose_state_is_damaged_begins_anew(
    tmp_path, generation_config, sabotage, unbroken, capsys, damage, file
):
    def fail(runner):
        raise torch.OutOfMemoryError('CUDA out of memory')

    sabotage(BASES[0], fail)
    with pytest.raises(TrialError):
        train(generation_config(tmp_path, **SHORT))
    sabotage('', fail)
    damage(tmp_path / 'trials' / BASES[0] / file)
    train(generation_config(tmp_path, **SHORT, retry_failed=True))
    assert listed_digests(tmp_path) == listed_digests(unbroken)
    assert re.search(rf'note: \S*{file}: is .*begins anew', capsys.readouterr().out)


def test_half_a_state_is_never_there_but_half_a_temporary_file_may_be(finished):
    """What a kill leaves behind of a file that was being written does no harm."""
    before = listed_digests(finished.work_dir)
    trial = finished.work_dir / 'trials' / 'base_lr0.01'
    (trial / 'record.json').unlink()
    parts = [
        trial / '.state_epoch_1.pth.0123456789abcdef.part',
        finished.work_dir / 'ingredients' / '.base_lr0.01.pth.0123456789abcdef.part',
    ]
    for part in parts:
        part.write_bytes(b'half')
    finished()
    assert listed_digests(finished.work_dir) == before
    assert not any(part.exists() for part in parts)


def test_a_second_run_of_a_plan_that_is_being_carried_out_is_refused(finished):
    other = Claim(finished.work_dir, '.plan')
    other.take()
    with pytest.raises(InUseError, match=r'process \d+ on .*at work there'):
        finished()
    other.release()
    finished()


def test_a_plan_can_be_carried_out_trial_by_trial(
    tmp_path, generation_config, unbroken
):
    chosen = ['probe'], ['2', 'fission_lr0.001'], ['base_lr0.01'], '3'
    for number, trials in enumerate(chosen):
        manifest = train(generation_config(tmp_path, **SHORT, trials=trials))
        assert manifest['complete'] == (number == 3)
    assert listed_digests(tmp_path) == listed_digests(unbroken)
    assert not (tmp_path / 'claims').exists()


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (
            dict(trials=['fission_lr0.01']),
            TrialError,
            r"'base_lr0\.01', which is not done.*--trial",
        ),
        *(
            (dict(trials=[name]), ConfigError, f'--trial {name}: .*--list-trials')
            for name in ('base_lr0.1', '5', '-1')
        ),
        (dict(parallel='trials'), ConfigError, "parallel='trials': expected 'trial'"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(
    tmp_path, generation_config, options, error, message
):
    with pytest.raises(error, match=message):
        train(generation_config(tmp_path, **SHORT, **options))
    assert not list(tmp_path.glob('trials/*/*.pth'))


def test_a_directory_that_cannot_be_written_is_found_before_training(
    tmp_path, generation_config, monkeypatch
):
    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, 'Read-only file system', str(tmp_path))

    monkeypatch.setattr(Path, 'mkdir', refuse)
    with pytest.raises(OSError, match='Read-only'):
        train(generation_config(tmp_path / 'new', **SHORT))


def test_a_state_of_the_ledger_can_be_read_while_a_trial_runs(
    tmp_path, generation_config, sabotage
):
    seen = []
    sabotage(BASES[1], lambda runner: seen.append(read_json(tmp_path / 'ledger.json')))
    train(generation_config(tmp_path, **SHORT))
    states = [entry['state'] for entry in seen[0]['trials']]
    assert states == ['done', 'done', 'running', 'done', 'planned']
