"""Data workers that outlive a SIGTERM that was sent to all processes of a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from torch.utils.data import DataLoader


class EnduringWorker:
    """How a data worker starts that only its main process can terminate.

    SLURM sends SIGTERM to every process of a step, torchrun to every process of a
    group. A data worker that dies of it takes the main process along, which could have
    finished its epoch. The main process ends its workers when it ends, and workers end
    by themselves when it is gone.

    Args:
        initialise: What the worker did so far when it starts.
    """

    def __init__(self, initialise: Callable[[int], None] | None) -> None:
        self.initialise = initialise

    def __call__(self, worker_id: int) -> None:
        """Starts the worker, in its own process."""
        # Python's handlers do not tell who sent a signal, and torch has set one that
        # dies of it; what is blocked can be waited for, with its sender.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey, args=(os.getppid(),), daemon=True).start()
        if self.initialise is not None:
            self.initialise(worker_id)


def make_workers_endure(loader: DataLoader) -> None:
    """Has a data loader start :class:`EnduringWorker` s, where the system can.

    Args:
        loader: One that has not started any worker yet, or has been seen before.
    """
    can = hasattr(signal, 'sigwaitinfo')  # not on macOS and Windows
    if can and not isinstance(loader.worker_init_fn, EnduringWorker):
        loader.worker_init_fn = EnduringWorker(loader.worker_init_fn)


def _obey(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
