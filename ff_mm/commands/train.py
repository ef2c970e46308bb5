"""Carries out ``ff-mm train``; ``ff_mm_commands/train.py`` has its options."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ff_mm import cli
from ff_mm.config import resolve
from ff_mm.config_loaders import set_dataloader_defaults
from ff_mm.cores import leaves_workers_open
from ff_mm.datasets.device_pipeline.batch_pipeline import use_device_pipeline
from ff_mm.datasets.files.image_paths import first_line
from ff_mm.engine.device import describe_device
from ff_mm.engine.distributed import (
    describe_data_parallel,
    init_distributed,
    model_wrapper,
)
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.fission.device_sharing import first_device_alone
from ff_mm.fission.dry_run import dry_run
from ff_mm.fission.mixed_precision import use_mixed_precision
from ff_mm.fission.plan_checks import check_folds
from ff_mm.fission.trial import Trial, check_mixed_precision
from ff_mm.one_line import one_line
from ff_mm.parallel.termination import TERMINATED, Terminated
from ff_mm.tasks import task_of
from ff_mm_commands.folders import shipped


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Merges the command line into the config, as mmpretrain does."""
    is_plan = 'plan' in cfg
    if args.no_validate:
        if is_plan:
            raise ConfigError('--no-validate: a plan needs its validation metrics')
        cfg = resolve(cfg)  # the test set may refer to what goes here
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        use_mixed_precision(cfg)
    if args.resume is not None:
        if is_plan and args.resume != 'auto':
            raise ConfigError(
                f'--resume {args.resume}: a plan goes on from its own ledger; give '
                '--work-dir if it is elsewhere'
            )
        cfg.resume = not is_plan
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if is_plan:
        cfg.trials, cfg.retry_failed = args.trial, args.retry_failed
        if args.trials_per_device is not None:
            cfg.trials_per_device = args.trials_per_device
    elif (
        args.trial
        or args.list_trials
        or args.dry_run is not None
        or args.retry_failed
        or args.trials_per_device is not None
    ):
        raise ConfigError(
            '--trial, --trials-per-device, --list-trials, --dry-run and --retry-failed '
            f'are for plans, and {cfg.filename} has none'
        )
    if args.auto_scale_lr:
        cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr') or {}, enable=True)
    if is_plan and (cfg.get('auto_scale_lr') or {}).get('enable'):
        raise ConfigError(
            '--auto-scale-lr (auto_scale_lr.enable): a plan trains with the learning '
            'rates that it states, by which its ingredients are grouped; state those '
            'for your batch size: plan.lrs, plan.probe.lr, plan.fission.max_lr, min_lr'
        )
    for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(field) and args.no_pin_memory:
            cfg[field]['pin_memory'] = False
        if cfg.get(field) and args.no_persistent_workers:
            cfg[field]['persistent_workers'] = False
    return cfg


def become_data_parallel(cfg: Config) -> None:
    """Joins the other processes of a single run, on GPUs or CPUs, and says so."""
    if cfg.launcher == 'none':
        return
    init_distributed(cfg)
    if not cfg.get('model_wrapper_cfg'):
        cfg.model_wrapper_cfg = model_wrapper(cfg)
    if is_main_process():
        print(describe_data_parallel(cfg, get_world_size()))


def begin_several(number: int, words: Sequence[str]) -> None:
    """Begins anew as several processes that share a device, started by torchrun.

    Args:
        number: How many.
        words: What was typed.
    """
    sys.stdout.flush()
    script = shipped('tools') / 'dist.sh'
    os.environ.update(first_device_alone(), PYTHON=sys.executable)
    command = ['bash', script, 'train.py', number, *words, '--launcher', 'pytorch']
    os.execvp('bash', [str(word) for word in command])


def say_folds(cfg: Config, trials: Sequence[Trial]) -> None:
    """Says what the folds of a plan cost, if it has any and its data are there."""

    def show(line: str) -> None:
        print(one_line(line))

    try:
        check_folds(cfg, trials, show)
    except (FFMMError, OSError) as error:
        show(f'folds: how many images is not known: {first_line(error)}')


def run(args: argparse.Namespace) -> None:
    """Trains."""
    cfg = merge_args(cli.read_config(args, args.config), args)
    cli.check_kind(cfg, 'plan')
    if 'plan' in cfg and 'runner_type' not in cfg:
        raise ConfigError(
            f"{args.config}: a plan is carried out by runner_type='GenerationRunner', "
            'which the config does not say; inherit _base_/schedules/fgg.py'
        )
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
        if args.list_trials:
            for number, trial in enumerate(runner.trials):
                after = f'after {", ".join(trial.parents)}' if trial.parents else ''
                print(one_line(f'{number} {trial.id} {after}'))
            say_folds(cfg, runner.trials)
        elif args.dry_run is not None:
            dry_run(cfg, runner.trials, runner.chosen, args.dry_run)
        else:
            if args.launcher == 'none' and cfg.get('trials_per_device', 1) > 1:
                begin_several(cfg.trials_per_device, args.words)
            runner.train()
        return
    cfg = resolve(cfg)
    use_device_pipeline(cfg)
    # Else the run could not be resumed from its own checkpoints.
    hooks: list[dict[str, Any]] = [dict(type='SafeCheckpointHook')]
    if leaves_workers_open(cfg.get('train_dataloader')):
        hooks.append(dict(type='EpochSeedHook', by_batch=True))
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    set_dataloader_defaults(cfg, task_of(cfg).collate, *loaders)
    check_mixed_precision(cfg)
    if cfg.get('channels_last'):
        hooks.append(dict(type='ChannelsLastHook'))
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *hooks]
    become_data_parallel(cfg)
    if is_main_process():
        print(one_line(describe_device()))
    try:
        Runner.from_cfg(cfg).train()
    except Terminated:
        print('terminated; --resume goes on from the last checkpoint', file=sys.stderr)
        sys.exit(TERMINATED)
