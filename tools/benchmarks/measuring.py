"""What the benchmarks have in common: repetitions, memory, machine, table, json.

Cases are functions without arguments. They are repeated in turn (A B A B), so that what
else the machine does hits all of them, and compared pair by pair:

    runs = interleave({'ours': ours, 'plain': plain}, repetitions=5)
    seconds = {name: spread(r.seconds for r in runs[name]) for name in runs}
    slower = ratio(runs['plain'], runs['ours'])   # median, least, most of plain / ours
    runs['ours'][0].value                         # what the function returned
    show('Seconds', ['case', 'median'], [[name, s['median']] for ...])
    write(dict(machine=machine(), seconds=seconds), 'out.json')

A single case is `repeat(case, repetitions)`. A whole command, imports included, is
`run_child([sys.executable, 'tools/soup.py', ...])`: seconds, peak memory, output.
Memory of a piece of code: `in_child(function, *args)` calls a function of a module in a
fresh process, and in there

    with PeakMemory() as peak:
        work()
    peak.total, peak.anonymous                    # bytes above what was there before

Memory is measured on Linux only, and is None elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ff_mm.files import PathLike, write_json

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """One run of a case: how long it took, and what it returned."""

    seconds: float
    value: Any


def repeat(
    case: Callable[[], Any], repetitions: int, before: Callable[[], Any] | None = None
) -> list[Run]:
    """Runs a case several times; see :func:`interleave`."""
    return interleave({'case': case}, repetitions, before)['case']


def interleave(
    cases: Mapping[str, Callable[[], Any]],
    repetitions: int,
    before: Callable[[], Any] | None = None,
) -> dict[str, list[Run]]:
    """Runs each case once, then each a second time, and so on.

    Args:
        cases: Functions by name. What they return is kept.
        repetitions: How often each runs.
        before: Called before each run, and not timed.

    Returns:
        The runs of each case, in order.
    """
    runs: dict[str, list[Run]] = {name: [] for name in cases}
    for _ in range(repetitions):
        for name, case in cases.items():
            if before is not None:
                before()
            start = time.perf_counter()
            value = case()
            runs[name].append(Run(time.perf_counter() - start, value))
    return runs


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Returns ``median``, ``least``, ``most`` and ``values``, ready for json."""
    values = list(values)
    return dict(
        median=statistics.median(values),
        least=min(values),
        most=max(values),
        values=values,
    )


def ratio(first: Sequence[Run], second: Sequence[Run]) -> dict[str, Any]:
    """Returns the spread of seconds of the first over the second, pair by pair."""
    return spread(a.seconds / b.seconds for a, b in zip(first, second, strict=True))


def from_to(values: Mapping[str, Any], scale: float = 1, digits: int = 2) -> str:
    """Writes a spread: ``'median (least to most)'``.

    Args:
        values: As of :func:`spread`.
        scale: What to multiply with, as for milliseconds.
        digits: After the point.
    """
    median, least, most = (
        f'{scale * values[name]:.{digits}f}' for name in ('median', 'least', 'most')
    )
    return f'{median} ({least} to {most})'


@dataclass(frozen=True)
class Child:
    """A command that was run: seconds, peak resident bytes, standard output."""

    seconds: float
    peak: int | None
    output: str


def this_checkout(**more: str) -> dict[str, str]:
    """The environment of a command of this checkout, with further variables."""
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths)), **more}


def one_thread(**more: str) -> dict[str, str]:
    """The same of one that takes one thread a process."""
    return this_checkout(OMP_NUM_THREADS='1', **more)


def torchrun(processes: int, tool: str, *arguments: str) -> list[str]:
    """The command that starts a tool in so many processes on this machine."""
    command = [sys.executable]
    if processes == 1:
        return [*command, tool, *arguments]
    command += ['-m', 'torch.distributed.run', '--standalone', '--local-addr=127.0.0.1']
    command += [f'--nproc-per-node={processes}', tool, *arguments]
    return [*command, '--launcher', 'pytorch']


def run_child(command: Sequence[str], **options: Any) -> Child:
    """Runs a command to its end, as a process of its own.

    The peak is that of this process, mapped files included, without those that it
    starts. ``getrusage`` would not do: a child inherits the peak of its parent.

    Args:
        command: The program and its arguments.
        options: Of :class:`subprocess.Popen`, such as ``cwd`` and ``env``.

    Raises:
        subprocess.CalledProcessError: If it fails; its output has then been shown.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    peaks: list[int | None] = [None]
    watcher = threading.Thread(target=_watch, args=(process, peaks), daemon=True)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    watcher.join()
    if process.returncode:
        print(output)
        raise subprocess.CalledProcessError(process.returncode, command)
    return Child(seconds, peaks[-1], output)


def _watch(process: subprocess.Popen, peaks: list[int | None]) -> None:
    while process.poll() is None:
        if (peak := _status('VmHWM', process.pid)) is not None:
            peaks[-1] = peak
        time.sleep(0.02)


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function of a module in a fresh process, and returns what it returns."""
    spawn = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *args).result()


class PeakMemory:
    """Peak memory of a block of code, in bytes above what the process had before.

    Attributes:
        total: Resident memory, with pages of mapped files (which the system can take
            back at any time); None where it cannot be measured.
        anonymous: Without mapped files: what is allocated. Sampled every millisecond.
    """

    total: int | None = None
    anonymous: int | None = None

    def __enter__(self) -> PeakMemory:
        if (resident := _status('VmRSS')) is None:
            return self
        # 5: the high-water mark becomes what is resident now (man proc).
        Path('/proc/self/clear_refs').write_text('5')
        self._resident, self._base = resident, _anonymous()
        self._most = self._base
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        if (peak := _status('VmHWM')) is None:
            return
        self._done.set()
        self._sampler.join()
        self.total = peak - self._resident
        self.anonymous = self._most - self._base

    def _sample(self) -> None:
        while not self._done.wait(0.001):
            self._most = max(self._most, _anonymous())


def _status(field: str, pid: int | str = 'self') -> int | None:
    """A field of /proc/<pid>/status in bytes, where there is one."""
    with suppress(OSError):
        for line in Path(f'/proc/{pid}/status').read_text().splitlines():
            if line.startswith(f'{field}:'):
                return int(line.split()[1]) * 1024
    return None


def _anonymous() -> int:
    resident, shared = Path('/proc/self/statm').read_text().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf('SC_PAGE_SIZE')


def machine() -> dict[str, Any]:
    """Describes where and with what a benchmark runs."""
    total = memory('MemTotal')
    return dict(
        processor=_processor(),
        cores=os.cpu_count(),
        memory_gb=None if total is None else round(total / 1e9, 1),
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
        commit=_commit(),
        date=time.strftime('%Y-%m-%d %H:%M'),
    )


def under_load(before: tuple[float, float, float]) -> dict[str, Any]:
    """Describes the machine, and prints and adds what else it did meanwhile.

    Args:
        before: What :func:`os.getloadavg` gave when the measurements began.
    """
    found = dict(machine(), load_before=before, load_after=os.getloadavg())
    print(f'load of {found["cores"]} cores: {before} to {found["load_after"]}')
    return found


def memory(field: str = 'MemAvailable') -> int | None:
    """Returns a field of /proc/meminfo in bytes, where there is one."""
    with suppress(OSError):
        for line in Path('/proc/meminfo').read_text().splitlines():
            if line.startswith(f'{field}:'):
                return int(line.split()[1]) * 1024
    return None


def _processor() -> str:
    with suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the working copy, and whether it has been changed since."""
    try:
        commit = _git('rev-parse', '--short=12', 'HEAD').strip()
        return f'{commit} with changes' if _git('status', '--porcelain') else commit
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*args: str) -> str:
    command = ['git', '-C', str(ROOT), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a table; numbers with three digits, None as a dash."""
    console = Console()
    table = Table(*columns, title=title, title_justify='left')
    for row in rows:
        table.add_row(*map(_cell, row))
    (console if console.is_terminal else Console(width=120)).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return '-'
    return f'{value:.3g}' if isinstance(value, float) else str(value)


def write(report: Mapping[str, Any], path: PathLike) -> None:
    """Writes a report as json, whole or not at all."""
    write_json(report, path)
    print(f'written: {path}')
