"""What a plan will cost: trials, epochs, images, disk and time, before training."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console

from ff_mm.config import resolve, without_pretrained
from ff_mm.datasets.device_pipeline.batch_pipeline import cache_option
from ff_mm.datasets.files.image_paths import first_line
from ff_mm.datasets.sharing import forget_datasets
from ff_mm.display.console import duration, make_console, say, size
from ff_mm.engine.data_loaders import forget_batches
from ff_mm.engine.device import describe_device
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.fission.device_sharing import shared_cache, trials_per_device
from ff_mm.fission.disk import (
    check_disk,
    disk_need,
    existing,
    free_space,
    validations,
)
from ff_mm.fission.ledger import LEDGER, Ledger
from ff_mm.fission.pace import Pace, measure_pace
from ff_mm.fission.plan_checks import (
    check_balance,
    check_data,
    check_folds,
    check_metrics,
    check_parts,
    trial_configs,
)
from ff_mm.fission.record import trial_folder
from ff_mm.fission.trial import Trial, trial_config
from ff_mm.models.starting_weights import check_starting_weights


def dry_run(
    cfg: Config, trials: Sequence[Trial], chosen: Sequence[Trial], seconds: float
) -> float | None:
    """Says what is left of a plan: how much there is to train, and what that takes.

    All is checked that a run checks before training, but for starting weights that it
    might have to fetch. Nothing is left behind.

    Args:
        cfg: The generation config, references not yet resolved.
        trials: Those of the plan.
        chosen: Those that the command is for.
        seconds: To measure each kind of trial.

    Returns:
        The seconds of all that is left; None: not known.

    Raises:
        CheckpointError: A file of starting weights that is not there, or does not fit.
        ConfigError: No time to measure, or a plan that cannot be carried out.
        DatasetError: All that is wrong with the data.
        DiskError: The disk does not suffice.
        LedgerError: The work directory belongs to another config.
    """
    if not 0 < seconds < math.inf:
        raise ConfigError(f'--dry-run {seconds:g}: expected seconds, more than 0')
    console, work_dir = make_console(), Path(cfg.work_dir)

    def show(line: str) -> None:
        say(line, console)

    show(describe_device())
    configs = trial_configs(cfg, trials, work_dir)
    datasets = check_data(cfg, show)
    check_balance(cfg, datasets['train'])
    folds = check_folds(cfg, trials, show)
    check_parts(cfg, configs, [trial.id for trial in trials], show)
    check_metrics(cfg, trials, datasets['val'])
    if not (work_dir / LEDGER).exists():  # else it has begun with them
        for line in check_starting_weights(resolve(cfg).model, fetch=False):
            show(line)
    left = _left(cfg, trials, chosen, work_dir)
    if not left:
        show('nothing is left to train')
        return 0.0
    of_left = [c for t, c in zip(trials, configs, strict=True) if t in left]
    show(_what_there_is(left, len(datasets['train']) if folds is None else None))
    need = disk_need(trials, configs, left, trials_per_device(cfg))
    check_disk(need, work_dir)
    free = free_space(work_dir)
    show(
        f'disk: {size(need.total)} in {work_dir}: {need}; '
        + ('what is free is not known' if free is None else f'{size(free)} are free')
    )
    try:
        return _time(cfg, left, of_left, seconds, console)
    finally:
        forget_batches()
        forget_datasets()


def _left(
    cfg: Config, trials: Sequence[Trial], chosen: Sequence[Trial], work_dir: Path
) -> list[Trial]:
    if not (work_dir / LEDGER).exists():
        return list(chosen)
    ledger = Ledger(work_dir, cfg.to_dict(), trials)
    return [trial for trial in chosen if not ledger.is_settled(trial.id)]


def _what_there_is(left: Sequence[Trial], images: int | None) -> str:
    stages = Counter(trial.stage for trial in left)
    epochs = sum(trial.epochs for trial in left)
    counted = ', '.join(f'{number} {stage}' for stage, number in stages.items())
    line = f'to train: {len(left)} trials ({counted}), {epochs} epochs at most'
    if images is not None:  # else the folds have said so
        line += f', {epochs * images:,} images at most'
    return line


def _time(
    cfg: Config,
    left: Sequence[Trial],
    configs: Sequence[Config],
    seconds: float,
    console: Console,
) -> float | None:
    """Measures each kind of trial, and says how long all of them take."""
    resolved = resolve(cfg)
    if shared_cache(resolved, trials_per_device(cfg)) or cache_option(resolved):
        say(
            'note: measured without the cache of images; with it, it is faster',
            console,
        )
    paces: dict[str, Pace] = {}
    total = 0.0
    with tempfile.TemporaryDirectory(
        prefix='.dry_run_', dir=existing(Path(cfg.work_dir))
    ) as scratch:
        for trial, of_trial in zip(left, configs, strict=True):
            kind = _kind(of_trial)
            if kind not in paces:
                try:
                    paces[kind] = _measure(cfg, trial, Path(scratch), seconds)
                except FFMMError as error:
                    say(
                        f'time: not known, as {trial.id} cannot be tried alone: '
                        f'{first_line(error)}',
                        console,
                    )
                    return None
                say(_of_a_kind(trial, paces[kind]), console)
            pace = paces[kind]
            total += pace.start + trial.epochs * pace.epoch
            total += validations(trial, of_trial) * pace.validation
    say(
        f'time: about {duration(total)} for all of it, one trial after the other on '
        'this machine as busy as it is now; less where training stops early',
        console,
    )
    return total


def _measure(cfg: Config, trial: Trial, scratch: Path, seconds: float) -> Pace:
    of_trial = trial_config(cfg, trial, trial_folder(scratch, trial.id))
    # Weights need not be fetched for that, and parents have left none.
    of_trial.load_from = None
    of_trial.model = without_pretrained(of_trial.model.to_dict())
    return measure_pace(of_trial, seconds)


def _of_a_kind(trial: Trial, pace: Pace) -> str:
    line = (
        f'{trial.id}: {duration(pace.epoch)} an epoch, {duration(pace.validation)} a '
        f'validation ({pace.seen} measured)'
    )
    if pace.memory is not None:
        line += f', {size(pace.memory)} of GPU memory'
    return line


def _kind(cfg: Config) -> str:
    """What decides how long a step takes."""
    loader = cfg.train_dataloader
    wrapper = cfg.optim_wrapper.get('type')
    return repr((cfg.model, loader.batch_size, wrapper, list(_pipelines(loader))))


def _pipelines(config: Any) -> list[Any]:
    """All pipelines in the config of a data loader."""
    if isinstance(config, dict):
        own = [config['pipeline']] if 'pipeline' in config else []
        return own + [p for value in config.values() for p in _pipelines(value)]
    if isinstance(config, (list, tuple)):
        return [p for value in config for p in _pipelines(value)]
    return []
