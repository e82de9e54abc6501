"""What `segment` writes for other tools is read back by our own readers as what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from corpus import MASK, PHOTO, write_photo
from corpus.exports import rle
from PIL import Image

from ovss_personal.errors import OutputError, UsageError
from ovss_personal.io.annotations import fill_rings
from ovss_personal.io.shots import load_shots
from ovss_personal.io.writers import WRITERS, chosen_formats, written
from ovss_personal.io.writers.contours import bridged, pieces_of, simplified
from ovss_personal.io.writers.other_files import voc_colour
from ovss_personal.painting.segmentation import Segmentation

HEIGHT, WIDTH = 96, 128
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
DISC = np.hypot(ROWS - 40, COLUMNS - 40) < 30
RING = DISC & (np.hypot(ROWS - 45, COLUMNS - 35) > 12)
BLOB = (np.hypot(ROWS - 70, COLUMNS - 100) < 18) & ~DISC
TWO = BLOB | ((np.hypot(ROWS - 15, COLUMNS - 110) < 12) & ~DISC)
SHAPES = {"disc": DISC, "with a hole": RING, "in two pieces": TWO}


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def row(photo: Path, **masks: np.ndarray) -> dict[str, Any]:
    """What result.json says of a photo; the words are those of `masks`, and `other` for the rest."""
    words = [
        {"word": word, "present": bool(mask.mean() > 0.001), "score": 0.75, "segmentation": rle(mask)}
        for word, mask in masks.items()
    ]
    rest = ~np.any(list(masks.values()), axis=0)
    words.insert(1, {"word": "other", "present": True, "score": 0.5, "segmentation": rle(rest)})
    words.append({"word": "absent", "present": False, "score": 0.0, "segmentation": None})
    height, width = rest.shape
    return {"photo": str(photo), "size": {"height": height, "width": width}, "words": words}


def save(files: dict[Path, bytes]) -> None:
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


# contours


def test_contours_by_hand() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:3] = True
    mask[3, 3] = True  # touches by a corner: a piece of its own
    dot, square = pieces_of(mask)
    assert sorted(map(tuple, square.outer.tolist())) == [(1, 1), (1, 3), (3, 1), (3, 3)]
    assert sorted(map(tuple, dot.outer.tolist())) == [(3, 3), (3, 4), (4, 3), (4, 4)]
    assert square.holes == dot.holes == ()
    assert pieces_of(np.zeros((4, 5), bool)) == []


@pytest.mark.parametrize("seed", range(8))
def test_contours_enclose_the_mask_exactly(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random(tuple(random.integers(2, 40, 2))) < random.uniform(0.2, 0.9)
    pieces = pieces_of(mask)
    filled = np.zeros_like(mask)
    for ring in (ring for piece in pieces for ring in (piece.outer, *piece.holes)):
        filled ^= fill_rings([ring.ravel().tolist()], mask.shape)
    np.testing.assert_array_equal(filled, mask)
    joined = np.zeros_like(mask)
    for piece in pieces:
        joined |= fill_rings([bridged(piece).ravel().tolist()], mask.shape)
    assert iou(joined, mask) >= 0.98


def test_simplified_contours_have_few_corners_and_the_same_pixels() -> None:
    [piece] = pieces_of(DISC)
    fewer = simplified(piece.outer)
    assert len(fewer) < len(piece.outer) / 2
    assert iou(fill_rings([fewer.ravel().tolist()], DISC.shape), DISC) >= 0.99


# formats


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_read_back(tmp_path: Path, name: str, shape: str) -> None:
    mask = SHAPES[shape]
    photo = write_photo(tmp_path / "trip" / "1.jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    rest = (np.hypot(ROWS - 80, COLUMNS - 20) < 10) & ~mask
    out = tmp_path / "out"
    save(written([name], [row(photo, mug=mask, cat=rest)], out))
    place = out / name if name == "labelme" else out / name / "images"
    write_photo(place / "1.jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    for word, wanted in (("mug", mask), ("cat", rest)):
        [shot] = load_shots(out / name, category=word)
        exact = name in ("cvat", "png") or (shape == "with a hole" and word == "mug" and name != "yolo")
        assert iou(shot.mask, wanted) >= (1 if exact else 0.98)


def test_coco_has_polygons_and_run_lengths_only_for_holes(tmp_path: Path) -> None:
    photos = [tmp_path / "a" / "1.jpg", tmp_path / "b" / "1.jpg"]
    rows = [row(photos[0], mug=RING, cat=BLOB), row(photos[1], mug=TWO, cat=DISC)]
    content = json.loads(written(["coco"], rows, tmp_path)[tmp_path / "coco" / "annotations.json"])
    assert [image["file_name"] for image in content["images"]] == ["a/1.jpg", "b/1.jpg"]
    assert [(entry["id"], entry["name"]) for entry in content["categories"]] == [(1, "mug"), (2, "cat"), (3, "absent")]
    kinds = [(a["id"], a["image_id"], a["category_id"], type(a["segmentation"])) for a in content["annotations"]]
    assert kinds == [(1, 1, 1, dict), (2, 1, 2, list), (3, 2, 1, list), (4, 2, 2, list)]
    assert content["annotations"][0]["segmentation"] == rle(RING)
    assert [len(a["segmentation"]) for a in content["annotations"][1:]] == [1, 2, 1]
    assert content["annotations"][1]["area"] == BLOB.sum()
    assert content["annotations"][1]["bbox"] == [83, 53, 35, 35]
    assert content["annotations"][1]["score"] == 0.75


def test_labelme_leads_to_the_photo_and_groups_pieces(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "trip" / "1.jpg")
    save(written(["labelme"], [row(photo, mug=TWO, cat=RING)], tmp_path / "out"))
    path = tmp_path / "out" / "labelme" / "1.json"
    content = json.loads(path.read_text())
    assert (path.parent / content["imagePath"]).samefile(photo)
    assert (content["imageHeight"], content["imageWidth"], content["imageData"]) == (HEIGHT, WIDTH, None)
    shapes = [(shape["label"], shape["shape_type"], shape["group_id"]) for shape in content["shapes"]]
    assert shapes == [("mug", "polygon", 1), ("mug", "polygon", 1), ("cat", "mask", None)]


def test_yolo_names_and_lines(tmp_path: Path) -> None:
    rows = [row(tmp_path / "1.jpg", mug=TWO, cat=RING), row(tmp_path / "2.jpg", mug=TWO & False, cat=TWO & False)]
    files = written(["yolo"], rows, tmp_path)
    data = yaml.safe_load(files[tmp_path / "yolo" / "data.yaml"])
    assert data["names"] == {0: "mug", 1: "cat", 2: "absent"}
    lines = files[tmp_path / "yolo" / "labels" / "1.txt"].decode().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "0", "1"]
    assert all(0 <= float(number) <= 1 for line in lines for number in line.split()[1:])
    assert files[tmp_path / "yolo" / "labels" / "2.txt"] == b""


def test_cvat_keeps_odd_names(tmp_path: Path) -> None:
    odd = row(tmp_path / 'a & "b" <c>\x01.jpg', **{"<mug> & co": DISC})
    data = written(["cvat"], [odd], tmp_path)[tmp_path / "cvat" / "annotations.xml"]
    root = ElementTree.fromstring(data)
    assert root.find("image").get("name") == 'a & "b" <c>?.jpg'
    assert root.find("image/mask").get("label") == "<mug> & co"


def test_png_paints_all_words_with_a_palette(tmp_path: Path) -> None:
    files = written(["png"], [row(tmp_path / "1.jpg", mug=DISC, cat=BLOB)], tmp_path)
    save(files)
    with Image.open(tmp_path / "png" / "SegmentationClass" / "1.png") as picture:
        assert picture.mode == "P" and picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        np.testing.assert_array_equal(np.asarray(picture), DISC * 1 + BLOB * 2)
    names = files[tmp_path / "png" / "labelmap.txt"].decode().splitlines()[1:]
    assert names == ["background:0,0,0::", "mug:128,0,0::", "cat:0,128,0::", "absent:128,128,0::"]
    assert files[tmp_path / "png" / "ImageSets" / "Segmentation" / "default.txt"] == b"1\n"


def test_png_of_more_words_than_a_palette_has(tmp_path: Path) -> None:
    masks = {f"word {number}": MASK & False for number in range(299)}
    save(written(["png"], [row(tmp_path / "1.jpg", **masks, mug=MASK)], tmp_path / "out"))
    write_photo(tmp_path / "out" / "png" / "1.jpg", PHOTO)
    [shot] = load_shots(tmp_path / "out" / "png", category="mug")
    np.testing.assert_array_equal(shot.mask, MASK)
    assert len({voc_colour(place) for place in range(3000)}) == 3000


def test_a_segmentation_s_own_run_lengths_are_read(tmp_path: Path) -> None:
    labels = (DISC * 1).astype(np.int32)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    found = Segmentation(labels, ("grass", "mug"), (0.9, 0.8), ("mug",), image)
    words = [
        {"word": a["category"], "present": True, "score": a["score"], "segmentation": a["segmentation"]}
        for a in found.to_coco()
    ]
    rows = [{"photo": str(tmp_path / "1.jpg"), "size": {"height": HEIGHT, "width": WIDTH}, "words": words}]
    save(written(["png"], rows, tmp_path))
    with Image.open(tmp_path / "png" / "SegmentationClass" / "1.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), labels + 1)


# the choice


def test_formats_by_comma_and_repetition() -> None:
    assert chosen_formats(["coco, YOLO", "coco", "png"], []) == ["coco", "yolo", "png"]
    assert chosen_formats([], []) == []
    with pytest.raises(UsageError, match="no format 'voc'") as caught:
        chosen_formats(["coco,voc"], [])
    assert caught.value.hint == "Choose among coco, labelme, yolo, cvat, png."


def test_two_photos_of_one_stem_cannot_share_a_file() -> None:
    sources = [Path("a/1.jpg"), Path("a/1.png"), Path("b/1.jpg")]
    with pytest.raises(OutputError, match=r"1\.jpg and a/1\.png would have one annotation file"):
        chosen_formats(["yolo"], sources)
    assert chosen_formats(["yolo"], sources[1:]) == ["yolo"]
    assert chosen_formats(["coco,cvat"], sources) == ["coco", "cvat"]


def test_nothing_is_written_without_a_format_or_a_photo(tmp_path: Path) -> None:
    assert written([], [row(tmp_path / "1.jpg", mug=DISC)], tmp_path) == {}
    [data] = written(["coco"], [], tmp_path).values()
    assert json.loads(data) == {"images": [], "categories": [], "annotations": []}
