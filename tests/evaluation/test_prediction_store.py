from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from ff_mm.evaluation.cases import cases_of
from ff_mm.evaluation.prediction_store import PredictionStore
from ff_mm.evaluation.predictions import Predictions
from ff_mm.tasks import Classification


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


class Evaluator:
    """One set of one image, whose pixels are what the network says of it."""

    task = Classification()

    def __init__(self, images, score):
        self.images = dict(val=images)
        self.sets = dict(val=SimpleNamespace(dataset=Cases(dict(image_id='a'))))
        self.prediction_keys = dict(val='key')
        self.score = score

    def load(self, weights):
        pass

    def predict(self, split):
        scores = torch.tensor([self.score, 1 - self.score])
        return [dict(pred_score=scores, gt_label=torch.tensor([0]))]


def stored(folder, images, score):
    """What the store says of one model, and the notes."""
    notes = []
    store = PredictionStore(folder, Evaluator(images, score), notes.append)
    found = store.get({'x': 1.0}, dict)['val']
    return float(found.scores[0, 0]), notes


def test_predictions_of_other_images_under_the_same_names_do_not_count(tmp_path):
    assert stored(tmp_path, 'v1', 0.25) == (0.25, [])
    assert stored(tmp_path, 'v1', 0.5) == (0.25, [])
    score, notes = stored(tmp_path, 'v2', 0.5)
    assert score == 0.5 and 'of other images' in notes[0]
    assert stored(tmp_path, 'v2', 0.75) == (0.5, [])


def test_predictions_of_earlier_versions_are_taken_for_those_of_these(tmp_path):
    stored(tmp_path, 'v1', 0.25)
    (file,) = tmp_path.glob('val/*.npz')
    old = Predictions.read(file)
    Predictions(old.scores, old.truth, old.cases).save(file)
    score, notes = stored(tmp_path, 'v1', 0.5)
    assert score == 0.25 and 'taken to be of these' in notes[0]
    assert stored(tmp_path, 'v1', 0.5) == (0.25, [])
    assert stored(tmp_path, 'v2', 0.5)[0] == 0.5
