"""What people's tools write for one and the same object, and what is read of it; the rule is told in `pixels.masks`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.io.masks import load_mask
from ovss_personal.structures import Shot

SIZE = (90, 120)


def _smooth() -> np.ndarray:
    """(90, 120) uint8: an object with a thin part, drawn large and made small, so that its edge is smooth."""
    large = Image.new("L", (480, 360))
    draw = ImageDraw.Draw(large)
    draw.ellipse((90, 70, 300, 260), fill=255)
    draw.polygon([(260, 100), (400, 120), (280, 190)], fill=255)
    draw.rectangle((190, 240, 206, 300), fill=255)
    return np.asarray(large.resize(SIZE[::-1], Image.Resampling.BOX))


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * by + 1))) > 0


SMOOTH = _smooth()
TRUTH = SMOOTH > 127
WHITE = TRUTH.astype(np.uint8) * 255
INNER, OUTER = ~_grown(~TRUTH, 2), _grown(TRUTH, 2)
BAND = OUTER & ~INNER
RED, GREEN, BLACK, PAPER = (255, 0, 0), (0, 160, 0), (0, 0, 0), (255, 255, 255)


def three(background: int, edge: int, inside: int) -> np.ndarray:
    """A band of two pixels on either side of the object's edge, and what is within."""
    return np.select([INNER, OUTER], [inside, edge], background).astype(np.int32)


def greys(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array.astype(np.uint8))


def palette(indices: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    picture = greys(indices)
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


def coloured(indices: np.ndarray, *colours: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.array(colours, np.uint8)[indices.astype(int)])


def with_alpha(colour: tuple[int, int, int], alpha: np.ndarray, hidden: tuple[int, int, int] = BLACK) -> Image.Image:
    picture = np.where((alpha > 0)[..., None], colour, hidden).astype(np.uint8)
    return Image.fromarray(np.dstack([picture, alpha.astype(np.uint8)]))


def jpeg(picture: Image.Image, quality: int = 75) -> Image.Image:
    """As JPEG leaves it."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    with Image.open(stream) as stored:
        return stored.copy()


def votes() -> np.ndarray:
    """Five annotators, none of whom draws the edge as another does, a fifth of white for each."""
    drawn = [np.roll(_grown(TRUTH, by) if by else TRUTH, (by, -by), (0, 1)) for by in (0, 1, 0, 2, 1)]
    return np.sum(drawn, axis=0) * 51


def saved(folder: Path, mask: Image.Image | np.ndarray, name: str = "a.png", **options: Any) -> Path:
    if isinstance(mask, Image.Image):
        mask.save(folder / name, **options)
        return folder / name
    np.save(folder / "a.npy", mask)
    return folder / "a.npy"


def overlap(mask: np.ndarray, truth: np.ndarray = TRUTH) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


CLEAR: dict[str, Callable[[], Image.Image | np.ndarray]] = {
    "0 and 1": lambda: greys(TRUTH),
    "0 and 255": lambda: greys(WHITE),
    "0 and 128": lambda: greys(TRUTH * 128),
    "1 bit": lambda: Image.fromarray(TRUTH),
    "16 and 235, as video has black and white": lambda: greys(np.where(TRUTH, 235, 16)),
    "16 bits, 0 and 65535": lambda: Image.fromarray(WHITE.astype(np.uint16) * 257),
    "quantize(2), whose first colour is white": lambda: greys(WHITE).convert("RGB").quantize(2),
    "palette of red and black": lambda: palette(~TRUTH, RED, BLACK),
    "palette of black and red": lambda: palette(TRUTH, BLACK, RED),
    "palette of greys that are their index": lambda: palette(TRUTH, *[(i, i, i) for i in range(256)]),
    "red on black": lambda: coloured(TRUTH, BLACK, RED),
    "opaque RGBA": lambda: greys(WHITE).convert("RGBA"),
    "white where it is not transparent": lambda: with_alpha(PAPER, WHITE),
    "black where it is not transparent": lambda: with_alpha(BLACK, WHITE, hidden=PAPER),
    "an overlay of little opacity": lambda: with_alpha(RED, TRUTH * 90),
    "grey and opaque": lambda: greys(WHITE).convert("LA"),
    "grey and alpha": lambda: Image.merge("LA", [greys(TRUTH * 0), greys(WHITE)]),
    "bool": lambda: TRUTH,
    "(H, W, 1) uint8": lambda: WHITE[..., None],
    "int64 0 and 255": lambda: WHITE.astype(np.int64),
    "int8 0 and -1": lambda: -TRUTH.astype(np.int8),
    "float16": lambda: TRUTH.astype(np.float16),
    "float 0 and 255": lambda: WHITE.astype(float),
}


@pytest.mark.parametrize("kind", CLEAR)
def test_masks_that_say_it_clearly(tmp_path: Path, kind: str) -> None:
    mask, ignore = load_mask(saved(tmp_path, CLEAR[kind]()), size=SIZE)
    np.testing.assert_array_equal(mask, TRUTH)
    assert ignore is None


@pytest.mark.parametrize(("index", "hidden"), [(0, PAPER), (0, BLACK)])
def test_a_palette_of_which_one_colour_is_transparent(tmp_path: Path, index: int, hidden: tuple[int, int, int]) -> None:
    path = saved(tmp_path, palette(TRUTH, hidden, RED), transparency=index)
    np.testing.assert_array_equal(load_mask(path, size=SIZE).mask, TRUTH)


def test_a_gif_of_an_adaptive_palette(tmp_path: Path) -> None:
    picture = greys(WHITE).convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    assert picture.getpalette("RGB")[:3] == [255, 255, 255]
    np.testing.assert_array_equal(load_mask(saved(tmp_path, picture, "a.gif"), size=SIZE).mask, TRUTH)


UNSURE: dict[str, Callable[[], Image.Image | np.ndarray]] = {
    "0, 128, 255": lambda: greys(three(0, 128, 255)),
    "0, 127, 255": lambda: greys(three(0, 127, 255)),
    "16 bits": lambda: Image.fromarray(np.select([INNER, OUTER], [65535, 32768], 0).astype(np.uint16)),
    "palette": lambda: greys(three(0, 128, 255)).convert("RGB").quantize(3),
    "RGB": lambda: greys(three(0, 128, 255)).convert("RGB"),
    "alpha": lambda: with_alpha(RED, three(0, 128, 255)),
    "int64": lambda: three(0, 128, 255).astype(np.int64),
    "shares": lambda: np.select([INNER, OUTER], [1.0, 0.5], 0.0),
}


@pytest.mark.parametrize("kind", UNSURE)
def test_the_grey_of_a_trimap_does_not_count(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, UNSURE[kind]())
    with pytest.warns(OvssWarning, match=r"lies between black and white and does not count; white is the object"):
        mask, ignore = load_mask(path, size=SIZE)
    np.testing.assert_array_equal(mask, INNER)
    np.testing.assert_array_equal(ignore, BAND)


SOFT: dict[str, Callable[[], Image.Image | np.ndarray]] = {
    "one grey on the edge": lambda: greys(np.where((SMOOTH > 0) & (SMOOTH < 255), 128, SMOOTH)),
    "one light grey on the edge": lambda: greys(np.where((SMOOTH > 0) & (SMOOTH < 255), 200, SMOOTH)),
    "one dark grey on the edge": lambda: greys(np.where((SMOOTH > 0) & (SMOOTH < 255), 77, SMOOTH)),
    "smooth": lambda: greys(SMOOTH),
    "smooth, 16 bits": lambda: Image.fromarray(SMOOTH.astype(np.uint16) * 257),
    "smooth, palette": lambda: greys(SMOOTH).convert("RGB").quantize(16),
    "smooth, red": lambda: Image.fromarray((SMOOTH[..., None] * np.array([1, 0.2, 0])).astype(np.uint8)),
    "smooth overlay": lambda: with_alpha((30, 144, 255), SMOOTH * 0.4),
    "blurred": lambda: greys(SMOOTH).filter(ImageFilter.GaussianBlur(1)),
    "JPEG 95 saved as PNG": lambda: jpeg(greys(WHITE), 95),
    "JPEG 30 saved as PNG": lambda: jpeg(greys(WHITE), 30),
    "JPEG in colour saved as PNG": lambda: jpeg(greys(WHITE).convert("RGB")),
    "votes of 0, 204 and 255": lambda: greys(np.where(TRUTH, np.where(~_grown(~TRUTH, 1), 255, 204), 0)),
}


@pytest.mark.parametrize("kind", SOFT)
def test_soft_edges_and_votes(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, SOFT[kind]())
    with pytest.warns(OvssWarning, match=r"of the mask's values"):
        mask, ignore = load_mask(path, size=SIZE)
    assert overlap(mask if ignore is None else np.where(ignore, TRUTH, mask)) > 0.94
    assert ignore is None or not (ignore & ~BAND).any()


def test_half_of_the_votes_and_more() -> None:
    with pytest.warns(OvssWarning, match="brighter than half"):
        shot = Shot(np.zeros((*SIZE, 3), np.uint8), votes().astype(np.uint8))
    np.testing.assert_array_equal(shot.mask, votes() >= 128)


@pytest.mark.parametrize("colour", [PAPER, RED, GREEN])
@pytest.mark.parametrize("quality", [40, 95])
def test_jpegs_of_a_mask_in_any_colour(tmp_path: Path, colour: tuple[int, int, int], quality: int) -> None:
    path = saved(tmp_path, coloured(TRUTH, BLACK, colour), "a.jpg", quality=quality)
    with pytest.warns(OvssWarning, match="a JPEG blurs the edges of a mask; what is brighter than half was taken"):
        mask, _ = load_mask(path, size=SIZE)
    assert overlap(mask) > 0.95


def test_void_beside_a_class(tmp_path: Path) -> None:
    for label in (1, 2, 15):
        mask, ignore = load_mask(saved(tmp_path, greys(three(0, 255, label))), size=SIZE)
        np.testing.assert_array_equal(mask, INNER)
        np.testing.assert_array_equal(ignore, BAND)
    voc = [(0, 0, 0)] * 15 + [(192, 128, 128)] * 240 + [(224, 224, 192)]
    mask, ignore = load_mask(saved(tmp_path, palette(three(0, 255, 15), *voc)), size=SIZE)
    np.testing.assert_array_equal(mask, INNER)
    np.testing.assert_array_equal(ignore, BAND)
    with pytest.warns(OvssWarning, match="255 lies between black and 128 and does not count; 128 is the object"):
        mask, ignore = load_mask(saved(tmp_path, greys(three(0, 255, 128))), size=SIZE)
    np.testing.assert_array_equal(mask, INNER)


INVERTED: dict[str, Callable[[], Image.Image | np.ndarray]] = {
    "0 and 255": lambda: greys(255 - WHITE),
    "1 bit": lambda: Image.fromarray(~TRUTH),
    "quantize(2)": lambda: greys(255 - WHITE).convert("RGB").quantize(2),
    "transparent where it is, as picture editors want it": lambda: with_alpha(PAPER, 255 - WHITE),
    "palette that is transparent where it is": lambda: palette(TRUTH, BLACK, PAPER),
}


@pytest.mark.parametrize("kind", INVERTED)
def test_a_mask_of_all_but_the_object_gets_a_warning_and_can_be_inverted(tmp_path: Path, kind: str) -> None:
    options = {"transparency": 1} if kind.startswith("palette") else {}
    path = saved(tmp_path, INVERTED[kind](), **options)
    with pytest.warns(OvssWarning, match=r"covers 7\d\.\d% of the photo and all of its border.*pass --invert"):
        mask, _ = load_mask(path, size=SIZE)
    np.testing.assert_array_equal(mask, ~TRUTH)
    np.testing.assert_array_equal(load_mask(path, size=SIZE, invert=True).mask, TRUTH)


def test_an_inverted_trimap(tmp_path: Path) -> None:
    path = saved(tmp_path, greys(three(255, 128, 0)))
    with pytest.warns(OvssWarning) as caught:
        mask, ignore = load_mask(path, size=SIZE)
    np.testing.assert_array_equal(mask, ~OUTER)
    assert ["is inverted" in str(one.message) for one in caught] == [False, True]
    with pytest.warns(OvssWarning, match="does not count"):
        mask, ignore = load_mask(path, size=SIZE, invert=True)
    np.testing.assert_array_equal(mask, INNER)
    np.testing.assert_array_equal(ignore, BAND)


def test_a_shot_of_an_inverted_picture_gets_a_warning_but_not_one_of_a_bool_array() -> None:
    photo = np.zeros((*SIZE, 3), np.uint8)
    with pytest.warns(OvssWarning, match=r"my cup: the mask covers 7\d\.\d% .* pass the opposite"):
        Shot(photo, greys(255 - WHITE), "my cup")
    assert Shot(photo, ~TRUTH).mask.sum() == (~TRUTH).sum()  # the caller's own words; filterwarnings is "error"


NOISE = np.random.default_rng(0).integers(40, 216, (*SIZE, 3), np.uint8)
TWO = np.zeros(SIZE, np.uint8)
TWO[5:30, 5:40], TWO[50:80, 60:110] = 1, 2
SHARE = f"{TRUTH.mean():.1%}"

UNCLEAR: dict[str, tuple[Callable[[], Image.Image | np.ndarray], str]] = {
    "1 and 2": (lambda: greys(TRUTH + 1), rf"1 \(7\d\.\d%\), 2 \({SHARE}\); which is the object is not clear"),
    "1 and 255": (lambda: greys(np.where(TRUTH, 255, 1)), rf"1 \(7\d\.\d%\), 255 \({SHARE}\)"),
    "10 and 200": (lambda: greys(np.where(TRUTH, 200, 10)), rf"10 \(7\d\.\d%\), 200 \({SHARE}\)"),
    "0, 1, 2": (lambda: greys(TWO), r"several labels: 0 \(\d\d\.\d%\), 1 \(8\.1%\), 2 \(13\.9%\)"),
    "three things of even greys": (lambda: greys(TWO * 85 + (INNER & (TWO == 0)) * 255), r"85 .*, 170 .*, 255 \("),
    "0, 100 and 255 side by side": (
        lambda: greys(np.where(TWO == 2, 255, TWO * 100)),
        r"100 \(8\.1%\), 255 \(13\.9%\)",
    ),
    "a class's number for an edge": (lambda: greys(three(0, 2, 255)), r"2 \(\d+\.\d%\), 255"),
    "an edge wider than what is in it": (lambda: greys(np.select([TWO == 1, TRUTH], [255, 180], 0)), r"180 .*, 255 \("),
    "red and green": (lambda: coloured(TRUTH, GREEN, RED), r"2 colours: #00a000 \(7\d\.\d%\), #ff0000 \("),
    "red on white": (lambda: coloured(TRUTH, PAPER, RED), r"2 colours: #ff0000 \(.*%\), #ffffff \("),
    "red and green on black": (lambda: coloured(TWO, BLACK, RED, GREEN), r"3 colours: #000000 .*, #00a000 .*, #ff0000"),
    "palette of red and green": (lambda: palette(TRUTH, RED, GREEN), r"0 #ff0000 \(7\d\.\d%\), 1 #00a000 \("),
    "palette of white and red": (lambda: palette(TRUTH, PAPER, RED), r"0 #ffffff \(7\d\.\d%\), 1 #ff0000 \("),
    "a grey photo": (lambda: greys(NOISE[..., 0]), r"several labels: .* and \d+ more; which"),
    "a photo": (lambda: Image.fromarray(NOISE), r"expected black and one colour, found \d+ colours: "),
    "a ramp": (lambda: greys(np.linspace(0, 255, 120)[None].repeat(90, 0)), r"several labels: 0 \("),
    "a cut-out": (lambda: Image.fromarray(np.dstack([NOISE, WHITE])), "both the colour and the transparency vary"),
    "grey and alpha, both": (
        lambda: Image.merge("LA", [greys(NOISE[..., 0]), greys(WHITE)]),
        "both the colour and the transparency vary",
    ),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_what_is_not_clear_is_listed_with_its_shares(tmp_path: Path, kind: str) -> None:
    make, says = UNCLEAR[kind]
    with pytest.raises(MaskError, match=says) as caught:
        load_mask(saved(tmp_path, make()), size=SIZE)
    assert caught.value.hint and ("--label" in caught.value.hint or "black and white" in caught.value.hint)


def test_the_trimaps_of_oxfords_pets(tmp_path: Path) -> None:
    path = saved(tmp_path, greys(three(2, 3, 1)))
    with pytest.raises(MaskError, match=r"several labels: 1 .*, 2 .*, 3 ") as caught:
        load_mask(path, size=SIZE)
    assert "--label 1 --ignore 3" in str(caught.value.hint)
    mask, ignore = load_mask(path, size=SIZE, label=1, ignore=3)
    np.testing.assert_array_equal(mask, INNER)
    np.testing.assert_array_equal(ignore, BAND)


@pytest.mark.parametrize(
    ("make", "label"),
    [
        (lambda: coloured(TWO, PAPER, RED, GREEN), 0xFF0000),
        (lambda: coloured(TWO, BLACK, RED, GREEN), 0xFF0000),
        (lambda: palette(TWO, RED, GREEN, PAPER), 1),
        (lambda: greys(TWO * 85), 85),
        (lambda: palette(TWO, PAPER, BLACK, RED), 1),
    ],
    ids=["colours", "colours on black", "palette", "greys", "palette by index"],
)
def test_a_label_chooses_among_them(tmp_path: Path, make: Callable[[], Image.Image], label: int) -> None:
    path = saved(tmp_path, make())
    np.testing.assert_array_equal(load_mask(path, size=SIZE, label=label).mask, TWO == 1)
    with pytest.warns(OvssWarning, match="inverted"):
        np.testing.assert_array_equal(load_mask(path, size=SIZE, label=label, invert=True).mask, TWO != 1)
    with pytest.raises(MaskError, match=r"is not in the mask, which holds .*%"):
        load_mask(path, size=SIZE, label=77)


def test_ignore_leaves_the_rest_to_the_rule(tmp_path: Path) -> None:
    path = saved(tmp_path, greys(np.where(TWO == 1, 7, three(0, 128, 255))))
    with pytest.warns(OvssWarning, match="128 lies between black and white"):
        mask, ignore = load_mask(path, size=SIZE, ignore=7)
    np.testing.assert_array_equal(mask, INNER & (TWO != 1))
    np.testing.assert_array_equal(ignore, BAND | (TWO == 1))
    mask, ignore = load_mask(saved(tmp_path, greys(three(0, 128, 255))), size=SIZE, ignore=128)
    np.testing.assert_array_equal(mask, INNER)


def test_a_jpeg_that_is_too_dark_is_no_empty_mask(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OvssWarning)
        for level in (1, 128):
            with pytest.raises(MaskError, match=r"several labels: 0 \(") as caught:
                load_mask(saved(tmp_path, greys(TRUTH * level), "a.jpg"), size=SIZE)
            assert caught.value.hint == "Save the mask as a black and white PNG."
