"""Processes, told apart over machines and restarts."""

from __future__ import annotations

import functools
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """A process that holds a claim.

    Attributes:
        host: Name of its machine.
        machine: What tells that machine, its present uptime and, in containers, its
            processes' numbering from all others; empty where the system does not say.
        pid: Its number.
        started: When it started, by the machine's own count, since numbers come again.
        since: When it took the claim, in local time.
    """

    host: str
    machine: str
    pid: int
    started: int
    since: str

    @classmethod
    def this_process(cls) -> Holder:
        """This process, now."""
        now = time.strftime('%Y-%m-%d %H:%M:%S')
        pid = os.getpid()
        return cls(socket.gethostname(), _machine(), pid, started_at(pid) or 0, now)

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine, which can tell at once if it has died."""
        return bool(self.machine) and self.machine == _machine()

    def __str__(self) -> str:
        return f'process {self.pid} on {self.host}, since {self.since}'


#: Who has made a file that says nothing, or not yet.
UNKNOWN = Holder('an unknown machine', '', 0, 0, 'a moment ago')


@functools.cache
def _machine() -> str:
    """Tells machines apart, and one from itself before it was started anew."""
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        return f'{boot} {os.readlink("/proc/self/ns/pid")}'
    except OSError:  # not Linux
        return ''


def started_at(pid: int) -> int | None:
    """When a process started, in the system's ticks; None if there is none, or Linux.

    A process that is dead but not yet waited for counts as none.
    """
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    state, *fields_after = text[text.rindex(')') + 2 :].split()
    return None if state in 'ZX' else int(fields_after[18])
