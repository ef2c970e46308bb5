from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from model_outputs import named, of_classes, of_labels

from ff_mm.comparison import Predictions, PredictionsError, require_same_cases
from ff_mm.errors import FFMMError

GROUPS = np.arange(60) // 2


def equal(one, other):
    return (
        np.array_equal(one.scores, other.scores, equal_nan=True)
        and np.array_equal(one.truth, other.truth)
        and one.cases == other.cases
        and np.array_equal(one.groups, other.groups)
        and one.scores.dtype == other.scores.dtype == np.float32
        and one.truth.dtype == other.truth.dtype
    )


@pytest.mark.parametrize(
    'predictions',
    [
        *(of_classes(), of_classes(groups=GROUPS), of_labels(groups=GROUPS)),
        replace(of_classes(), scores=np.full((60, 3), np.nan)),
        replace(of_classes(), cases=tuple(f'größe {i}/ä.png' for i in range(60))),
    ],
    ids=['classes', 'groups', 'labels', 'diverged', 'names'],
)
def test_what_is_saved_is_read(tmp_path, predictions):
    file = tmp_path / 'new' / 'model.npz'
    predictions.save(file)
    assert equal(Predictions.read(file), predictions)
    assert [path.name for path in file.parent.iterdir()] == ['model.npz']


def test_equal_predictions_are_equal_bytes(tmp_path):
    for name in ('one', 'other'):
        of_classes().save(tmp_path / name)
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'other').read_bytes()


def test_from_samples_of_mmpretrain():
    scores = torch.tensor([[0.25, 0.75], [0.5, 0.5]], dtype=torch.bfloat16)
    samples = [
        DataSample().set_gt_label(label).set_pred_score(score)
        for label, score in zip([1, 0], scores, strict=True)
    ]
    samples[0].set_metainfo(dict(img_path='a/b.png'))
    found = Predictions.from_samples([sample.to_dict() for sample in samples])
    assert found.truth.tolist() == [1, 0]
    assert found.truth.dtype == np.int64
    assert found.scores.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert found.cases == ('a/b.png', '1')
    assert found.groups is None


def test_from_samples_of_several_labels_with_names_and_groups():
    sample = DataSample().set_gt_score([1, 0, -1]).set_pred_score([0.1, 0.2, 0.3])
    found = Predictions.from_samples([sample.to_dict()], ['x'], np.array([7]))
    assert found.is_multilabel
    assert found.truth.dtype == np.int8
    assert found.truth.tolist() == [[1, 0, -1]]
    assert (found.cases, found.groups.tolist()) == (('x',), [7])


def test_from_samples_that_do_not_fit():
    with pytest.raises(PredictionsError, match='got none'):
        Predictions.from_samples([])
    sample = DataSample().set_gt_label(2).set_pred_score(torch.tensor([0.5, 0.5]))
    with pytest.raises(FFMMError, match='num_classes'):
        Predictions.from_samples([sample.to_dict()])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(cases=named(59)), r'scores of shape \(60, 3\) for 59 cases'),
        (dict(scores=np.zeros(60)), r'scores of shape \(60,\)'),
        (dict(truth=np.zeros(59)), r'truth of shape \(59,\)'),
        (dict(truth=np.zeros((60, 2))), r'truth of shape \(60, 2\)'),
        (dict(truth=np.full(60, 3)), 'not from 0 to 2'),
        (dict(truth=np.full(60, -1)), 'not from 0 to 2'),
        (dict(truth=np.full((60, 3), 2)), 'other than 1, 0 and -1'),
        (dict(groups=np.zeros(2)), r'groups of shape \(2,\)'),
    ],
)
def test_what_does_not_fit_together(change, message):
    with pytest.raises(PredictionsError, match=message):
        replace(of_classes(), **change)


def test_no_case():
    with pytest.raises(PredictionsError, match='for 0 cases'):
        Predictions(np.zeros((0, 2)), np.zeros(0), ())


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-300])


def damaged(file):
    content = bytearray(file.read_bytes())
    content[200] ^= 255
    file.write_bytes(content)


def empty(file):
    file.write_bytes(b'')


def text(file):
    file.write_text('{"format": 1}')


def single_array(file):
    np.save(file.open('wb'), np.zeros(3))


def of_others(file):
    np.savez(file, weights=np.zeros(3))


def pickled(file):
    np.savez(file, scores=np.array([{}], dtype=object))


def other_archive(file):
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('scores', 'no array')


@pytest.mark.parametrize(
    'spoil',
    [cut_short, damaged, empty, text, single_array, of_others, pickled, other_archive],
)
def test_a_file_that_cannot_be_read(tmp_path, spoil):
    file = tmp_path / 'model.npz'
    of_classes().save(file)
    spoil(file)
    with pytest.raises(PredictionsError) as error:
        Predictions.read(file)
    message = str(error.value)
    assert message.startswith(f'{file}: damaged, or no predictions of ff_mm: ')
    assert 'delete it' in message
    assert '\n' not in message


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PredictionsError, match=r'gone.npz: no such file'):
        Predictions.read(tmp_path / 'gone.npz')


def test_a_file_about_other_cases(tmp_path):
    file = tmp_path / 'model.npz'
    of_classes().save(file)
    assert len(Predictions.read(file, named(60))) == 60
    with pytest.raises(PredictionsError, match='60 cases, 61 in the data set; delete'):
        Predictions.read(file, named(61))
    renamed = ('first.png', *named(60)[1:])
    with pytest.raises(PredictionsError, match=r"'image_0.png' in the place of 'first"):
        Predictions.read(file, renamed)


@pytest.mark.parametrize(
    ('other', 'message'),
    [
        (of_classes(seed=1), 'the truth of the cases'),
        (of_classes(groups=GROUPS), 'the groups of the cases'),
        (of_classes(cases=50), '50 cases, 60 in one'),
        (
            replace(of_classes(), scores=np.zeros((60, 4))),
            r'the number of classes \(4\)',
        ),
        (of_labels(), 'the truth of the cases'),
    ],
)
def test_predictions_of_different_cases(other, message):
    require_same_cases(dict(one=of_classes(), same=of_classes(model=1)))
    with pytest.raises(PredictionsError, match=f'^two: .*{message}'):
        require_same_cases(dict(one=of_classes(), same=of_classes(), two=other))
