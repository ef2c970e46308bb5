"""Fission: carries out a plan, one MMEngine Runner a trial."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import RUNNERS

from ff_mm.config import resolve
from ff_mm.datasets.checks.on_disk import images_identity, keep_images_file
from ff_mm.datasets.device_pipeline.batch_pipeline import cache_option
from ff_mm.datasets.image_cache.image_cache import ImageCache
from ff_mm.datasets.sharing import forget_datasets, keep_dataset
from ff_mm.datasets.splits.split_file import keep_split_file
from ff_mm.display.console import make_console, say
from ff_mm.display.tables import generation_table
from ff_mm.engine.data_loaders import forget_batches
from ff_mm.engine.device import describe_device
from ff_mm.engine.distributed import describe_data_parallel, init_distributed
from ff_mm.engine.hooks.resume_state_hook import remove_states
from ff_mm.errors import ConfigError, TrialError
from ff_mm.evaluation.fingerprint import validation_fingerprint, validation_view
from ff_mm.files import check_own_folder
from ff_mm.fission.begun import go_on_as_begun
from ff_mm.fission.device_sharing import (
    KEY,
    check_processes,
    describe_processes,
    shared_cache,
    trials_per_device,
)
from ff_mm.fission.disk import check_disk, disk_need
from ff_mm.fission.ledger import CLAIMS_DIR, LEDGER, Ledger
from ff_mm.fission.looking_back import look_back, require_parents
from ff_mm.fission.manifest import MANIFEST, find_damaged, write_manifest
from ff_mm.fission.plan_checks import (
    check_balance,
    check_data,
    check_folds,
    check_metrics,
    check_parts,
    trial_configs,
)
from ff_mm.fission.plan_tracking import log_plan
from ff_mm.fission.plans.plan import build_plan
from ff_mm.fission.progress import PlanProgress
from ff_mm.fission.record import trial_folder
from ff_mm.fission.trial import choose_trials, marked, parents_of
from ff_mm.fission.trial_runner import TrialRunner
from ff_mm.fission.unlabelled import check_unlabelled
from ff_mm.models.starting_weights import check_starting_weights
from ff_mm.parallel.claim import Claim, only_one
from ff_mm.parallel.dispatch import Dispatch, TakenOverError, Task
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone, together
from ff_mm.tasks import task_of
from ff_mm.tracking import Tracking
from ff_mm.tracking.tracking import PLAN
from ff_mm_commands.table import called

SPLITS = 'splits.csv'
IMAGES = 'images.csv'
# Names of claims that no trial can have.
_PLAN, _PREPARATION = '.plan', '.preparation'


@RUNNERS.register_module()
class GenerationRunner:
    """Carries out the plan of a config and writes its ingredients.

    Built by ``RUNNERS.build(cfg)`` from a config with
    ``runner_type='GenerationRunner'`` and a ``plan``. Every trial is an ordinary
    training run in ``trials/<id>/`` of the work directory. The same command goes on
    where an earlier run was stopped; what comes out is, on CPU and with as many
    threads, bit for bit what an unbroken run gives. With ``cache_images`` images are
    decoded once (:class:`ff_mm.datasets.image_cache.image_cache.ImageCache`).

    Started by a launcher, all its processes carry out the plan together. Other keys:

    - ``trials_per_device``: How many of these processes share a device, and the images
      (``cache_images`` is on then, unless it is False).
    - ``parallel``: ``'trial'``, each process takes whole trials, which gives what one
      process gives; or ``'data'``, all of them train each trial (DDP).
    - ``trials``: Ids or numbers (from 0) of the trials that this command is for; None:
      all. Several such commands may run at once.
    - ``retry_failed``: Whether trials that have failed are tried again.

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
        go_on_as_begun(cfg)
        plan = dict(cfg.plan)
        if cfg.get('augmentation') and not plan.get('augmentations'):
            plan['augmentations'] = [cfg.augmentation]
        self.plan = build_plan(plan)
        try:
            self.trials = self.plan.trials()
        except (KeyError, TypeError) as error:  # a value of another kind
            raise ConfigError(f'plan: {error}') from error
        if getattr(self.plan, 'needs_scores', False):
            task_of(cfg).require_scores(f'plan.type={plan["type"]!r}')
        self.trials = marked(self.trials, resolve(cfg).get('class_balance'))
        self.chosen = choose_trials(self.trials, cfg.get('trials'))
        self.parallel = cfg.get('parallel', 'trial')
        if self.parallel not in ('trial', 'data'):
            raise ConfigError(
                f"parallel={self.parallel!r}: expected 'trial', each process takes "
                "whole trials, or 'data', all of them train each trial"
            )
        self.per_device = trials_per_device(cfg)
        self.tracking = Tracking(resolve(cfg))

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
            InUseError: Another process carries out this plan.
            AnotherFailed: Another process of this command has.
            LedgerError: The work directory belongs to another config.
            DiskError: The disk does not suffice.
            TrialError: After all others are done, what failed and may pass, or if all.
        """
        self._meet_others()
        cfg = resolve(self.cfg)
        option = shared_cache(cfg, self.per_device) or cache_option(cfg)
        self.images = ImageCache(option, self.work_dir, self.console)
        with ExitStack() as stack:
            stack.callback(forget_batches)
            validation = self._set_up(stack)
            self._carry_out(validation)
            manifest = self._sum_up(validation)
            self._finish(manifest)
        if manifest['complete'] and self.team.is_first:
            self.ledger.remove_claims()
        forget_datasets()
        self._complain(manifest)
        return manifest

    def _set_up(self, stack: ExitStack) -> dict[str, Any]:
        """Checks all that can be checked, and opens what the run needs.

        Args:
            stack: Takes what is to be given free at the end.

        Returns:
            What the manifest says of the validation set.
        """
        configs = trial_configs(self.cfg, self.trials, self.work_dir)
        datasets = self._check_data()
        check_balance(self.cfg, datasets['train'])
        self.folds = check_folds(self.cfg, self.trials, self._say)
        ids = [trial.id for trial in self.trials]
        first_alone(
            self.team,
            'parts',
            lambda: check_parts(self.cfg, configs, ids, self._say),
        )
        check_metrics(self.cfg, self.trials, datasets['val'])
        self.unlabelled = check_unlabelled(self.cfg, self.trials, datasets, self._say)
        files = first_alone(
            self.team, 'prepare', lambda: self._prepare(datasets, configs, stack)
        )

        def find_or_fill() -> None:
            if not self.images.find(files):  # they are on another machine
                self.images.fill(self.unlabelled.trained_on, configs)

        together(self.team, 'images', find_or_fill)  # in training they wait not long
        self.ledger = self._open_ledger()
        cfg = resolve(self.cfg)
        for name in ('train', 'val'):
            keep_dataset(cfg[f'{name}_dataloader'].dataset, datasets[name])
        val = datasets['val']
        validation = dict(
            fingerprint=validation_fingerprint(cfg, val),
            view=validation_view(cfg),
            images=first_alone(self.team, 'val', lambda: images_identity(val)),
            size=len(val),
            **({} if self.folds is None else dict(folds=self.folds.described())),
        )
        if self.team.is_first and (self.work_dir / MANIFEST).exists():
            write_manifest(self.ledger, validation)  # it may be complete no longer
        return validation

    def _check_data(self) -> dict[str, BaseDataset]:
        """Builds the data sets; what the first one unpacks or loads the others find."""
        found: dict[str, BaseDataset] = {}

        def check() -> None:
            if not found:
                found.update(check_data(self.cfg, self._say))

        first_alone(self.team, 'data of the first', check)
        together(self.team, 'data', check)
        return found

    def _meet_others(self) -> None:
        """Finds the other processes, and makes one run of them if that is wanted."""
        launcher = self.cfg.get('launcher', 'none')
        self.team = Team.of_launcher(launcher).anew()
        self.console = make_console(quiet=not self.team.is_first)
        if self.parallel == 'data':
            init_distributed(self.cfg)
        else:
            self.cfg.launcher = 'none'  # to MMEngine each process is alone
        self.data_parallel = self.parallel == 'data' and launcher != 'none'
        self._say(describe_device())
        if self.data_parallel:
            self._say(describe_data_parallel(self.cfg, self.team.size))
        elif self.team.size > 1:
            check_processes(self.per_device)
            self._say(describe_processes(self.team.size, self.per_device))
        elif self.per_device > 1:
            self._say(
                f'note: {KEY}={self.per_device} is for {called("train")}, which starts '
                'as many processes; this is one alone'
            )

    def _prepare(
        self,
        datasets: dict[str, BaseDataset],
        configs: list[Config],
        stack: ExitStack,
    ) -> dict[str, str]:
        """Does what is done once for all processes; gives the files of the images."""
        check_own_folder(self.work_dir)
        if self.cfg.get('trials') is None:
            hint = ' (with --trial several commands can share a plan)'
            stack.enter_context(only_one(self.work_dir, _PLAN, hint, self._say))
        suspects = self._find_damaged()  # others need not wait for that
        waiting = 'waiting for {} to finish its preparations'
        with Claim(self.work_dir / CLAIMS_DIR, _PREPARATION).held(
            lambda holder: self._say(waiting.format(holder))
        ):
            if not (self.work_dir / LEDGER).exists():
                # Once: later runs start from files of this one.
                for line in check_starting_weights(resolve(self.cfg).model):
                    self._say(line)
                self.plan.check(self._say)
                self.unlabelled.check_contents(resolve(self.cfg), self.console)
            ledger = self._open_ledger()
            self._keep_data(datasets)
            retry = bool(self.cfg.get('retry_failed'))
            look_back(ledger, suspects, self.trials, self.chosen, retry, self._say)
            ledger.publish()
            if not (left := [t for t in self.chosen if not ledger.is_settled(t.id)]):
                return {}
            require_parents(ledger, self.chosen)
            processes = 1 if self.data_parallel else self.team.size
            check_disk(disk_need(self.trials, configs, left, processes), self.work_dir)
            with self.tracking.run(PLAN, PLAN) as run:  # those of trials belong to it
                run.begin(self.cfg, self._say)
            return self.images.fill(self.unlabelled.trained_on, configs)

    def _keep_data(self, datasets: dict[str, BaseDataset]) -> None:
        """Refuses to go on with other cases or images than the plan was begun with."""
        begun = (self.work_dir / SPLITS).exists()
        fold_of = None if self.folds is None else self.folds.fold_of
        keep_split_file(self.work_dir / SPLITS, datasets, fold_of)
        images = self.unlabelled.on_disk
        if not keep_images_file(self.work_dir / IMAGES, images) and begun:
            self._say(
                f'note: begun by a version that had no {IMAGES}: from now on images '
                'are to stay what they are'
            )

    def _open_ledger(self) -> Ledger:
        config = self.cfg.to_dict()
        if self.data_parallel:
            # The images of a step decide what comes out.
            config['data_parallel'] = self.team.size
        return Ledger(self.work_dir, config, self.trials)

    def _find_damaged(self) -> Collection[str]:
        """Finds finished trials whose files are no longer what they were."""
        if not (self.work_dir / LEDGER).exists():
            return ()
        parents = parents_of(self.chosen)
        ids = [t.id for t in self.trials if t in self.chosen or t.id in parents]
        return find_damaged(self._open_ledger(), ids)

    def _carry_out(self, validation: dict[str, Any]) -> None:
        """Trains what is left of the chosen trials, together with the team."""
        left = [self.ledger.entry(trial.id) for trial in self.chosen]
        team = Team.alone() if self.data_parallel else self.team
        console = make_console()
        with PlanProgress(left, console, team) as progress:
            runner = TrialRunner(
                self.cfg,
                self.ledger,
                self.images,
                progress,
                self.tracking,
                self.per_device,
            )
            trials = {trial.id: trial for trial in self.trials}

            def run(trial_id: str) -> None:
                self.ledger.publish()  # it is running
                runner.run(trials[trial_id])
                write_manifest(self.ledger, validation)
                self.ledger.publish()

            if not self.data_parallel:
                self._dispatch(team, run)
            elif self.team.is_first:
                self._lead(run)
            else:
                for trial_id in self._orders():
                    with suppress(TakenOverError):  # the first says so
                        runner.run(trials[trial_id])

    def _dispatch(self, team: Team, run: Callable[[str], None]) -> None:
        ids = {trial.id for trial in self.chosen}
        parents = parents_of(self.chosen) - ids
        tasks = [
            Task(trial.id, trial.parents)
            for trial in self.trials
            if trial.id in ids
            # One that is in other hands is not begun here, but waited for.
            or (trial.id in parents and not self.ledger.is_settled(trial.id))
        ]
        Dispatch(tasks, self.ledger, team, run, self._say).carry_out()

    def _lead(self, run: Callable[[str], None]) -> None:
        """Decides, for all processes, which trial is next."""

        def run_together(trial_id: str) -> None:
            self.team.tell(f'order/{self.team.next_number("order")}', trial_id)
            run(trial_id)

        try:
            self._dispatch(Team.alone(), run_together)
        finally:
            self.team.tell(f'order/{self.team.next_number("order")}', None)

    def _orders(self) -> Iterator[str]:
        """Which trials the first process decides to train, until there are no more."""
        number = 0
        while (trial_id := self.team.listen(f'order/{number}')) is not None:
            yield trial_id
            number += 1

    def _sum_up(self, validation: dict[str, Any]) -> dict[str, Any]:
        """Writes the manifest of all that there is now, also of other commands."""
        self.ledger.refresh(anew=True)
        write = partial(write_manifest, self.ledger, validation, last=True)
        if self.data_parallel:
            return first_alone(self.team, 'manifest', write)
        return write()

    def _finish(self, manifest: dict[str, Any]) -> None:
        """Shows what came out; removes what only unfinished plans need."""
        for trial in self.chosen:
            if self.ledger.is_done(trial.id) and self.team.is_first:
                remove_states(trial_folder(self.work_dir, trial.id))
        self.team.leave()
        if self.ledger.complete:
            self.images.remove()
        if not self.team.is_first:
            return
        self.ledger.publish(last=True)
        entries = [self.ledger.entry(trial.id) for trial in self.chosen]
        metric = (self.cfg.get('selection') or {}).get('metric', '')
        first = [metric, 'loss']
        generation_table(entries, manifest, self.work_dir, self.console, first)
        log_plan(self.tracking, self.ledger.entries, manifest, self.work_dir, metric)

    def _complain(self, manifest: dict[str, Any]) -> None:
        """Ends with an error if there is something to be done about it."""
        again = [
            f'{trial.id} ({failure["kind"]})'
            for trial in self.chosen
            if (failure := self.ledger.failures.get(trial.id))
            and failure['kind'] not in ('diverged', 'parent failed')
        ]
        if again:
            raise TrialError(
                f'{", ".join(again)}: failed for what may pass; the same command with '
                '--retry-failed tries again, all else is kept'
            )
        if manifest['complete'] and not manifest['ingredients']:
            raise TrialError(
                f'no trial has yielded an ingredient: {manifest["failed"][0]["reason"]}'
            )

    def _say(self, line: str) -> None:
        say(line, self.console)
