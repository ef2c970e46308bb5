from __future__ import annotations

import numpy as np
import pytest
from mmpretrain.models import LinearClsHead

from ff_mm.datasets import DatasetError
from ff_mm.datasets.checks.head_check import check_head
from ff_mm.errors import ConfigError


class Cases:
    def __init__(self, classes=None, **info):
        self.metainfo = dict(classes=classes)
        self.infos = [info] if info else []

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


ONE = Cases(gt_label=1)
SEVERAL = [Cases(gt_score=np.array([1, -1])), Cases(gt_label=[0, 2])]


@pytest.mark.parametrize('data', SEVERAL, ids=['scores', 'list'])
@pytest.mark.parametrize(
    'kind', ['LinearClsHead', 'VisionTransformerClsHead', LinearClsHead]
)
def test_one_class_of_several_labels(kind, data):
    check_head(dict(type=kind), ONE)
    with pytest.raises(ConfigError, match='_multilabel'):
        check_head(dict(type=kind), data)


@pytest.mark.parametrize('kind', ['MaskedMultiLabelClsHead', 'CSRAClsHead'])
def test_several_labels_of_one_class(kind):
    for data in SEVERAL:
        check_head(dict(type=kind), data)
    with pytest.raises(ConfigError, match='one class an image'):
        check_head(dict(type=kind), ONE)


def test_as_many_outputs_as_classes():
    data = Cases(classes=('a', 'b'), gt_label=1)
    check_head(dict(type='LinearClsHead', num_classes=2), data)
    check_head(dict(type='LinearClsHead'), data)
    check_head(dict(type='LinearClsHead', num_classes=3), ONE)
    with pytest.raises(DatasetError, match=r'3 outputs, the data set 2 classes \(a, b'):
        check_head(dict(type='LinearClsHead', num_classes=3), data)


@pytest.mark.parametrize('head', [{}, dict(type='ArcFaceClsHead'), dict(type='NoSuch')])
@pytest.mark.parametrize('data', [Cases(), Cases(img_path='a.png')])
def test_what_cannot_be_told_is_not_refused(head, data):
    check_head(head, data)
