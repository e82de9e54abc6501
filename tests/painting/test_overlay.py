from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ovss_personal.painting.overlay import contact_sheet, draw_overlay, index_png, word_colour

GREY = np.full((80, 120, 3), 100, np.uint8)
MAGENTA = (255, 0, 110)


def halves(height: int = 80, width: int = 120) -> npt.NDArray[np.int32]:
    """Left half 0, right half 1."""
    return np.repeat((np.arange(width) >= width // 2).astype(np.int32)[None], height, axis=0)


def has_colour(picture: Image.Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.asarray(picture) == colour).all(-1).any())


def test_tint_is_the_opacity_s_mix_of_photo_and_word_colour() -> None:
    picture = np.asarray(draw_overlay(GREY, halves(), ["sky", "tree"], opacity=0.5))
    for column, index in ((10, 0), (110, 1)):
        expected = [int(100 + 0.5 * (channel - 100) + 0.5) for channel in word_colour(index)]
        assert picture[40, column].tolist() == expected


def test_zero_opacity_leaves_the_photo_and_the_legend_lies_below_it() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    picture = np.asarray(draw_overlay(noise, halves(300, 400), ["sky", "tree"], opacity=0.0))
    assert (picture[:300, :400] == noise).all()
    assert picture.shape[0] > 300 and picture.shape[1] == 400


def test_other_is_dimmed_without_a_tint() -> None:
    picture = np.asarray(draw_overlay(GREY, halves(), ["sky", "other"]))
    assert picture[40, 110].tolist() == [45, 45, 45]


def test_a_concept_has_its_own_colour_and_a_white_and_dark_outline() -> None:
    labels = np.zeros((80, 120), np.int32)
    labels[20:60, 40:90] = 1
    picture = draw_overlay(GREY, labels, ["sky", "my mug"], concepts=["my mug"])
    pixels = np.asarray(picture)
    assert pixels[40, 65].tolist() == [int(100 + 0.55 * (c - 100) + 0.5) for c in MAGENTA]
    assert pixels[40, 40:42].tolist() == [[255] * 3] * 2
    assert pixels[40, 39].tolist() == [34] * 3
    assert has_colour(picture, MAGENTA)  # the legend's swatch


def test_an_outline_stays_within_a_mask_that_fills_the_photo() -> None:
    picture = np.asarray(draw_overlay(GREY, np.zeros((80, 120), np.int32), ["my mug"], concepts=["my mug"]))
    assert len(np.unique(picture[:80, :120].reshape(-1, 3), axis=0)) == 1


def test_the_legend_names_only_words_that_occur() -> None:
    words = ["sky", "tree", *(f"absent {number}" for number in range(200))]
    assert draw_overlay(GREY, halves(), words).size == draw_overlay(GREY, halves(), words[:2]).size
    assert not has_colour(draw_overlay(GREY, halves(), words), word_colour(2))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 64), (40, 900), (900, 40), (1500, 2000)])
def test_every_size_keeps_its_photo_and_gets_a_legend(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    picture = draw_overlay(image, halves(height, width), ["ein sehr langes Wort " * 20, "日本語 🐦\nmug"])
    assert picture.width == max(width, 220)
    assert picture.height >= height + 24
    band = np.asarray(picture)[height:]
    assert (band[:, -2:] > 240).all(), "the legend runs out of the picture"


def test_colours_differ_and_leave_magenta_to_concepts() -> None:
    colours = [word_colour(index) for index in range(40)]
    assert len(set(colours)) == 40
    assert all(sum(abs(a - b) for a, b in zip(colour, MAGENTA, strict=True)) > 90 for colour in colours)


def test_contact_sheet_places_photos_in_rows_and_frames_the_ones_without_mask() -> None:
    mask = np.zeros((80, 120), bool)
    mask[20:60, 40:90] = True
    one = contact_sheet([(GREY, mask, "1.jpg")], side=120)
    two = contact_sheet([(GREY, mask, "1.jpg"), (GREY, None, "2.jpg: no mask")], side=120)
    wrapped = contact_sheet([(GREY, mask, "1.jpg")] * 3, columns=2, side=120)
    assert two.height == one.height and two.width > one.width
    assert wrapped.width == two.width and wrapped.height > two.height
    assert has_colour(two, (200, 0, 0)) and not has_colour(one, (200, 0, 0))
    assert has_colour(one, (162, 60, 104))  # 0.6 of the grey, 0.4 of the magenta


def test_a_caption_of_any_length_is_cut_to_its_tile() -> None:
    sheet = contact_sheet([(GREY, None, "word " * 100 + "x" * 500)], side=120)
    assert sheet.size == contact_sheet([(GREY, None, "short")], side=120).size
    assert (np.asarray(sheet)[:, -4:] > 240).all()


def test_index_png_gives_the_labels_back() -> None:
    few = Image.open(io.BytesIO(index_png(halves() * 255)))
    many = Image.open(io.BytesIO(index_png(halves() * 846)))
    assert (few.mode, many.mode) == ("P", "I;16")
    assert np.unique(np.asarray(few)).tolist() == [0, 255]
    assert np.unique(np.asarray(many)).tolist() == [0, 846]
    assert few.convert("RGB").getpixel((0, 0)) == word_colour(0)
