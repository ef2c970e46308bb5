from __future__ import annotations

import pytest

from ff_mm.evaluation.prediction_store import cases_of


class Cases:
    def __init__(self, *infos):
        self.infos = infos

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


def test_images_of_one_patient_are_one_group_and_a_case_without_is_its_own():
    ids, groups = cases_of(
        Cases(
            dict(image_id='a', group='p'),
            dict(image_id='b', group=None),
            dict(image_id='c', group='p'),
            dict(image_id='d', group=1),
            dict(image_id='e', group=None),
        )
    )
    assert ids == ['a', 'b', 'c', 'd', 'e']
    assert groups.tolist() == [0, 1, 0, 2, 3]


@pytest.mark.parametrize('info', [dict(), dict(group=None)])
def test_cases_of_which_no_group_is_known_have_none(info):
    assert cases_of(Cases(info, info)) == (['0', '1'], None)


def test_a_case_is_known_by_its_id_its_path_or_its_number():
    infos = dict(image_id='x', img_path='a/x.jpg'), dict(img_path='a/y.jpg'), {}
    assert cases_of(Cases(*infos))[0] == ['x', 'a/y.jpg', '2']
