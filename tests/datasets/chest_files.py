"""Writes small copies of CheXpert and MIMIC-CXR-JPG for the tests."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path

from chest_names import FINDINGS
from ham_files import write_image, write_table

from ff_mm.datasets.chest_findings import LABELS

Cells = Mapping[str, str]


def findings(cells: Cells, default: str = '') -> list[str]:
    """The cells of a row, in the order of FINDINGS."""
    return [cells.get(name, default) for name in FINDINGS]


def write_chexpert(
    table: Path,
    images: Path,
    rows: Iterable[tuple[str, Cells]],
    prefix: str,
    default: str = '',
    extension: str = '.jpg',
) -> None:
    """Writes a table with the official columns, and its images.

    Each row is the end of a path, as ``patient00001/study1/view1_frontal``, and cells.
    """
    lines = [['Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *FINDINGS]]
    for end, cells in rows:
        view = end.rpartition('_')[2].title()
        place = ['Female', '68', view, 'AP' if view == 'Frontal' else '']
        lines.append([f'{prefix}/{end}.jpg', *place, *findings(cells, default)])
        write_image(images / f'{end}{extension}')
    write_table(table, lines)


def write_test_set(folder: Path, ends: Iterable[str]) -> None:
    """Writes the test set as CheXlocalize holds it, with labels only."""
    lines = [['Path', *FINDINGS]]
    for end in ends:
        lines.append([f'test/{end}.jpg', *findings({'Edema': '1.0'}, '0.0')])
        write_image(folder / 'test' / f'{end}.jpg')
    write_table(folder / 'test_labels.csv', lines)


def write_packed(path: Path, rows: Iterable[list[str]]) -> None:
    """Writes a table packed with gzip."""
    with gzip.open(path, 'wt', newline='') as file:
        csv.writer(file).writerows(rows)


def scores(info: dict, classes: tuple[str, ...] = LABELS) -> dict[str, float]:
    """The labels that are not missing."""
    pairs = zip(classes, info['gt_score'].tolist(), strict=True)
    return {name: score for name, score in pairs if score != -1}
