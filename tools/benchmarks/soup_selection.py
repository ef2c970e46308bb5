"""GoU and GoG end to end: tools/soup.py against the procedure as published.

    python tools/benchmarks/soup_selection.py --data-root data/ham10000

Both choose from the same 48 ingredients (8 groups of 6), both evaluate on the same JPEG
images, and both must choose the same ingredients, or this fails. The published
procedure is written down plainly in published_selection.py. Whole processes are timed,
imports included. A pool is trained first where there is none; that takes a while, once.

The limit is what the forward passes alone take that tools/soup.py makes: images at the
rate at which the network goes through images that lie in memory, in float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measuring import Child, in_child, machine, repeat, run_child, show, spread, write

import ff_mm  # noqa: F401
from ff_mm.config import load_config
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NETWORKS = ('resnet18', 'efficientnet_lite0')
SOUPS = ('gou', 'gog')


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--data-root', required=True, help='a folder as configs/ham10000.py has it'
    )
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=NETWORKS)
    parser.add_argument(
        '--work-dir', default='work_dirs/benchmarks', help='where pools are kept'
    )
    parser.add_argument(
        '--pool-options',
        nargs='*',
        default=[],
        help='--cfg-options for the training of a pool, such as '
        'starting_weights=lite0.pth train_dataloader.dataset.indices=600',
    )
    parser.add_argument('--repetitions', type=int, default=3, help='of tools/soup.py')
    parser.add_argument(
        '--published-repetitions', type=int, default=1, help='each is much longer'
    )
    parser.add_argument('--out', default='soup_selection.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    data_root = str(Path(args.data_root).resolve())
    results = {}
    for network in args.networks:
        pool = make_pool(network, Path(args.work_dir).resolve(), data_root, args)
        options = [f'data_root={data_root}', f'ingredients={pool}']
        results[network] = compare(network, options, args)
        show_result(network, results[network])
        write(dict(machine=machine(), networks=results), args.out)


def make_pool(
    network: str, work_dir: Path, data_root: str, args: argparse.Namespace
) -> Path:
    """Trains the pool of a network unless it is there, and returns its manifest."""
    folder = work_dir / f'pool_{network}'
    config = HERE / 'configs' / f'pool_{network}.py'
    command = [sys.executable, str(ROOT / 'tools/train.py'), str(config)]
    command += ['--work-dir', str(folder), '--cfg-options', f'data_root={data_root}']
    manifest = folder / 'ingredients.json'
    if not (manifest.is_file() and read_json(manifest)['complete']):
        subprocess.run([*command, *args.pool_options], check=True)
    return manifest


def compare(
    network: str, options: list[str], args: argparse.Namespace
) -> dict[str, Any]:
    """Runs both ways, and says how far the faster one is from what can be.

    Raises:
        SystemExit: They chose different ingredients.
    """
    with tempfile.TemporaryDirectory() as folder:
        ours = repeat(
            lambda: run_ours(network, options, Path(folder)), args.repetitions
        )
        published = repeat(
            lambda: run_published(network, options, Path(folder)),
            args.published_repetitions,
        )
    reports, plain = ours[-1].value['reports'], published[-1].value
    for soup, report in reports.items():
        require_same_choice(f'{network}, {soup}', report, plain[soup])
    seconds = spread(run.value['child'].seconds for run in ours)
    rates = in_child(images_per_second, network, options)
    images = {soup: sum_images(report) for soup, report in reports.items()}
    return dict(
        seconds=seconds,
        published_seconds=spread(run.value['child'].seconds for run in published),
        published_passes=plain['passes'],
        published_seconds_of_a_pass={
            name: spread(values) for name, values in plain['seconds_of_a_pass'].items()
        },
        peak_bytes=max(run.value['child'].peak or 0 for run in ours),
        published_peak_bytes=max(run.value['child'].peak or 0 for run in published),
        evaluations={soup: report['evaluations'] for soup, report in reports.items()},
        images=images,
        images_per_second=rates,
        limit_seconds=sum(images.values()) / max(rates.values()),
        chosen={soup: recipe(report) for soup, report in reports.items()},
    )


def run_ours(network: str, options: list[str], folder: Path) -> dict[str, Any]:
    """Runs tools/soup.py in a folder in which nothing is remembered."""
    work_dirs = folder / 'work_dirs'
    shutil.rmtree(work_dirs, ignore_errors=True)
    config = HERE / 'configs' / f'gog_{network}.py'
    command = [sys.executable, str(ROOT / 'tools/soup.py'), str(config), '--soup']
    child = run_child([*command, *SOUPS, '--cfg-options', *options], cwd=folder)
    reports = {
        soup: read_json(work_dirs / f'{soup}_{network}' / 'report.json')
        for soup in SOUPS
    }
    return dict(child=child, reports=reports)


def run_published(network: str, options: list[str], folder: Path) -> dict[str, Any]:
    """Runs the published procedure for both soups."""
    config, out = HERE / 'configs' / f'gog_{network}.py', folder / 'published.json'
    script = HERE / 'published_selection.py'
    command = [sys.executable, str(script), str(config), str(out), '--cfg-options']
    child: Child = run_child([*command, *options], cwd=folder)
    return dict(json.loads(out.read_text()), child=child)


def recipe(report: dict[str, Any]) -> dict[str, float]:
    """Weight by ingredient."""
    return {item['name']: item['weight'] for item in report['ingredients']}


def require_same_choice(
    what: str, report: dict[str, Any], expected: dict[str, float]
) -> None:
    """Ends the benchmark if the two ways differ in what they choose."""
    chosen = recipe(report)
    same = set(chosen) == set(expected) and all(
        abs(chosen[name] - weight) < 1e-9 for name, weight in expected.items()
    )
    if not same:
        raise SystemExit(
            f'{what}: tools/soup.py chose {chosen}, the published procedure {expected}'
        )


def sum_images(report: dict[str, Any]) -> int:
    """How many images went through the network for one soup."""
    return sum(report['evaluations']['images'].values())


def images_per_second(network: str, options: list[str]) -> dict[str, float]:
    """The rate at which the network goes through images in memory.

    Args:
        network: Which one.
        options: Of the config.

    Returns:
        Rate by batch size, the best of five passes over the validation set each: plain,
        and with batch norm folded into the convolutions.
    """
    given = dict(option.split('=', 1) for option in options)
    with tempfile.TemporaryDirectory() as folder:
        cfg = load_config(HERE / 'configs' / f'gog_{network}.py', given)
        cfg.work_dir = folder
        evaluator = ModelEvaluator(cfg)
        val = evaluator.sets['val']
        val.keep()
        rates = {
            f'plain, {size} at a time': _rate(evaluator, size) for size in (16, 32, 64)
        }
        evaluator.fold_batch_norm()
        rates['folded, 32 at a time'] = _rate(evaluator, 32)
        evaluator.close()
    return rates


@torch.inference_mode()
def _rate(evaluator: ModelEvaluator, size: int) -> float:
    model: Any = evaluator.model.eval()  # of MMPretrain, which has no types
    batches = [
        model.data_preprocessor(batch, False)['inputs']
        for batch in evaluator.sets['val'].cases.batches(size)
    ]
    images = sum(map(len, batches))
    best = 0.0
    for _ in range(6):
        start = time.perf_counter()
        for batch in batches:
            model(batch)
        best = max(best, images / (time.perf_counter() - start))
    return best


def show_result(network: str, result: dict[str, Any]) -> None:
    """Prints what was measured for one network."""
    median, published = (
        result[key]['median'] for key in ('seconds', 'published_seconds')
    )
    limit = result['limit_seconds']
    show(
        f'{network}: GoU and GoG of 48 ingredients',
        ['procedure', 'seconds', 'least', 'most', 'ratio', 'images', 'peak MB'],
        [
            [
                *_row('published', result['published_seconds'], published),
                None,
                result['published_peak_bytes'] / 1e6,
            ],
            [
                *_row('tools/soup.py', result['seconds'], published),
                sum(result['images'].values()),
                result['peak_bytes'] / 1e6,
            ],
            ['forward passes alone', limit, None, None, published / limit, None, None],
        ],
    )
    print(
        f'{published / median:.1f} times as fast as published; the forward passes '
        f'alone are {limit / median:.0%} of the time'
    )


def _row(name: str, seconds: dict[str, Any], published: float) -> list[Any]:
    values = [seconds[key] for key in ('median', 'least', 'most')]
    return [name, *values, published / seconds['median']]


if __name__ == '__main__':
    main()
