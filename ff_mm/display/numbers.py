"""How metrics are shown to people: which of them, and with how many digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Metrics = Mapping[str, Any]


def overall(metrics: Metrics) -> list[str]:
    """Gives the names of metrics that are one number for all classes.

    Left out are values of single classes or labels (``auroc/Edema``), what is no
    number, as a confusion matrix, and counts of 0, as of labels that were left out.
    Where all names have a prefix (``coco/bbox_mAP``), it is no class's.
    """
    prefixed = _are_prefixed(metrics)
    return [n for n, value in metrics.items() if _is_overall(n, value, prefixed)]


def by_class(metrics: Metrics) -> dict[str, list[str]]:
    """Gives the names of values of single classes or labels, by class.

    Returns:
        Class -> names of its values, as ``{'Edema': ['auroc/Edema']}``.
    """
    found: dict[str, list[str]] = {}
    if _are_prefixed(metrics):
        return found
    for name, value in metrics.items():
        if '/' in name and not isinstance(value, list):
            found.setdefault(name.split('/', 1)[1], []).append(name)
    return found


def shown(value: float | None) -> str:
    """Writes a value with four digits, a count as it is, and ``-`` for none.

    None is what is not finite becomes in JSON.
    """
    if value is None:
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.4f}'


def _are_prefixed(metrics: Metrics) -> bool:
    return all('/' in name for name in metrics)


def _is_overall(name: str, value: Any, prefixed: bool) -> bool:
    if ('/' in name and not prefixed) or (isinstance(value, int) and value == 0):
        return False
    return value is None or isinstance(value, (int, float))
