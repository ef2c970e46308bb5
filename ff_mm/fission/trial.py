"""One training run of a plan, and the MMEngine config that carries it out."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from ff_mm.config import (
    is_reference,
    look_up,
    resolve,
    without_pretrained,
)
from ff_mm.config_loaders import set_dataloader_defaults
from ff_mm.cores import leaves_workers_open
from ff_mm.datasets.device_pipeline.batch_pipeline import use_device_pipeline
from ff_mm.datasets.folds import set_folds
from ff_mm.datasets.unlabelled import set_unlabelled
from ff_mm.errors import ConfigError
from ff_mm.evaluation.options import EvaluationOptions
from ff_mm.fission.class_balance import KEY as BALANCE
from ff_mm.fission.class_balance import read_class_balance
from ff_mm.parallel.termination import GRACE_PERIOD
from ff_mm.tasks import task_of
from ff_mm.tracking import without_trackers

#: The override that cuts training and validation images into folds: ``number``,
#: ``seed``, and ``index``, the fold that validates; None: all images train.
FOLDS = 'folds'
#: The override that adds images without labels: the config of their data set.
ADDED = 'unlabelled'
#: The override by which only the head trains, see :meth:`ff_mm.tasks.Task.probe`:
#: ``norm_eval``.
PROBE = 'linear_probe'
# Keys of a generation config that a single training run has no use for.
_PLAN_KEYS = (
    'plan',
    'runner_type',
    'selection',
    'ood_dataloaders',
    'cache_images',
    'parallel',
    'trials_per_device',
    'trials',
    'retry_failed',
)
# As _PLAN_KEYS, but other values may refer to them. MMEngine wants all three or none.
_TEST_KEYS = ('test_dataloader', 'test_evaluator', 'test_cfg')


@dataclass(frozen=True)
class Trial:
    """One training run.

    Attributes:
        id: Unique within the plan, fit for a folder's name.
        stage: ``'probe'``, ``'base'`` or ``'fission'``.
        epochs: Its length (early stopping may end it before).
        overrides: Dotted config keys and their values, as in ``--cfg-options``.
        hyper: The hyper-parameters that tell its ingredients from others.
        parent: Id of the trial it starts from; None: from the model's own weights.
        others: Ids of further trials whose weights go into those it starts from.
        start: How the weights of ``parent`` and ``others`` become one, as
            :func:`ff_mm.fission.starts.start_from` takes it; None: those of ``parent``.
        inherit_optimizer: Whether the parent's optimizer state comes along.
        hooks: Hooks that the stage needs.
        yields: Which ingredients come out of it: ``'best'``, the checkpoint of the
            best epoch; ``'snapshots'``, one at each minimum of the schedule;
            ``'start'``, none, it is what all others start from; ``'nothing'``, none, it
            is on the way to others.
        recipe: What its ingredients have in common with those of the same trial in
            other folds; None: there are none.
        validates: ``'every_epoch'``, or ``'snapshots'``: those epochs alone at whose
            ends :class:`ff_mm.engine.SnapshotHook` saves.
    """

    id: str
    stage: str
    epochs: int
    overrides: Mapping[str, Any]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    others: tuple[str, ...] = ()
    start: Mapping[str, Any] | None = None
    inherit_optimizer: bool = False
    hooks: tuple[Mapping[str, Any], ...] = ()
    yields: str = 'best'
    validates: str = 'every_epoch'
    recipe: str | None = None

    @property
    def folds(self) -> dict[str, int] | None:
        """How training and validation images are cut, if they are."""
        folds = self.overrides.get(FOLDS)
        if folds is None or folds['index'] is None:
            return None
        return {key: value for key, value in folds.items() if key != 'index'}

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of all trials that must have been done before."""
        return () if self.parent is None else (self.parent, *self.others)

    def describe(self) -> dict[str, Any]:
        """What the ingredients of this trial say about where they come from."""
        return dict(stage=self.stage, hyper=dict(self.hyper), parent=self.parent)


def has_own_validation(overrides: Mapping[str, Any]) -> bool:
    """Says whether a trial with these overrides validates on another set."""
    return any(key == FOLDS or key.startswith('val_dataloader') for key in overrides)


def parents_of(trials: Sequence[Trial]) -> set[str]:
    """Returns the ids of all trials from which some others start."""
    return {parent for trial in trials for parent in trial.parents}


def choose_trials(trials: list[Trial], chosen: Any) -> list[Trial]:
    """Returns the trials that a command is for, in the order of the plan.

    Args:
        trials: Those of the plan.
        chosen: Ids or numbers; None: all.

    Raises:
        ConfigError: There is no such trial.
    """
    if chosen is None:
        return trials
    by_name = {trial.id: trial for trial in trials}
    by_name |= {str(number): trial for number, trial in enumerate(trials)}
    names = [str(name) for name in ([chosen] if isinstance(chosen, str) else chosen)]
    for name in names:
        if name not in by_name:
            raise ConfigError(
                f'--trial {name}: the plan has no such trial; --list-trials shows them'
            )
    ids = {by_name[name].id for name in names}
    return [trial for trial in trials if trial.id in ids]


def marked(trials: Sequence[Trial], class_balance: Any) -> list[Trial]:
    """Returns trials whose ingredients say how classes were balanced, if they were.

    Args:
        trials: Those of a plan.
        class_balance: What the config says.

    Raises:
        ConfigError: It is none.
    """
    balance = read_class_balance(class_balance)
    if balance is None:
        return list(trials)
    more = {BALANCE: balance.name}
    return [
        replace(
            trial,
            hyper={**trial.hyper, **more},
            hooks=tuple(_marked(hook, more) for hook in trial.hooks),
        )
        for trial in trials
    ]


def _marked(hook: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A hook that writes ingredients has a description of its trial."""
    meta = hook.get('meta')
    if not isinstance(meta, Mapping) or 'hyper' not in meta:
        return dict(hook)
    return dict(hook, meta=dict(meta, hyper={**meta['hyper'], **more}))


def trial_config(
    base: Config,
    trial: Trial,
    work_dir: str | Path,
    parent_file: str | Path | None = None,
    state: str | Path | None = None,
    state_interval: int | str = 1,
) -> Config:
    """Builds the config with which an MMEngine Runner carries out one trial.

    Args:
        base: The generation config, references not yet resolved.
        trial: The trial.
        work_dir: The trial's own folder.
        parent_file: Checkpoint of the parent trial.
        state: A state of this very trial to go on from; wins over ``parent_file``.
        state_interval: Epochs, or the time, between two such states.

    Returns:
        A config that stock MMEngine understands once ff_mm is imported.
    """
    cfg = copy.deepcopy(base)
    for key in _PLAN_KEYS:
        cfg.pop(key, None)
    _override(cfg, _without_probe(trial.overrides))
    cfg = resolve(cfg)
    without_trackers(cfg)  # they are told which run this is, when it is one
    if probe := trial.overrides.get(PROBE):
        # Not before: references may point to parts of the model by where they stand.
        _override(cfg, task_of(cfg).probe(cfg.to_dict()['model'], **probe))
    if folds := cfg.pop(FOLDS, None):
        cut = {key: value for key, value in folds.items() if key != 'index'}
        set_folds(cfg, cut, folds['index'])
    if added := cfg.pop(ADDED, None):
        set_unlabelled(cfg, added.to_dict())
    for key in _TEST_KEYS:
        cfg.pop(key, None)
    balance = read_class_balance(cfg.pop('class_balance', None))
    if balance is not None and cfg.get('train_dataloader'):
        balance.put_into(cfg)
    cfg.work_dir = str(work_dir)
    # Loggers and message hubs are global by name: a name used twice would leak the
    # best score of one trial into the next.
    folder = hashlib.sha1(str(Path(work_dir).resolve()).encode()).hexdigest()
    cfg.experiment_name = f'{trial.id}_{folder[:8]}'
    cfg.resume = state is not None
    if state or parent_file:
        # Else the config's own load_from holds: the weights that the plan starts from.
        cfg.load_from = str(state or parent_file)
    if parent_file is not None:
        cfg.model = without_pretrained(cfg.model.to_dict())
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), *map(dict, trial.hooks)]
    if parent_file is not None and state is None:
        cfg.custom_hooks.append(
            dict(type='WarmStartHook', optimizer=trial.inherit_optimizer)
        )
    val_cfg = cfg.get('val_cfg')
    # A loop of the user's own stays, and validates when it does.
    plain = val_cfg is not None and val_cfg.get('type') in (None, 'ValLoop')
    if trial.validates == 'snapshots' and plain:
        val_cfg.type = 'SnapshotValLoop'
    check_compile(cfg)
    use_device_pipeline(cfg)
    if cfg.pop('channels_last', False):
        cfg.custom_hooks.append(dict(type='ChannelsLastHook'))
    check_mixed_precision(cfg)
    memory = EvaluationOptions.from_config(cfg.get('evaluation')).cache_memory
    cfg.custom_hooks += [
        dict(type='DivergenceHook'),
        dict(type='TerminationHook', grace=cfg.pop('grace_period', GRACE_PERIOD)),
        dict(type='EarlyWorkersHook'),
        dict(type='KeptValidationHook', memory=memory),
    ]
    _make_resumable(cfg, state_interval)
    return cfg


def _without_probe(overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if key != PROBE}


def _override(cfg: Config, overrides: Mapping[str, Any]) -> None:
    """Sets values; a reference on the way to one is replaced by what it stands for.

    The value that others refer to stays as it is.
    """
    for key, value in overrides.items():
        holder: Any = cfg._cfg_dict
        *path, last = key.split('.')
        for name in path:
            inner = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(inner, str) and is_reference(inner):
                holder[name] = copy.deepcopy(look_up(inner, cfg.to_dict()))
            holder = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(holder.get(last), str):
            del holder[last]  # else a map in the place of a text is refused
        try:
            cfg.merge_from_dict({key: value})
        except (KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f'{key}={value!r}: {reason}') from error


def check_mixed_precision(cfg: Config) -> None:
    """Refuses, before training, mixed precision that the machine does not have.

    Args:
        cfg: The config of a training run.

    Raises:
        ConfigError: MMEngine's ``AmpOptimWrapper``, which is for GPUs, without one;
            ``tf32`` that is neither on nor off.
    """
    tf32 = cfg.get('tf32', False)
    if not isinstance(tf32, bool):
        raise ConfigError(
            f'tf32={tf32!r}: expected True (products of float32 are TF32 in training, '
            'on GPUs that have it) or False'
        )
    wrapper = (cfg.get('optim_wrapper') or {}).get('type')
    if wrapper == 'AmpOptimWrapper' and get_device() == 'cpu':
        raise ConfigError(
            "optim_wrapper.type='AmpOptimWrapper' is for GPUs, and there is none; on "
            "a CPU use optim_wrapper.type='Bfloat16OptimWrapper' without loss_scale "
            'and dtype'
        )


def check_compile(cfg: Config) -> None:
    """Refuses, before training, what ``torch.compile`` does not know.

    Args:
        cfg: The config of a training run. An empty ``compile`` is made False, as to
            MMEngine it is True.

    Raises:
        ConfigError: ``compile`` is something else than options, or an unknown one.
    """
    options = cfg.get('compile')
    if not options:
        if options is not None:
            cfg.compile = False
        return
    known = sorted(set(signature(torch.compile).parameters) - {'model'})
    if options is not True and not isinstance(options, Mapping):
        raise ConfigError(
            f'compile={options!r}: expected True, or options such as '
            "dict(mode='max-autotune')"
        )
    if options is not True and (unknown := sorted(set(options) - set(known))):
        raise ConfigError(f'compile.{unknown[0]}: unknown, there are {known}')


def _make_resumable(cfg: Config, state_interval: int | str) -> None:
    """Puts in what makes an interrupted run end like an unbroken one, bit for bit."""
    cfg.default_hooks = dict(cfg.get('default_hooks') or {}, checkpoint=None)
    open_number = leaves_workers_open(cfg.get('train_dataloader'))
    cfg.custom_hooks += [
        dict(type='EpochSeedHook', by_batch=open_number),
        dict(type='SafeCheckpointHook'),
        dict(type='ResumeStateHook', interval=state_interval),
    ]
    if cfg.get('launcher', 'none') != 'none':
        # DDP keeps batch-norm statistics apart, and rank 0's alone would be saved.
        cfg.custom_hooks.append(dict(type='SyncBuffersHook'))
    loaders = ('train_dataloader', 'val_dataloader')
    set_dataloader_defaults(cfg, task_of(cfg).collate, *loaders)
