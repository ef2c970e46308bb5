"""A soup by several processes against the same soup by one: tools/dist_soup.sh.

    python tools/benchmarks/parallel_soup.py configs/gog_X.py --processes 2

Every process has one thread, so that with as many cores as processes each has a core of
its own. The cases run in turn, from nothing: no evaluation is remembered. All must
choose the same ingredients and write the same tensors, or this fails.
Imports are part of the seconds of a command, and not of those of its soup.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import (
    Run,
    interleave,
    machine,
    one_thread,
    run_child,
    show,
    spread,
    write,
)

from ff_mm.files import read_json
from ff_mm.merging import read_state_dict

TOOLS = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a fusion config')
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument(
        '--ways', nargs='+', choices=('candidates', 'images'), default=['candidates']
    )
    parser.add_argument('--repetitions', type=int, default=3, help='of each case')
    parser.add_argument(
        '--cfg-options', nargs='*', default=[], help='as tools/soup.py takes them'
    )
    parser.add_argument('--out', default='parallel_soup.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        runs = interleave(cases(args, Path(folder)), args.repetitions)
    require_equal(runs)
    results = {name: describe(of_case, runs['1']) for name, of_case in runs.items()}
    columns = ['processes', 'command s', 'times as fast', 'soup s', 'times as fast']
    rows = [
        [
            name,
            *(_text(result[key]) for key in ('command', 'faster')),
            *(_text(result[key]) for key in ('soup', 'soup_faster')),
            result['passes'],
            result['in_vain'],
            result['images'],
        ]
        for name, result in results.items()
    ]
    title = f'{args.config}: median (least to most) of {args.repetitions}'
    show(title, [*columns, 'passes', 'in vain', 'images'], rows)
    described = dict(machine(), load_before=load, load_after=os.getloadavg())
    print(f'load of {described["cores"]} cores: {load} to {described["load_after"]}')
    write(dict(machine=described, results=results), args.out)


def cases(args: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Any]]:
    """The commands by name; each starts from an empty folder."""
    one = [sys.executable, str(TOOLS / 'soup.py'), args.config]
    several = [str(TOOLS / 'dist_soup.sh'), args.config, str(args.processes)]
    found = {'1': partial(run, one, args.cfg_options, folder)}
    for way in args.ways:
        options = [*args.cfg_options, f'evaluation.parallel={way}']
        found[f'{args.processes}, {way}'] = partial(run, several, options, folder)
    return found


def run(command: list[str], options: list[str], folder: Path) -> dict[str, Any]:
    """Makes the soup; its report, its weights, and how long the command took."""
    work_dir = folder / 'soup'
    shutil.rmtree(work_dir, ignore_errors=True)
    given = ['--cfg-options', *options] if options else []
    env = one_thread(PYTHON=sys.executable)
    child = run_child([*command, '--work-dir', str(work_dir), *given], env=env)
    return dict(
        command=child.seconds,
        report=read_json(work_dir / 'report.json'),
        weights=read_state_dict(work_dir / 'soup.pth'),
    )


def require_equal(runs: dict[str, list[Run]]) -> None:
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


def describe(runs: list[Run], alone: list[Run]) -> dict[str, Any]:
    """What a case took, and how many times as fast it is, pair by pair."""
    command = [run.value['command'] for run in runs]
    soup = [run.value['report']['seconds'] for run in runs]
    cost = runs[0].value['report']['evaluations']
    command_alone = [run.value['command'] for run in alone]
    soup_alone = [run.value['report']['seconds'] for run in alone]
    return dict(
        command=spread(command),
        faster=_ratios(command_alone, command),
        soup=spread(soup),
        soup_faster=_ratios(soup_alone, soup),
        passes=cost['selection'],
        in_vain=cost['in_vain'],
        images=sum(cost['images'].values()),
    )


def _ratios(first: list[float], second: list[float]) -> dict[str, Any]:
    return spread(a / b for a, b in zip(first, second, strict=True))


def _text(value: dict[str, Any]) -> str:
    return f'{value["median"]:.2f} ({value["least"]:.2f} to {value["most"]:.2f})'


if __name__ == '__main__':
    main()
