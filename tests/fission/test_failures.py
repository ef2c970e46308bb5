"""Which errors are of one trial, and which would meet them all."""

import errno

import pytest
import torch

from ff_mm.errors import TrialDiverged, TrialError
from ff_mm.fission import FGGPlan
from ff_mm.fission.trial_runner import TrialRunner, failure_of

RAISED = """Caught MemoryError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "a.py", line 1, in transform
MemoryError: no room for 9 GB"""


@pytest.mark.parametrize(
    ('error', 'kind'),
    [
        (TrialDiverged('the loss', 2, 5, float('nan')), 'diverged'),
        (torch.OutOfMemoryError('CUDA out of memory. Tried'), 'out of memory'),
        (RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when'), 'out of memory'),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 'out of memory'),
        (OSError(errno.ENOMEM, 'Cannot allocate memory'), 'out of memory'),
        (MemoryError(RAISED), 'out of memory'),
        (
            RuntimeError('DataLoader worker (pid(s) 7, 8) exited unexpectedly'),
            'data worker died',
        ),
        (
            RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed.'),
            'data worker died',
        ),
        (
            RuntimeError(
                'Caught RuntimeError in DataLoader worker process 0.\nOriginal '
                'Traceback (most recent call last):\nRuntimeError: unable to allocate '
                'shared memory(shm) for file </torch_1_2_3>: No space left on device'
            ),
            'data worker died',
        ),
    ],
)
def test_of_one_trial(error, kind):
    failure = failure_of(error)
    assert failure.kind == kind
    assert failure.may_pass == (kind != 'diverged')
    assert '\n' not in failure.reason


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory. Tried'),
        RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed.'),
    ],
)
def test_trials_that_share_a_device_may_be_too_many(error):
    assert 'trials_per_device' not in failure_of(error).reason
    reason = failure_of(error, 3).reason
    assert reason.endswith('share the device and its memory: lower trials_per_device=3')
    assert 'to itself' not in reason


def test_what_a_worker_has_raised_is_said_in_its_last_line():
    assert failure_of(MemoryError(RAISED)).reason.startswith('MemoryError: no room')


@pytest.mark.parametrize(
    'error',
    [
        # A worker that lives and has met a mistake.
        RuntimeError('Caught RuntimeError in DataLoader worker process 0. stack'),
        OSError(errno.ENOSPC, 'No space left on device'),
        TypeError('a mistake'),
        KeyboardInterrupt(),
    ],
)
def test_of_all_trials(error):
    assert failure_of(error) is None


def test_one_of_several_ranks_without_memory_ends_all_with_one_line(monkeypatch):
    def train(trial):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried')

    runner = TrialRunner(None, None, None, None, None)
    monkeypatch.setattr(runner, '_train', train)
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    with pytest.raises(TrialError, match=r'probe .*memory.* goes on from here'):
        runner.run(FGGPlan([1e-2]).trials()[0])
