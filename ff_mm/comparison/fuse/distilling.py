"""The last step of a fusion, if time is given: the ensemble in one network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console

from ff_mm.datasets.sharing import build_dataset
from ff_mm.datasets.unlabelled import read_unlabelled
from ff_mm.errors import ConfigError
from ff_mm.fission.generation_runner import GenerationRunner
from ff_mm.fission.unlabelled import find_unlabelled

#: What a student is called among the fusions, and the folder of its training.
STUDENT = 'distilled'
#: As ``plan.student.monitor``: what fits the metric that selects.
FITTING = 'fitting'
_MANIFEST = 'ingredients.json'


def check_budget(budget: Any, cfg: Config, hidden: tuple[str, ...], pool: Any) -> int:
    """Reads how many epochs may be trained.

    Args:
        budget: The option.
        cfg: The config, resolved.
        hidden: Its keys that training must not see.
        pool: Where the ingredients come from.

    Raises:
        ConfigError: No number, or nothing to train on, or a plan that cannot be.
    """
    if budget is None or budget == 0:
        return 0
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 0:
        raise ConfigError(f'budget={budget!r}: expected a number of epochs, 0 or more')
    if not cfg.get('train_dataloader'):
        raise ConfigError(
            f'budget={budget}: there is no train_dataloader to distil on; give one, or '
            'budget=0'
        )
    kind = (cfg.get('plan') or {}).get('type')
    if kind != 'DistillationPlan':
        raise ConfigError(
            f"budget={budget}: plan.type={kind!r}: expected 'DistillationPlan', as in "
            'configs/_base_/fuse.py'
        )
    if not (isinstance(pool, str) and pool.endswith('.json')):
        raise ConfigError(
            f'budget={budget}: pool={pool!r}: a pool is distilled by its '
            'ingredients.json; give that, or budget=0'
        )
    students = _students(cfg.plan)
    if budget < students:
        raise ConfigError(
            f'budget={budget}: plan.lrs and plan.seeds make {students} students of one '
            'epoch or more each: give more, or fewer of these'
        )
    _training(cfg, hidden, pool, ('', Path('best')), budget)
    return budget


def fit_monitor(cfg: Config, decided: bool) -> None:
    """Settles by which metric a student's best epoch is kept, if the plan leaves it.

    That is the metric that selects. A decision is made of probabilities, so where one
    is fitted afterwards it is the loss, which tells which epoch's are the best.

    Args:
        cfg: The config of the fusion, resolved; changed in place.
        decided: Whether the student gets a decision.
    """
    student = (cfg.get('plan') or {}).get('student') or {}
    if student.get('monitor') != FITTING:
        return
    chosen = dict(metric='loss', rule='less') if decided else cfg.selection
    student.update(monitor=chosen['metric'], rule=chosen['rule'])


def check_unlabelled_of(cfg: Config, console: Console) -> None:
    """Refuses, before anything is made, images without labels that are evaluated.

    Training itself sees no test set with which it could compare them.

    Args:
        cfg: The config of the fusion, resolved.
        console: Where to say what is done.

    Raises:
        FFMMError: They are, or there are none.
    """
    added = read_unlabelled(cfg.plan.get('unlabelled'), 'plan.unlabelled')
    if added is None:
        return
    datasets = {
        name: build_dataset(cfg[f'{name}_dataloader'].dataset)
        for name in ('train', 'val', 'test')
        if cfg.get(f'{name}_dataloader')
    }
    found = find_unlabelled(cfg, added, datasets)
    if not (Path(cfg.work_dir) / STUDENT).exists():
        found.check_contents(cfg, console)


def distil(
    cfg: Config,
    hidden: tuple[str, ...],
    pool: str,
    start: tuple[str, Path],
    budget: int,
) -> str:
    """Trains students of the pool, or goes on with it; what is trained stays.

    Args:
        cfg: The config of the fusion, resolved.
        hidden: Its keys that training must not see.
        pool: The pool's ``ingredients.json``.
        start: Where they start, the name of a fusion and its file.
        budget: How many epochs there are for all of them.

    Returns:
        The ``ingredients.json`` of the start and the students.

    Raises:
        FFMMError: What training says.
    """
    runner = _training(cfg, hidden, pool, start, budget)
    runner.train()
    return str(runner.work_dir / _MANIFEST)


def _training(
    cfg: Config,
    hidden: tuple[str, ...],
    pool: str,
    start: tuple[str, Path],
    budget: int,
) -> GenerationRunner:
    """What trains the students, with the arguments of :func:`distil`."""
    tree: dict[str, Any] = copy.deepcopy(cfg.to_dict())
    for key in hidden:
        tree.pop(key, None)
    origin, file = start
    plan = dict(tree['plan'], pool=pool, start=str(file))
    epochs = budget // _students(plan)
    student = dict(plan.get('student') or {}, epochs=epochs)
    plan['student'] = student
    # Another start or other epochs are another training, beside this one.
    more = '_unlabelled' if plan.get('unlabelled') else ''
    monitor = student.get('monitor', 'loss')
    more += '' if monitor == 'loss' else f'_by_{monitor}'
    folder = Path(cfg.work_dir) / STUDENT / f'from_{origin}_{epochs}_epochs{more}'
    tree.update(runner_type='GenerationRunner', plan=plan, work_dir=str(folder))
    return GenerationRunner(Config(tree, filename=cfg.filename))


def _students(plan: Mapping[str, Any]) -> int:
    return len(plan.get('lrs') or [0]) * len(plan.get('seeds') or [0])
