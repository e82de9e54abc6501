from __future__ import annotations

import numpy as np
import pytest

from ovss_personal.benchmarks.composites.paste import Augmentation, crop_background, paste, random_augmentation, render


def block(height: int, width: int, colour: tuple[int, int, int, int] = (100, 150, 200, 255)) -> np.ndarray:
    return np.full((height, width, 4), colour, np.uint8)


def test_render_scales_the_longer_side_and_keeps_the_colours() -> None:
    drawn = render(block(10, 20), Augmentation(side=40))
    assert drawn.shape == (20, 40, 4)
    assert (drawn == (100, 150, 200, 255)).all()


def test_render_by_hand() -> None:
    # ((100 - 128) · 0.5 + 128) · (1, 2, 0.5) = 114, and for 150 and 200: 139 · 2 = 278 (255), 164 / 2 = 82.
    drawn = render(block(4, 4), Augmentation(side=4, contrast=0.5, gain=(1, 2, 0.5)))
    assert drawn[0, 0].tolist() == [114, 255, 82, 255]
    cutout = block(1, 2)
    cutout[0, 0, 0] = 7
    assert render(cutout, Augmentation(side=2, flip=True))[0, :, 0].tolist() == [100, 7]
    assert render(block(10, 20), Augmentation(side=20, angle=90)).shape == (20, 10, 4)


def test_paste_draws_in_place_and_returns_where() -> None:
    canvas = np.zeros((10, 10, 3), np.uint8)
    mask = paste(canvas, block(4, 2), (5, 6))
    expected = np.zeros((10, 10), bool)
    expected[4:8, 4:6] = True
    assert np.array_equal(mask, expected)
    assert np.array_equal((canvas == (100, 150, 200)).all(-1), expected)


def test_paste_mixes_where_half_transparent_and_masks_where_mostly_opaque() -> None:
    canvas = np.full((1, 2, 3), 100, np.uint8)
    drawn = np.array([[[200, 200, 200, 51], [200, 200, 200, 204]]], np.uint8)  # a fifth, four fifths
    assert paste(canvas, drawn, (1, 0.5)).tolist() == [[False, True]]
    assert canvas[0, :, 0].tolist() == [120, 180]


@pytest.mark.parametrize(("centre", "pixels"), [((0, 0), 4), ((10, 5), 8), ((-9, 5), 0), ((5, 40), 0)])
def test_paste_cuts_at_the_edge(centre: tuple[float, float], pixels: int) -> None:
    canvas = np.zeros((10, 10, 3), np.uint8)
    mask = paste(canvas, block(4, 4), centre)
    assert mask.sum() == pixels and canvas.any(-1).sum() == pixels


def test_a_shadow_darkens_the_ground_but_is_no_object() -> None:
    canvas = np.full((40, 40, 3), 200, np.uint8)
    mask = paste(canvas, block(10, 10), (20, 20), shadow=0.5)
    assert mask.sum() == 100
    assert canvas[26, 20, 0] < 200 and canvas[0, 0, 0] == 200


def test_looks_and_crops_come_from_the_generator_alone() -> None:
    background = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)

    def drawn() -> tuple[Augmentation, bytes]:
        rng = np.random.default_rng(4)
        return random_augmentation(rng, 30), crop_background(rng, background, 32).tobytes()

    assert drawn() == drawn()
    augmentation = drawn()[0]
    assert augmentation.side == 30 and abs(augmentation.angle) <= 15 and abs(augmentation.contrast - 1) <= 0.15
    assert crop_background(np.random.default_rng(1), background, 32).shape == (32, 32, 3)
