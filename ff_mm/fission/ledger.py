"""The ledger: which trials are done, and what each produced."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ff_mm.environment import installed
from ff_mm.errors import LedgerError
from ff_mm.files import read_json, write_json
from ff_mm.fission.differences import compare, difference_error
from ff_mm.fission.record import Record
from ff_mm.fission.trial import Trial
from ff_mm.parallel.claim import Claim
from ff_mm.parallel.dispatch import TakenOverError, write_until_current
from ff_mm.parallel.holder import Holder
from ff_mm.parallel.watch import Watch
from ff_mm.records import NAMED, RecordError, Table
from ff_mm.version import __version__

# Parts of a config that change what is shown or where, but not what comes out.
_IRRELEVANT = {
    'work_dir',
    'launcher',
    'log_level',
    'log_processor',
    'visualizer',
    'vis_backends',
    'default_hooks',
    'custom_imports',
    'env_cfg',
    'resume',
    'selection',
    'state_interval',
    'grace_period',
    'parallel',
    'trials_per_device',
    'trials',
    'retry_failed',
    'ood_dataloaders',
    'test_cfg',
    'test_dataloader',
    'test_evaluator',
}
_PACKAGES = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv-lite',
    'mmcv',
    'mmpretrain',
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmpretrain',
    'numpy',
)
# Left off they are as good as absent: a plan begun before they existed goes on.
_OPTIONS = {'channels_last', 'compile', 'class_balance', 'device_pipeline', 'tf32'}


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of a config that decides what comes out, as JSON has it."""
    kept = {
        key: value
        for key, value in config.items()
        if key not in _IRRELEVANT and (value or key not in _OPTIONS)
    }
    # A cache gives the images as they are, unless they are made smaller for it.
    cached = kept.pop('cache_images', None)
    if isinstance(cached, Mapping) and cached.get('short_side'):
        kept['cache_images'] = dict(short_side=cached['short_side'])
    return json.loads(json.dumps(kept, default=str))


LEDGER = 'ledger.json'
CLAIMS_DIR = 'claims'
FORMAT = 2
_HEADER = Table(FORMAT, config=NAMED, environment=NAMED)


class Ledger:
    """The state of a plan: which trials are done, and who is at work on which.

    Several processes, on several machines, may keep it together. A trial belongs to the
    process that holds its claim (:class:`~ff_mm.parallel.claim.Claim`), and how it
    ended stands in its own record (:class:`~ff_mm.fission.record.Record`).
    ``ledger.json`` shows all of them in one file; it is written anew whenever one of
    them changes, and nothing depends on it but the comparison of configs. Everything is
    on disk, atomically, before anything goes on.

    Args:
        work_dir: The generation's. A ledger that is there must be of the same config.
        config: The generation config as plain dict.
        trials: The plan's trials.

    Attributes:
        notes: What was found damaged and is mended.

    Raises:
        LedgerError: The directory belongs to another config, and what differs; or its
            ledger is none.
    """

    def __init__(
        self, work_dir: str | Path, config: Mapping[str, Any], trials: Sequence[Trial]
    ) -> None:
        self.work_dir = Path(work_dir)
        self.path = self.work_dir / LEDGER
        self.notes: list[str] = []
        self._config = comparable(config)
        self._header = self._read_header()
        digest = _digest(self._config)
        self._trials = {trial.id: trial for trial in trials}
        self._records = {id: Record(self.work_dir, id, digest) for id in self._trials}
        self._claims = {
            id: Claim(self.work_dir / CLAIMS_DIR, id) for id in self._trials
        }
        self._watch = Watch(self.work_dir / CLAIMS_DIR)
        self._ended: dict[str, dict[str, Any]] = {}
        self.refresh()
        for trial_id in self._trials:
            if self._records[trial_id].is_damaged:
                self.notes.append(
                    f'{self._records[trial_id].path}: cut short; trial {trial_id!r} '
                    'is trained again'
                )

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All trials' entries, in the order of the plan."""
        left = [id for id in self._trials if id not in self._ended]
        holders = self._watch.look(left)
        return [
            self._ended.get(id) or self._unended(id, holders.get(id))
            for id in self._trials
        ]

    def entry(self, trial_id: str) -> dict[str, Any]:
        """One trial's entry."""
        if trial_id in self._ended:
            return self._ended[trial_id]
        return self._unended(trial_id, self._claims[trial_id].holder)

    def _unended(self, trial_id: str, holder: Holder | None) -> dict[str, Any]:
        state = 'planned' if holder is None else 'running'
        return dict(_entry(self._trials[trial_id]), state=state)

    def is_done(self, trial_id: str) -> bool:
        """Whether a trial has been finished."""
        return self._state(trial_id) == 'done'

    def has_failed(self, trial_id: str) -> bool:
        """Whether a trial has failed."""
        return self._state(trial_id) == 'failed'

    def is_settled(self, trial_id: str) -> bool:
        """Whether a trial needs no more work, as it is done or has failed."""
        return trial_id in self._ended

    def has_children_to_train(self, trial_id: str) -> bool:
        """Whether a trial is still to start from this one."""
        return any(
            trial_id in trial.parents and not self.is_settled(trial.id)
            for trial in self._trials.values()
        )

    @property
    def complete(self) -> bool:
        """Whether no trial is left to work on."""
        return len(self._ended) == len(self._trials)

    @property
    def failures(self) -> dict[str, dict[str, str]]:
        """Trials that have failed: ``kind`` and ``reason`` by id."""
        return {
            trial_id: entry['failure']
            for trial_id, entry in self._ended.items()
            if entry['state'] == 'failed'
        }

    @property
    def drift(self) -> list[str]:
        """Where today's environment is not that in which the plan was begun."""
        return compare(self._header['environment'], describe_environment())

    def refresh(self, trial_id: str | None = None, anew: bool = False) -> None:
        """Takes notice of what other processes have noted.

        Args:
            trial_id: Of which trial; None: of all.
            anew: Also of trials that had ended when this process looked last, and that
                another command may have begun again.
        """
        if anew:
            self._ended.clear()
        for each in self._trials if trial_id is None else [trial_id]:
            if each not in self._ended:
                if trial_id is not None:
                    self._records[each].ask_server()
                record = self._records[each].read()
                if record is not None:
                    # What the plan says stands there, whatever the record says.
                    plan = _entry(self._trials[each])
                    self._ended[each] = {**plan, **record, **plan}

    def free(self, trial_ids: Collection[str]) -> list[str]:
        """Takes notice of what others have noted, by one look at the claims.

        Args:
            trial_ids: Of which trials. One that nobody has claimed cannot have ended.

        Returns:
            Those that have not ended, and that nobody is at work on.
        """
        holders = self._watch.look([id for id in trial_ids if id not in self._ended])
        free = [id for id in trial_ids if id not in self._ended and not holders.get(id)]
        for trial_id in free:
            if trial_id in holders:
                self.refresh(trial_id)
        return [trial_id for trial_id in free if trial_id not in self._ended]

    def holder(self, trial_id: str) -> Holder | None:
        """The living process that is at work on a trial."""
        return self._claims[trial_id].holder

    def take(self, trial_id: str) -> bool:
        """Makes a trial this process's own, unless another has it or it has ended.

        Returns:
            Whether it is to be trained here. :meth:`release` it in the end.
        """
        if not self._claims[trial_id].take():
            return False
        self.refresh(trial_id)  # it may have ended just before
        if self.is_settled(trial_id):
            self.release(trial_id)
            return False
        return True

    def require_mine(self, trial_id: str) -> None:
        """Raises :class:`TakenOverError` if another process has taken a trial since."""
        claim = self._claims[trial_id]
        if not claim.is_mine:
            raise TakenOverError(
                f'trial {trial_id!r} was taken over by {claim.holder or "another"} '
                'while this process seemed dead; its result is the one that counts'
            )

    def release(self, trial_id: str) -> None:
        """Lets others take a trial."""
        self._claims[trial_id].release()

    def finish(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Notes that a trial is finished, and what came out of it.

        Args:
            trial_id: The trial, taken by this process.
            result: ``epochs``, ``seconds``, ``images`` (trained on, all epochs
                together), ``best_epoch``, ``metrics`` and ``ingredients``.

        Raises:
            TakenOverError: Another process has taken the trial in the meantime.
        """
        self._end(trial_id, dict(result, state='done'))

    def fail(self, trial_id: str, kind: str, reason: str) -> None:
        """Notes that a trial has failed; nothing of it goes into the pool.

        Args:
            trial_id: The trial, taken by this process.
            kind: In a word or two, such as ``'diverged'``.
            reason: A line for the user.

        Raises:
            TakenOverError: Another process has taken the trial in the meantime.
        """
        self._end(
            trial_id, dict(state='failed', failure=dict(kind=kind, reason=reason))
        )

    def forget(self, trial_id: str) -> None:
        """Makes a trial that has ended one that is still to be trained."""
        self._records[trial_id].remove()
        self._ended.pop(trial_id, None)

    def publish(self, last: bool = False) -> None:
        """Writes ``ledger.json``, with what other processes have noted until now.

        Args:
            last: Whether this process has nothing more to note, so that what it writes
                must not be overtaken. In between the file is but a look at the plan,
                and with many processes there would be no end to writing it anew.
        """

        def write(data: dict[str, Any]) -> None:
            write_json(data, self.path)

        if last:
            write_until_current(self._gather, write)
        else:
            write(self._gather())

    def remove_claims(self) -> None:
        """Removes the files of claims, once there is nothing left to claim."""
        shutil.rmtree(self.work_dir / CLAIMS_DIR, ignore_errors=True)

    def cost(self) -> dict[str, float]:
        """Epochs, seconds and training images of all finished trials."""
        done = [entry for entry in self._ended.values() if entry['state'] == 'done']
        return dict(
            trials=len(done),
            epochs=sum(entry['epochs'] for entry in done),
            seconds=round(sum(entry['seconds'] for entry in done), 1),
            images=sum(entry['images'] for entry in done),
        )

    def _state(self, trial_id: str) -> str | None:
        return self._ended.get(trial_id, {}).get('state')

    def _end(self, trial_id: str, result: Mapping[str, Any]) -> None:
        self.require_mine(trial_id)
        entry = {**_entry(self._trials[trial_id]), **result}
        self._records[trial_id].write(entry)
        self.refresh(trial_id)

    def _gather(self) -> dict[str, Any]:
        self.refresh()
        return dict(self._header, trials=self.entries)

    def _read_header(self) -> dict[str, Any]:
        """Reads the ledger's part that does not change, or makes it."""
        new = dict(
            format=FORMAT, environment=describe_environment(), config=self._config
        )
        try:
            data = read_json(self.path)
        except FileNotFoundError:
            return new
        except ValueError as error:
            self.notes.append(f'{error}; made anew from the records of the trials')
            return new
        try:
            _HEADER.read(data)
        except (RecordError, RecursionError) as error:
            raise LedgerError(
                f'{self.path}: is not a ledger: {error}; move the file away to begin '
                'anew, or give a new --work-dir'
            ) from error
        differences = compare(data['config'], self._config)
        if differences:
            raise difference_error(self.path, differences)
        return {key: data[key] for key in new}


def describe_environment() -> dict[str, Any]:
    """Versions, threads and device: what the last bits of the results depend on."""
    found = {name: installed(name) for name in _PACKAGES}
    return {
        'ff_mm': __version__,
        **{name: version for name, version in found.items() if version},
        'threads': torch.get_num_threads(),
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
    }


def _entry(trial: Trial) -> dict[str, Any]:
    return dict(
        id=trial.id,
        stage=trial.stage,
        parent=trial.parent,
        hyper=dict(trial.hyper),
        overrides=json.loads(json.dumps(dict(trial.overrides))),
        planned_epochs=trial.epochs,
        **({} if trial.recipe is None else dict(recipe=trial.recipe)),
    )


def _digest(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
