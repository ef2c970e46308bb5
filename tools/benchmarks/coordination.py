"""What it costs that processes share out a plan: seconds that are not training.

    python tools/benchmarks/coordination.py --trials 1 8 64 256 --processes 1 8 64

Each process has a Team on one TCPStore, a Ledger in one work directory, and a Dispatch,
and does for each trial what GenerationRunner does: publish the ledger, train, finish,
write ingredients.json, publish. Training is sleep, all else is the code itself, with a
real config and plan of independent trials, on a real disk. The baseline is the ideal:
as many rounds of sleep as a process has trials. Lost is the wall time beyond it, from
the moment at which all processes are ready until the last has nothing left to do.
Sleep hides what the processes compute, so that is counted too: CPU time per trial.

All processes are on this machine: with more of them than cores they hinder each other
as those of as many machines would not. What a single process takes for one publish and
one write_manifest, alone, is the second table.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import socket
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from measuring import ROOT, from_to, repeat, show, spread, under_load, write

from ff_mm.config import load_config
from ff_mm.files import read_json, write_json
from ff_mm.fission import GridSearchPlan, Ledger, Trial
from ff_mm.fission.manifest import write_manifest
from ff_mm.parallel.dispatch import Dispatch, Task
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import together

_CONFIG = ROOT / 'configs' / 'gs_digits_resnet18.py'
_VALIDATION = dict(fingerprint='0' * 64, size=719)
_WAIT = timedelta(seconds=120)
_METRICS = {f'metric_{number}': 1 / (number + 3) for number in range(8)}


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--trials', nargs='+', type=int, default=[1, 8, 64, 256])
    parser.add_argument('--processes', nargs='+', type=int, default=[1, 8, 64])
    parser.add_argument('--seconds', type=float, default=0.5, help='of each trial')
    parser.add_argument('--repetitions', type=int, default=3)
    parser.add_argument('--dir', type=Path, help='for scratch folders, instead of /tmp')
    parser.add_argument('--out', default='coordination.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    torch.set_num_threads(1)
    config = load_config(_CONFIG).to_dict()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=args.dir) as name:
        bench = Bench(config, args.seconds, Path(name))
        runs = [
            bench.run(trials, processes)
            for _ in range(args.repetitions)
            for trials in args.trials
            for processes in args.processes
        ]
        alone = [bench.alone(trials) for trials in args.trials]
    results = [
        summary([run for run in runs if run['case'] == [trials, processes]])
        for trials in args.trials
        for processes in args.processes
    ]
    print_results(results, alone, args)
    write(dict(machine=under_load(load), results=results, alone=alone), args.out)


def print_results(
    results: list[dict[str, Any]], alone: list[dict[str, Any]], args: argparse.Namespace
) -> None:
    """Prints both tables."""
    title = (
        f'Lost to coordination: trials of {args.seconds} s, median (least to most) of '
        f'{args.repetitions}; {os.cpu_count()} cores'
    )
    rows = [
        [
            *result['case'],
            result['ideal'],
            from_to(result['lost']),
            from_to(result['per_trial'], 1000, 1),
            from_to(result['cpu'], 1000, 1),
            *(f'{1000 * result["steps"][step]:.1f}' for step in Steps.NAMES),
        ]
        for result in results
    ]
    columns = ['trials', 'processes', 'ideal s', 'lost s', 'lost ms a trial']
    columns += ['CPU ms a trial', *(f'{name} ms' for name in Steps.NAMES)]
    show(title, columns, rows)
    rows = [
        [each['trials'], each['publish'] * 1000, each['manifest'] * 1000]
        for each in alone
    ]
    columns = ['ended trials', 'publish ms', 'write_manifest ms']
    show('One process alone, median of 10', columns, rows)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians and spreads of the repetitions of one case."""
    trials = runs[0]['case'][0]
    return dict(
        case=runs[0]['case'],
        ideal=runs[0]['ideal'],
        lost=spread(run['lost'] for run in runs),
        per_trial=spread(run['lost'] / trials for run in runs),
        cpu=spread(run['cpu'] / trials for run in runs),
        steps={
            name: statistics.median(run['steps'][name] for run in runs)
            for name in Steps.NAMES
        },
    )


class Steps:
    """Seconds of the steps of one process, all its trials together."""

    NAMES = ('begin', 'finish', 'manifest', 'end')

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(self.NAMES, 0.0)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds what a block takes."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


class Bench:
    """Plans that are carried out by forks of this process.

    Args:
        config: Of a generation.
        seconds: That each trial sleeps.
        folder: For work directories.
    """

    def __init__(self, config: dict[str, Any], seconds: float, folder: Path) -> None:
        self._config = config
        self._seconds = seconds
        self._folder = folder

    def run(self, trials: int, processes: int) -> dict[str, Any]:
        """Carries out a plan, and says what it took beyond the ideal."""
        plan, work_dir = make_plan(trials), self._folder / 'run'
        Ledger(work_dir, self._config, plan).publish()
        with closing(socket.create_server(('127.0.0.1', 0))) as server:
            port = server.getsockname()[1]
        pids = [
            fork(partial(self._work, plan, work_dir, port, rank, processes))
            for rank in range(processes)
        ]
        # After the forks, which would not have its threads.
        store = dist.TCPStore('127.0.0.1', port, is_master=True, wait_for_workers=False)
        failed = [pid for pid in pids if os.waitpid(pid, 0)[1]]
        del store
        if failed or not read_json(work_dir / 'ingredients.json')['complete']:
            raise SystemExit(f'{trials} trials, {processes} processes: not all done')
        ends = [read_json(path) for path in (work_dir / 'ends').iterdir()]
        shutil.rmtree(work_dir)
        ideal = math.ceil(trials / processes) * self._seconds
        wall = max(end['end'] for end in ends) - min(end['start'] for end in ends)
        return dict(
            case=[trials, processes],
            ideal=ideal,
            lost=wall - ideal,
            cpu=sum(end['cpu'] for end in ends),
            steps={
                name: sum(end['steps'][name] for end in ends) / trials
                for name in Steps.NAMES
            },
        )

    def _work(
        self, plan: list[Trial], work_dir: Path, port: int, rank: int, processes: int
    ) -> None:
        """What one process of the plan does."""
        store = dist.TCPStore('127.0.0.1', port, is_master=False, timeout=_WAIT)
        team = Team(store, rank, processes)
        ledger = Ledger(work_dir, self._config, plan)
        steps = Steps()

        def run(trial_id: str) -> None:
            with steps.timed('begin'):
                ledger.publish()
            time.sleep(self._seconds)
            with steps.timed('finish'):
                ledger.finish(trial_id, result(trial_id))
            with steps.timed('manifest'):
                write_manifest(ledger, _VALIDATION)
            with steps.timed('end'):
                ledger.publish()

        tasks = [Task(trial.id) for trial in plan]
        dispatch = Dispatch(tasks, ledger, team, run)
        together(team, 'ready', lambda: rank)
        start, cpu = time.monotonic(), time.process_time()
        dispatch.carry_out()
        write_manifest(ledger, _VALIDATION, last=True)
        end = dict(
            start=start,
            end=time.monotonic(),
            cpu=time.process_time() - cpu,
            steps=steps.seconds,
        )
        write_json(end, work_dir / 'ends' / f'{rank}.json')

    def alone(self, trials: int) -> dict[str, Any]:
        """How long both summaries take that are written with each trial."""
        work_dir = self._folder / 'alone'
        plan = make_plan(trials)
        ledger = Ledger(work_dir, self._config, plan)
        for trial in plan:
            ledger.take(trial.id)
            ledger.finish(trial.id, result(trial.id))
            ledger.release(trial.id)
        times = dict(
            publish=_median(ledger.publish),
            manifest=_median(partial(write_manifest, ledger, _VALIDATION)),
        )
        shutil.rmtree(work_dir)
        return dict(trials=trials, **times)


def _median(function: Callable[[], Any]) -> float:
    return statistics.median(run.seconds for run in repeat(function, 10))


def make_plan(trials: int) -> list[Trial]:
    """Independent trials."""
    lrs = [1e-3 / (number + 1) for number in range(trials)]
    return GridSearchPlan(lrs, [0], ['medium'], probe=None).trials()


def result(trial_id: str) -> dict[str, Any]:
    """What a trial notes in the ledger, as large as what a real one does."""
    return dict(
        epochs=6,
        seconds=12.34,
        images=2154,
        best_epoch=6,
        metrics=_METRICS,
        best_file=dict(file='best.pth', sha256='0' * 64),
        ingredients=[
            dict(
                name=trial_id,
                file=f'{trial_id}.pth',
                sha256='0' * 64,
                stage='base',
                hyper=dict(lr=1e-3, seed=0, augmentation='medium'),
                cycle=None,
                parent=None,
                epoch=6,
                metrics=_METRICS,
            )
        ],
    )


def fork(function: Callable[[], None]) -> int:
    """Calls a function in a fork of this process; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == '__main__':
    main()
