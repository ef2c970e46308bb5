from __future__ import annotations

import pytest

from ff_mm.engine.worker_failures import WorkerError, loading_images
from ff_mm.errors import FFMMError


@pytest.mark.parametrize(
    'text',
    [
        'unable to allocate shared memory(shm) for file </torch_1>: No space left',
        'unable to open shared memory object </torch_1> in read-write mode',
        'DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that '
        "dataloader's workers are out of shared memory.",
    ],
    ids=['allocate', 'open', 'killed'],
)
def test_workers_without_memory_are_said_in_a_line_with_the_remedy(text):
    with pytest.raises(WorkerError) as caught, loading_images():
        raise RuntimeError(text)
    said = str(caught.value)
    assert '\n' not in said and 'num_workers' in said and '--shm-size' in said


def test_other_errors_stay_what_they_are():
    for error in (RuntimeError('a mistake'), FFMMError('a line')):
        with pytest.raises(type(error), match=str(error)), loading_images():
            raise error
