"""One trial of a plan, carried out by a Runner of MMEngine."""

from __future__ import annotations

import errno
import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process

from ff_mm.datasets.checks.truth import meta_of
from ff_mm.datasets.image_cache.image_cache import ImageCache
from ff_mm.engine.distributed import model_wrapper
from ff_mm.engine.hooks.best_checkpoint_hook import BEST_FILE, best_epoch
from ff_mm.engine.hooks.resume_state_hook import find_state, remove_states
from ff_mm.engine.hooks.snapshot_hook import snapshots
from ff_mm.engine.hooks.start_hook import start_of
from ff_mm.engine.ingredient_file import write_ingredient
from ff_mm.engine.mmengine_patches import without_worker_traceback
from ff_mm.engine.quiet_runner import QuietRunner
from ff_mm.engine.worker_failures import what_it_says, worker_failure
from ff_mm.errors import TrialDiverged, TrialError
from ff_mm.files import remove_unfinished, sha256
from ff_mm.fission.device_sharing import memory_remedy
from ff_mm.fission.ledger import Ledger
from ff_mm.fission.manifest import INGREDIENTS_DIR, ORIGIN_DIR
from ff_mm.fission.ownership_hook import OwnershipHook
from ff_mm.fission.progress import PlanProgress
from ff_mm.fission.progress_hook import ProgressHook, seconds_spent
from ff_mm.fission.record import trial_folder
from ff_mm.fission.run_extras import extras_of
from ff_mm.fission.starts import START_FILE, start_from
from ff_mm.fission.tracking_hook import TrackingHook
from ff_mm.fission.trial import Trial, trial_config
from ff_mm.fission.waiting_hook import WaitingHook
from ff_mm.merging.state_dict import (
    CheckpointError,
    read_checkpoint,
    write_checkpoint,
)
from ff_mm.parallel.dispatch import TakenOverError
from ff_mm.parallel.termination import deferred, raise_if_requested
from ff_mm.tracking import Tracking

_NO_MEMORY = ("can't allocate memory", 'out of memory', 'ALLOC_FAILED')


@dataclass(frozen=True)
class Failure:
    """How a trial has failed.

    Attributes:
        kind: In a few words.
        reason: A line for the user.
        may_pass: Whether it may do better next time, with the same config.
    """

    kind: str
    reason: str
    may_pass: bool


def failure_of(error: BaseException, sharing: int = 1) -> Failure | None:
    """Says how a trial has failed; None if the error is not of this trial alone.

    Divergence is a property of the hyper-parameters. Memory and data workers are of the
    machine, which may serve other trials, or this one later. All else (a full disk,
    files that cannot be read, mistakes in the config or in the program) would meet
    every trial.

    Args:
        error: What was raised while the trial was trained.
        sharing: How many trials are trained on one device at the same time.
    """
    text = what_it_says(error)
    if isinstance(error, TrialDiverged):
        return Failure('diverged', text, may_pass=False)
    if _is_out_of_memory(error, text):
        reason = f'{_short(text)}; {memory_remedy(sharing)}'
        return Failure('out of memory', reason, may_pass=True)
    if died := worker_failure(error):
        reason = f'{died}; {memory_remedy(sharing)}' if sharing > 1 else died
        return Failure('data worker died', reason, may_pass=True)
    return None


def _is_out_of_memory(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(w in text for w in _NO_MEMORY)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f'{text[:197]}...'


class TrialRunner:
    """Trains single trials, or what is missing of them, and records how they ended.

    With a process group all of its processes train a trial together, and the first
    keeps the ledger.

    Args:
        cfg: The generation config, references not yet resolved.
        ledger: Of the plan; the trials to run have been taken.
        images: The cache of the plan's images.
        progress: The display of the whole plan.
        tracking: The trackers that the plan is logged to.
        sharing: How many trials are trained on one device at the same time.
    """

    def __init__(
        self,
        cfg: Config,
        ledger: Ledger,
        images: ImageCache,
        progress: PlanProgress,
        tracking: Tracking,
        sharing: int = 1,
    ) -> None:
        self.cfg = cfg
        self.ledger = ledger
        self.images = images
        self.progress = progress
        self.tracking = tracking
        self._noted = False
        self.sharing = sharing

    def run(self, trial: Trial) -> None:
        """Trains one trial and notes in the ledger what came out of it.

        Args:
            trial: Its parent is done.

        Raises:
            TrialError: The parent's checkpoint is missing.
            TakenOverError: Another process trains it, since this one seemed dead; on
                all ranks.
        """
        failure = self._try(trial)
        if failure is None:
            return
        self._together(self.ledger.fail, trial.id, failure.kind, failure.reason)
        self.progress.fail_trial(trial.id, f'{failure.kind}: {failure.reason}')

    def _try(self, trial: Trial) -> Failure | None:
        """Trains a trial; what is left of a failed one is garbage when it returns."""
        try:
            with deferred():
                self._train(trial)
        except TakenOverError:
            self.progress.give_up_trial()
            raise
        except Exception as error:
            failure = failure_of(error, self.sharing)
            grouped = torch.distributed.is_initialized()
            if not grouped:  # files that another has cleared away are no error of ours
                self.ledger.require_mine(trial.id)
            if grouped or (failure and failure.kind == 'data worker died'):
                raise_if_requested()  # another rank, or the worker, has ended of it
            # Of several ranks, one alone may have it; those that go on would wait.
            if failure is None:
                raise
            if grouped and failure.may_pass:
                raise TrialError(
                    f'{trial.id} ({failure.kind}): {failure.reason}; the others cannot '
                    'go on without this process, the same command goes on from here'
                ) from error
            return failure
        finally:
            self._free_memory()
        return None

    def _train(self, trial: Trial) -> None:
        folder = self._folder(trial.id)
        if is_main_process():
            remove_unfinished(folder)
            self._drop_damaged_state(trial.id)
            for name in (INGREDIENTS_DIR, ORIGIN_DIR):
                remove_unfinished(self.ledger.work_dir / name, trial.id)
        state = [find_state(folder)]
        broadcast_object_list(state)  # ranks on other machines may see another
        cfg = trial_config(
            self.cfg,
            trial,
            folder,
            parent_file=self._parent_file(trial),
            state=state[0],
            state_interval=self.cfg.get('state_interval', 1),
        )
        if wrapper := model_wrapper(cfg):
            cfg.setdefault('model_wrapper_cfg', wrapper)
        self.images.use_in(cfg)
        self.tracking.put_into(cfg, trial.id, trial.stage, trial.hyper)
        runner = QuietRunner.from_cfg(cfg)
        try:
            runner.register_hook(ProgressHook(self.progress, trial.id))
            runner.register_hook(TrackingHook())
            runner.register_hook(WaitingHook(self._note_once))
            runner.writer.allowed = partial(self._is_ours, trial.id)
            require_mine = partial(self._together, self.ledger.require_mine, trial.id)
            runner.hooks.insert(0, OwnershipHook(require_mine))
            with without_worker_traceback():
                runner.train()
            best = _require_best(trial, runner)
            require_mine()
            self._together(self._finish, trial, runner, best)
        finally:
            runner.release()

    def _finish(
        self, trial: Trial, runner: QuietRunner, best: dict[str, Any] | None
    ) -> None:
        self.ledger.finish(trial.id, self._result(trial, runner, best))
        remove_states(self._folder(trial.id))
        (self._folder(trial.id) / START_FILE).unlink(missing_ok=True)

    def _together(self, work: Callable[..., None], *args: Any) -> None:
        """Has the first rank do something, while the others wait.

        Raises:
            TakenOverError: On all ranks, if the trial is another process's.
        """
        lost: list[str | None] = [None]
        if is_main_process():
            try:
                work(*args)
            except TakenOverError as error:
                lost[0] = str(error)
        broadcast_object_list(lost)
        if lost[0] is not None:
            raise TakenOverError(lost[0])

    def _drop_damaged_state(self, trial_id: str) -> None:
        """Has a trial begin anew whose last state, or best epoch, is not as written."""
        folder = self._folder(trial_id)
        state, best = find_state(folder), folder / BEST_FILE
        try:
            if state is not None:
                read_checkpoint(state, whole=True)
                if best.is_file():
                    read_checkpoint(best, whole=True)
        except CheckpointError as error:
            remove_states(folder)
            self.progress.note(f'{error}: trial {trial_id} begins anew')

    def _is_ours(self, trial_id: str) -> bool:
        try:
            self.ledger.require_mine(trial_id)
        except TakenOverError:  # training hears of it where it asks itself
            return False
        return True

    def _note_once(self, line: str) -> None:
        if not self._noted and is_main_process():
            self.progress.note(line)
        self._noted = True

    def _free_memory(self) -> None:
        gc.collect()  # models hold cycles; without this two would be in memory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _folder(self, trial_id: str) -> Path:
        return trial_folder(self.ledger.work_dir, trial_id)

    def _parent_file(self, trial: Trial) -> Path | None:
        files = {id: self._folder(id) / BEST_FILE for id in trial.parents}
        for path in files.values():
            if not path.is_file():
                raise TrialError(
                    f'{path}: trial {trial.id!r} starts from this file, which is '
                    'missing; the same command trains its trial again'
                )
        if trial.start is None:
            return files[trial.parent] if trial.parent is not None else None
        start = self._folder(trial.id) / START_FILE
        self._together(self._write_start, trial, files, start)
        return start

    def _write_start(self, trial: Trial, files: dict[str, Path], start: Path) -> None:
        assert trial.start is not None
        self.ledger.require_mine(trial.id)
        weights = start_from(trial.start, files)
        write_checkpoint(dict(meta={}, state_dict=weights), start)

    def _result(
        self, trial: Trial, runner: QuietRunner, best: dict[str, Any] | None
    ) -> dict[str, Any]:
        extras = extras_of(runner)
        trained = runner.epoch * len(runner.train_dataloader.dataset)
        result = dict(
            extras,
            epochs=runner.epoch,
            seconds=round(seconds_spent(runner), 2),
            images=trained + extras.get('images', 0),
            ingredients=[],
        )
        if start := start_of(runner):
            result['origin'] = start
        if best is None:
            records = snapshots(runner)
            return dict(result, metrics=records[-1]['metrics'], ingredients=records)
        if trial.yields == 'start':
            result['origin'] = self._keep_best(trial, best, runner, ORIGIN_DIR)
        elif trial.yields == 'best':
            kept = self._keep_best(trial, best, runner, INGREDIENTS_DIR)
            result['ingredients'] = [kept, *snapshots(runner)]
        file = self._folder(trial.id) / BEST_FILE
        return dict(
            result,
            best_epoch=best['epoch'],
            metrics=best['metrics'],
            best_file=dict(file=file.name, sha256=sha256(file)),
        )

    def _keep_best(
        self, trial: Trial, best: dict[str, Any], runner: QuietRunner, folder: str
    ) -> dict[str, Any]:
        """Writes the best epoch's weights, without the state of the optimizer."""
        checkpoint = read_checkpoint(self._folder(trial.id) / BEST_FILE)
        description = dict(
            trial.describe(), name=trial.id, cycle=None, epoch=best['epoch']
        )
        return write_ingredient(
            self.ledger.work_dir / folder / f'{trial.id}.pth',
            checkpoint['state_dict'],
            description,
            best['metrics'],
            dataset_meta=meta_of(runner.train_dataloader.dataset),
        )


def _require_best(trial: Trial, runner: QuietRunner) -> dict[str, Any] | None:
    """The best epoch; None if snapshots are taken. On all ranks, there must be one."""
    if trial.yields == 'snapshots':
        return None
    best = best_epoch(runner)
    if best is None:
        raise TrialDiverged(
            'no epoch had a finite validation metric to go by',
            runner.epoch,
            len(runner.train_dataloader),
            None,
        )
    return best
