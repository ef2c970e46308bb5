"""Several processes against one, each process with one thread: a plan, or a soup.

    python tools/benchmarks/parallel.py trials --rounds 3
    python tools/benchmarks/parallel.py soup configs/gog_X.py --processes 2

With as many cores as processes each has a core of its own. The cases run in turn, each
from an empty folder, so that no evaluation is remembered. Imports are part of the
seconds of a command.

trials: the plan is a base and its fission for each of eight learning rates, which are
chains that do not depend on each other, with equal numbers of epochs (no early
stopping), on scikit-learn's digits with ResNet-18: the quickstart without its probe. A
second plan has the probe, which all chains wait for. tools/train.py alone is the
baseline. All must write the same ingredients, bit for bit, or this fails. What passes
before the first trial begins (imports, checks of the data, meeting) is stated too.

soup: tools/dist_soup.sh against tools/soup.py. All must choose the same ingredients and
write the same tensors, or this fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import (
    ROOT,
    Run,
    from_to,
    interleave,
    one_thread,
    run_child,
    show,
    spread,
    torchrun,
    under_load,
    write,
)

from ff_mm.files import read_json, sha256
from ff_mm.merging import read_state_dict

TOOLS = ROOT / 'tools'
_CONFIG = ROOT / 'configs' / 'fgg_digits_resnet18.py'
PLAIN, PROBED = 'chains', 'probe, then chains'
Cases = Mapping[str, Callable[[], dict[str, Any]]]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    trials = commands.add_parser('trials', help='a plan')
    trials.set_defaults(measure=measure_trials)
    trials.add_argument('--chains', type=int, default=8)
    trials.add_argument('--base-epochs', type=int, default=4)
    trials.add_argument('--fission-epochs', type=int, default=3)
    trials.add_argument('--probe-epochs', type=int, default=4)
    trials.add_argument('--image-size', type=int, default=32)
    trials.add_argument(
        '--plans', nargs='+', choices=[PLAIN, PROBED], default=[PLAIN, PROBED]
    )
    soup = commands.add_parser('soup', help='a soup')
    soup.set_defaults(measure=measure_soup)
    soup.add_argument('config', help='a fusion config')
    soup.add_argument(
        '--ways', nargs='+', choices=('candidates', 'images'), default=['candidates']
    )
    soup.add_argument(
        '--cfg-options', nargs='*', default=[], help='as tools/soup.py takes them'
    )
    for command in (trials, soup):
        command.add_argument('--processes', type=int, default=2)
        command.add_argument('--rounds', type=int, default=3, help='of each case')
        command.add_argument('--dir', type=Path, help='for scratch, instead of /tmp')
        command.add_argument('--out', default='parallel.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        results = args.measure(args, Path(folder).resolve())
    arguments = {k: v for k, v in vars(args).items() if k not in ('dir', 'measure')}
    report = dict(machine=under_load(load), arguments=arguments, results=results)
    write(report, args.out)


def describe(runs: Mapping[str, Sequence[Run]], *timed: str) -> dict[str, Any]:
    """What each case took, and how many times as fast as one process, pair by pair."""

    def seconds(case: str, key: str) -> list[float]:
        return [run.value[key] for run in runs[case]]

    found: dict[str, Any] = {}
    for case in runs:
        found[case] = {key: spread(seconds(case, key)) for key in timed}
        for key in timed:
            pairs = zip(seconds('1', key), seconds(case, key), strict=True)
            found[case][f'{key}_faster'] = spread(one / own for one, own in pairs)
    return found


# A plan


def measure_trials(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs the plans, each both ways."""
    results = {plan: measure_plan(plan, folder, args) for plan in args.plans}
    columns = dict(
        wall='wall s',
        start='before trials s',
        work='trials s',
        wall_faster='faster',
        work_faster='faster, trials',
    )
    rows = [
        [plan, case, *(from_to(each[key]) for key in columns)]
        for plan, cases in results.items()
        for case, each in cases.items()
    ]
    title = f'{args.chains} chains: median (least to most) of {args.rounds}'
    show(title, ['plan', 'processes', *columns.values()], rows)
    return results


def measure_plan(plan: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Runs one plan both ways."""
    options = cfg_options(plan, args)
    cases: Cases = {
        str(number): partial(train, number, options, folder)
        for number in (1, args.processes)
    }
    runs = interleave(cases, args.rounds)
    first = runs['1'][0].value['files']
    if any(r.value['files'] != first for each in runs.values() for r in each):
        raise SystemExit(f'{plan}: not the same ingredients')
    print(f'{plan}: {len(first)} ingredients, all of the same SHA-256 in all runs')
    return describe(runs, 'wall', 'start', 'work')


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


def train(processes: int, options: list[str], folder: Path) -> dict[str, Any]:
    """Carries out a plan from nothing: seconds, and the ingredients' SHA-256."""
    place = folder / 'run'
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    command = torchrun(processes, str(TOOLS / 'train.py'), str(_CONFIG))
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


# A soup


def measure_soup(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Makes the soup in all ways."""
    one = [sys.executable, str(TOOLS / 'soup.py'), args.config]
    several = [str(TOOLS / 'dist_soup.sh'), args.config, str(args.processes)]
    cases: dict[str, Callable[[], dict[str, Any]]] = {
        '1': partial(fuse, one, args.cfg_options, folder)
    }
    for way in args.ways:
        options = [*args.cfg_options, f'evaluation.parallel={way}']
        cases[f'{args.processes}, {way}'] = partial(fuse, several, options, folder)
    runs = interleave(cases, args.rounds)
    require_equal(runs)
    results = describe(runs, 'command', 'soup')
    for name, of_case in runs.items():
        cost = of_case[0].value['report']['evaluations']
        results[name].update(passes=cost['selection'], in_vain=cost['in_vain'])
        results[name]['images'] = sum(cost['images'].values())
    rows = [
        [
            name,
            *(from_to(result[key]) for key in ('command', 'command_faster')),
            *(from_to(result[key]) for key in ('soup', 'soup_faster')),
            *(result[key] for key in ('passes', 'in_vain', 'images')),
        ]
        for name, result in results.items()
    ]
    columns = ['processes', 'command s', 'times as fast', 'soup s', 'times as fast']
    title = f'{args.config}: median (least to most) of {args.rounds}'
    show(title, [*columns, 'passes', 'in vain', 'images'], rows)
    return results


def fuse(command: list[str], options: list[str], folder: Path) -> dict[str, Any]:
    """Makes the soup; its report, its weights, and how long the command took."""
    work_dir = folder / 'soup'
    shutil.rmtree(work_dir, ignore_errors=True)
    given = ['--cfg-options', *options] if options else []
    env = one_thread(PYTHON=sys.executable)
    child = run_child([*command, '--work-dir', str(work_dir), *given], env=env)
    report = read_json(work_dir / 'report.json')
    return dict(
        command=child.seconds,
        soup=report['seconds'],
        report=report,
        weights=read_state_dict(work_dir / 'soup.pth'),
    )


def require_equal(runs: Mapping[str, Sequence[Run]]) -> None:
    """Ends the benchmark if two runs made different soups."""
    first = runs['1'][0].value
    for name, of_case in runs.items():
        for value in (run.value for run in of_case):
            same = value['report']['ingredients'] == first['report']['ingredients']
            equal = all(
                torch.equal(tensor, value['weights'][key])
                for key, tensor in first['weights'].items()
            )
            if not (same and equal):
                raise SystemExit(f'{name} processes made another soup than one did')


if __name__ == '__main__':
    main()
