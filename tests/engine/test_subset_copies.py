from __future__ import annotations

from ff_mm.datasets.digits import Digits


def test_each_subset_has_a_pipeline_of_its_own():
    whole = Digits(split='val', pipeline=[dict(type='PackInputs')])
    one, two = whole.get_subset([0, 1]), whole.get_subset([2, 3])
    assert len({id(dataset.pipeline) for dataset in (whole, one, two)}) == 3
    one.pipeline.transforms.clear()
    assert len(two.pipeline.transforms) == 1
    assert two.get_data_info(0)['gt_label'] == whole.get_data_info(2)['gt_label']
