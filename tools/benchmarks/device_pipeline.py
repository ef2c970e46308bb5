"""Augmentation alone: image by image with Pillow against whole batches.

    python tools/benchmarks/device_pipeline.py
    python tools/benchmarks/device_pipeline.py --device cuda

The three levels of configs/_base_/augmentations.py at two sizes, on photographs of a
given size that are in memory already, in one process with one thread; the two ways take
turns. Printed are images a second by the clock, and of a second of this process's own
computing time, which is the same on an idle machine and steadier on a busy one. With a
GPU the batches are augmented there, and lie there, as `device_pipeline` has them. What
training makes of it: train_epoch.py --cases cache_images device_pipeline.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from measuring import ROOT, Run, interleave, machine, show, spread, write
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from sklearn.datasets import load_sample_images

from ff_mm.config import load_config, resolve
from ff_mm.datasets.device_pipeline.batch_pipeline import BatchPipeline

LEVELS = ('minimal', 'medium', 'heavy')
PILLOW, BATCHES = 'Pillow', 'batches'


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--levels', nargs='+', choices=LEVELS, default=LEVELS)
    parser.add_argument('--sizes', nargs='+', type=int, default=[64, 224])
    parser.add_argument(
        '--source', nargs=2, type=int, default=[256, 341], help='height, width'
    )
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--batches', type=int, default=4, help='of one repetition')
    parser.add_argument('--repetitions', type=int, default=5)
    parser.add_argument('--device', default='cpu', help='of the batches')
    parser.add_argument('--out', default='device_pipeline.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    init_default_scope('mmpretrain')
    results = {
        f'{level} {size}': measure(level, size, args)
        for size in args.sizes
        for level in args.levels
    }
    rows = [
        [case, way, r['images_per_second']['median'], r['of_own_time']['median']]
        for case, ways in results.items()
        for way, r in ways.items()
    ]
    columns = ['level, px', 'augmented by', 'images/s', 'images/s of own time']
    show(f'Augmentation alone, batches on {args.device}', columns, rows)
    write(dict(machine=machine(), arguments=vars(args), cases=results), args.out)


def measure(level: str, size: int, args: argparse.Namespace) -> dict[str, Any]:
    """Measures a level at a size both ways."""
    options = dict(augmentation=level, image_size=size)
    file = ROOT / 'configs' / 'fgg_folders_resnet50.py'
    cfg = resolve(load_config(file, options))
    _, *steps, pack = cfg.train_pipeline
    images = _photographs(args.source, args.batch_size)
    one_by_one = partial(_one_by_one, Compose([*steps, pack]), images)
    device = torch.device(args.device)
    raw = [torch.from_numpy(i.transpose(2, 0, 1).copy()).to(device) for i in images]
    whole = partial(_whole, BatchPipeline(steps), raw)
    cases = {
        PILLOW: partial(_several, one_by_one, args.batches),
        BATCHES: partial(_several, whole, args.batches),
    }
    for case in cases.values():
        case()
    count = args.batches * args.batch_size
    runs = interleave(cases, args.repetitions)
    return {name: _summary(runs[name], count) for name in cases}


def _several(work: Callable[[], Any], batches: int) -> float:
    """Returns the seconds of computing that it took this process."""
    start = time.process_time()
    for _ in range(batches):
        work()
    return time.process_time() - start


def _one_by_one(pipeline: Compose, images: list[np.ndarray]) -> torch.Tensor:
    packed = [pipeline(dict(img=image))['inputs'] for image in images]
    return torch.stack(packed)


def _whole(pipeline: BatchPipeline, images: list[torch.Tensor]) -> None:
    batch = pipeline(images)
    if batch.is_cuda:
        torch.cuda.synchronize(batch.device)


def _photographs(size: tuple[int, int], number: int) -> list[np.ndarray]:
    """Natural images, so that what depends on their content is as it would be."""
    height, width = size
    found = [cv2.resize(i, (width, height)) for i in load_sample_images().images]
    return [found[i % len(found)] for i in range(number)]


def _summary(runs: list[Run], count: int) -> dict[str, Any]:
    return dict(
        images_per_second=spread(count / run.seconds for run in runs),
        of_own_time=spread(count / run.value for run in runs),
    )


if __name__ == '__main__':
    main()
