"""A plan on two processes against the same plan on one, each process with one thread.

    python tools/benchmarks/parallel_trials.py --rounds 3

The plan is a base and its fission for each of eight learning rates, which are chains
that do not depend on each other, with equal numbers of epochs (no early stopping), on
scikit-learn's digits with ResNet-18: the quickstart without its probe. A second plan
has the probe, which all chains wait for. The cases run in turn, each from an empty
folder: tools/train.py alone (the baseline), and under torchrun. All must write the same
ingredients, bit for bit, or this fails. What passes before the first trial begins
(imports, checks of the data, meeting) is part of the wall time, and also stated.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from measuring import ROOT, Run, interleave, machine, one_thread, show, spread, write

from ff_mm.files import read_json, sha256

_CONFIG = ROOT / 'configs' / 'fgg_digits_resnet18.py'
PLAIN, PROBED = 'chains', 'probe, then chains'


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--chains', type=int, default=8)
    parser.add_argument('--base-epochs', type=int, default=4)
    parser.add_argument('--fission-epochs', type=int, default=3)
    parser.add_argument('--probe-epochs', type=int, default=4)
    parser.add_argument('--image-size', type=int, default=32)
    parser.add_argument('--plans', nargs='+', choices=[PLAIN, PROBED], default=None)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--dir', type=Path, help='for scratch folders, instead of /tmp')
    parser.add_argument('--out', default='parallel_trials.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        results = {
            plan: measure(plan, Path(folder).resolve(), args)
            for plan in args.plans or [PLAIN, PROBED]
        }
    rows = [
        [plan, case, *(_text(each[key]) for key in ('wall', 'start', 'work', 'faster'))]
        for plan, cases in results.items()
        for case, each in cases.items()
    ]
    columns = ['plan', 'processes', 'wall s', 'before trials s', 'trials s', 'faster']
    title = f'{args.chains} chains: median (least to most) of {args.rounds}'
    show(title, [*columns, 'faster, trials'], [_with_work(r, results) for r in rows])
    described = dict(machine(), load_before=load, load_after=os.getloadavg())
    print(f'load of {described["cores"]} cores: {load} to {described["load_after"]}')
    content = dict(machine=described, arguments=vars(args), results=results)
    content['arguments']['dir'] = None
    write(content, args.out)


def _with_work(row: list[str], results: dict[str, Any]) -> list[str]:
    return [*row, _text(results[row[0]][row[1]]['work_faster'])]


def measure(plan: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Runs one plan both ways."""
    options = cfg_options(plan, args)
    cases: dict[str, Callable[[], Any]] = {
        '1': partial(run, 1, options, folder),
        f'{args.processes}': partial(run, args.processes, options, folder),
    }
    runs = interleave(cases, args.rounds)
    first = runs['1'][0].value['files']
    if any(r.value['files'] != first for each in runs.values() for r in each):
        raise SystemExit(f'{plan}: not the same ingredients')
    print(f'{plan}: {len(first)} ingredients, all of the same SHA-256 in all runs')
    return {name: describe(each, runs['1']) for name, each in runs.items()}


def describe(runs: list[Run], alone: list[Run]) -> dict[str, Any]:
    """What a case took, and how many times as fast it is, pair by pair."""
    seconds = {
        key: [run.value[key] for run in runs] for key in ('wall', 'start', 'work')
    }
    baseline = {key: [run.value[key] for run in alone] for key in ('wall', 'work')}
    return dict(
        {key: spread(values) for key, values in seconds.items()},
        faster=_ratios(baseline['wall'], seconds['wall']),
        work_faster=_ratios(baseline['work'], seconds['work']),
    )


def _ratios(first: list[float], second: list[float]) -> dict[str, Any]:
    return spread(a / b for a, b in zip(first, second, strict=True))


def cfg_options(plan: str, args: argparse.Namespace) -> list[str]:
    """The plan, as options of tools/train.py."""
    lrs = [1e-3 / 2**number for number in range(args.chains)]
    probe = [f'plan.probe.epochs={args.probe_epochs}']
    return [
        f'plan.lrs=[{",".join(map(str, lrs))}]',
        f'plan.base.epochs={args.base_epochs}',
        'plan.base.patience=None',
        f'plan.fission.epochs={args.fission_epochs}',
        f'image_size={args.image_size}',
        *(['plan.probe=None'] if plan == PLAIN else probe),
    ]


def run(processes: int, options: list[str], folder: Path) -> dict[str, Any]:
    """Carries out a plan from nothing: seconds, and the ingredients' SHA-256."""
    place = folder / 'run'
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    command, launcher = [sys.executable], []
    if processes > 1:
        command += ['-m', 'torch.distributed.run', '--standalone']
        command += ['--local-addr=127.0.0.1', f'--nproc-per-node={processes}']
        launcher = ['--launcher', 'pytorch']
    command += [str(ROOT / 'tools' / 'train.py'), str(_CONFIG), *launcher]
    command += ['--work-dir', str(place / 'work'), '--cfg-options', *options]
    start = time.perf_counter()
    begun = execute(command, place)
    wall = time.perf_counter() - start
    entries = read_json(place / 'work' / 'ingredients.json')['ingredients']
    return dict(
        wall=wall,
        start=begun - start,
        work=wall - (begun - start),
        files={each['name']: sha256(place / 'work' / each['file']) for each in entries},
    )


def execute(command: list[str], place: Path) -> float:
    """Runs a command; returns when the first trial began.

    Raises:
        subprocess.CalledProcessError: If it fails; its output has then been shown.
    """
    with open(place / 'log.txt', 'w+b') as log:
        process = subprocess.Popen(
            command, cwd=place, env=one_thread(), stdout=log, stderr=subprocess.STDOUT
        )
        while process.poll() is None and not (place / 'work' / 'trials').exists():
            time.sleep(0.02)
        begun = time.perf_counter()
        if process.wait():
            log.seek(0)
            print(log.read().decode(errors='replace'))
            raise subprocess.CalledProcessError(process.returncode, command)
    return begun


def _text(value: dict[str, Any]) -> str:
    return f'{value["median"]:.2f} ({value["least"]:.2f} to {value["most"]:.2f})'


if __name__ == '__main__':
    main()
