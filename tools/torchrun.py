"""torchrun without its own traceback under what a process has already said.

python tools/torchrun.py --standalone --nproc-per-node=2 tools/train.py ...

Used by dist.sh. It imports nothing of ff_mm, so that processes start at once.
"""

from __future__ import annotations

import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> None:
    """Starts processes as torchrun does; exits as the first that failed has."""
    try:
        run.main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(
            f'the process of rank {rank} has ended with exit code {failure.exitcode}, '
            'and the others were stopped',
            file=sys.stderr,
        )
        if failure.exitcode == -signal.SIGKILL:
            message = (
                'it was killed, mostly since main memory ran out: start fewer '
                'processes, or lower num_workers of the data loaders'
            )
            print(message, file=sys.stderr)
        sys.exit(max(failure.exitcode, 1))


if __name__ == '__main__':
    main()
