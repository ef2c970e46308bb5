"""The ledger: which trials are done, and what each produced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process

from ff_mm.environment import installed
from ff_mm.errors import LedgerError
from ff_mm.files import read_json, write_json
from ff_mm.generation.trial import Trial
from ff_mm.version import __version__

FORMAT = 1
_SHOWN = 8

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
    'ood_dataloaders',
    'test_cfg',
    'test_dataloader',
    'test_evaluator',
}
# Left off they are as good as absent: a plan begun before they existed goes on.
_OPTIONS = {'channels_last', 'compile'}


class Ledger:
    """The state of a plan, kept in ``ledger.json``.

    Every change is on disk, atomically, before anything goes on.

    Args:
        path: The file. If it exists it is read, and must be of the same config.
        config: The generation config as plain dict.
        trials: The plan's trials.

    Raises:
        LedgerError: The file is damaged, or was begun with another config; the message
            says what differs.
    """

    def __init__(
        self, path: str | Path, config: Mapping[str, Any], trials: Sequence[Trial]
    ) -> None:
        self.path = Path(path)
        self._config = comparable(config)
        if self.path.exists():
            self._data = self._read()
        else:
            entries = [_new_entry(trial) for trial in trials]
            self._data = dict(
                format=FORMAT,
                environment=describe_environment(),
                config=self._config,
                trials=entries,
            )
            self._write()
        self._entries = {entry['id']: entry for entry in self._data['trials']}

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All trials' entries, in the order of the plan."""
        return list(self._data['trials'])

    def entry(self, trial_id: str) -> dict[str, Any]:
        """One trial's entry."""
        return self._entries[trial_id]

    def is_done(self, trial_id: str) -> bool:
        """Whether a trial has been finished."""
        return self._entries[trial_id]['state'] == 'done'

    @property
    def complete(self) -> bool:
        """Whether all trials have been finished."""
        return all(self.is_done(trial_id) for trial_id in self._entries)

    @property
    def drift(self) -> list[str]:
        """Where today's environment is not that in which the plan was begun."""
        return compare(self._data.get('environment', {}), describe_environment())

    def start(self, trial_id: str) -> None:
        """Notes that a trial is being worked on."""
        self._entries[trial_id]['state'] = 'running'
        self._write()

    def finish(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Notes that a trial is finished, and what came out of it.

        Args:
            trial_id: The trial.
            result: ``epochs``, ``seconds``, ``images`` (trained on, all epochs
                together), ``best_epoch``, ``metrics`` and ``ingredients``.
        """
        self._entries[trial_id].update(result, state='done')
        self._write()

    def cost(self) -> dict[str, float]:
        """Epochs, seconds and training images of all finished trials.

        Images are left out if a trial was finished before they were counted.
        """
        done = [entry for entry in self.entries if entry['state'] == 'done']
        cost = dict(
            trials=len(done),
            epochs=sum(entry['epochs'] for entry in done),
            seconds=round(sum(entry['seconds'] for entry in done), 1),
        )
        if all('images' in entry for entry in done):
            cost['images'] = sum(entry['images'] for entry in done)
        return cost

    def _read(self) -> dict[str, Any]:
        try:
            data = read_json(self.path)
        except ValueError as error:
            raise LedgerError(
                f'{error}; move the file away to begin the plan anew'
            ) from error
        if isinstance(data, dict) and data.get('format', FORMAT) != FORMAT:
            raise LedgerError(
                f'{self.path}: format {data["format"]!r}, expected {FORMAT}; it is of '
                'another version of ff_mm, use a new --work-dir'
            )
        if not isinstance(data, dict) or not {'config', 'trials'} <= set(data):
            raise LedgerError(
                f'{self.path}: is not a ledger; move the file away to begin anew'
            )
        differences = compare(data['config'], self._config)
        if differences:
            raise LedgerError(_difference_message(self.path, differences))
        return data

    def _write(self) -> None:
        if is_main_process():
            write_json(self._data, self.path)


def describe_environment() -> dict[str, Any]:
    """Versions, threads and device: what the last bits of the results depend on."""
    names = ('torch', 'torchvision', 'mmengine', 'mmcv-lite', 'mmcv', 'mmpretrain')
    names += ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain', 'numpy')
    found = {name: installed(name) for name in names}
    return {
        'ff_mm': __version__,
        **{name: version for name, version in found.items() if version},
        'threads': torch.get_num_threads(),
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
    }


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


def compare(old: Any, new: Any, path: str = '') -> list[str]:
    """Lists where two JSON values differ, as ``key: old -> new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            difference
            for key in keys
            for difference in compare(
                old.get(key, '(absent)'),
                new.get(key, '(absent)'),
                f'{path}.{key}' if path else key,
            )
        ]
    return [] if old == new else [f'{path}: {_short(old)} -> {_short(new)}']


def _new_entry(trial: Trial) -> dict[str, Any]:
    return dict(
        id=trial.id,
        stage=trial.stage,
        parent=trial.parent,
        hyper=dict(trial.hyper),
        overrides=json.loads(json.dumps(dict(trial.overrides))),
        planned_epochs=trial.epochs,
        state='planned',
    )


def _difference_message(path: Path, differences: list[str]) -> str:
    shown = '\n'.join(f'  {line}' for line in differences[:_SHOWN])
    more = len(differences) - _SHOWN
    return (
        f'{path} was begun with another config (old -> new):\n{shown}'
        + (f'\n  and {more} more' if more > 0 else '')
        + '\nrestore these values to go on, or give a new --work-dir'
    )


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f'{text[:57]}...'
