"""How much of the disk a plan takes, found out before it is trained."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ff_mm.config import without_pretrained
from ff_mm.display.console import size
from ff_mm.engine.schedulers.cycle import Cycle
from ff_mm.errors import FFMMError
from ff_mm.fission.trial import Trial
from ff_mm.models.starting_weights import built_silently
from ff_mm.tasks import scope_of

# Steps of an epoch, to look at a schedule before the data set's size is known.
_STEPS = 1000
# Tensors of a parameter's size that optimizers keep: two moments, or a momentum.
_MOMENTS = 2


class DiskError(FFMMError):
    """A plan for which the disk does not suffice."""


@dataclass(frozen=True)
class DiskNeed:
    """What a plan still writes into its work directory.

    Attributes:
        models: How many ingredients and origins.
        model: Bytes of the largest of them.
        bests: How many best epochs, with the state of the optimizer.
        best: Bytes of the largest of these.
        total: Bytes of all together, with the state of each trial that runs.
    """

    models: int
    model: int
    bests: int
    best: int
    total: int

    def __str__(self) -> str:
        """In words."""
        return (
            f'{self.models} model{"s" * (self.models != 1)} of {size(self.model)} and '
            f'{self.bests} best epoch{"s" * (self.bests != 1)} with the optimizer of '
            f'{size(self.best)}'
        )


def disk_need(
    trials: Sequence[Trial],
    configs: Sequence[Config],
    left: Collection[Trial],
    processes: int = 1,
) -> DiskNeed:
    """Counts what trials write, without images that are cached.

    Args:
        trials: Those of the plan.
        configs: Of each the config, resolved.
        left: Those that are still to be trained.
        processes: How many are trained at the same time.
    """
    sizes: dict[str, tuple[int, int]] = {}
    models = bests = total = 0
    model = best = 0
    for trial, cfg in zip(trials, configs, strict=True):
        if trial not in left:
            continue
        key = repr(cfg.model) + repr(cfg.optim_wrapper.get('optimizer', {}).get('type'))
        if key not in sizes:
            sizes[key] = _sizes(cfg)
        written, kept = written_models(trial, cfg), keeps_best(trial)
        models, bests = models + written, bests + kept
        total += written * sizes[key][0] + kept * sizes[key][1]
        model, best = max(model, sizes[key][0]), max(best, sizes[key][1])
    # Of a running trial the new state is written before the last one goes.
    return DiskNeed(models, model, bests, best, total + 2 * processes * best)


def check_disk(need: DiskNeed, work_dir: Path) -> None:
    """Refuses a plan for which the disk does not suffice.

    Args:
        need: Of the plan.
        work_dir: The plan's; it need not be there yet.

    Raises:
        DiskError: With what is needed and what is free.
    """
    free = free_space(work_dir)
    if free is not None and need.total > free:
        raise DiskError(
            f'{work_dir}: {need} take {size(need.total)}, but only {size(free)} are '
            'free there: free some, or give --work-dir on a larger disk'
        )


def free_space(folder: Path) -> int | None:
    """Returns the free bytes where a folder is, or is to be.

    None: the file system does not say, as some that lie in a network.
    """
    usage = shutil.disk_usage(existing(folder))
    return usage.free if usage.total else None


def existing(folder: Path) -> Path:
    """Returns a folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def written_models(trial: Trial, cfg: Config) -> int:
    """Returns how many ingredients and origins come of a trial.

    Args:
        trial: The trial.
        cfg: Its config, resolved.
    """
    number = int(trial.yields in ('best', 'start'))
    hooks = [dict(hook) for hook in trial.hooks]
    number += sum(hook['type'] == 'StartHook' for hook in hooks)
    averages = sum(len(h.get('averages', ())) for h in hooks)
    if trial.yields != 'snapshots':
        return number + averages
    minima = _minima(cfg) if any(h['type'] == 'SnapshotHook' for h in hooks) else 0
    return number + max(averages + minima, 1)


def keeps_best(trial: Trial) -> bool:
    """Tells whether a trial leaves its best epoch, from which others can start."""
    return trial.yields != 'snapshots'


def validations(trial: Trial, cfg: Config) -> int:
    """Returns how many epochs of a trial are validated."""
    if trial.validates == 'snapshots':
        return min(trial.epochs, max(_minima(cfg), 1))
    return trial.epochs


def _minima(cfg: Config) -> int:
    schedules = cfg.get('param_scheduler') or []
    for schedule in [schedules] if isinstance(schedules, dict) else schedules:
        if schedule.get('type') == 'CyclicalLR':
            cycle = Cycle(
                schedule['max_value'],
                schedule['min_value'],
                schedule['cycle'] * _STEPS,
                schedule.get('phase', 0.25),
            )
            return len(cycle.minima_up_to(cfg.train_cfg.max_epochs * _STEPS))
    return 0


def _sizes(cfg: Config) -> tuple[int, int]:
    """Bytes of a model, and of one with the state of its optimizer."""
    init_default_scope(scope_of(cfg))
    network = built_silently(without_pretrained(cfg.model.to_dict()))
    entries = network.state_dict().values()
    model = sum(entry.numel() * entry.element_size() for entry in entries)
    trained = sum(
        p.numel() * p.element_size() for p in network.parameters() if p.requires_grad
    )
    return model, model + _kept_moments(cfg) * trained


def _kept_moments(cfg: Config) -> int:
    optimizer: dict[str, Any] = cfg.optim_wrapper.get('optimizer') or {}
    if optimizer.get('type') == 'SGD':
        return int(bool(optimizer.get('momentum')))
    return _MOMENTS
