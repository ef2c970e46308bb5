"""What is compared: a way to make one model, or an ensemble, of a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.fusion.session import usual_rule

_KEYS = {'title', 'pool', 'runner_type', 'soup', 'selection', 'ensemble'}


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Attributes:
        name: Its key in the config's ``methods``.
        title: What tables call it.
        pool: A key of the config's ``pools``.
        runner_type: The soup runner that makes the model; None for an ensemble.
        soup: Options of that runner.
        selection: What its model is chosen by, ``metric`` and ``rule``, where that is
            not what the comparison goes by; empty: as the comparison.
    """

    name: str
    title: str
    pool: str
    runner_type: str | None = None
    soup: Mapping[str, Any] = field(default_factory=dict)
    selection: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ensemble(self) -> bool:
        """Whether it is the logit ensemble of the whole pool."""
        return self.runner_type is None


def read_pools(pools: Any) -> dict[str, list[Any]]:
    """Reads the config's ``pools``.

    Args:
        pools: Name -> where ingredients come from, see
            :func:`ff_mm.merging.pool.read_pool`. A list holds repetitions of one plan,
            such as with other seeds, each of which is one of these. None: left out.

    Returns:
        Name -> the sources of its runs.

    Raises:
        ConfigError: There are none, or not as expected.
    """
    if not isinstance(pools, Mapping):
        raise ConfigError(
            f'pools={pools!r}: expected names and where their ingredients are, such as '
            "dict(fgg='work_dirs/fgg_X/ingredients.json')"
        )
    runs = {
        name: list(source) if isinstance(source, (list, tuple)) else [source]
        for name, source in pools.items()
        if source is not None
    }
    if not runs:
        raise ConfigError('pools: there are none, give at least one')
    for name, sources in runs.items():
        if not sources:
            raise ConfigError(f'pools.{name}: the list is empty; None leaves it out')
    return runs


def read_methods(
    methods: Any, pools: Mapping[str, Sequence[Any]], key: str = 'methods'
) -> list[Method]:
    """Reads the config's ``methods``.

    Args:
        methods: Name -> ``dict(title=..., pool=...)`` with ``runner_type``, ``soup``
            and ``selection`` as in the config of a soup, or with ``ensemble=True``.
            None: left out.
        pools: Those that there are; methods of others are left out.
        key: Where they stand in the config.

    Raises:
        ConfigError: None is left, or one is not as expected.
    """
    if not isinstance(methods, Mapping):
        raise ConfigError(f'{key}={methods!r}: expected names and their methods')
    given = {name: values for name, values in methods.items() if values is not None}
    read = [_read_method(f'{key}.{name}', name, v) for name, v in given.items()]
    kept = [method for method in read if method.pool in pools]
    if not kept:
        raise ConfigError(
            f'{key}: none takes its ingredients from pools {sorted(pools)}'
        )
    return kept


def _read_method(where: str, name: str, values: Any) -> Method:
    if not isinstance(values, Mapping) or not isinstance(values.get('pool'), str):
        raise ConfigError(
            f"{where}: expected such as dict(title='GoG', pool='fgg', "
            f"runner_type='GoGSoupRunner'), got {values!r}"
        )
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise ConfigError(
            f'{where}: unknown key {unknown[0]!r}, there are {sorted(_KEYS)}'
        )
    ensemble, runner = values.get('ensemble', False), values.get('runner_type')
    chooses = values.get('soup') or values.get('selection')
    if bool(ensemble) == bool(runner) or (ensemble and chooses):
        raise ConfigError(
            f'{where}: give runner_type, with soup and selection if needed, or else '
            'ensemble=True'
        )
    return Method(
        name=name,
        title=values.get('title') or name,
        pool=values['pool'],
        runner_type=runner,
        soup=dict(values.get('soup') or {}),
        selection=_read_selection(values.get('selection'), where),
    )


def _read_selection(given: Any, where: str) -> dict[str, str]:
    if given is None:
        return {}
    known = isinstance(given, Mapping) and {'metric'} <= set(given) <= {
        'metric',
        'rule',
    }
    if not known or not all(isinstance(value, str) for value in given.values()):
        raise ConfigError(
            f"{where}.selection={given!r}: expected dict(metric='soft_macro_recall'), "
            "with rule='less' or 'greater' if wanted"
        )
    return dict(given, rule=given.get('rule') or usual_rule(given['metric']))


Cost = Mapping[str, float]


def selection_cost(report: Mapping[str, Any] | None) -> Cost:
    """Returns what a soup took to choose.

    Args:
        report: The soup's ``report.json``; None: nothing was chosen.

    Returns:
        ``passes`` over validation that the method needs by itself, those included that
        another soup had made before; ``images`` that went through the network, those
        on which batch norm was re-estimated included, and ``seconds`` that it took as
        it was.
    """
    if report is None:
        return dict(seconds=0.0, passes=0, images=0)
    spent = report['evaluations']
    return dict(
        seconds=report['seconds'],
        passes=spent['selection']
        + spent['remembered']
        + sum(spent.get(key) or 0 for key in ('basins', 'decision')),
        images=sum(spent['images'].get(name, 0) for name in ('val', 'train')),
    )


def mean_cost(costs: Sequence[Mapping[str, float] | None]) -> Cost | None:
    """Returns the mean over runs of what is known of all of them.

    Args:
        costs: One a run; None where nothing is known.

    Returns:
        None if a run's cost is not known.
    """
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    shared = [key for key in known[0] if all(key in cost for cost in known)]
    return {key: fmean(cost[key] for cost in known) for key in shared}
