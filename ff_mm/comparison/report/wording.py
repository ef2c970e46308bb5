"""How numbers, sets and metrics of a comparison are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Below this, differences are marked, whatever the confidence of the intervals.
SIGNIFICANT = 0.05
_ABBREVIATIONS = {'auroc': 'AUROC', 'auc': 'AUC', 'ece': 'ECE', 'map': 'mAP'}


#: What the names of methods mean.
WORDS = {
    'GS': 'Grid search: one model for each combination of learning rate and the rest.',
    'FGG': 'Fast geometric generation: one model for each learning rate, then some '
    'epochs with a cyclical rate, of which each minimum leaves one more model.',
    'pool': 'All models that one plan has trained; ingredients of soups.',
    'best': 'The one model of the pool that is best on validation.',
    'uniform': 'The mean of the weights of all models of the pool.',
    'greedy': 'The best model; then one after the other is averaged in if validation '
    'gets no worse.',
    'GoU': 'Greedy of uniform: a uniform soup of each learning rate, then a greedy one '
    'of these.',
    'GoG': 'Greedy of greedy: a greedy soup of each learning rate, then a greedy one '
    'of these.',
    'logit ensemble': 'No soup: all models predict, and their logits are averaged. It '
    'costs as many passes as there are models.',
}


def sentence(text: str) -> str:
    """The text with a capital letter."""
    return text[:1].upper() + text[1:]


def metric_title(name: str) -> str:
    """``'macro_recall'`` as ``'macro recall'``, ``'auroc'`` as ``'AUROC'``."""
    return ' '.join(_ABBREVIATIONS.get(word, word) for word in name.split('_'))


def set_title(name: str) -> str:
    """``'ood/rosendahl'`` as ``'OOD: rosendahl'``; others as they are."""
    return f'OOD: {name.removeprefix("ood/")}' if name.startswith('ood/') else name


def result_of(
    method: Mapping[str, Any], set_name: str, metric: str
) -> Mapping[str, Any]:
    """The result of a method; empty where there is none."""
    return method['results'].get(set_name, {}).get(metric) or {}


def main_set(comparison: Mapping[str, Any]) -> str:
    """The set whose results count: ``test``, where there is one."""
    sets = comparison['sets']
    return 'test' if 'test' in sets else next(iter(sets))


def interval(values: Mapping[str, Any], sign: str = '') -> str:
    """``'[0.621, 0.702]'``, and nothing where it is not known.

    Args:
        values: With ``low`` and ``high``, each of which may be None.
        sign: ``'+'`` to write it of positive numbers too.
    """
    low, high = values.get('low'), values.get('high')
    if low is None or high is None:
        return ''
    return f'[{_rounded(low, 3):{sign}.3f}, {_rounded(high, 3):{sign}.3f}]'


def spread(values: Mapping[str, Any]) -> str:
    """``'± 0.012'``, the standard deviation over runs; nothing after one run."""
    sd = values.get('sd')
    return '' if sd is None else f'± {sd:.3f}'


def signed(value: float | None) -> str:
    """``'+0.0540'``; ``'-'`` for None."""
    return '-' if value is None else f'{_rounded(value, 4):+.4f}'


def p_value(p: float | None) -> str:
    """``'0.013'``, ``'< 0.001'``; ``'-'`` for None."""
    if p is None:
        return '-'
    return '< 0.001' if p < 0.001 else f'{p:.3f}'


def is_significant(values: Mapping[str, Any] | None) -> bool:
    """Whether a difference, which may be None, has p < 0.05."""
    p = None if values is None else values.get('p')
    return p is not None and p < SIGNIFICANT


def hours(seconds: float) -> str:
    """Seconds as ``'1:05'``, an hour and five minutes."""
    minutes = round(seconds / 60)
    return f'{minutes // 60}:{minutes % 60:02d}'


def count(number: float | None) -> str:
    """``'400,520'``, one digit of means that are not whole; ``'-'`` for None."""
    if number is None:
        return '-'
    return f'{number:,.0f}' if float(number).is_integer() else f'{number:,.1f}'


def percent(fraction: float) -> str:
    """``0.95`` as ``'95 %'``."""
    return f'{100 * fraction:.4g} %'


def _rounded(value: float, digits: int) -> float:
    """The value as it is shown, of which a zero has no minus."""
    return round(value, digits) + 0.0
