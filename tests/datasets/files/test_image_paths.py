from __future__ import annotations

import cv2
import numpy as np
import pytest

from ff_mm.datasets.files.image_paths import cut_short, file_cut_short

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
