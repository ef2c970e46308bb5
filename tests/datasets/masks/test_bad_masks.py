"""What is said, before any training, of masks that cannot be used."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mask_files import CLASSES, SIZE, made_mask, write_mask, write_pixels, write_set
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from ff_mm.datasets import DatasetError, LoadMask, MaskDataset
from ff_mm.datasets.checks.inspection import inspect_datasets
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.masks.check_masks import (
    check_masks,
    describe_masks,
    look_at_masks,
)
from ff_mm.datasets.masks.mask_file import MaskError


def said(root: Path, name: str = 'train', **options: Any) -> list[str]:
    """What is wrong with a set of images and masks, all of it."""
    problems = Problems('masks')
    try:
        dataset = build(root, **options)
    except DatasetError as error:
        return [*error.problems]
    check_masks({name: look_at_masks(dataset)}, {name: dataset}, problems)
    return [*problems]


def build(root: Path, **options: Any) -> MaskDataset:
    given: dict[str, Any] = dict(split='all', classes=CLASSES)
    return MaskDataset(str(root), **{**given, **options})


def rewrite(root: Path, mask: np.ndarray, file: str = 'p1_0.png', **more: Any) -> None:
    write_mask(root / 'masks' / file, mask, **more)


def no_mask(root: Path) -> None:
    (root / 'masks/p1_0.png').unlink()


def several_masks(root: Path) -> None:
    rewrite(root, made_mask(), 'p1_0.tif')


def cut_short(root: Path) -> None:
    path = root / 'masks/p1_0.png'
    path.write_bytes(path.read_bytes()[:50])


def no_image(root: Path) -> None:
    (root / 'masks/p1_0.png').write_bytes(b'hello')


def white_on_black(root: Path) -> None:
    rewrite(root, made_mask((0, 255)))


def jpeg(root: Path) -> None:
    Image.fromarray(made_mask()).save(root / 'masks/p1_0.png', 'JPEG')


def other_size(root: Path) -> None:
    rewrite(root, made_mask(size=(8, 10)))


def colours(root: Path) -> None:
    red = np.zeros((*SIZE, 3), np.uint8)
    red[2:4] = 255, 0, 0
    rewrite(root, red)


def floats(root: Path) -> None:
    Image.fromarray(made_mask().astype(np.float32)).save(root / 'masks/p1_0.tif')
    (root / 'masks/p1_0.png').unlink()


def transparent(root: Path) -> None:
    mask = np.zeros((*SIZE, 4), np.uint8)
    rewrite(root, mask)


#: What is done to one mask of ten, and the line that is said of it.
KINDS: dict[Callable[[Path], None], str] = {
    no_mask: 'images without a mask: 1 (p1_0.jpg). Looked for '
    "'{root}/masks/p1_0' with the extension of any image. Check masks, or leave the "
    'images out by exclude.',
    several_masks: 'images with several masks: 1 (p1_0.jpg: p1_0.png or p1_0.tif). '
    'Leave one of the files.',
    cut_short: 'train: a mask cannot be read as an image (image file is truncated',
    no_image: 'train: a mask cannot be read as an image (cannot identify image file): '
    '1 ({root}/masks/p1_0.png). Mend the masks, or leave the images out by exclude.',
    white_on_black: 'train: a mask has values that are no class: 255: 1 '
    "({root}/masks/p1_0.png). Say what they mean: label_map={{255: 'cup'}}, or None "
    'for pixels that do not count.',
    jpeg: 'train: a mask is a JPEG, which changes values where classes meet: save it '
    'as PNG from what it was made of: 1 ({root}/masks/p1_0.png).',
    other_size: 'train: a mask has (8, 10) pixels (height, width), the image (8, 12): '
    '1 ({root}/masks/p1_0.png).',
    colours: 'train: a mask has values that are no class: #ff0000: 1 '
    "({root}/masks/p1_0.png). Say what they mean: label_map={{'#ff0000': 'cup'}}",
    floats: 'train: a mask has values of type float32, expected whole numbers: 1 '
    '({root}/masks/p1_0.tif).',
    transparent: 'train: a mask is transparent in part: save it without an alpha '
    'channel: 1 ({root}/masks/p1_0.png).',
}


@pytest.mark.parametrize('spoil', KINDS, ids=lambda spoil: spoil.__name__)
def test_one_bad_mask_is_one_line(tmp_path: Path, spoil: Callable) -> None:
    write_set(tmp_path)
    assert said(tmp_path) == []
    spoil(tmp_path)
    found = said(tmp_path)
    assert len(found) == 1, found
    assert found[0].startswith(KINDS[spoil].format(root=tmp_path)), found[0]
    assert '\n' not in found[0]


class TestOfAllMasks:
    def test_white_on_black_everywhere_is_not_taken_for_ignored(
        self, tmp_path: Path
    ) -> None:
        write_set(tmp_path, 4, values=(0, 255))
        two = dict(classes=['background', 'nucleus'])
        (found,) = said(tmp_path, **two)
        assert 'values that are no class: 255: 4 (' in found
        assert "label_map={255: 'nucleus'}" in found
        assert said(tmp_path, **two, label_map={255: 'nucleus'}) == []

    def test_a_class_that_no_mask_of_train_has(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4, values=(0, 1))
        (found,) = said(tmp_path)
        assert found.startswith('train: classes of which no mask has a pixel: 1 (cup)')
        # A test set may lack one; that is said, and no problem.
        dataset = build(tmp_path)
        facts = {'test': look_at_masks(dataset)}
        problems = Problems('masks')
        odd = check_masks(facts, {'test': dataset}, problems)
        assert odd == ['test: no mask has a pixel of cup']
        assert not problems

    def test_a_mask_of_which_nothing_counts(self, tmp_path: Path) -> None:
        write_set(tmp_path)
        rewrite(tmp_path, made_mask((255,)))
        (found,) = said(tmp_path, label_map={255: None})
        assert 'masks without a pixel that counts: 1' in found

    def test_all_that_is_wrong_is_said_at_once(self, tmp_path: Path) -> None:
        write_set(tmp_path)
        rewrite(tmp_path, made_mask((0, 7)), 'p0_0.png')
        rewrite(tmp_path, made_mask((0, 7)), 'p0_1.png')
        rewrite(tmp_path, made_mask(size=(3, 3)), 'p2_0.png')
        found = said(tmp_path)
        assert len(found) == 2
        assert (
            f'7: 2 ({tmp_path}/masks/p0_0.png, {tmp_path}/masks/p0_1.png)' in found[0]
        )


class TestCloserLook:
    """What tools/dataset_converters/check_dataset.py finds."""

    def look(self, root: Path) -> Any:
        config = dict(
            type='MaskDataset', data_root=str(root), split='all', classes=CLASSES
        )
        return inspect_datasets({'train': config})

    def test_images_by_the_classes_in_their_masks(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4)
        rewrite(tmp_path, made_mask((0, 1)))
        found = self.look(tmp_path)
        assert found.problems == ()
        assert found.sets['train'].labels.positive.tolist() == [4, 4, 3]
        # Rows of twelve pixels: thirds, and of one mask halves.
        shares = '(background 37.5 %, disc 37.5 %, cup 25.0 %)'
        assert found.notes == (f'train: 4 images, 3 classes {shares}',)

    def test_bad_masks(self, tmp_path: Path) -> None:
        write_set(tmp_path, 4)
        white_on_black(tmp_path)
        (found,) = self.look(tmp_path).problems
        assert found.startswith('train: a mask has values that are no class: 255: 1')


class TestMasksOfClasses:
    def said(self, root: Path, disc: np.ndarray, cup: np.ndarray) -> list[str]:
        write_pixels(root / 'images/a.png')
        write_mask(root / 'disc/a.png', disc)
        write_mask(root / 'cup/a.png', cup)
        return said(root, masks=dict(disc='disc', cup='cup'))

    def test_more_than_two_values(self, tmp_path: Path) -> None:
        found = self.said(tmp_path, made_mask((0, 128, 255)), made_mask((9, 0, 0)))
        assert found[0].startswith(
            'train: a mask has the values 0, 128, 255, where the mask of one class has '
            f'0 and one other: 1 ({tmp_path}/disc/a.png).'
        )

    def test_two_that_claim_a_pixel(self, tmp_path: Path) -> None:
        found = self.said(tmp_path, made_mask((0, 1, 1)), made_mask((0, 0, 1)))
        assert found[0].startswith(
            'train: a mask claims pixels that the mask of another class claims: 1 '
            f'({tmp_path}/cup/a.png).'
        )

    def test_two_sizes(self, tmp_path: Path) -> None:
        found = self.said(tmp_path, made_mask((0, 1, 0)), made_mask((0, 1), (3, 4)))
        assert 'is of another size than the mask of another class' in found[0]


class TestValues:
    def mask_of(self, root: Path, label_map: Any = None, **how: Any) -> np.ndarray:
        write_pixels(root / 'images/a.png')
        dataset = build(root, label_map=label_map, **how)
        return LoadMask()(LoadImageFromFile()(dataset.get_data_info(0)))['gt_seg_map']

    def test_a_palette_says_nothing_but_its_numbers(self, tmp_path: Path) -> None:
        image = Image.fromarray(made_mask()).convert('P')
        image.putdata(made_mask().flatten().tolist())
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        (tmp_path / 'masks').mkdir()
        image.save(tmp_path / 'masks/a.png')
        np.testing.assert_array_equal(self.mask_of(tmp_path), made_mask())

    def test_numbers_of_16_bits(self, tmp_path: Path) -> None:
        wide = made_mask((0, 1, 2)).astype(np.uint16) * 1000
        write_mask(tmp_path / 'masks/a.png', wide)
        label_map = {'1000': 'disc', '2000': 2}
        np.testing.assert_array_equal(self.mask_of(tmp_path, label_map), made_mask())

    def test_black_and_white(self, tmp_path: Path) -> None:
        (tmp_path / 'masks').mkdir()
        Image.fromarray(made_mask((0, 255))).convert('1').save(tmp_path / 'masks/a.png')
        np.testing.assert_array_equal(self.mask_of(tmp_path), made_mask((0, 1)))

    def test_colours_with_a_meaning(self, tmp_path: Path) -> None:
        colors = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 255]], np.uint8)
        write_mask(tmp_path / 'masks/a.png', colors[made_mask()])
        label_map = {'#FF0000': 'disc', '#0080ff': None}
        expected = np.array([0, 1, 255])[made_mask()]
        np.testing.assert_array_equal(self.mask_of(tmp_path, label_map), expected)

    def test_grey_in_three_channels_is_a_number(self, tmp_path: Path) -> None:
        write_mask(tmp_path / 'masks/a.png', np.repeat(made_mask()[..., None], 3, 2))
        np.testing.assert_array_equal(self.mask_of(tmp_path), made_mask())

    def test_pixels_that_do_not_count_are_told(self, tmp_path: Path) -> None:
        write_mask(tmp_path / 'masks/a.png', made_mask((0, 1, 2, 255)))
        self.mask_of(tmp_path, {255: None})
        dataset = build(tmp_path, label_map={255: None})
        assert describe_masks('val', dataset, look_at_masks(dataset)) == (
            'val: 1 images, 3 classes (background 33.3 %, disc 33.3 %, cup 33.3 %; 24 '
            'pixels do not count)'
        )

    def test_in_training_it_is_an_error_too(self, tmp_path: Path) -> None:
        write_mask(tmp_path / 'masks/a.png', made_mask((0, 9)))
        with pytest.raises(MaskError, match=r'masks/a\.png: has values that .* 9$'):
            self.mask_of(tmp_path)
        write_mask(tmp_path / 'masks/a.png', made_mask(size=(4, 4)))
        with pytest.raises(MaskError, match=r'has \(4, 4\) pixels .* image \(8, 12\)'):
            self.mask_of(tmp_path)

    def test_the_error_survives_a_data_worker(self) -> None:
        error = pickle.loads(pickle.dumps(MaskError('a.png', 'is\nbad')))
        assert str(error) == r'a.png: is\nbad'

    def test_an_image_on_its_side(self, tmp_path: Path) -> None:
        """What a camera turns is compared as it is shown."""
        (tmp_path / 'images').mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new('RGB', (8, 12)).save(tmp_path / 'images/a.jpg', exif=exif)
        write_mask(tmp_path / 'masks/a.png', made_mask())
        assert said(tmp_path) == []
