from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ovss_personal.errors import ImageError, MaskError, OvssWarning
from ovss_personal.structures import BaseTraits, Shot

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
MASK = np.zeros((20, 30), bool)
MASK[4:9, 3:12] = True
VOID = np.zeros((20, 30), bool)
VOID[10:12] = True
GREY = MASK.astype(np.uint8) * 255


def palette(labels: np.ndarray) -> Image.Image:
    picture = Image.fromarray(labels.astype(np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 200, 30, 30])
    return picture


def test_a_photo_and_a_mask_are_enough() -> None:
    shot = Shot(IMAGE, MASK)
    assert np.array_equal(shot.image, IMAGE) and np.array_equal(shot.mask, MASK) and shot.ignore is None
    assert shot.name == "shot"
    assert shot.sha256 == hashlib.sha256(b"(20, 30, 3)" + IMAGE.tobytes()).hexdigest()
    assert shot.sha256 != Shot(IMAGE[:, ::-1], MASK).sha256
    named = Shot(IMAGE, MASK, "images/1.jpg", "abc", VOID)
    assert (named.name, named.sha256) == ("images/1.jpg", "abc")
    assert replace(named, mask=VOID).name == "images/1.jpg" and replace(named, mask=VOID).mask[10, 0]


@pytest.mark.parametrize(
    "mask",
    [
        MASK,
        MASK.astype(np.uint8),
        GREY,
        MASK.astype(np.int64),
        MASK.astype(np.int16) * 7,
        MASK.astype(np.float32),
        MASK.astype(np.float64) * 255,
        MASK[..., None],
        GREY[None],
        torch.from_numpy(MASK),
        MASK.tolist(),
        Image.fromarray(MASK),
        Image.fromarray(GREY),
        Image.fromarray(np.repeat(GREY[..., None], 3, 2)),
        palette(MASK),
    ],
    ids=(
        "bool", "0 and 1", "0 and 255", "int", "0 and 7", "float", "float 255", "H W 1", "1 H W", "tensor", "list",
        "PIL 1", "PIL L", "PIL RGB", "PIL P",
    ),
)  # fmt: skip
def test_masks_of_every_kind_mark_the_same_object(mask: Any) -> None:
    shot = Shot(IMAGE, mask)
    assert shot.mask.dtype == bool and np.array_equal(shot.mask, MASK) and shot.ignore is None


def test_shares_over_a_half_count() -> None:
    with pytest.warns(OvssWarning, match="shot 2: a soft mask; values over 0.5"):
        shot = Shot(IMAGE, MASK * 0.7 + ~MASK * 0.3, "shot 2")
    assert np.array_equal(shot.mask, MASK)


@pytest.mark.parametrize("kind", [bool, np.uint8, Image.fromarray], ids=["bool", "uint8", "PIL"])
def test_what_is_void_does_not_count(kind: Any) -> None:
    labels = MASK + VOID.astype(np.uint8) * 255
    assert np.array_equal(Shot(IMAGE, labels).ignore, VOID) and np.array_equal(Shot(IMAGE, labels).mask, MASK)
    ignore = kind(VOID) if kind is Image.fromarray else VOID.astype(kind)
    assert np.array_equal(Shot(IMAGE, MASK, ignore=ignore).ignore, VOID)
    assert Shot(IMAGE, MASK, ignore=VOID & False).ignore is None
    more = np.zeros_like(VOID)
    more[15] = True
    assert np.array_equal(Shot(IMAGE, labels, ignore=more).ignore, VOID | more)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (MASK[:, 1:], "the mask is 29x20 but the photo is 30x20"),
        (MASK.T, "the mask is 20x30 but the photo is 30x20"),
        (MASK & False, "the mask is empty"),
        (MASK + 2 * VOID, r"several labels: 0 \(82.5%\), 1 \(7.5%\), 2 \(10.0%\)"),
        (np.clip(GREY, 10, 200), r"several labels: 10 \(92.5%\), 200 \(7.5%\)"),
        (np.full(MASK.shape, np.nan), "NaN"),
        (MASK * 1.5 - 0.2, "values from -0.2 to 1.3"),
        (MASK.astype(str), "expected bool, int or float values, found <U5"),
        (IMAGE, r"expected one mask shaped \(H, W\), found \(20, 30, 3\)"),
        ([[1, 0], [1]], "is a list and cannot be made an array"),
        (None, "expected one mask"),
        (Image.fromarray(IMAGE), "expected black and one colour"),
    ],
    ids=["narrow", "turned", "empty", "two", "grey", "NaN", "range", "text", "colours", "rows", "none", "photo"],
)
def test_other_masks_are_refused_in_a_sentence_that_names_the_shot(mask: Any, said: str) -> None:
    with pytest.raises(MaskError, match=f"^my cup: .*{said}"):
        Shot(IMAGE, mask, "my cup")


def test_an_area_to_ignore_of_another_size_is_refused() -> None:
    with pytest.raises(MaskError, match="the area to ignore is 20x30 but the photo is 30x20"):
        Shot(IMAGE, MASK, ignore=VOID.T)


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (IMAGE[..., 0], np.repeat(IMAGE[..., :1], 3, 2)),
        (np.dstack((IMAGE, np.full(MASK.shape, 255, np.uint8))), IMAGE),
        (np.dstack((IMAGE, np.zeros(MASK.shape, np.uint8))), np.full_like(IMAGE, 255)),
        (Image.fromarray(IMAGE), IMAGE),
        (Image.fromarray(IMAGE[..., 0]), np.repeat(IMAGE[..., :1], 3, 2)),
    ],
    ids=["grey", "RGBA", "transparent", "PIL", "PIL grey"],
)
def test_images_of_every_kind_become_rgb(image: Any, seen: np.ndarray) -> None:
    assert np.array_equal(Shot(image, MASK).image, seen)


def test_a_piece_of_a_photo_may_be_of_any_size() -> None:
    assert Shot(IMAGE[4:6, 3:5], MASK[4:6, 3:5]).mask.all()


def test_a_picture_is_turned_upright_and_so_is_its_mask() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    pictures = [Image.fromarray(np.rot90(array).copy()) for array in (IMAGE, GREY)]
    for picture in pictures:
        picture.getexif().update(exif)
    shot = Shot(*pictures)
    assert np.array_equal(shot.image, IMAGE) and np.array_equal(shot.mask, MASK)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (IMAGE / 255, "expected an array of uint8"),
        (IMAGE.transpose(2, 0, 1), r"shaped \(H, W\), .* found uint8 shaped \(3, 20, 30\)"),
        (IMAGE[:0], "the array is empty"),
        ("photo.jpg", "expected a Pillow image or an array, found str"),
        (torch.from_numpy(IMAGE), "expected a Pillow image or an array, found Tensor"),
    ],
    ids=["float", "channels first", "empty", "path", "tensor"],
)
def test_other_images_are_refused_in_a_sentence_that_names_the_shot(image: Any, said: str) -> None:
    with pytest.raises(ImageError, match=f"^my cup: .*{said}"):
        Shot(image, MASK, "my cup")


def test_what_the_caller_writes_to_afterwards_changes_nothing() -> None:
    image, mask = IMAGE.copy(), MASK.copy()
    shot = Shot(image, mask)
    image[:], mask[:] = 0, False
    assert np.array_equal(shot.image, IMAGE) and np.array_equal(shot.mask, MASK)


def test_the_threshold_grows_with_the_shots_up_to_five() -> None:
    traits = BaseTraits(20.0, threshold=0.4, threshold_growth=2.0)
    assert traits.threshold_of(2) == pytest.approx(0.4 * 0.16) and traits.threshold_of(9) == 0.4
    assert BaseTraits(20.0, threshold=0.4).threshold_of(1) == 0.4
