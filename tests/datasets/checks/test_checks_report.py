from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from ff_mm.datasets.checks.image_facts import ImageFacts
from ff_mm.datasets.checks.inspection import Inspection, SetFacts
from ff_mm.datasets.checks.label_counts import LabelCounts
from ff_mm.datasets.checks.report import dataset_table


def facts(names, infos, sizes=((6, 8),), groups=()):
    labels = LabelCounts(names)
    for number, info in enumerate(infos):
        labels.add(info, str(number))
    files = {str(n): ImageFacts('x', size, 'RGB') for n, size in enumerate(sizes)}
    return SetFacts(labels, Counter(groups), files)


def shown(problems=(), notes=(), seconds=2.0, **sets):
    console = Console(file=io.StringIO(), width=120)
    found = Inspection(sets, [], {}, problems, notes, 'pixels', seconds)
    dataset_table(found, 'configs/x.py', console)
    return console.file.getvalue()


def row(text, name):
    (line,) = (line for line in text.splitlines() if line.startswith(f'│ {name} '))
    return [cell.strip() for cell in line.strip('│').split('│')][1:]


def test_a_row_a_class_and_a_column_a_set():
    text = shown(
        train=facts(
            'ab',
            [dict(gt_label=0)] * 3 + [dict(gt_label=1)],
            sizes=[(6, 8), (7, 9), (20, 90)],
            groups='ppq',
        ),
        rosendahl=facts('ab', [dict(gt_label=0)]),
    )
    assert text.startswith('configs/x.py')
    assert row(text, 'a') == ['3   75.0%', '1  100.0%']
    assert row(text, 'b') == ['1   25.0%', '0    0.0%']
    assert row(text, 'images') == ['4', '1']
    assert row(text, 'groups') == ['2', '-']
    assert row(text, 'short side, px') == ['6 / 7 / 20', '6']
    assert row(text, 'long side, px') == ['8 / 9 / 90', '8']
    assert row(text, 'channels') == ['RGB', 'RGB']
    assert 'no problems in 3 images, compared by their pixels; 2 s, 2 images' in text


def test_labels_with_missing_ones():
    rows = [[1, -1], [0, -1], [0, 0.5]]
    text = shown(train=facts('ab', [dict(gt_score=scores) for scores in rows]))
    assert row(text, 'a') == ['1 / 2 / 0']
    assert row(text, 'b') == ['0.5 / 0.5 / 2']
    assert 'positive / negative / missing' in text


def test_unlabelled_images_and_many_classes():
    assert row(shown(test=facts('ab', [{}, {}])), 'no label') == ['2']
    many = [str(number) for number in range(200)]
    text = shown(train=facts(many, [dict(gt_label=n % 150) for n in range(450)]))
    assert row(text, '200 classes') == ['0 / 3 / 3']


def test_findings_are_printed_as_they_are():
    text = shown(('images [bold] of x',), ('y', 'z'), val=facts('a', [{}], sizes=()))
    assert 'problems\n  1. images [bold] of x\n' in text
    assert 'notes\n  1. y\n  2. z\n' in text
    assert text.endswith('1 problem; no image was looked at\n')


def test_without_any_data_set_the_problems_alone():
    text = shown(('train: no such folder',), seconds=0.0)
    assert '┃' not in text and '1. train: no such folder' in text
