"""Merging alone: the uniform mean of many checkpoints with optimizer state.

    python tools/benchmarks/merge.py --networks resnet50 deit_base --count 48
    python tools/benchmarks/merge.py --networks resnet50 --weights-only
    python tools/benchmarks/merge.py --networks resnet50 --method ties dare regmean

It is measured against the plain way (torch.load of all, then torch.stack and sum in
float32) and against just reading the needed bytes, which are the weights: a third of a
checkpoint with the state of AdamW. With a cold page cache (the files are evicted before
each run), and with a warm one where what is read fits into memory.

With --method other merges are measured beside the mean, with the common start as the
origin. Where one needs the Fisher information of each member, a checkpoint is read in
its place; where it needs Gram matrices, made-up ones, which all members share.

48 checkpoints take 15 GB of disk for ResNet-50 and 50 GB for DeiT-B. The plain way
holds all weights in memory: 5 and 17 GB.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from made_checkpoints import GRAMS, ORIGIN, make_checkpoints, make_grams, size_of
from measuring import (
    PeakMemory,
    Run,
    from_to,
    in_child,
    interleave,
    machine,
    memory,
    ratio,
    show,
    spread,
    write,
)

from ff_mm.errors import FFMMError
from ff_mm.merging import Ingredient, Soup, StateDict
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Supply
from ff_mm.option_values import read_value

Files = Sequence[Path]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--networks',
        nargs='+',
        default=['resnet50', 'deit_base'],
        help='those of gog_ham10000_<network>.py',
    )
    parser.add_argument('--count', type=int, default=48, help='how many checkpoints')
    parser.add_argument(
        '--weights-only',
        action='store_true',
        help="without the optimizer's state, as fission saves ingredients",
    )
    parser.add_argument(
        '--method',
        nargs='+',
        metavar='NAME',
        default=[],
        help='merging methods to measure beside the mean, such as ties or '
        '"dict(type=\'ties\', keep=0.2)"',
    )
    parser.add_argument('--repetitions', type=int, default=3)
    parser.add_argument('--out', default='merge.json', help='json to write')
    parser.add_argument(
        '--keep',
        metavar='DIR',
        help='make the checkpoints here and leave them; those that are there are used',
    )
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    merges = [Merge.read(read_value('--method', method)) for method in args.method]
    networks: dict[str, Any] = {}
    for network in args.networks:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(args.keep or temporary) / network
            folder = folder / ('weights' if args.weights_only else 'checkpoints')
            files = make_checkpoints(network, folder, args.count, args.weights_only)
            cases = dict(CASES)
            if any('gram' in merge.method.needs for merge in merges):
                make_grams(CheckpointFile(files[0]).weights(), folder / GRAMS)
            for merge in merges:
                cases[merge.type] = partial(by_method, merge=merge, folder=folder)
            networks[network] = measure(files, cases, args.repetitions)
        show_network(network, networks[network])
        write(dict(machine=machine(), networks=networks), args.out)


# The cases


def ours(files: Files) -> StateDict:
    """The uniform soup, as tools/soup.py computes it."""
    return Soup('all', 'uniform', tuple(map(Ingredient.from_file, files))).load()


def by_method(files: Files, merge: Merge, folder: Path) -> StateDict:
    """The uniform soup by another merge."""
    members = tuple(map(Ingredient.from_file, files))
    others = {
        m.name: CheckpointFile(f) for m, f in zip(members, files[::-1], strict=True)
    }
    supplies = dict(
        origin=Supply(Ingredient.from_file(folder / ORIGIN), 'origin'),
        fisher=Supply(lambda m: Squares(others[m.name].in_passing()), 'made up'),
        gram=Supply(lambda _: CheckpointFile(folder / GRAMS).in_passing(), 'made up'),
    )
    made = merge.supplied(supplies)
    return Soup('all', 'uniform', members, merge=made).load()


class Squares(Mapping[str, torch.Tensor]):
    """The squares of weights, in passing, as positive as Fisher information."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._weights = weights

    def __getitem__(self, key: str) -> torch.Tensor:
        return self._weights[key].square()

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def plain(files: Files) -> StateDict:
    """All weights into memory, then their mean, in float32."""
    models = [
        torch.load(file, weights_only=True, map_location='cpu')['state_dict']
        for file in files
    ]
    return {
        key: torch.stack([model[key] for model in models]).sum(0) / len(models)
        if first.is_floating_point()
        else first
        for key, first in models[0].items()
    }


def reading(files: Files, extents: Sequence[tuple[int, int]]) -> None:
    """Just the bytes in which the weights lie, into a buffer that fits the cache."""
    buffer = memoryview(bytearray(1 << 20))
    for path, (first, size) in zip(files, extents, strict=True):
        with open(path, 'rb', buffering=0) as file:
            file.seek(first)
            while size:
                size -= file.readinto(buffer[: min(size, len(buffer))])


Cases = Mapping[str, Callable[[Files], StateDict]]
CASES: Cases = dict(ours=ours, plain=plain)


# Measuring


def measure(files: Files, merges: Cases, repetitions: int) -> dict[str, Any]:
    """Measures all cases on some checkpoints of one network."""
    first = CheckpointFile(files[0])
    model = size_of(first.weights())
    whole, needed = sum(f.stat().st_size for f in files), len(files) * model
    check_memory(needed)
    extents = [extent_of(file) for file in files]
    results: dict[str, StateDict] = {}
    cases: dict[str, Callable[[], Any]] = {
        name: partial(keep, results, name, case, files) for name, case in merges.items()
    }
    cases['reading'] = partial(reading, files, extents)
    report: dict[str, Any] = dict(
        checkpoints=len(files),
        parameters=sum(t.numel() for t in first.weights().values()),
        model_bytes=model,
        needed_bytes=needed,
        file_bytes=whole,
    )
    # First, while this process is small: what it frees later it does not all give back.
    report['peak_memory'] = {
        name: in_child(peak_memory, case, files, model) for name, case in merges.items()
    }
    os.sync()
    cold = interleave(cases, repetitions, before=partial(evict, files))
    report['cold'] = compare(cold, needed)
    report['largest_difference'] = difference(results['ours'], results['plain'])
    results.clear()
    if warm := warm_cases(cases, whole, needed):
        for case in warm.values():
            case()
        report['warm'] = compare(interleave(warm, repetitions), needed)
    results.clear()
    return report


def extent_of(file: Path) -> tuple[int, int]:
    """Where the weights lie in a file: first byte and size."""
    extent = CheckpointFile(file).extent()
    if extent is None:
        raise FFMMError(f'{file}: cannot be mapped; save it as torch does')
    return extent


def keep(
    results: dict[str, StateDict],
    name: str,
    case: Callable[[Files], StateDict],
    files: Files,
) -> None:
    """Runs a case, and keeps only its last result."""
    results.pop(name, None)
    results[name] = case(files)


def check_memory(needed: int) -> None:
    """Says before anything is measured if the plain way would not fit into memory."""
    available = memory()
    if available is not None and 1.2 * needed > available:
        raise FFMMError(
            f'the plain way needs {needed / 1e9:.1f} GB of memory for all weights, '
            f'{available / 1e9:.1f} GB are available; take fewer (--count)'
        )


def evict(files: Files) -> None:
    """Takes files out of the page cache."""
    for path in files:
        with open(path, 'rb') as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm_cases(
    cases: Mapping[str, Callable[[], Any]], whole: int, needed: int
) -> dict[str, Callable[[], Any]]:
    """Those of which all that is read stays in the page cache."""
    available = memory() or 0
    if whole + needed < 0.9 * available:
        return dict(cases)
    if needed < 0.8 * available:
        return {name: case for name, case in cases.items() if name != 'plain'}
    return {}


def compare(runs: Mapping[str, Sequence[Run]], needed: int) -> dict[str, Any]:
    """Seconds, speed, and ratios to just reading, of each case."""
    report = {}
    for name, done in runs.items():
        seconds = spread(run.seconds for run in done)
        report[name] = dict(
            seconds=seconds,
            gb_per_second=needed / seconds['median'] / 1e9,
            to_reading=ratio(done, runs['reading']),
            to_ours=ratio(done, runs['ours']),
        )
    return report


def difference(first: StateDict, second: StateDict) -> float:
    """The largest difference of two models in units of float32 rounding.

    Raises:
        FFMMError: If it is more than that of summing up in float32.
    """
    largest = 0.0
    for key, a in first.items():
        b = second[key]
        scale = b.abs().amax().clamp(min=1e-3) * torch.finfo(torch.float32).eps
        if a.is_floating_point():
            largest = max(largest, float((a - b).abs().amax() / scale))
        elif not torch.equal(a, b):
            raise FFMMError(f'{key}: {a} instead of {b}')
    if largest > 50:
        raise FFMMError(f'the means differ by {largest:.1f} float32 roundings')
    return largest


def peak_memory(
    case: Callable[[Files], StateDict], files: Files, model: int
) -> dict[str, Any]:
    """Peak memory of a case above what the process had before, in model sizes."""
    torch.ones(1 << 20).double().sum()  # starts torch's threads
    with PeakMemory() as peak:
        case(files)
    measured = dict(total=peak.total, anonymous=peak.anonymous)
    return {key: value and value / model for key, value in measured.items()}


def show_network(network: str, report: Mapping[str, Any]) -> None:
    """Prints what was measured."""
    rows = []
    for cache in ('cold', 'warm'):
        for name, case in report.get(cache, {}).items():
            peak = report['peak_memory'].get(name, {})
            rows.append(
                [
                    cache,
                    name,
                    from_to(case['seconds']),
                    case['gb_per_second'],
                    case['to_reading']['median'],
                    case['to_ours']['median'],
                    peak.get('total'),
                    peak.get('anonymous'),
                ]
            )
    show(
        f'{network}: mean of {report["checkpoints"]}, '
        f'{report["needed_bytes"] / 1e9:.1f} GB of weights in '
        f'{report["file_bytes"] / 1e9:.1f} GB; ours and plain differ by at most '
        f'{report["largest_difference"]:.1f} float32 roundings',
        [
            'cache',
            'case',
            'seconds',
            'GB/s',
            '/ reading',
            '/ ours',
            'peak memory',
            'of it allocated',
        ],
        rows,
    )
    print('GB/s: of weights. Peak memory: in model sizes above the base.')


if __name__ == '__main__':
    main()
