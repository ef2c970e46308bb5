"""Fission: carries out a plan, one MMEngine Runner a trial."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import barrier, is_main_process
from mmengine.registry import RUNNERS, TASK_UTILS, init_default_scope

from ff_mm.analysis.progress import PlanProgress, make_console, say
from ff_mm.analysis.tables import generation_table
from ff_mm.config import resolve
from ff_mm.datasets.checks.check import check_datasets, describe
from ff_mm.datasets.image_cache.image_cache import ImageCache
from ff_mm.datasets.splits.split_file import keep_split_file
from ff_mm.engine.distributed import init_distributed, model_wrapper
from ff_mm.engine.hooks.best_checkpoint_hook import BEST_FILE, best_epoch
from ff_mm.engine.hooks.progress_hook import ProgressHook, seconds_spent
from ff_mm.engine.hooks.resume_state_hook import find_state, remove_states
from ff_mm.engine.hooks.snapshot_hook import snapshots
from ff_mm.engine.runners.quiet_runner import QuietRunner
from ff_mm.engine.shared_datasets import forget_datasets, keep_dataset
from ff_mm.engine.validation import validation_fingerprint
from ff_mm.engine.worker_errors import own_words
from ff_mm.errors import ConfigError, TrialError
from ff_mm.evaluation.rehearsal import rehearse
from ff_mm.generation.ingredient_file import write_ingredient
from ff_mm.generation.ledger import Ledger
from ff_mm.generation.manifest import INGREDIENTS_DIR, write_manifest
from ff_mm.generation.trial import Trial, trial_config
from ff_mm.merging.state_dict import read_checkpoint
from ff_mm.models.head_check import check_head
from ff_mm.models.starting_weights import check_starting_weights

LEDGER = 'ledger.json'
SPLITS = 'splits.csv'
TRIALS_DIR = 'trials'


@RUNNERS.register_module()
class GenerationRunner:
    """Carries out the plan of a config and writes its ingredients.

    Built by ``RUNNERS.build(cfg)`` from a config with
    ``runner_type='GenerationRunner'`` and a ``plan``. Every trial is an ordinary
    training run in ``trials/<id>/`` of the work directory. Whatever stopped an earlier
    run, the same command goes on where it was: finished trials are not run again, and
    what comes out is, on CPU and with as many threads, bit for bit what an unbroken run
    gives. With ``cache_images`` images are decoded once for all trials, see
    :class:`ff_mm.datasets.image_cache.image_cache.ImageCache`.

    Args:
        cfg: The generation config, references not yet resolved.

    Raises:
        ConfigError: No plan, or one that cannot be carried out.
        LedgerError: The work directory belongs to another config.
    """

    def __init__(self, cfg: Config) -> None:
        if 'plan' not in cfg:
            raise ConfigError(
                f"{cfg.filename}: runner_type='GenerationRunner' needs a plan, such as "
                "plan=dict(type='FGGPlan', lrs=[1e-3, 1e-4])"
            )
        self.cfg = cfg
        self.work_dir = Path(cfg.work_dir)
        self.state_interval = cfg.get('state_interval', 1)
        plan = dict(cfg.plan)
        if cfg.get('augmentation') and not plan.get('augmentations'):
            plan['augmentations'] = [cfg.augmentation]
        try:
            self.trials = TASK_UTILS.build(plan).trials()
        except (KeyError, TypeError) as error:  # no such plan, or no such argument
            raise ConfigError(f'plan: {error}') from error
        self.console = make_console()
        self.progress: PlanProgress | None = None

    @classmethod
    def from_cfg(cls, cfg: Config) -> GenerationRunner:
        """Builds the runner, as MMEngine's registry asks for."""
        return cls(cfg)

    def train(self) -> dict[str, Any]:
        """Carries out all trials that are not done yet.

        Returns:
            The manifest, as written to ``ingredients.json``.

        Raises:
            DatasetError: All that is wrong with the data, before any training; or a run
                that goes on with other data than it began with.
            TrialError: A trial that yielded nothing to go on with.
        """
        init_distributed(self.cfg)
        option = resolve(self.cfg).get('cache_images')
        self.images = ImageCache(option, self.work_dir, self.console)
        configs = self._rehearse()
        datasets = self._check_data()
        self._check_metrics(datasets['val'])
        validation = dict(
            fingerprint=validation_fingerprint(resolve(self.cfg), datasets['val']),
            size=len(datasets['val']),
        )
        if not (self.work_dir / LEDGER).exists():
            # Once: later runs start from files of this one.
            for line in check_starting_weights(resolve(self.cfg).model):
                say(line, self.console)
        self.ledger = Ledger(self.work_dir / LEDGER, self.cfg.to_dict(), self.trials)
        if is_main_process():
            keep_split_file(self.work_dir / SPLITS, datasets)
        if not self.ledger.complete:
            self.images.fill(datasets, configs)
        for name in ('train', 'val'):
            loader = resolve(self.cfg)[f'{name}_dataloader']
            keep_dataset(loader.dataset, datasets[name])
        del datasets, configs
        for change in self.ledger.drift:
            text = (
                f'note: begun with another environment, last bits may differ: {change}'
            )
            say(text, self.console)
        with PlanProgress(self.ledger.entries, self.console) as self.progress:
            for trial in self.trials:
                if self.ledger.is_done(trial.id):
                    remove_states(self._folder(trial.id))
                else:
                    self._run(trial)
                    write_manifest(self.work_dir, self.ledger, validation)
        manifest = write_manifest(self.work_dir, self.ledger, validation)
        if is_main_process():
            generation_table(self.ledger.entries, manifest, self.work_dir, self.console)
        self.images.remove()
        forget_datasets()
        return manifest

    def _rehearse(self) -> list[Config]:
        """Builds every trial's config, to find before training what is wrong there."""
        configs = []
        for trial in self.trials:
            try:
                cfg = trial_config(self.cfg, trial, self._folder(trial.id))
            except ConfigError as error:
                raise ConfigError(f'trial {trial.id!r}: {error}') from None
            if not cfg.get('train_dataloader'):
                raise ConfigError(f'trial {trial.id!r}: there is no train_dataloader')
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

    def _check_data(self) -> dict[str, BaseDataset]:
        """Builds all data sets and checks that they fit together and the model."""
        cfg = resolve(self.cfg)
        init_default_scope(cfg.get('default_scope', 'mmpretrain'))
        names = ('train', 'val', 'test')
        datasets = check_datasets(
            {
                name: cfg[f'{name}_dataloader'].dataset
                for name in names
                if cfg.get(f'{name}_dataloader')
            }
        )
        for name, dataset in datasets.items():
            say(describe(name, dataset), self.console)
        check_head(cfg.model.get('head') or {}, datasets['val'])
        return datasets

    def _check_metrics(self, dataset: BaseDataset) -> None:
        """Finds out what cannot be monitored, or selected by in the fusion to come."""
        cfg = resolve(self.cfg)
        num_classes = (cfg.model.get('head') or {}).get('num_classes')
        rehearsal = rehearse(cfg.val_evaluator, dataset, num_classes)
        if rehearsal is None:
            return
        for trial in self.trials:
            if any(key.startswith('val_evaluator') for key in trial.overrides):
                continue  # the stage has metrics of its own
            for hook in trial.hooks:
                if 'monitor' in hook:
                    where = f'trial {trial.id!r}: monitor'
                    rehearsal.check(hook['monitor'], hook['rule'], where)
        if selection := cfg.get('selection'):
            metric, rule = selection.get('metric'), selection.get('rule')
            rehearsal.check(metric, rule, 'selection.metric')

    def _run(self, trial: Trial) -> None:
        """Trains one trial, or what is missing of it, and records the result."""
        self.ledger.start(trial.id)
        folder = self._folder(trial.id)
        cfg = trial_config(
            self.cfg,
            trial,
            folder,
            parent_file=self._parent_file(trial),
            state=find_state(folder),
            state_interval=self.state_interval,
        )
        if wrapper := model_wrapper(cfg):
            cfg.setdefault('model_wrapper_cfg', wrapper)
        self.images.use_in(cfg)
        runner = QuietRunner.from_cfg(cfg)
        try:
            runner.register_hook(ProgressHook(self.progress, trial.id))
            with own_words():
                runner.train()
            if is_main_process():
                self.ledger.finish(trial.id, self._result(trial, runner))
                remove_states(folder)
            barrier()
        finally:
            runner.release()
        del runner
        gc.collect()  # models hold cycles; without this two would be in memory

    def _folder(self, trial_id: str) -> Path:
        return self.work_dir / TRIALS_DIR / trial_id

    def _parent_file(self, trial: Trial) -> Path | None:
        if trial.parent is None:
            return None
        path = self._folder(trial.parent) / BEST_FILE
        if not path.is_file():
            raise TrialError(
                f'{path}: trial {trial.id!r} starts from this file, which is missing; '
                f'mark {trial.parent!r} as planned in {LEDGER} to train it again'
            )
        return path

    def _result(self, trial: Trial, runner: QuietRunner) -> dict[str, Any]:
        result = dict(
            epochs=runner.epoch,
            seconds=round(seconds_spent(runner), 2),
            images=runner.epoch * len(runner.train_dataloader.dataset),
            ingredients=[],
        )
        if trial.yields == 'snapshots':
            records = snapshots(runner)
            return dict(result, metrics=records[-1]['metrics'], ingredients=records)
        best = best_epoch(runner)
        if best is None:
            raise TrialError(
                f'trial {trial.id!r} never had a finite validation metric: look at '
                f'{self._folder(trial.id)}, and lower its learning rate'
            )
        if trial.yields == 'best':
            result['ingredients'] = [self._keep_best(trial, best, runner)]
        return dict(result, best_epoch=best['epoch'], metrics=best['metrics'])

    def _keep_best(self, trial: Trial, best: dict, runner: QuietRunner) -> dict:
        """Writes the best epoch's weights as an ingredient."""
        checkpoint = read_checkpoint(self._folder(trial.id) / BEST_FILE)
        description = dict(
            trial.describe(), name=trial.id, cycle=None, epoch=best['epoch']
        )
        return write_ingredient(
            self.work_dir / INGREDIENTS_DIR / f'{trial.id}.pth',
            checkpoint['state_dict'],
            description,
            best['metrics'],
            dataset_meta=runner.train_dataloader.dataset.metainfo,
        )
