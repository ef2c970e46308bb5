"""A whole small plan: tools/train.py against its trials started one by one.

    python tools/benchmarks/generation.py --data-root data/ham10000

The plan is a probe, a base for each learning rate, and a fission from each base. With
MMPretrain alone each trial is a process of its own: mmpretrain's tools/train.py with a
config that loads the best checkpoint of the trial before (load_from). Same network,
images, augmentation, optimizer and epochs. Timed is everything from the first command
to the end of the last. The ratio is MMPretrain's seconds over those of tools/train.py:
without options, and with those of --options. Without --data-root images are made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import mmpretrain
from measuring import (
    ROOT,
    interleave,
    machine,
    ratio,
    run_child,
    show,
    spread,
    this_checkout,
    write,
)
from mmengine.config import Config, DictAction
from mmengine.dataset import BaseDataset
from mmengine.registry import TASK_UTILS
from stock import NETWORKS, benchmark_config, build_datasets, make_images, stock_config

from ff_mm.files import read_json
from ff_mm.fission import Trial
from ff_mm.fission.trial import PROBE

STOCK_TOOL = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
STOCK, PLAIN, OPTIONS = 'MMPretrain, one by one', 'ff_mm', 'ff_mm with options'
_OPTIONS = {
    'channels_last': True,
    'cache_images': True,
    'optim_wrapper.optimizer.fused': True,
}


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data-root', help='as configs/ham10000.py describes')
    parser.add_argument('--network', choices=NETWORKS, default=NETWORKS[0])
    parser.add_argument('--lrs', nargs='+', type=float, default=[1e-3, 5e-4, 1e-4])
    parser.add_argument('--probe-epochs', type=int, default=1)
    parser.add_argument('--base-epochs', type=int, default=2)
    parser.add_argument('--fission-epochs', type=int, default=5)
    parser.add_argument('--images', type=int, help='how many to train with; all')
    parser.add_argument('--image-size', type=int, default=64)
    parser.add_argument('--workers', type=int, default=2, help='for data')
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        default=_OPTIONS,
        help=f'of the third case, as --cfg-options; {_OPTIONS}',
    )
    parser.add_argument('--repetitions', type=int, default=1)
    parser.add_argument('--out', default='generation.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = args.data_root or make_images(folder / 'data', args.images or 2048)
        result = measure(root, folder, args)
    write(dict(machine=machine(), arguments=vars(args), **result), args.out)


def measure(
    data_root: str | Path, folder: Path, args: argparse.Namespace
) -> dict[str, Any]:
    """Runs all three ways and prints them as a table."""
    cfg = benchmark_config(args.network, data_root, _plan(args))
    datasets = build_datasets(cfg)
    cases: dict[str, Callable[[], int]] = {
        STOCK: partial(run_one_by_one, cfg, datasets, folder),
        PLAIN: partial(run_plan, cfg, {}, folder),
        OPTIONS: partial(run_plan, cfg, args.options, folder),
    }
    runs = interleave(cases, args.repetitions)
    epochs = {name: runs[name][0].value for name in cases}
    if len(set(epochs.values())) > 1:
        raise SystemExit(f'not the same work: {epochs} epochs')
    results = {
        name: dict(
            seconds=spread(run.seconds for run in runs[name]),
            faster=ratio(runs[STOCK], runs[name]),
        )
        for name in cases
    }
    rows = [
        [name, r['seconds']['median'], r['faster']['median']]
        for name, r in results.items()
    ]
    trials = len(TASK_UTILS.build(cfg.plan).trials())
    title = f'{args.network}: {trials} trials, {epochs[STOCK]} epochs'
    show(title, ['case', 'seconds', f'times {STOCK}'], rows)
    return dict(trials=trials, epochs=epochs[STOCK], cases=results)


def run_plan(cfg: Config, options: Mapping[str, Any], folder: Path) -> int:
    """Runs tools/train.py in a new folder; returns how many epochs it has trained."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    cfg = Config(cfg.to_dict())
    cfg.merge_from_dict(dict(options))
    cfg.dump(folder / 'plan.py')
    tool = str(ROOT / 'tools' / 'train.py')
    _run(tool, str(folder / 'plan.py'), '--work-dir', str(folder / 'run'))
    return read_json(folder / 'run' / 'ingredients.json')['cost']['epochs']


def run_one_by_one(
    cfg: Config, datasets: Mapping[str, BaseDataset], folder: Path
) -> int:
    """Runs every trial of the plan in stock MMPretrain; returns the epochs trained."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    epochs = 0
    for trial in TASK_UTILS.build(cfg.plan).trials():
        file = folder / f'{trial.id}.py'
        stock_trial(cfg, datasets, trial, folder).dump(file)
        # Since torch 2.6 MMEngine cannot load the checkpoints that it writes, else.
        _run(str(STOCK_TOOL), str(file), TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1')
        last = (folder / trial.id / 'last_checkpoint').read_text()
        epochs += int(Path(last).stem.removeprefix('epoch_'))
    return epochs


def stock_trial(
    cfg: Config, datasets: Mapping[str, BaseDataset], trial: Trial, folder: Path
) -> Config:
    """Writes one trial as a user of MMPretrain would."""
    schedule = dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True)
    if trial.stage == 'fission':
        cycle = cfg.plan.fission.cycle
        periods = [cycle] * -(-trial.epochs // cycle)
        schedule.update(
            type='CosineRestartLR', periods=periods, restart_weights=[1] * len(periods)
        )
    stock = stock_config(
        cfg,
        datasets,
        folder / trial.id,
        train_cfg=dict(by_epoch=True, max_epochs=trial.epochs, val_interval=1),
        param_scheduler=[dict(schedule, eta_min=0)],
    )
    stock.optim_wrapper.optimizer.lr = trial.overrides['optim_wrapper.optimizer.lr']
    stock.default_hooks.checkpoint.update(save_best='accuracy/top1')
    if trial.parent is not None:
        (best,) = (folder / trial.parent).glob('best_*.pth')
        stock.load_from = str(best)
    if PROBE in trial.overrides:
        _freeze(stock)
    return stock


def _freeze(stock: Config) -> None:
    """Freezes the backbone in the ways that MMPretrain has."""
    if stock.model.backbone.type == 'ResNet':
        stock.model.backbone.frozen_stages = 4
    else:
        frozen = dict(backbone=dict(lr_mult=0, decay_mult=0))
        stock.optim_wrapper.paramwise_cfg = dict(custom_keys=frozen)


def _plan(args: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {
        'image_size': args.image_size,
        'augmentation': 'heavy',
        'plan.lrs': args.lrs,
        'plan.probe.epochs': args.probe_epochs,
        'plan.base.epochs': args.base_epochs,
        'plan.fission': dict(epochs=args.fission_epochs, cycle=4, _delete_=True),
    }
    for name in ('train', 'val'):
        options[f'{name}_dataloader.num_workers'] = args.workers
    if args.images:
        options['train_dataloader.dataset.indices'] = args.images
    return options


def _run(*command: str, **variables: str) -> None:
    run_child([sys.executable, *command], cwd=ROOT, env=this_checkout(**variables))


if __name__ == '__main__':
    main()
