"""Whatever is in a mask, a COCO or a LabelMe file: a mask that fits the photo, or one sentence."""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import coco_annotation, coco_image, labelme_shape, write_coco, write_labelme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ovss_personal.errors import OvssError, OvssWarning
from ovss_personal.io.coco import coco_mask_of, load_coco
from ovss_personal.io.labelme import labelme_labels, load_labelme
from ovss_personal.io.mask_checks import MaskResult
from ovss_personal.io.masks import load_mask

SIZE = (24, 40)
PNG = io.BytesIO()
Image.new("L", (15, 12), 255).save(PNG, "PNG")
FEW, MANY = 60, 10_000


def fuzzed(count: int) -> Callable[[Any], Any]:
    return settings(
        deadline=None,
        derandomize=True,
        max_examples=count,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def is_fine(read: Callable[[], MaskResult]) -> None:
    """The mask fits the photo, marks something, and counts nothing that it says does not count; or an error is told."""
    with warnings.catch_warnings(), contextlib.suppress(OvssError):
        warnings.simplefilter("ignore", OvssWarning)
        mask, ignore = read()
        assert mask.shape == SIZE and mask.dtype == bool and mask.any()
        assert ignore is None or (ignore.shape == SIZE and ignore.any() and not (mask & ignore).any())


levels = st.sampled_from([0, 1, 2, 3, 15, 32, 33, 64, 85, 112, 127, 128, 143, 170, 200, 204, 223, 254, 255, 256, 65535])
colours = st.tuples(*[st.sampled_from([0, 8, 40, 128, 160, 255])] * 4)
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
FILES = ("a.png", "a.gif", "a.tif", "a.jpg", "a.bmp", "a.webp", "a.npy")


@st.composite
def pictures(draw: st.DrawFn) -> tuple[str, Image.Image | np.ndarray, dict[str, int]]:
    """A picture or array of blobs, nested or apart, in any mode: the file's name, what is in it, how to save it."""
    size = draw(st.sampled_from([SIZE, SIZE, SIZE, (48, 80), (40, 24), (1, 1), (24, 41)]))
    places = np.zeros(size, int)
    for number in range(draw(st.integers(0, 5))):
        top, left, height, width = (draw(st.integers(low, 40)) for low in (0, 0, 1, 1))
        places[top : top + height, left : left + width] = number + 1
    if draw(st.booleans()):
        noise = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 6, size)
        places = np.where(noise == 0, noise, places)
    name = draw(st.sampled_from(FILES))
    if name == "a.npy":
        kind = draw(st.sampled_from([bool, np.uint8, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64]))
        values = draw(st.lists(levels | st.floats(0, 1) | st.floats(), min_size=6, max_size=6))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return name, np.array(values, float)[places].astype(kind), {}
    mode = draw(st.sampled_from(MODES))
    if mode in ("1", "L", "I;16", "I", "F", "P"):
        values = np.array(draw(st.lists(levels, min_size=6, max_size=6)))[places]
        if mode == "P":
            picture = Image.fromarray((values % 256).astype(np.uint8))
            entries = draw(st.lists(colours, min_size=1, max_size=256))
            picture.putpalette([channel for colour in entries for channel in colour[:3]])
        else:
            dtype = {"L": np.uint8, "1": bool, "I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
            picture = Image.fromarray(values.astype(dtype))
    else:
        bands = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
        values = np.array(draw(st.lists(colours, min_size=6, max_size=6)), np.uint8)[places][..., :bands]
        picture = Image.fromarray(values, mode) if mode == "CMYK" else Image.fromarray(values)
    options = {"transparency": draw(st.integers(0, 255))} if mode == "P" and draw(st.booleans()) else {}
    return name, picture, options


chosen = st.none() | levels | st.just(0xFF0000)


def a_mask_is_read(folder: Path, made: Any, label: int | None, ignore: int | None, invert: bool, exif: int) -> None:
    name, content, options = made
    if isinstance(content, np.ndarray):
        np.save(folder / name, content)
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                content.save(folder / name, **options)
        except (OSError, KeyError, ValueError):  # a mode that the format does not have
            return
    is_fine(lambda: load_mask(folder / name, size=SIZE, label=label, ignore=ignore, invert=invert, exif=exif))


a_mask = given(pictures(), chosen, chosen, st.booleans(), st.integers(1, 4))


@a_mask
@fuzzed(FEW)
def test_any_mask(tmp_path: Path, made: Any, label: int | None, ignore: int | None, invert: bool, exif: int) -> None:
    a_mask_is_read(tmp_path, made, label, ignore, invert, exif)


@pytest.mark.slow
@a_mask
@fuzzed(MANY)
def test_very_many_masks(tmp_path: Path, made: Any, label: Any, ignore: Any, invert: bool, exif: int) -> None:
    a_mask_is_read(tmp_path, made, label, ignore, invert, exif)


numbers = st.integers(-5, 50) | st.floats(-5, 50) | st.floats() | st.integers()
json_values = st.recursive(
    st.none()
    | st.booleans()
    | numbers
    | st.text(max_size=6)
    | st.sampled_from(["0", "1", "1.jpg", "a%20b.jpg", "point"]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner),
    max_leaves=10,
)
polygons = st.lists(st.lists(numbers, min_size=0, max_size=9), max_size=3)
edits = st.lists(st.tuples(st.randoms(use_true_random=False), json_values | polygons | st.just(...)), max_size=3)


def edited(document: Any, changes: Any) -> Any:
    """The document with values somewhere in it replaced, or removed for an ellipsis."""
    document = copy.deepcopy(document)
    for random, value in changes:
        parent, key = None, None
        node = document
        while isinstance(node, (dict, list)) and node and (parent is None or random.random() < 0.75):
            parent = node
            key = random.choice(sorted(node)) if isinstance(node, dict) else random.randrange(len(node))
            node = parent[key]
        if parent is None:
            continue
        if value is ...:
            del parent[key]
        else:
            parent[key] = value
    return document


def coco_document(folder: Path) -> Any:
    crowd = {"size": [24, 40], "counts": [300, 100, 560]}
    path = write_coco(
        folder / "a.json",
        coco_annotation(id=1),
        coco_annotation([[1, 1, 9, 1, 9, 9], [3, 3, 30, 3, 30, 20]], id=2),
        coco_annotation(crowd, id=3, iscrowd=1),
        coco_annotation([5, 3, 20, 3, 20, 15], id=4, image_id="2"),
        images=[coco_image(), coco_image(2, "a%20b.jpg", height=None, width=None)],
    )
    return json.loads(path.read_text())


def a_coco_is_read(folder: Path, changes: Any, holes: Any, invert: bool) -> None:
    path = folder / "a.json"
    path.write_text(json.dumps(edited(coco_document(folder), changes)))
    with contextlib.suppress(OvssError):
        for photo in load_coco(path):
            is_fine(lambda photo=photo: coco_mask_of(photo, size=SIZE, holes=holes, invert=invert))


a_coco = given(edits, st.sampled_from(["filled", "even-odd"]), st.booleans())


@a_coco
@fuzzed(FEW)
def test_any_coco(tmp_path: Path, changes: Any, holes: Any, invert: bool) -> None:
    a_coco_is_read(tmp_path, changes, holes, invert)


@pytest.mark.slow
@a_coco
@fuzzed(MANY)
def test_very_many_cocos(tmp_path: Path, changes: Any, holes: Any, invert: bool) -> None:
    a_coco_is_read(tmp_path, changes, holes, invert)


def labelme_document(folder: Path) -> Any:
    corners = [[5, 3], [20, 3], [20, 15], [5, 15]]
    path = write_labelme(
        folder / "a.json",
        labelme_shape(),
        labelme_shape(corners, "polygon"),
        labelme_shape(corners, "rotation"),
        labelme_shape(corners[:3], "oriented_rectangle"),
        labelme_shape([[9, 9], [12, 9]], "circle"),
        labelme_shape([[9, 9]], "point"),
        labelme_shape(kind="mask", mask=base64.b64encode(PNG.getvalue()).decode()),
    )
    return json.loads(path.read_text())


def a_labelme_is_read(folder: Path, changes: Any, holes: Any, invert: bool) -> None:
    path = folder / "a.json"
    path.write_text(json.dumps(edited(labelme_document(folder), changes)))
    with contextlib.suppress(OvssError):
        for label in sorted(labelme_labels(path)):
            is_fine(lambda label=label: load_labelme(path, size=SIZE, category=label, holes=holes, invert=invert))


@a_coco
@fuzzed(FEW)
def test_any_labelme(tmp_path: Path, changes: Any, holes: Any, invert: bool) -> None:
    a_labelme_is_read(tmp_path, changes, holes, invert)


@pytest.mark.slow
@a_coco
@fuzzed(MANY)
def test_very_many_labelmes(tmp_path: Path, changes: Any, holes: Any, invert: bool) -> None:
    a_labelme_is_read(tmp_path, changes, holes, invert)
