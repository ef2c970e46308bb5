"""One epoch of a fission: ff_mm's trial against a plain Runner of MMPretrain.

    python tools/benchmarks/train_epoch.py --data-root data/ham10000

Both train the same network on the same images with the same batches, augmentation and
optimizer; MMPretrain's Runner reads them with its own CustomDataset, has its own hooks,
and writes a checkpoint an epoch, as the trial writes the state from which it could go
on. Timed is a whole epoch of training, from the start of the data workers to the
checkpoint, without the start of the process and without validation. The first epoch of
each case warms up and does not count. All cases take turns in one process.

Printed are seconds, the ratio to MMPretrain's Runner in the same round (above 1 is
faster), and the share of the time in which the training loop waited for data. Without
--data-root images are made, as large as those of HAM10000 in the form of
configs/ham10000.py.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from measuring import Run, interleave, machine, ratio, show, spread, write
from mmengine.config import Config
from mmengine.registry import TASK_UTILS
from mmengine.runner import Runner
from rich.console import Console
from stock import NETWORKS, benchmark_config, build_datasets, make_images, stock_config

from ff_mm.datasets.device_pipeline.batch_pipeline import cache_option
from ff_mm.datasets.image_cache.image_cache import ImageCache
from ff_mm.engine import QuietRunner
from ff_mm.fission import trial_config

STOCK, PLAIN = 'MMPretrain', 'ff_mm'
_CHANNELS_LAST = {'channels_last': True}
_BFLOAT16 = {'optim_wrapper.type': 'Bfloat16OptimWrapper'}
_CACHE = {'cache_images': True}
_FUSED = {'optim_wrapper.optimizer.fused': True}
CASES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    'channels_last': _CHANNELS_LAST,
    'bfloat16': _BFLOAT16,
    'cache_images': _CACHE,
    'device_pipeline': {'device_pipeline': True},
    'fused AdamW': _FUSED,
    'all but bfloat16': {**_CHANNELS_LAST, **_CACHE, **_FUSED},
    'all': {**_CHANNELS_LAST, **_BFLOAT16, **_CACHE, **_FUSED},
}


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data-root', help='as configs/ham10000.py describes')
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=NETWORKS)
    parser.add_argument('--cases', nargs='+', choices=CASES, default=list(CASES))
    parser.add_argument('--images', type=int, help='how many to train with; all')
    parser.add_argument('--image-size', type=int, default=64)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--workers', type=int, default=2, help='for data')
    parser.add_argument('--augmentation', default='heavy')
    parser.add_argument(
        '--repetitions', type=int, default=5, help='epochs of each case'
    )
    parser.add_argument('--weights', help='starting weights of efficientnet_lite0')
    parser.add_argument('--out', default='train_epoch.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = args.data_root or make_images(folder / 'data', args.images or 2048)
        results = {
            network: measure(network, root, folder / network, args)
            for network in args.networks
        }
    write(dict(machine=machine(), arguments=vars(args), networks=results), args.out)


def measure(
    network: str, data_root: str | Path, folder: Path, args: argparse.Namespace
) -> dict[str, Any]:
    """Measures all cases of a network and prints them as a table."""
    cfg = benchmark_config(network, data_root, _options(network, args))
    datasets = build_datasets(cfg)
    epochs = {STOCK: Epoch(_stock_runner(cfg, datasets, folder / 'stock'))}
    for case in args.cases:
        epochs[case] = Epoch(trial_runner(cfg, CASES[case], datasets, folder / case))
    for epoch in epochs.values():
        epoch()
    runs = interleave(epochs, args.repetitions)
    results = {case: _summary(runs[case], runs[STOCK]) for case in epochs}
    images = len(datasets['train'])
    rows = [
        [case, r['seconds']['median'], _from_to(r['seconds']),
         images / r['seconds']['median'], r['faster']['median'], _from_to(r['faster']),
         f'{100 * r["waiting"]["median"]:.0f} %']
        for case, r in results.items()
    ]  # fmt: skip
    columns = ['case', 'seconds', 'from to', 'images/s', f'times {STOCK}', 'from to']
    title = f'{network}: an epoch of {images} images at {args.image_size} px'
    show(title, [*columns, 'waits for data'], rows)
    return dict(images=images, cases=results)


class Epoch:
    """A Runner, all set up, of which each call trains one more epoch.

    Args:
        runner: As built from its config.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        loop = runner.train_loop
        # All that comes before training, and no epoch.
        loop.run = partial(runner.call_hook, 'before_train')
        with _silence():
            runner.train()

    def __call__(self) -> float:
        """Trains an epoch; returns the seconds in which no data was there."""
        with _silence():
            self.runner.train_loop.run_epoch()
        waits, _ = self.runner.message_hub.get_scalar('train/data_time').data
        return float(waits[-len(self.runner.train_dataloader) :].sum())


def _options(network: str, args: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {
        'image_size': args.image_size,
        'augmentation': args.augmentation,
        # Enough for all repetitions and the warm-up.
        'plan.fission': dict(epochs=args.repetitions + 1, cycle=2, _delete_=True),
    }
    for name in ('train', 'val'):
        options[f'{name}_dataloader.batch_size'] = args.batch_size
        options[f'{name}_dataloader.num_workers'] = args.workers
    if args.images:
        options['train_dataloader.dataset.indices'] = args.images
    if args.weights and network == 'efficientnet_lite0':
        options['starting_weights'] = args.weights
    return options


def _stock_runner(cfg: Config, datasets: Mapping[str, Any], folder: Path) -> Runner:
    fission = cfg.plan.fission
    schedule = dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True)
    stock = stock_config(
        cfg,
        datasets,
        folder,
        train_cfg=dict(by_epoch=True, max_epochs=fission.epochs),
        param_scheduler=[schedule],
    )
    stock.optim_wrapper.optimizer.lr = 1e-5
    # Of the files of a run, which are large, the last is enough here.
    stock.default_hooks.checkpoint.max_keep_ckpts = 1
    with _silence():
        return Runner.from_cfg(stock)


def trial_runner(
    cfg: Config, options: Mapping[str, Any], datasets: Mapping[str, Any], folder: Path
) -> QuietRunner:
    """Builds the run of a fission, of its own.

    Args:
        cfg: A generation config.
        options: Dotted keys and their values, or parts of a config.
        datasets: Its train and val sets.
        folder: The run's work directory.
    """
    cfg = Config(cfg.to_dict(), filename=cfg.filename)
    cfg.merge_from_dict(dict(options))
    trials = TASK_UTILS.build(cfg.plan).trials()
    (fission, *_) = (trial for trial in trials if trial.stage == 'fission')
    # Of its own, as it does not matter here where it starts.
    trial = trial_config(cfg, replace(fission, parent=None), folder)
    with _silence():
        images = ImageCache(cache_option(cfg), folder, Console(file=io.StringIO()))
        images.fill(datasets, [trial])
        images.use_in(trial)
        return QuietRunner.from_cfg(trial)


def _summary(runs: list[Run], stock: list[Run]) -> dict[str, Any]:
    return dict(
        seconds=spread(run.seconds for run in runs),
        faster=ratio(stock, runs),
        waiting=spread(run.value / run.seconds for run in runs),
    )


def _from_to(values: Mapping[str, Any]) -> str:
    return f'{values["least"]:.3g} {values["most"]:.3g}'


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps the Runners' own lines off the console."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


if __name__ == '__main__':
    main()
