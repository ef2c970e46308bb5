"""``ff_mm.train``, ``ff_mm.fuse`` and ``ff_mm.compare``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.api.results import Compared, Fused, Pool
from ff_mm.api.table import table_options
from ff_mm.config import load_config
from ff_mm.config_files import find_config
from ff_mm.engine.device import use_device
from ff_mm.engine.weights_only import weights_only
from ff_mm.errors import ConfigError
from ff_mm.files import PathLike, check_folder
from ff_mm_commands.folders import config_names

Options = Mapping[str, Any]

_PLAN = 'fgg'
_OF_TABLES = f'{_PLAN}_table_'


def train(
    data: PathLike | Any,
    *,
    work_dir: PathLike | None = None,
    table: Mapping[str, Any] | None = None,
    root: PathLike = '.',
    network: str = 'efficientnet_lite0',
    options: Options | None = None,
) -> Pool:
    """Trains a pool of models: fission, or any other plan; as ``ff-mm train`` does.

    It goes on where it was interrupted, and returns at once what is there already.

    Args:
        data: A config, by file or name (``'fgg_digits_resnet18'``); or a DataFrame with
            a row an image, of which ``work_dir`` then has a copy, ``cases.csv``.
        work_dir: Where everything is written; needed with a DataFrame.
        table: With a DataFrame: what its columns mean, as ``table`` of a config:
            ``dict(image='file', label='dx', group='patient')``; all keys are in
            :class:`~ff_mm.datasets.tables.table_description.TableDescription`.
        root: With a DataFrame: the folder that its images are in.
        network: With a DataFrame: one of those for which there is a config
            ``fgg_table_<network>``.
        options: Values of the config by dotted key, as ``--cfg-options`` has them:
            ``{'image_size': 64, 'plan.lrs': [1e-3, 1e-4]}``.

    Returns:
        The pool.

    Raises:
        FFMMError: What is wrong with config, data or disk, as a line; before any
            training as far as it can be known then.
    """
    options = dict(options or {})
    if isinstance(data, (str, os.PathLike)):
        if table is not None:
            raise ConfigError(f'table: goes with a DataFrame, and {data} is a config')
        config = os.fspath(data)
    else:
        config = _config_of(network)
        options = table_options(data, table, root, work_dir) | options
    cfg = _read(config, work_dir, options)
    if 'plan' not in cfg or 'runner_type' not in cfg:
        raise ConfigError(f'{config}: has no plan to train; give an fgg_... config')
    with weights_only():
        RUNNERS.build(cfg).train()
    return Pool(Path(cfg.work_dir), config, options)


def fuse(
    pool: Pool | PathLike,
    *,
    budget: int = 0,
    work_dir: PathLike | None = None,
    options: Options | None = None,
) -> Fused:
    """Makes of a pool the one model to deploy; as ``ff-mm fuse`` does.

    Args:
        pool: A pool that :func:`train` has returned; or a config, by file or name.
        budget: Epochs in which the pool is distilled into one network; 0: it is not.
        work_dir: Where everything is written; of a pool the folder beside it.
        options: Values of the config by dotted key. Those of the pool hold, too, but
            for its plan's.

    Returns:
        The model, and what it is expected to be worth.

    Raises:
        FFMMError: As :func:`train`.
    """
    config, work_dir, merged = _of_pool(pool, 'fuse', work_dir, options)
    if isinstance(pool, Pool):
        merged = dict(pool=str(pool.file)) | merged
    cfg = _read(config, work_dir, merged | (dict(budget=budget) if budget else {}))
    with weights_only():
        runner = RUNNERS.build(cfg)
        return Fused(Path(cfg.work_dir), runner.run(), Path(runner.file))


def compare(
    pool: Pool | PathLike,
    *,
    work_dir: PathLike | None = None,
    options: Options | None = None,
) -> Compared:
    """Compares the soups of a pool with its best model; as ``ff-mm compare`` does.

    Args:
        pool: A pool that :func:`train` has returned; or a config, by file or name.
        work_dir: Where everything is written; of a pool the folder beside it.
        options: Values of the config by dotted key. Those of the pool hold, too, but
            for its plan's.

    Returns:
        All methods on all sets, with intervals.

    Raises:
        FFMMError: As :func:`train`.
    """
    config, work_dir, merged = _of_pool(pool, 'compare', work_dir, options)
    if isinstance(pool, Pool):
        one = {'pools.fgg': str(pool.file), 'pools.gs': None, 'baseline': 'fgg_best'}
        merged = one | merged
    cfg = _read(config, work_dir, merged)
    with weights_only():
        return Compared(Path(cfg.work_dir), RUNNERS.build(cfg).run())


def _config_of(network: str) -> str:
    there = [name for name in config_names() if name.startswith(_OF_TABLES)]
    if f'{_OF_TABLES}{network}' not in there:
        known = ', '.join(name.removeprefix(_OF_TABLES) for name in there)
        raise ConfigError(
            f'network={network!r}: there is {known}; for another one write a config '
            'that inherits _base_/datasets/table.py, and give that'
        )
    return f'{_OF_TABLES}{network}'


def _of_pool(
    pool: Pool | PathLike,
    command: str,
    work_dir: PathLike | None,
    options: Options | None,
) -> tuple[str, PathLike | None, dict[str, Any]]:
    """Config, work directory and options of what comes after a pool."""
    if not isinstance(pool, Pool):
        return os.fspath(pool), work_dir, dict(options or {})
    kept = {k: v for k, v in pool.options.items() if k.partition('.')[0] != 'plan'}
    folder = work_dir or pool.folder.with_name(f'{pool.folder.name}_{command}')
    return _partner(pool.config, command), folder, kept | dict(options or {})


def _partner(config: str, command: str) -> str:
    """The config of a command on the pool of another config."""
    plan = find_config(config)
    if not plan.stem.startswith(f'{_PLAN}_'):
        raise ConfigError(
            f'{config}: is not called {_PLAN}_..., so which {command}_... config goes '
            f'with it is not known; give ff_mm.{command} that config'
        )
    name = f'{command}_{plan.stem.removeprefix(f"{_PLAN}_")}'
    beside = plan.with_name(f'{name}.py')
    return str(beside) if beside.is_file() else str(find_config(name))


def _read(config: str, work_dir: PathLike | None, options: Options) -> Config:
    use_device(None)
    cfg = load_config(config, options)
    cfg.launcher = 'none'
    if work_dir is not None:
        cfg.work_dir = os.fspath(work_dir)
    check_folder(cfg.work_dir)
    return cfg
