from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import TensorDataset

from ff_mm.datasets.checks.check import check_datasets, fingerprint
from ff_mm.datasets.checks.on_disk import images_identity, keep_images_file
from ff_mm.datasets.checks.truth import files_of, meta_of, truth_of, truth_text
from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.splits.split_file import keep_split_file


class Cases(BaseDataset):
    """Cases as a test has written them down."""

    def __init__(self, infos, data_root=''):
        self.infos = infos
        super().__init__(pipeline=[], data_root=data_root, serialize_data=False)

    def load_data_list(self):
        return [dict(info) for info in self.infos]


@pytest.mark.parametrize(
    ('info', 'truth', 'text'),
    [
        (dict(gt_label=3, x=1), [3], '3'),
        (dict(gt_label=[0, 2]), [0, 2], '[0, 2]'),
        (dict(gt_score=np.array([1.0, 0, -1])), [1, 0, -1], '1 0 -1'),
        (dict(image_id='a', group='p', sample_idx=4, img_path='a.png'), [], ''),
        (dict(y=0.5, sample_idx=4), dict(y=0.5), '0.5'),
        (dict(y=np.float32(0.5), kind='b'), dict(kind='b', y=0.5), None),
        (dict(seg_map_path='/d/m/a.png'), dict(seg_map_path='m/a.png'), 'm/a.png'),
    ],
)
def test_the_truth_of_a_case_is_its_label_or_all_that_does_not_name_it(
    info, truth, text
):
    assert truth_of(info, '/d') == truth
    expected = json.dumps(truth, sort_keys=True) if text is None else text
    assert truth_text(info, '/d') == expected


def test_arrays_and_tensors_are_told_by_content_and_long_truths_by_a_digest():
    one, same = dict(box=np.arange(4.0)), dict(box=torch.arange(4.0).double())
    assert truth_of(one) == truth_of(same) != truth_of(dict(box=np.arange(5.0)))
    assert len(truth_text(dict(words='x' * 200))) == 32
    assert truth_of(dict(thing=object())) == dict(thing='object')  # no address


def test_the_files_of_a_case_are_its_image_and_those_of_its_truth():
    info = dict(
        seg_map_paths=['a.png', 'b.png'],
        img_path='i.png',
        classes=dict(depth_path='d.npy', name='no path'),
        other_path=None,
    )
    assert files_of(info) == ['i.png', 'a.png', 'b.png', 'd.npy']


def test_a_changed_mask_is_noticed(tmp_path):
    image, mask = tmp_path / 'i.png', tmp_path / 'm.png'
    image.write_bytes(b'image')
    mask.write_bytes(b'mask')
    data = Cases([dict(img_path=str(image), seg_map_path=str(mask))], str(tmp_path))
    file = tmp_path / 'images.csv'
    before = images_identity(data)
    keep_images_file(file, dict(val=data))
    mask.write_bytes(b'musk')
    assert images_identity(data) != before
    with pytest.raises(DatasetError, match=r"1 of 2 images of val .* 'm\.png'"):
        keep_images_file(file, dict(val=data))


def test_another_truth_is_another_fingerprint_and_a_moved_folder_is_not(tmp_path):
    def cases(root, **truth):
        info = dict(img_path=f'{root}/i.png', seg_map_path=f'{root}/m.png', **truth)
        return Cases([info], str(root))

    one = fingerprint(cases(tmp_path / 'a', scale=1))
    assert one == fingerprint(cases(tmp_path / 'b', scale=1))
    assert one != fingerprint(cases(tmp_path / 'a', scale=2))


def test_a_changed_number_is_noticed_when_a_run_goes_on(tmp_path):
    file = tmp_path / 'splits.csv'
    keep_split_file(file, dict(val=Cases([dict(y=0.5), dict(y=1.5)])))
    assert file.read_text().splitlines()[1] == '0,val,0.5,'
    keep_split_file(file, dict(val=Cases([dict(y=0.5), dict(y=1.5)])))
    with pytest.raises(DatasetError, match='the data sets are not those'):
        keep_split_file(file, dict(val=Cases([dict(y=0.5), dict(y=1.25)])))


def test_of_data_sets_that_cannot_be_asked_only_the_number_of_cases_is_known(
    monkeypatch,
):
    said = []
    monkeypatch.setattr('ff_mm.datasets.checks.check.log', said.append)

    def make():
        return TensorDataset(torch.zeros(3, 1))

    data = dict(type=make)
    found = check_datasets(dict(train=data, val=data))
    assert len(found['val']) == 3
    assert meta_of(found['val']) == {}
    assert 'has no get_data_info' in ' '.join(said)
