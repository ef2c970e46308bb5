"""What CheXpert and MIMIC-CXR share: thirteen findings, some unknown, and views."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ff_mm.datasets.errors import Problems, as_names, check_choice
from ff_mm.datasets.files.finding import Tables, walk
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.tables.table_file import is_empty, plain
from ff_mm.datasets.tables.uncertain_labels import Policy, check_policy, read_scores
from ff_mm.plain import MISSING

LABELS = (
    'Atelectasis',
    'Cardiomegaly',
    'Consolidation',
    'Edema',
    'Enlarged Cardiomediastinum',
    'Fracture',
    'Lung Lesion',
    'Lung Opacity',
    'Pleural Effusion',
    'Pleural Other',
    'Pneumonia',
    'Pneumothorax',
    'Support Devices',
)
NO_FINDING = 'No Finding'
#: What "No Finding" says nothing about.
APART = ('Support Devices', NO_FINDING)

#: What the labels of the published tables of training images are.
CELLS = ('1', '0', '-1', '')

VIEWS = ('frontal', 'lateral', 'all')


class ChestFindings(SplitDataset):
    """Base of the chest radiographs whose reports the CheXpert labeler has read.

    The labels are the 13 findings in alphabetical order, "No Finding" left out. In the
    tables 1 is positive, 0 negative, -1 uncertain, and empty what the report does not
    mention. Here ``gt_score`` is 1, 0, or -1 where a label is missing: uncertain ones
    by ``uncertain``, those not mentioned always, with one exception: where "No
    Finding" is 1, all labels but Support Devices are 0. Beside a finding that is 1,
    which the published tables do not have, it rules out nothing; a note counts such
    rows.

    Args:
        labels: Which of the 13 findings and "No Finding", in this order.
        uncertain: What an uncertain label counts as: ``'ignore'`` (missing),
            ``'zeros'`` or ``'ones'``; or label -> policy, where labels that it does not
            name are ignored.
        views: ``'frontal'``, ``'lateral'`` or ``'all'``.
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`SplitDataset`.

    Raises:
        ValueError: A label, policy or view that is not known.
    """

    METAINFO = {'classes': LABELS}

    def __init__(
        self,
        *args: Any,
        labels: str | Sequence[str] = LABELS,
        uncertain: Policy = 'ignore',
        views: str = 'frontal',
        **kwargs: Any,
    ) -> None:
        check_choice('views', views, VIEWS)
        self.labels = _check_labels(labels)
        self.uncertain = check_policy(uncertain, self.labels)
        self.views = views
        super().__init__(*args, classes=self.labels, **kwargs)

    def read_labels(
        self, rows: Sequence[Mapping[str, str]], path: str, problems: Problems
    ) -> list[tuple[float, ...]]:
        """Reads the labels of all rows of a table.

        Args:
            rows: Column -> cell.
            path: The table, for the message.
            problems: Takes a note of cells that are none of 1, 0, -1 and empty.

        Returns:
            One score each label for every row: 1, 0, or -1 where it is missing.
        """
        scores = read_scores(rows, self.labels, self.uncertain, path, problems)
        if not rows or NO_FINDING not in rows[0]:
            return scores
        ruled_out = read_scores(
            rows, [NO_FINDING], {NO_FINDING: MISSING}, path, problems
        )
        found = [self._names_finding(row) for row in rows]
        ruled = [everything == (1,) for everything in ruled_out]
        beside = sum(map(all, zip(found, ruled, strict=True)))
        if beside:
            self.notes.append(
                f'{beside} rows of {path!r} have {NO_FINDING} and a finding, both 1. '
                f'The findings stay as they are, {NO_FINDING} rules out nothing there.'
            )
        return [
            self._rule_out(score) if everything and not finding else score
            for score, everything, finding in zip(scores, ruled, found, strict=True)
        ]

    def cells_of_labels(self, rows: Sequence[Mapping[str, str]]) -> set[str]:
        """Gives all that the columns of labels have in them, as in :data:`CELLS`.

        Of a few labels nothing, since not every one is all of these.
        """
        if not set(LABELS) <= set(self.labels):
            return set()
        cells = {row[label] for label in self.labels for row in rows}
        return {'' if is_empty(cell) else plain(cell) for cell in cells}

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        return [*super().extra_repr(), f'Views: \t{self.views}']

    def _names_finding(self, row: Mapping[str, str]) -> bool:
        """Whether a finding of those that were chosen is positive for certain."""
        return any(
            label not in APART and plain(row[label]) == '1' for label in self.labels
        )

    def _rule_out(self, scores: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(
            score if label in APART else 0.0
            for score, label in zip(scores, self.labels, strict=True)
        )


def scan_above(root: str, inner: re.Pattern[str]) -> tuple[Tables, list[str]]:
    """Finds files and folders without a look into the folders of some name.

    Tens of thousands of patients have folders of studies, but the tables name these.

    Args:
        root: Where to begin.
        inner: The names of the folders.

    Returns:
        The files by name, those with gzip also by that without it, and the paths of
        the folders.
    """
    tables = Tables()
    found = []
    for folder, subfolders, names in walk(root):
        found += [os.path.join(folder, n) for n in subfolders if inner.fullmatch(n)]
        subfolders[:] = [name for name in subfolders if not inner.fullmatch(name)]
        for name in names:
            tables.add(name, os.path.join(folder, name))
            if name.endswith('.gz'):
                tables.add(name.removesuffix('.gz'), os.path.join(folder, name))
    return tables, found


def _check_labels(labels: str | Sequence[str]) -> tuple[str, ...]:
    labels = as_names(labels)
    known = (*LABELS, NO_FINDING)
    unknown = [label for label in labels if label not in known]
    if unknown or not labels or len(set(labels)) < len(labels):
        raise ValueError(
            f'labels must be some of {[*known]}, each once, got {[*labels]}'
        )
    return labels
