"""Whatever a file of annotations holds, reading it ends in a mask or in an error that says what is wrong."""

from __future__ import annotations

import copy
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import MASK, write_array, write_photo
from corpus.exports import (
    LABEL_MAP,
    bitmap,
    cvat_mask,
    cvat_polygon,
    cvat_xml,
    ls_min,
    ls_polygon,
    ls_region,
    ls_task,
    sa1b,
    supervisely,
    via,
    via_region,
    write_class_picture,
    write_text,
    yolo_line,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovss_personal.errors import OvssError
from ovss_personal.io.shots import load_shots

SLOW, FAST = 10_000, 15
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        [[], {}, [[]], [1, 2], [[1, 2], [3, 4], [5, 6]], "1.jpg", 10**400, 1e308, "", "a/b", "\ud800", -1e9]
    ),
)

BOX = ls_region("rectanglelabels", x=10, y=10, width=30, height=30, rotation=10)
POLYGON = {"classTitle": "mug", "geometryType": "polygon", "points": {"exterior": [[1, 1], [9, 1], [9, 9]]}}
RECTANGLE = {"classTitle": "mug", "geometryType": "rectangle", "points": {"exterior": [[1, 1], [9, 9]]}}
CIRCLE = via_region(name="circle", cx=20, cy=9, r=5)
JSONS: dict[str, Any] = {
    "a.json label studio": [ls_task(ls_region(), ls_polygon(), BOX)],
    "a.json label studio, min": [ls_min(ls_region(), ls_polygon())],
    "a.json via": {"_via_img_metadata": via(via_region(), CIRCLE), "_via_settings": {}},
    "1.json supervisely": supervisely(bitmap(), POLYGON, RECTANGLE),
    "1.json sa1b": sa1b(MASK, MASK),
    "1.json sam": sa1b(MASK)["annotations"],
}
TEXTS = {
    "1.txt yolo": f"{yolo_line()}\n1 0.5 0.5 0.1 0.1\n",
    "a.xml cvat": cvat_xml(cvat_polygon(), cvat_mask(), '<box label="mug" xtl="5" ytl="3" xbr="20" ybr="15"></box>'),
    "labelmap.txt": LABEL_MAP,
    "data.yaml": "train: a\nnames: [mug, cat]\n",
}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places(inner)


@st.composite
def changed_json(draw: Callable[..., Any], sound: Any) -> Any:
    """The value with one to three places changed, dropped or doubled."""
    value = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        change = draw(st.sampled_from(["value", "drop", "double"]))
        if change == "value":
            container[key] = copy.deepcopy(draw(VALUES))  # what is drawn is shared between examples
        elif change == "drop":
            del container[key]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
    return value


@st.composite
def changed_bytes(draw: Callable[..., Any], sound: bytes) -> bytes:
    """The bytes with up to four pieces replaced."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 6))
        pieces = [
            b"",
            b"nan",
            b"-1",
            b"1e400",
            b"9" * 12,
            b":",
            b'"',
            b"<",
            b"\n",
            b"\0",
            b"&lt;",
            b"\xff",
            b"[",
            b"*a",
        ]
        data[start:end] = draw(st.one_of(st.binary(max_size=4), st.sampled_from(pieces)))
    return bytes(data)


def read(write: Callable[[Path], Any], category: str | None) -> None:
    """Reads what is written beside the photo 1.jpg."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # numpy's, of numbers that overflow
        root = Path(folder)
        write_photo(root / "1.jpg")
        write(root)
        try:
            shots = load_shots(root, category=category)
        except OvssError as error:
            assert len(str(error)) < 2000 and "\n" not in error.message.strip()
        else:
            assert all(shot.mask.any() and shot.mask.shape == MASK.shape for shot in shots)


def check_json(kind: str, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(content=changed_json(JSONS[kind]), category=st.sampled_from([None, "mug", "5"]))
    def check(content: Any, category: str | None) -> None:
        read(lambda root: write_text(root / kind.split()[0], content), category)

    check()


def check_text(kind: str, examples: int) -> None:
    name = kind.split()[0]

    def write(root: Path, data: bytes) -> None:
        (root / name).write_bytes(data)
        if name == "labelmap.txt":
            write_class_picture(root / "SegmentationClass" / "1.png")
        if name == "data.yaml":
            write_text(root / "1.txt", yolo_line())

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=changed_bytes(TEXTS[kind].encode()), category=st.sampled_from([None, "mug", "0"]))
    def check(data: bytes, category: str | None) -> None:
        read(lambda root: write(root, data), category)

    check()


def check_npz(examples: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "1.npz", mask=MASK[:, :9])
        sound = (Path(folder) / "1.npz").read_bytes()

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=changed_bytes(sound))
    def check(data: bytes) -> None:
        read(lambda root: (root / "1.npz").write_bytes(data), None)

    check()


def check_zip(examples: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.zip"
        photo, mask = write_photo(Path(folder) / "1.jpg"), write_array(Path(folder) / "1.npy", MASK)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(photo, "images/1.jpg")
            archive.write(mask, "masks/1.npy")
        sound = path.read_bytes()

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=changed_bytes(sound))
    def check(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder) / "1.zip"
            path.write_bytes(data)
            try:
                load_shots(path)
            except OvssError as error:
                assert len(str(error)) < 2000

    check()


@pytest.mark.parametrize("kind", JSONS)
def test_odd_json(kind: str) -> None:
    check_json(kind, FAST)


@pytest.mark.parametrize("kind", TEXTS)
def test_odd_texts(kind: str) -> None:
    check_text(kind, FAST)


@pytest.mark.parametrize("check", [check_npz, check_zip])
def test_odd_archives(check: Callable[[int], None]) -> None:
    check(FAST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", JSONS)
def test_much_odd_json(kind: str) -> None:
    check_json(kind, SLOW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEXTS)
def test_many_odd_texts(kind: str) -> None:
    check_text(kind, SLOW)


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_npz, check_zip])
def test_many_odd_archives(check: Callable[[int], None]) -> None:
    check(SLOW)
