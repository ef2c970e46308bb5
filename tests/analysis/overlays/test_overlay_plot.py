from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from ff_mm.analysis.overlays.overlay_plot import Overlay, change, over, overlay_plot
from ff_mm.analysis.overlays.overlay_runner import OverlayOptions, _chosen
from ff_mm.display.figures import COLOURS, rendered

MENDED, SPOILT, BOTH_WRONG = map(to_rgb, ('#009e73', '#d55e00', '#f0e442'))


def overlay(**masks: list) -> Overlay:
    shape = (1, len(masks['truth']))
    return Overlay(
        'a.png',
        np.full((*shape, 3), 200, np.uint8),
        *(np.array([masks[name]]) for name in ('truth', 'single', 'soup')),
    )


def test_each_pixel_that_changes_has_the_colour_of_what_becomes_of_it():
    found = change(
        overlay(truth=[1, 1, 1, 0, 255], single=[0, 1, 2, 0, 0], soup=[1, 0, 0, 0, 1])
    )
    assert tuple(found[0, 0]) == MENDED
    assert tuple(found[0, 1]) == SPOILT
    assert tuple(found[0, 2]) == BOTH_WRONG
    # What does not change, or does not count, is the image in grey.
    np.testing.assert_allclose(found[0, 3:], 0.6 * 200 / 255)


def test_a_mask_colours_all_but_the_first_class():
    image = np.zeros((1, 4, 3), np.uint8)
    found = over(image, np.array([[0, 1, 2, 255]]))
    np.testing.assert_allclose(found[0, 0], 0)
    for place, color in ((1, COLOURS[0]), (2, COLOURS[1]), (3, '#808080')):
        np.testing.assert_allclose(found[0, place], np.array(to_rgb(color)) / 2)


def test_the_images_that_matter_most_are_drawn():
    rows = [
        dict(known=100, differ=5, wrong_soup=1),
        dict(known=10, differ=2, wrong_soup=2),
        dict(known=0, differ=0, wrong_soup=0),
        dict(known=100, differ=9, wrong_soup=30),
    ]
    assert _chosen(rows, OverlayOptions(cases=2)) == [1, 3]
    assert _chosen(rows, OverlayOptions(cases=1, order='worst')) == [3]


def test_the_figure_names_models_and_images():
    figure = overlay_plot(
        [overlay(truth=[1, 0], single=[0, 0], soup=[1, 0])], 'base_lr0.1', 'GoG soup'
    )
    text = rendered(figure, 'svg').decode()
    for name in ('a.png', 'truth', 'base_lr0.1', 'GoG soup', 'mended by the soup'):
        assert name in text
