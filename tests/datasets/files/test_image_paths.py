from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.image_paths import (
    cut_short,
    file_cut_short,
    is_excluded,
    locate_images,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)


def encoded(kind):
    return cv2.imencode(kind, PIXELS)[1].tobytes()


@pytest.mark.parametrize('kind', ['.jpg', '.png', '.bmp', '.tiff'])
@pytest.mark.parametrize('behind', [0, 10, 5000])
def test_a_whole_image_whatever_stands_behind_it(kind, behind, tmp_path):
    (tmp_path / 'a').write_bytes(encoded(kind) + bytes(behind))
    assert file_cut_short(str(tmp_path / 'a')) is None
    assert cut_short((tmp_path / 'a').read_bytes()) is None


@pytest.mark.parametrize('kind', ['.jpg', '.png'])
@pytest.mark.parametrize('part', [0.1, 0.5, 0.9])
def test_an_image_of_which_the_end_is_missing(kind, part, tmp_path):
    content = encoded(kind)
    (tmp_path / 'a').write_bytes(content[: int(part * len(content))])
    assert 'truncated' in file_cut_short(str(tmp_path / 'a')).lower()


def test_what_is_not_there_or_no_image_is_for_others_to_say(tmp_path):
    (tmp_path / 'empty').touch()
    for name in ('gone', 'empty', '.'):
        assert file_cut_short(str(tmp_path / name)) is None


def located(tmp_path, files, names):
    """What is found of the names, and what is said."""
    for i, file in enumerate(files):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(bytes([i]))
    problems = Problems('a table')
    found = locate_images(names, str(tmp_path), problems)
    return [path and os.path.relpath(path, tmp_path) for path in found], '; '.join(
        problems
    )


COMPOSED, APART = '\u00e91', 'e\u03011'  # both are shown as one letter and 1


@pytest.mark.parametrize(
    ('files', 'name', 'found'),
    [
        ([f'{APART}.png'], f'{COMPOSED}.png', 0),
        ([f'{COMPOSED}.png'], f'{APART}.png', 0),
        ([f'{APART}/x.png'], f'{COMPOSED}/x', 0),
        (['a2.PNG'], 'A2.png', 0),
        (['Train/a2.jpg'], 'train/A2.png', 0),
        (['a/x.png', 'A/X.png'], 'A/x.png', None),
        # The nearest form counts.
        (['A2.jpg', 'a2.jpg'], 'a2.png', 1),
        ([f'{APART.upper()}.png', f'{APART}.png'], f'{COMPOSED}.png', 1),
    ],
    ids=[
        'apart',
        'composed',
        'folder',
        'case',
        'path',
        'two',
        'nearest',
        'nearest form',
    ],
)
def test_names_of_another_form_or_case_are_found(tmp_path, files, name, found):
    paths, said = located(tmp_path, files, [name])
    if found is not None:
        assert paths == [files[found]]
        assert said == ''
    else:
        assert all(file in said for file in files)


def test_two_names_of_one_file_are_said(tmp_path):
    _, said = located(tmp_path, ['a2.png', 'b.png'], ['a2.png', 'A2.png'])
    assert 'files that several rows mean' in said and 'a2.png' in said


@pytest.mark.parametrize(
    ('pattern', 'excluded'), [('a[1].png', True), ('a[2].png', False), ('a*', True)]
)
def test_a_name_with_brackets_is_excluded_by_itself(pattern, excluded):
    assert is_excluded('sub/a[1].png', [pattern]) is excluded
