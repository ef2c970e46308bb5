from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from sklearn.datasets import load_digits

from ff_mm.datasets import Digits
from ff_mm.datasets.digits import CORRUPTIONS


def images(**kwargs: object) -> np.ndarray:
    dataset = Digits(**kwargs)
    return np.stack([dataset.get_data_info(i)['img'] for i in range(len(dataset))])


def test_splits_are_all_of_the_digits():
    splits = [Digits(split=split) for split in ('train', 'val', 'test')]
    assert [len(split) for split in splits] == [359, 719, 719]
    labels = np.concatenate([split.get_gt_labels() for split in splits])
    assert Counter(labels.tolist()) == Counter(load_digits().target.tolist())
    pixels = np.concatenate([images(split=s)[..., 0] for s in ('train', 'val', 'test')])
    source = np.round(load_digits().images * 255 / 16)
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, source.astype(np.uint8)))


def test_splits_are_stratified():
    counts = Counter(Digits(split='val').get_gt_labels().tolist())
    assert set(counts.values()) <= set(range(69, 75))


def test_form_of_an_image():
    info = Digits().get_data_info(0)
    assert info['img'].shape == (8, 8, 3)
    assert info['img'].dtype == np.uint8
    assert type(info['gt_label']) is int
    assert (info['img'] == info['img'][..., :1]).all()
    assert images().max() == 255


@pytest.mark.parametrize('corruption', [*CORRUPTIONS, 'mixed'])
def test_corruptions_are_repeatable_and_grow(corruption):
    clean = images(split='test').astype(float)
    change = []
    for severity in (1, 3, 5):
        corrupted = images(split='test', corruption=corruption, severity=severity)
        again = images(split='test', corruption=corruption, severity=severity)
        assert (corrupted == again).all()
        change.append(np.abs(corrupted - clean).mean())
    assert 0 < change[0] < change[1] < change[2]


def test_seed_changes_the_noise_but_not_the_split():
    first, second = (
        Digits(split='test', corruption='gaussian_noise', seed=seed) for seed in (0, 1)
    )
    assert (first.get_gt_labels() == second.get_gt_labels()).all()
    assert (first.get_data_info(0)['img'] != second.get_data_info(0)['img']).any()


def test_contrast_by_hand():
    clean = images(split='test')[0] / 255
    corrupted = images(split='test', corruption='contrast', severity=1)[0] / 255
    expected = (clean - clean.mean()) * 0.4 + clean.mean()
    np.testing.assert_allclose(corrupted, expected, atol=2 / 255)


def test_mixed_uses_every_corruption_equally():
    mixed = images(split='test', corruption='mixed')
    shares = [
        (mixed == images(split='test', corruption=name)).all(axis=(1, 2, 3)).mean()
        for name in CORRUPTIONS
    ]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0.2


def test_builds_from_a_config_and_says_what_it_is():
    config = dict(type='Digits', split='val', corruption='blur', indices=10)
    dataset = DATASETS.build(config)
    assert len(dataset) == 10
    assert dataset.CLASSES[0] == 'zero' and dataset.CLASSES[9] == 'nine'
    assert 'Corruption: \tblur 3' in repr(dataset)


@pytest.mark.parametrize(
    'wrong', [dict(split='all'), dict(corruption='fog'), dict(severity=6)]
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))} must be one of'):
        Digits(**wrong)
