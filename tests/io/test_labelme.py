from __future__ import annotations

import base64
import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import MASK, labelme_shape, png_header, write_labelme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ovss_personal.errors import MaskError, OvssError, OvssWarning
from ovss_personal.io.labelme import labelme_labels, load_labelme
from ovss_personal.structures import BoolMask

SIZE = (24, 40)


def drawn(path: Path, **options: Any) -> BoolMask:
    return load_labelme(path, **{"size": SIZE, **options}).mask


def png(mask: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def test_polygon_and_rectangle(tmp_path: Path) -> None:
    polygon = labelme_shape([[5, 3], [20, 3], [20, 15], [5, 15]], "polygon")
    np.testing.assert_array_equal(drawn(write_labelme(tmp_path / "a.json", polygon)), MASK)
    np.testing.assert_array_equal(drawn(write_labelme(tmp_path / "b.json", labelme_shape())), MASK)
    turned = labelme_shape([[20, 15], [5, 3]])
    np.testing.assert_array_equal(drawn(write_labelme(tmp_path / "c.json", turned)), MASK)


def test_circle(tmp_path: Path) -> None:
    mask = drawn(write_labelme(tmp_path / "a.json", labelme_shape([[20, 12], [20, 7]], "circle")))
    rows, columns = np.mgrid[:24, :40]
    np.testing.assert_array_equal(mask, (columns - 19.5) ** 2 + (rows - 11.5) ** 2 <= 25)


def test_mask(tmp_path: Path) -> None:
    shape = labelme_shape([[5, 3], [19, 14]], "mask", mask=png(MASK[3:15, 5:20]))
    np.testing.assert_array_equal(drawn(write_labelme(tmp_path / "a.json", shape)), MASK)


@pytest.mark.parametrize(
    ("corner", "seen"),
    [((-10, -4), np.s_[:16, :10]), ((35, 20), np.s_[20:, 35:]), ((12, 2), np.s_[2:22, 12:32])],
)
def test_a_mask_beyond_the_border_is_clipped(tmp_path: Path, corner: tuple[int, int], seen: Any) -> None:
    crop = labelme_shape([corner, [0, 0]], "mask", mask=png(np.ones((20, 20), bool)))
    expected = np.zeros(SIZE, bool)
    expected[seen] = True
    np.testing.assert_array_equal(drawn(write_labelme(tmp_path / "a.json", crop)), expected)


@pytest.mark.parametrize("corner", [(400, 3), (3, -20), (-1e12, 1e300)])
def test_a_mask_far_outside_is_empty(tmp_path: Path, corner: tuple[float, float]) -> None:
    crop = labelme_shape([corner, [0, 0]], "mask", mask=png(np.ones((20, 20), bool)))
    with pytest.raises(MaskError, match="is empty"):
        drawn(write_labelme(tmp_path / "a.json", crop))


def test_labels(tmp_path: Path) -> None:
    path = write_labelme(
        tmp_path / "a.json",
        labelme_shape([[0, 0], [10, 10]]),
        labelme_shape([[5, 5], [15, 15]]),
        labelme_shape([[30, 0], [40, 10]], label="cat"),
        labelme_shape([[0, 0], [9, 9]], "line", label="ruler"),
    )
    assert labelme_labels(path) == {"mug", "cat", "ruler"}
    assert drawn(path, category="mug").sum() == 175
    assert drawn(path, category="cat").sum() == 100
    with pytest.raises(MaskError, match="expected one category, found cat, mug, ruler"):
        drawn(path)
    with pytest.raises(MaskError, match="category 'dog' is not there; found cat, mug, ruler"):
        drawn(path, category="dog")


@pytest.mark.parametrize("kind", ["line", "linestrip", "point", "points", "oval", None, 3, ["polygon"]])
def test_other_shapes_are_errors(tmp_path: Path, kind: Any) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape(kind=kind))
    with pytest.raises(MaskError, match=r"shape 1 \(mug\) is of type .*; usable are polygon, rectangle"):
        drawn(path)


@pytest.mark.parametrize(
    ("points", "kind"),
    [
        ([[1, 1], [9, 9]], "polygon"),
        ([[1, 1], [9, 9], [1, float("nan")]], "polygon"),
        ([[1, 1], [9, 9], [1]], "polygon"),
        ([[1, 1], [9, 9], None], "polygon"),
        (None, "polygon"),
        ([[1, 1]], "circle"),
        ([[1, 1], [9, 9], [5, 5]], "rectangle"),
        ([[1, 1], [9, "9"]], "rectangle"),
    ],
)
def test_bad_points(tmp_path: Path, points: Any, kind: str) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape(points, kind))
    with pytest.raises(MaskError, match=rf"shape 1 \(mug\), a {kind}, needs t.* points"):
        drawn(path)
    beside = write_labelme(tmp_path / "b.json", labelme_shape(), labelme_shape(points, kind))
    with pytest.warns(OvssWarning, match=rf"shape 2 \(mug\), a {kind}, needs t.* points .*; it was passed over"):
        np.testing.assert_array_equal(drawn(beside), MASK)


@pytest.mark.parametrize("kind", ["line", "point", "linestrip", "points"])
def test_what_surrounds_nothing_costs_a_warning(tmp_path: Path, kind: str) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape([[9, 9]], kind), labelme_shape())
    with pytest.warns(OvssWarning, match=rf"shape 1 \(mug\) is of type '{kind}'.*; it was passed over"):
        np.testing.assert_array_equal(drawn(path), MASK)


@pytest.mark.parametrize(
    ("kind", "corners"),
    [
        ("rectangle", [[5, 3], [20, 3], [20, 15], [5, 15]]),
        ("rectangle", [[5, 3], [5, 15], [20, 15], [20, 3], [5, 3]]),
        ("rotation", [[5, 3], [20, 3], [20, 15], [5, 15]]),
        ("oriented_rectangle", [[5, 3], [20, 3], [20, 15], [5, 15]]),
        ("oriented_rectangle", [[5, 3], [20, 3], [20, 15]]),
    ],
)
def test_rectangles_of_all_their_corners(tmp_path: Path, kind: str, corners: Any) -> None:
    mask = drawn(write_labelme(tmp_path / "a.json", labelme_shape(corners, kind)))
    np.testing.assert_array_equal(mask, MASK)


def test_a_turned_rectangle_is_filled_between_its_corners(tmp_path: Path) -> None:
    diamond = labelme_shape([[20, 2], [30, 12], [20, 22], [10, 12]], "rotation")
    mask = drawn(write_labelme(tmp_path / "a.json", diamond))
    rows, columns = np.mgrid[:24, :40]
    assert mask[abs(columns + 0.5 - 20) + abs(rows + 0.5 - 12) < 9.4].all()
    assert not mask[abs(columns + 0.5 - 20) + abs(rows + 0.5 - 12) > 10.6].any()


def test_shapes_in_shapes(tmp_path: Path) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape(), labelme_shape([[8, 5], [12, 9]]))
    np.testing.assert_array_equal(drawn(path), MASK)
    assert drawn(path, holes="even-odd").sum() == 180 - 16
    with pytest.warns(OvssWarning, match=r"covers 81\.2% of the photo and all of its border"):
        np.testing.assert_array_equal(drawn(path, invert=True), ~MASK)


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (None, "needs a PNG in base64"),
        ("", "needs a PNG in base64"),
        ("@@@", "needs a PNG in base64"),
        ("ä", "needs a PNG in base64"),
        (base64.b64encode(b"no picture").decode(), "not a picture"),
        (base64.b64encode(png_header(10_000, 9_000)).decode(), "over 89 million"),
    ],
)
def test_bad_masks(tmp_path: Path, encoded: Any, message: str) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape(kind="mask", mask=encoded))
    with pytest.raises(MaskError, match=message):
        drawn(path)


def test_wrong_size_fields_are_not_believed(tmp_path: Path) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape(), imageHeight=480, imageWidth=640)
    with pytest.warns(OvssWarning, match="says that the photo is 640x480, but it is 40x24"):
        np.testing.assert_array_equal(drawn(path), MASK)
    path = write_labelme(tmp_path / "b.json", labelme_shape(), imageHeight=None, imageWidth=None)
    np.testing.assert_array_equal(drawn(path), MASK)


def test_a_turned_photo(tmp_path: Path) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape())
    with pytest.raises(MaskError, match="fits the photo as stored"):
        drawn(path, size=(40, 24), exif=5)
    np.testing.assert_array_equal(drawn(path, size=(40, 24), exif=5, orientation="raw"), MASK.T)
    upright = write_labelme(tmp_path / "b.json", labelme_shape(), imageHeight=40, imageWidth=24)
    assert drawn(upright, size=(40, 24), exif=6).sum() == 180


def test_image_data_is_never_read(tmp_path: Path) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape(), imageData="not base64, not a picture")
    np.testing.assert_array_equal(drawn(path), MASK)


@pytest.mark.parametrize("content", ["{}", '{"shapes": 1}', '{"shapes": [1]}', "[]", "{", ""])
def test_json_that_is_no_labelme(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(MaskError):
        drawn(tmp_path / "a.json")
    with pytest.raises(MaskError):
        labelme_labels(tmp_path / "a.json")


def test_no_shapes(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="expected one category, found none"):
        drawn(write_labelme(tmp_path / "a.json"))


numbers = st.integers() | st.floats() | st.integers(-50, 90)


@given(
    st.sampled_from(["polygon", "rectangle", "circle", "mask"]),
    st.lists(st.tuples(numbers, numbers), min_size=2, max_size=4),
)
@settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.filterwarnings("ignore:.*the mask covers:ovss_personal.errors.OvssWarning")
def test_any_points_are_drawn_or_an_error(tmp_path: Path, kind: str, points: list[Any]) -> None:
    path = write_labelme(tmp_path / "a.json", labelme_shape(points, kind, mask=png(MASK)))
    with contextlib.suppress(OvssError):
        assert drawn(path).shape == SIZE
