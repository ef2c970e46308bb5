"""What is found out about a plan before hours of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from ff_mm.config import resolve
from ff_mm.datasets.checks.check import check_datasets
from ff_mm.datasets.checks.truth import meta_of
from ff_mm.datasets.folds import FoldFacts, fold_facts, is_cut
from ff_mm.datasets.unlabelled import labelled_part
from ff_mm.engine.hooks.resume_state_hook import read_interval
from ff_mm.errors import ConfigError
from ff_mm.evaluation.metrics.dry_run import dry_run
from ff_mm.fission.class_balance import KEY as BALANCE
from ff_mm.fission.class_balance import read_class_balance
from ff_mm.fission.record import trial_folder
from ff_mm.fission.trial import Trial, trial_config
from ff_mm.tasks import scope_of, task_of


def trial_configs(
    base: Config, trials: Sequence[Trial], work_dir: Path
) -> list[Config]:
    """Builds every trial's config, to find before training what is wrong there.

    Args:
        base: The generation config, references not yet resolved.
        trials: Those of the plan.
        work_dir: The generation's.

    Raises:
        ConfigError: A trial that cannot be carried out, and why.
    """
    read_interval(base.get('state_interval', 1))
    configs = []
    for trial in trials:
        try:
            cfg = trial_config(base, trial, trial_folder(work_dir, trial.id))
        except ConfigError as error:
            raise ConfigError(f'trial {trial.id!r}: {error}') from None
        if not cfg.get('train_dataloader'):
            raise ConfigError(f'trial {trial.id!r}: there is no train_dataloader')
        _check_epochs(trial.id, cfg)
        interval = cfg.train_cfg.get('val_interval', 1)
        validates = cfg.get('val_dataloader') and cfg.get('val_evaluator')
        if not validates or interval != 1:
            raise ConfigError(
                f'trial {trial.id!r}: a plan validates after every epoch; give '
                'val_dataloader and val_evaluator, and train_cfg.val_interval=1 '
                f'(it is {interval})'
            )
        configs.append(cfg)
    return configs


def _check_epochs(name: str, cfg: Config) -> None:
    """Refuses training that is counted in iterations."""
    counts = cfg.train_cfg.get('type'), cfg.train_cfg.get('by_epoch')
    sampler = (cfg.train_dataloader.get('sampler') or {}).get('type')
    if counts[0] == 'IterBasedTrainLoop' or counts[1] is False:
        raise ConfigError(
            f'trial {name!r}: a plan counts in epochs, train_cfg in iterations; give '
            'train_cfg=dict(_delete_=True, by_epoch=True, val_interval=1), and '
            "train_dataloader.sampler=dict(type='DefaultSampler', shuffle=True)"
        )
    if sampler == 'InfiniteSampler':
        raise ConfigError(
            f'trial {name!r}: with train_dataloader.sampler.type={sampler!r} an epoch '
            "has no end; give sampler=dict(type='DefaultSampler', shuffle=True)"
        )


def check_data(cfg: Config, notify: Callable[[str], None]) -> dict[str, BaseDataset]:
    """Builds all data sets and checks that they fit together and the model.

    Args:
        cfg: The generation config.
        notify: Takes a line about each data set.

    Returns:
        ``train``, ``val`` and, if there is one, ``test``.

    Raises:
        DatasetError: All that is wrong with them.
    """
    cfg = resolve(cfg)
    task = task_of(cfg)
    init_default_scope(scope_of(cfg))
    names = ('train', 'val', 'test')
    datasets = check_datasets(
        {
            name: cfg[f'{name}_dataloader'].dataset
            for name in names
            if cfg.get(f'{name}_dataloader')
        }
    )
    for name, dataset in datasets.items():
        notify(task.describe(name, dataset))
    task.check(cfg, datasets, notify)
    return datasets


def check_balance(cfg: Config, dataset: BaseDataset) -> None:
    """Checks that the labels of training go with the config's ``class_balance``.

    Raises:
        ConfigError: They do not.
    """
    cfg = resolve(cfg)
    balance = read_class_balance(cfg.get('class_balance'))
    if balance is not None:
        task = task_of(cfg)
        task.require_scores(BALANCE)
        number = task.outputs(cfg.model) or len(meta_of(dataset).get('classes') or ())
        balance.check(dataset, number)


def check_parts(
    cfg: Config,
    configs: Sequence[Config],
    names: Sequence[str],
    notify: Callable[[str], None],
) -> None:
    """Checks training and validation sets that only some trials have.

    Args:
        cfg: The generation config.
        configs: Those of the trials, resolved.
        names: Ids of the trials.
        notify: Takes a line about each such training set.

    Raises:
        DatasetError: All that is wrong with one of them.
    """
    cfg = resolve(cfg)
    task = task_of(cfg)
    known = [_data(cfg)]
    for name, of_trial in zip(names, configs, strict=True):
        data = _data(of_trial)
        if _without_pipeline(data) in map(_without_pipeline, known):
            continue
        known.append(data)
        test = cfg.get('test_dataloader')
        of_test = dict(test=test.dataset) if test else {}
        seen = ['val'] if is_cut(data['train'], 'all') else []
        datasets = check_datasets({**data, **of_test}, seen)
        notify(f'{name}: {task.describe("train", datasets["train"])}')


def check_folds(
    cfg: Config, trials: Sequence[Trial], notify: Callable[[str], None]
) -> FoldFacts | None:
    """Cuts the folds of a plan, and says what they cost.

    Args:
        cfg: The generation config.
        trials: Those of the plan.
        notify: Takes lines for the user.

    Returns:
        What is to be known of them; None: there are none.

    Raises:
        DatasetError: They cannot be cut.
        ConfigError: A data set that cannot be cut.
    """
    folds = next((trial.folds for trial in trials if trial.folds), None)
    if folds is None:
        return None
    number, epochs = folds['number'], sum(trial.epochs for trial in trials)
    notify(
        f'folds: {epochs} epochs in {len(trials)} trials, {number} times the '
        f'{epochs // number} of one split'
    )
    cfg = resolve(cfg)
    init_default_scope(scope_of(cfg))
    facts = fold_facts(cfg, folds)
    sizes = facts.sizes
    trained = sum(t.epochs * (facts.images - sizes[t.hyper['fold']]) for t in trials)
    notify(
        f'folds: {facts.images} images, train and val together, in {number} folds of '
        f'{min(sizes)} to {max(sizes)}, each of which validates once; {trained} images '
        'to train on in all epochs, if none stops early'
    )
    for note in facts.notes:
        notify(f'note: {note}')
    return facts


def _data(cfg: Config) -> dict[str, Any]:
    data = {name: cfg[f'{name}_dataloader'].dataset for name in ('train', 'val')}
    return dict(data, train=labelled_part(data['train']))


def _without_pipeline(data: Any) -> Any:
    """Data sets but for augmentation, which says nothing of what is in them."""
    if isinstance(data, dict):
        kept = {key: value for key, value in data.items() if key != 'pipeline'}
        return {key: _without_pipeline(value) for key, value in kept.items()}
    return list(map(_without_pipeline, data)) if isinstance(data, list) else data


def check_metrics(cfg: Config, trials: Sequence[Trial], dataset: BaseDataset) -> None:
    """Finds out what cannot be monitored, or selected by in the fusion to come.

    Args:
        cfg: The generation config.
        trials: Those of the plan.
        dataset: The validation set.

    Raises:
        ConfigError: A metric that there is not, or a rule that is the wrong one.
    """
    cfg = resolve(cfg)
    tried = dry_run(cfg.val_evaluator, dataset, task_of(cfg), cfg.model)
    if tried is None:
        return
    for trial in trials:
        if any(key.startswith('val_evaluator') for key in trial.overrides):
            continue  # the stage has metrics of its own
        for hook in trial.hooks:
            if 'monitor' in hook:
                where = f'trial {trial.id!r}: monitor'
                tried.check(hook['monitor'], hook['rule'], where)
    if selection := cfg.get('selection'):
        metric, rule = selection.get('metric'), selection.get('rule')
        tried.check(metric, rule, 'selection.metric')
