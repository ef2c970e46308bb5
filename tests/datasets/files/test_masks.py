from __future__ import annotations

import pytest

from ff_mm.datasets.files.masks import find_masks


@pytest.mark.parametrize(
    ('paths', 'masks'),
    [
        # As BUSI has them.
        (['b/benign (1).png', 'b/benign (1)_mask.png'], {'b/benign (1)_mask.png'}),
        (['b/x (1).png', 'b/x (1)_mask_1.png'], {'b/x (1)_mask_1.png'}),
        # As COVID-19 Radiography and ISIC have them.
        (['c/images/1.png', 'c/masks/1.png'], {'c/masks/1.png'}),
        (['im/1.jpg', 'GroundTruth/1.png'], {'GroundTruth/1.png'}),
        (['im/1.jpg', 'Ground_Truth/1_seg.png'], {'Ground_Truth/1_seg.png'}),
        (['a/1.png', 'a/mask_1.png'], {'a/mask_1.png'}),
        # Whose image is not there, and classes of people with and without masks.
        (['a/1_mask.png', 'a/2_mask.png'], set()),
        (['with_mask/1.png', 'without_mask/1.png'], set()),
        (['a/1.png', 'a/1_left.png'], set()),
    ],
)
def test_masks_belong_to_an_image(paths, masks):
    assert set(find_masks(paths)) == masks
