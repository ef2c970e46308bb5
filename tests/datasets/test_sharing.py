"""What runs of one process share of a data set, and what they must not."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, init_default_scope

from ff_mm.datasets import sharing
from ff_mm.datasets.sharing import (
    build_dataset,
    forget_datasets,
    keep_dataset,
)

CROP = dict(type='RandomCrop', crop_size=6)
PACK = dict(type='PackInputs')


@DATASETS.register_module()
class Numbered(BaseDataset):
    """Images of which each pixel is the image's number; counts its scans."""

    METAINFO = {'classes': ('even', 'odd')}
    scans = 0

    def load_data_list(self):
        Numbered.scans += 1
        image = np.ones((8, 8, 3), dtype=np.uint8)
        return [dict(img=image * i, gt_label=i % 2) for i in range(6)]


@DATASETS.register_module()
class Odd(Numbered):
    """Every other of them."""

    def filter_data(self):
        return self.data_list[1::2]


@DATASETS.register_module()
class WithOwnPipeline(Numbered):
    """Puts a step of its own before those of the config."""

    def __init__(self, pipeline=(), **kwargs):
        super().__init__(pipeline=[dict(type='Resize', scale=4), *pipeline], **kwargs)


@pytest.fixture(autouse=True)
def nothing_kept():
    forget_datasets()
    init_default_scope('mmpretrain')
    Numbered.scans = 0
    yield
    forget_datasets()


def config(pipeline=(PACK,), **options):
    return copy.deepcopy(
        dict(dict(type='Numbered', pipeline=list(pipeline)), **options)
    )


def test_cases_are_read_once_and_each_has_its_own_pipeline():
    whole, cropped = build_dataset(config()), build_dataset(config([CROP, PACK]))
    again = build_dataset(config())
    assert Numbered.scans == 1
    assert cropped.data_bytes is whole.data_bytes is again.data_bytes
    shapes = [tuple(d[3]['inputs'].shape[1:]) for d in (whole, cropped, again)]
    assert shapes == [(8, 8), (6, 6), (8, 8)]
    assert [len(d.pipeline.transforms) for d in (whole, cropped, again)] == [1, 2, 1]


@pytest.mark.parametrize('pipeline', [[PACK], [CROP, PACK]])
def test_what_is_shared_is_what_would_have_been_built(pipeline):
    build_dataset(config([dict(type='Resize', scale=3)]))
    shared, built = build_dataset(config(pipeline)), DATASETS.build(config(pipeline))
    assert len(shared) == len(built) == 6
    assert shared.metainfo == built.metainfo
    for index in range(6):
        np.random.seed(index)
        one = shared[index]
        np.random.seed(index)
        two = built[index]
        assert one['inputs'].equal(two['inputs'])
        assert one['data_samples'].gt_label.equal(two['data_samples'].gt_label)


@pytest.mark.parametrize(
    'change',
    [
        dict(indices=3),
        dict(indices=[1, 2, 5]),
        dict(metainfo=dict(classes=('a', 'b'))),
        dict(test_mode=True),
        dict(data_root='elsewhere'),
        dict(type='Odd'),
    ],
    ids=str,
)
def test_any_other_difference_makes_another_data_set(change):
    first, other = build_dataset(config()), build_dataset(config(**change))
    assert other.data_bytes is not first.data_bytes
    alone = DATASETS.build(config(**change))
    assert (len(other), other.metainfo) == (len(alone), alone.metainfo)
    assert other.test_mode == alone.test_mode


def test_a_list_and_a_tuple_are_not_the_same():
    one = build_dataset(config(metainfo=dict(classes=('a', 'b'))))
    two = build_dataset(config(metainfo=dict(classes=['a', 'b'])))
    assert (one.metainfo['classes'], two.metainfo['classes']) == (
        ('a', 'b'),
        ['a', 'b'],
    )


def test_what_one_run_does_to_its_data_set_the_next_does_not_see():
    first = build_dataset(config())
    first.get_subset_([0, 1])
    first._metainfo['classes'] = ('changed',)
    first.pipeline.transforms.clear()
    first.test_mode = True
    second = build_dataset(config())
    assert (len(first), len(second)) == (2, 6)
    assert second.metainfo == dict(classes=('even', 'odd'))
    assert len(second.pipeline.transforms) == 1
    assert second.test_mode is False
    second.get_subset_([3])
    assert len(build_dataset(config())) == 6


def test_images_may_be_written_to():
    first, second = build_dataset(config()), build_dataset(config())
    first.get_data_info(3)['img'][:] = 99
    assert (second.get_data_info(3)['img'] == 3).all()


def test_only_the_last_ones_are_kept(monkeypatch):
    monkeypatch.setattr(sharing, '_KEPT_AT_MOST', 2)
    for indices in (1, 2, 3, 4):
        build_dataset(config(indices=indices))
    assert len(sharing._kept) == 2
    assert Numbered.scans == 4
    build_dataset(config(indices=3))
    build_dataset(config(indices=4))
    assert Numbered.scans == 4
    build_dataset(config(indices=1))  # now 3 is the one used longest ago
    build_dataset(config(indices=4))
    assert Numbered.scans == 5


def test_train_and_val_of_many_runs_are_read_once_each():
    for size in (4, 5, 6):
        build_dataset(config([dict(CROP, crop_size=size)]))
        build_dataset(config(test_mode=True))
    assert Numbered.scans == 2


def test_all_sets_of_a_run_are_kept():
    for _ in range(2):
        for indices in range(1, 6):  # val, test and three out-of-distribution ones
            build_dataset(config(indices=indices))
    assert Numbered.scans == 5


def test_a_data_set_that_was_built_elsewhere_can_be_handed_over():
    built = DATASETS.build(config())
    keep_dataset(config(), built)
    assert build_dataset(config([CROP, PACK])).data_bytes is built.data_bytes
    assert Numbered.scans == 1


@pytest.mark.parametrize(
    'options',
    [
        dict(type='RepeatDataset', times=2, dataset=config()),
        config(type='WithOwnPipeline'),
        config(serialize_data=False),
        config(metainfo=dict(classes=np.array(['a', 'b']))),
    ],
    ids=['wrapper', 'pipeline', 'unserialised', 'array'],
)
def test_what_cannot_be_shared_is_built_anew_as_it_always_was(options):
    built, again = build_dataset(dict(options)), build_dataset(dict(options))
    assert Numbered.scans == 2
    assert built is not again
    assert built[1]['inputs'].equal(again[1]['inputs'])
    if options['type'] == 'WithOwnPipeline':
        assert built[1]['inputs'].shape == (3, 4, 4)


def test_the_scope_in_which_a_name_is_looked_up_counts():
    build_dataset(config())
    init_default_scope('mmengine')
    with pytest.raises(KeyError, match='PackInputs'):
        build_dataset(config())
