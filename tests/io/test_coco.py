from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import MASK, coco_annotation, coco_image, write_coco
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco_mask

from ovss_personal.errors import MaskError, OvssError, OvssWarning
from ovss_personal.io.coco import coco_mask_of, load_coco
from ovss_personal.structures import BoolMask

SIZE = (24, 40)
in_one_folder = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def drawn(path: Path, **options: Any) -> BoolMask:
    return coco_mask_of(load_coco(path)[0], **{"size": SIZE, **options}).mask


def plain(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths down the columns, background first, written without pycocotools."""
    column_wise = mask.T.ravel()
    changes = np.flatnonzero(np.diff(column_wise)) + 1
    counts = np.diff(np.concatenate([[0], changes, [column_wise.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if column_wise[0] else counts}


def compressed(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


@pytest.mark.parametrize(
    "segmentation",
    [coco_annotation()["segmentation"], plain(MASK), compressed(MASK)],
    ids=["ring", "plain", "short"],
)
def test_every_form_of_one_mask(tmp_path: Path, segmentation: Any) -> None:
    np.testing.assert_array_equal(drawn(write_coco(tmp_path / "a.json", coco_annotation(segmentation))), MASK)


def test_a_ring_in_a_ring_is_filled_or_a_hole(tmp_path: Path) -> None:
    rings = [[0, 0, 30, 0, 30, 20, 0, 20], [10, 5, 20, 5, 20, 15, 10, 15]]
    path = write_coco(tmp_path / "a.json", coco_annotation(rings))
    assert drawn(path).sum() == 30 * 20
    mask = drawn(path, holes="even-odd")
    assert mask.sum() == 30 * 20 - 10 * 10
    assert not mask[5:15, 10:20].any()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools' own
def test_rings_that_overlap_are_united_as_pycocotools_does(tmp_path: Path) -> None:
    rings = [[2, 2, 22, 2, 22, 20, 2, 20], [12.5, 6, 36, 9, 30, 22]]
    mask = drawn(write_coco(tmp_path / "a.json", coco_annotation(rings)))
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(rings, *SIZE)))
    np.testing.assert_array_equal(mask, expected.astype(bool))


def test_polygons_without_inner_brackets_or_of_pairs(tmp_path: Path) -> None:
    ring = [5, 3, 20, 3, 20, 15, 5, 15]
    pairs = [[[5, 3], [20, 3], [20, 15], [5, 15]]]
    for segmentation in (ring, pairs):
        np.testing.assert_array_equal(drawn(write_coco(tmp_path / "a.json", coco_annotation(segmentation))), MASK)
    for segmentation in (
        [*ring, 7],
        [5, 3, 20, 3],
        [500, 3, 20, 3, 20, 15],
        [2, 3, 5, 2, 1, 1, 3, 4],
    ):  # CVAT's 3x4 last
        with pytest.raises(MaskError, match="expected polygons"):
            drawn(write_coco(tmp_path / "a.json", coco_annotation(segmentation)))


@pytest.mark.parametrize("bad", [[], [1, 1, 9, 9], [1, 1], [1, 1, 9, 1, float("nan"), 9], "x", None])
def test_a_bad_ring_beside_a_good_one_costs_a_warning(tmp_path: Path, bad: Any) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation([bad, *coco_annotation()["segmentation"]]))
    with pytest.warns(OvssWarning, match=r"annotation 7 \(1\.jpg\): 1 of 2 polygons have no three points; passed over"):
        np.testing.assert_array_equal(drawn(path), MASK)


@pytest.mark.parametrize("nothing", [[], None, [[]], [[1, 1, 9, 9]]])
def test_an_empty_annotation_beside_a_good_one_costs_a_warning(tmp_path: Path, nothing: Any) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation(nothing, id=3), coco_annotation(plain(MASK)))
    with pytest.warns(OvssWarning, match=r"annotation 3 \(1\.jpg\): .*; it was passed over\."):
        np.testing.assert_array_equal(drawn(path), MASK)


def test_a_crowd_beside_an_object_does_not_count(tmp_path: Path) -> None:
    crowd = np.zeros(SIZE, bool)
    crowd[10:24, 10:40] = True
    path = write_coco(tmp_path / "a.json", coco_annotation(plain(crowd), id=3, iscrowd=1), coco_annotation(iscrowd=0))
    with pytest.warns(OvssWarning, match=r"annotation 3 \(1\.jpg\) is a crowd beside other objects"):
        mask, ignore = coco_mask_of(load_coco(path)[0], size=SIZE)
    np.testing.assert_array_equal(mask, MASK)
    np.testing.assert_array_equal(ignore, crowd & ~MASK)
    alone = write_coco(tmp_path / "b.json", coco_annotation(plain(crowd), iscrowd=1))  # as tools mark run lengths
    mask, ignore = coco_mask_of(load_coco(alone)[0], size=SIZE)
    np.testing.assert_array_equal(mask, crowd)
    assert ignore is None


@pytest.mark.parametrize(("image", "asked"), [(0, "0"), ("0", 0), (1, 1.0), ("a-1", "a-1")])
def test_ids_are_compared_as_text(tmp_path: Path, image: Any, asked: Any) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation(image_id=asked), images=[coco_image(id=image)])
    np.testing.assert_array_equal(drawn(path), MASK)


@pytest.mark.parametrize(
    ("file_name", "there", "read"),
    [
        ("images/90fb-my%20bird.jpg", "images/90fb-my bird.jpg", "images/90fb-my bird.jpg"),
        ("my%20bird.jpg", "my bird.jpg", "my bird.jpg"),
        ("100%25.jpg", "100%25.jpg", "100%25.jpg"),
        ("https://example.org/a/my%20bird.jpg?size=9&x=/y", "my bird.jpg", "https://example.org/a/my bird.jpg"),
        ("/data/local-files/?d=album/my%20bird.jpg", "my bird.jpg", "/data/local-files/?d=album/my bird.jpg"),
        ("/data/local-files/?d=my%20bird.jpg", "my bird.jpg", "my bird.jpg"),
        ("C:\\album\\b.jpg", "images/b.jpg", "C:/album/b.jpg"),
        ("absent%20.jpg", "other.jpg", "absent%20.jpg"),
        ("a%00b.jpg", "other.jpg", "a%00b.jpg"),
    ],
)
def test_names_as_addresses_have_them(tmp_path: Path, file_name: str, there: str, read: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    path = write_coco(tmp_path / "a.json", coco_annotation(), images=[coco_image(file_name=file_name)])
    assert load_coco(path)[0].file_name == read


def test_points_outside_are_moved_onto_the_border(tmp_path: Path) -> None:
    ring = [[-50, -1e12, 20, -1e12, 20, 12, -50, 12]]
    mask = drawn(write_coco(tmp_path / "a.json", coco_annotation(ring)))
    assert mask[:12, :20].all()
    assert mask.sum() == 12 * 20


def test_annotations_of_one_category_are_united(tmp_path: Path) -> None:
    path = write_coco(
        tmp_path / "a.json",
        coco_annotation([[0, 0, 10, 0, 10, 10, 0, 10]], id=1),
        coco_annotation([[5, 5, 15, 5, 15, 15, 5, 15]], id=2),
        coco_annotation([[30, 0, 40, 0, 40, 10, 30, 10]], id=3, category_id=2),
        categories=("mug", "cat"),
    )
    mug, cat = (coco_mask_of(load_coco(path, name)[0], size=SIZE).mask for name in ("mug", "cat"))
    assert mug.sum() == 100 + 100 - 25
    assert cat.sum() == 100
    with pytest.raises(MaskError, match=r"expected one category, found cat, mug\.") as caught:
        load_coco(path)
    assert "--category" in str(caught.value.hint)
    with pytest.raises(MaskError, match="category 'dog' is not there; found cat, mug"):
        load_coco(path, "dog")


BAD_SEGMENTATIONS = {
    "sum too small": ({"size": [24, 40], "counts": [900]}, "add up to 900 pixels, but the image has 960"),
    "sum too large": ({"size": [24, 40], "counts": [10**30]}, "add up to 1000"),
    "negative": ({"size": [24, 40], "counts": [970, -10]}, "neither a list"),
    "float counts": ({"size": [24, 40], "counts": [959.5, 0.5]}, "neither a list"),
    "row-major": (
        {"size": [40, 24], "counts": [960]},
        r"is \[40, 24\], but \[height, width\] .* is \[24, 40\]",
    ),
    "no size": ({"counts": [960]}, "is None"),
    "no counts": ({"size": [24, 40]}, "neither a list"),
    "broken string": ({"size": [24, 40], "counts": "PQ~~~"}, "neither a list"),
    "endless string": ({"size": [24, 40], "counts": "o" * 99}, "neither a list"),
    "cut string": ({"size": [24, 40], "counts": compressed(MASK)["counts"][:-1]}, "add up|neither"),
    "CVAT": ([10, 5, 30, 5, 3, 20, 15], "expected polygons"),
    "null": (None, "found no segmentation"),
    "nothing": ([], "found no segmentation"),
    "odd": ([[1, 1, 9, 1, 9, 9, 1]], "three points or more"),
    "two points": ([[1, 1, 9, 9]], "three points or more"),
    "NaN": ([[1, 1, 9, 1, float("nan"), 9]], "finite"),
    "infinite": ([[1, 1, 9, 1, float("inf"), 9]], "finite"),
    "400 digits": ([[1, 1, 9, 1, 10**400, 9]], "finite"),
    "text": ([[1, 1, 9, 1, "9", 9]], "finite"),
    "two odd": ([[1, 1, 9, 1, 9], "x"], "finite"),
}


@pytest.mark.parametrize("name", BAD_SEGMENTATIONS)
def test_bad_segmentations_name_their_annotation(tmp_path: Path, name: str) -> None:
    segmentation, message = BAD_SEGMENTATIONS[name]
    path = write_coco(tmp_path / "a.json", coco_annotation(segmentation, id=42))
    with pytest.raises(MaskError, match=rf"annotation 42 \(1\.jpg\): .*{message}"):
        drawn(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 9}, "annotation 7 is of image 9, which is not in the file"),
        ({"category_id": 9}, "annotation 7 is of category 9, which is not in the file"),
        ({"image_id": [1]}, "expected a number for 'image_id'"),
    ],
)
def test_ids_that_nothing_has(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        load_coco(write_coco(tmp_path / "a.json", coco_annotation(**changes)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"file_name": None}, "image 1 has no 'file_name'"),
        ({"file_name": "../"}, "image 1 has no 'file_name'"),
        ({"height": 0}, "no size"),
        ({"width": "40"}, "no size"),
        ({"height": None}, "no size"),
        ({"height": 10**5, "width": 10**5}, "over 89 million"),
    ],
)
def test_bad_images(tmp_path: Path, image: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        load_coco(write_coco(tmp_path / "a.json", coco_annotation(), images=[coco_image(**image)]))


def test_two_images_of_one_id(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="same id"):
        load_coco(write_coco(tmp_path / "a.json", coco_annotation(), images=[coco_image(), coco_image()]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON: Expecting property name"),
        (b"\xff\xfe\x00", "neither UTF-8 nor UTF-16"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"images": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[1]", "expected a JSON object, found a list"),
        (b"null", "found null"),
        (b"7", "found a number"),
        (b"{}", "list of objects under 'images'"),
        (b'{"images": [], "categories": {}}', "list of objects under 'categories'"),
        (b'{"images": [], "categories": []}', "list of objects under 'annotations'"),
        (b'{"images": [], "categories": [], "annotations": []}', "found none"),
        (b'{"images": [1], "categories": [], "annotations": []}', "list of objects under 'images'"),
    ],
)
def test_json_that_is_no_coco(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(MaskError, match=message) as caught:
        load_coco(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert drawn(path).sum() == 180


def test_an_empty_union_is_an_error(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation({"size": [24, 40], "counts": [960]}))
    with pytest.raises(MaskError, match=r"the mask of 1\.jpg is empty"):
        drawn(path)


def test_a_photo_of_another_scale_than_the_json_says(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation())
    with pytest.warns(OvssWarning, match=r"mask of 1\.jpg is 40x24 but the photo 80x48"):
        assert drawn(path, size=(48, 80)).sum() == 4 * 180
    with pytest.raises(MaskError, match="40x24 but the photo is 40x40"):
        drawn(path, size=(40, 40))


def test_a_turned_photo(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation())
    with pytest.raises(MaskError, match="fits the photo as stored"):
        drawn(path, size=(40, 24), exif=5)
    np.testing.assert_array_equal(drawn(path, size=(40, 24), exif=5, orientation="raw"), MASK.T)
    path = write_coco(tmp_path / "b.json", coco_annotation(), images=[coco_image(height=None, width=None)])
    np.testing.assert_array_equal(drawn(path, size=(40, 24), exif=5, orientation="raw"), MASK.T)


@given(npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, min_side=16, max_side=40)))
@settings(in_one_folder, max_examples=100)
def test_run_lengths_survive(tmp_path: Path, mask: np.ndarray) -> None:
    mask[:2, :8] = True
    mask[-1, -1] = False
    image = coco_image(height=mask.shape[0], width=mask.shape[1])
    for segmentation in (plain(mask), compressed(mask)):
        path = write_coco(tmp_path / "a.json", coco_annotation(segmentation), images=[image])
        np.testing.assert_array_equal(drawn(path, size=mask.shape), mask)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner),
    max_leaves=12,
)


@given(json_values)
@settings(in_one_folder, max_examples=100)
def test_any_segmentation_is_a_mask_or_an_error(tmp_path: Path, segmentation: Any) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation(segmentation))
    with contextlib.suppress(OvssError):
        assert drawn(path).shape == SIZE


points = st.floats(-1e9, 1e9) | st.floats(-50, 50) | st.integers(-9, 60)


@given(st.lists(st.lists(st.tuples(points, points), min_size=3, max_size=6), min_size=1, max_size=3))
@settings(in_one_folder, max_examples=100)
@pytest.mark.filterwarnings("ignore:.*mask of:ovss_personal.errors.OvssWarning")
def test_any_polygon_is_drawn_or_empty(tmp_path: Path, rings: list[list[tuple[float, float]]]) -> None:
    segmentation = [[value for point in ring for value in point] for ring in rings]
    path = write_coco(tmp_path / "a.json", coco_annotation(segmentation))
    try:
        assert drawn(path).any()
    except MaskError as error:
        assert "is empty" in str(error)


@given(
    st.sampled_from(["images", "annotations", "categories"]),
    st.sampled_from(["id", "image_id", "x"]),
    json_values,
)
@settings(in_one_folder, max_examples=100)
def test_any_record_is_read_or_an_error(tmp_path: Path, table: str, field: str, value: Any) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation())
    content = json.loads(path.read_text())
    content[table] = value if field == "x" else [{**content[table][0], field: value}]
    path.write_text(json.dumps(content))
    with contextlib.suppress(OvssError):
        assert len(load_coco(path)) == 1


@given(st.floats(0, 1, exclude_max=True))
@settings(in_one_folder, max_examples=60)
def test_truncated_json_is_an_error(tmp_path: Path, share: float) -> None:
    path = write_coco(tmp_path / "a.json", coco_annotation())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(MaskError):
        load_coco(path)
