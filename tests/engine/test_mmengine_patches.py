from __future__ import annotations

import pytest
from torch.utils.data import DataLoader, Dataset

from ff_mm.datasets import DatasetError
from ff_mm.datasets.digits import Digits
from ff_mm.engine.mmengine_patches import without_worker_traceback
from ff_mm.errors import ConfigError, FFMMError


class Broken(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(
    'error',
    [
        DatasetError('scan.dcm: is no DICOM'),
        DatasetError('cases', ['a row', 'a column']),
        ConfigError('load: no such thing'),
    ],
)
def test_the_words_are_those_of_the_worker(error, workers):
    with pytest.raises(FFMMError) as caught, without_worker_traceback():
        next(iter(DataLoader(Broken(error), num_workers=workers)))
    assert str(caught.value) == str(error)


def test_other_errors_keep_their_traceback():
    with (
        pytest.raises(ZeroDivisionError, match='Original Traceback'),
        without_worker_traceback(),
    ):
        next(iter(DataLoader(Broken(ZeroDivisionError()), num_workers=1)))


def test_each_subset_has_a_pipeline_of_its_own():
    whole = Digits(split='val', pipeline=[dict(type='PackInputs')])
    one, two = whole.get_subset([0, 1]), whole.get_subset([2, 3])
    assert len({id(dataset.pipeline) for dataset in (whole, one, two)}) == 3
    one.pipeline.transforms.clear()
    assert len(two.pipeline.transforms) == 1
    assert two.get_data_info(0)['gt_label'] == whole.get_data_info(2)['gt_label']
