"""What the cells of a table of findings mean: known, missing or uncertain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.tables.table_file import is_empty, plain
from ff_mm.plain import MISSING

#: Policy -> the score of a label that the report leaves uncertain. The names are those
#: of the CheXpert paper (U-Ignore, U-Zeros, U-Ones).
POLICIES = {'ignore': float(MISSING), 'zeros': 0.0, 'ones': 1.0}

Policy = str | Mapping[str, str]


def check_policy(policy: Policy, labels: Sequence[str]) -> dict[str, float]:
    """Gives the score that an uncertain label gets, for every label.

    Args:
        policy: ``'ignore'`` (the label counts as missing), ``'zeros'`` or ``'ones'``;
            or label -> policy, where labels that it does not name are ignored.
        labels: Names of all labels.

    Returns:
        Label -> -1 (missing), 0 or 1.

    Raises:
        ValueError: A policy or a label that is not known.

    References:
        J. Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty
        Labels and Expert Comparison", AAAI 2019, section "Uncertainty Approaches".
    """
    chosen = policy if isinstance(policy, Mapping) else dict.fromkeys(labels, policy)
    unknown = sorted(set(chosen) - set(labels))
    if unknown:
        raise ValueError(f'uncertain: {unknown} are no labels, known are {[*labels]}')
    wrong = sorted({repr(p) for p in chosen.values() if p not in [*POLICIES]})
    if wrong:
        raise ValueError(
            f'uncertain must be one of {[*POLICIES]}, got {", ".join(wrong)}'
        )
    return {label: POLICIES[chosen.get(label, 'ignore')] for label in labels}


def read_scores(
    rows: Sequence[Mapping[str, str]],
    labels: Sequence[str],
    uncertain: Mapping[str, float],
    path: str,
    problems: Problems,
) -> list[tuple[float, ...]]:
    """Reads the labels of all rows of a table.

    A cell is 1, 0, -1 (uncertain), or empty (missing; nan and NA, too).

    Args:
        rows: Column -> cell.
        labels: The columns to read, at least one.
        uncertain: Label -> score of an uncertain cell, see :func:`check_policy`.
        path: The table, for the message.
        problems: Takes a note of cells that are none of these; their score is NaN.

    Returns:
        One score each label for every row: 1, 0, or -1 where it is missing.
    """
    strange: list[str] = []
    columns = []
    for label in labels:
        cells = [row[label] for row in rows]
        # Of 200,000 cells a handful differ.
        scores = {cell: _score(cell, uncertain[label]) for cell in set(cells)}
        strange += sorted(f'{label}={c}' for c in scores if math.isnan(scores[c]))
        columns.append([scores[cell] for cell in cells])
    problems.found(
        f'values of labels in {path!r} that are not 1, 0, -1 or empty',
        strange,
        'Correct the table, or check which columns are labels.',
    )
    return list(zip(*columns, strict=True))


def _score(cell: str, uncertain: float) -> float:
    """Gives the score of a cell, NaN if it cannot be one."""
    if is_empty(cell):
        return float(MISSING)
    return {'1': 1.0, '0': 0.0, '-1': uncertain}.get(plain(cell), math.nan)
