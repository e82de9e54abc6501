"""Sets of photographs in every layout, in miniature: what is read, what is left out, and what its masks become."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import write_coco
from fakes.raw import annotation, noise, save
from PIL import Image

from ovss_personal.errors import MaskError
from ovss_personal.training.layouts import Photo, find_photos
from ovss_personal.training.scenes import VOID


def every(folder: Path) -> dict[str, Photo]:
    """All photos of a folder by their names, whether they are trained on or not."""
    sets = [find_photos(folder, validation=validation).values() for validation in (False, True)]
    return {photo.image.name: photo for found in sets for photos in found for photo in photos}


def write_masked(folder: Path, count: int = 40) -> Path:
    """A set of our own layout: a thing, numbered 9, and a strip of unknown."""
    mask = np.zeros((24, 32), np.uint8)
    mask[4:12, 4:12], mask[20:] = 9, VOID
    for number in range(count):
        save(folder / "images" / f"{number:02d}.jpg", noise(number))
        save(folder / "masks" / f"{number:02d}.png", mask)
    return folder


def write_voc(root: Path) -> Path:
    """`JPEGImages/` of nine photos, `SegmentationObject/` of eight: index 2 is a thing, 255 its border."""
    labels = np.zeros((24, 32), np.uint8)
    labels[3:13, 3:13], labels[4:12, 4:12] = VOID, 2
    for number in range(9):
        save(root / "JPEGImages" / f"2007_{number:06d}.jpg", noise(number))
    (root / "SegmentationObject").mkdir()
    for number in range(8):
        picture = Image.fromarray(labels)
        picture.putpalette([*range(255, -1, -1)] * 3)  # makes it a picture of indices
        picture.save(root / "SegmentationObject" / f"2007_{number:06d}.png")
    return root


def write_coco_train(root: Path) -> Path:
    """`write_coco` as the training part of COCO."""
    write_coco(root)
    (root / "annotations" / "instances_val2017.json").rename(root / "annotations" / "instances_train2017.json")
    (root / "val2017").rename(root / "train2017")
    return root


def one_photo(root: Path, annotations: list[dict[str, object]], height: int = 24, width: int = 32) -> Photo:
    """A photo of 32 x 24 of which a JSON tells."""
    image = {"id": 0, "file_name": "one.png", "height": height, "width": width}
    save(root / "photos" / "one.png", noise(0))
    content = {"images": [image], "annotations": annotations}
    (root / "photos" / "labels.json").write_text(json.dumps(content))
    return every(root)["one.png"]


def test_photos_for_validation_are_not_trained_on(tmp_path: Path) -> None:
    write_masked(tmp_path / "things")
    trained, kept = (find_photos(tmp_path, validation=v)["things"] for v in (False, True))
    names = {photo.image for photo in trained}
    assert len(trained) + len(kept) == 40 and not names & {p.image for p in kept} and 1 <= len(kept) <= 8
    image, segments = trained[0].read()
    assert image.shape == (24, 32, 3) and set(np.unique(segments)) == {0, 9, VOID}


def test_a_folder_is_a_set_or_holds_some(tmp_path: Path) -> None:
    write_masked(tmp_path / "b things")
    write_coco_train(tmp_path / "a" / "coco")
    write_voc(tmp_path / "a" / "voc")
    assert list(find_photos(tmp_path / "b things")) == ["b things"]
    assert list(find_photos(tmp_path / "a")) == ["coco", "voc"]
    assert list(find_photos(tmp_path)) == ["b things"]  # sets of sets are not looked for


def test_a_folder_without_photos_is_told_which_layouts_there_are(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(SystemExit, match=r"no photos to train on.*masks/.*SegmentationObject/.*instances_\*\.json"):
        find_photos(tmp_path)


def test_photos_are_jpeg_or_png_and_have_a_mask(tmp_path: Path) -> None:
    write_masked(tmp_path / "set", count=3)
    (tmp_path / "set" / "images" / "00.jpg").rename(tmp_path / "set" / "images" / "00.JPEG")
    Image.open(tmp_path / "set" / "images" / "01.jpg").save(tmp_path / "set" / "images" / "01.png")
    (tmp_path / "set" / "images" / "01.jpg").unlink()
    save(tmp_path / "set" / "images" / "unmarked.jpg", noise(0))
    assert set(every(tmp_path)) == {"00.JPEG", "01.png", "02.jpg"}


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((24, 32, 3), np.uint8), "found a picture of mode RGB"),
        (np.zeros((24, 32), np.uint16), "found a picture of mode I;16"),
        (np.zeros((32, 24), np.uint8), "is 24x32, but its photo is 32x24"),
    ],
)
def test_a_mask_of_another_kind_is_named(tmp_path: Path, mask: np.ndarray, message: str) -> None:
    write_masked(tmp_path, count=1)
    save(tmp_path / "masks" / "00.png", mask)
    with pytest.raises(MaskError, match=message):
        every(tmp_path)["00.jpg"].read()


def test_indices_of_voc_are_read_and_its_test_photos_are_not(tmp_path: Path) -> None:
    photos = every(write_voc(tmp_path))
    assert set(photos) == {f"2007_{number:06d}.jpg" for number in range(8)}
    _, segments = photos["2007_000000.jpg"].read()
    assert (segments[4:12, 4:12] == 2).all() and segments[3, 3] == VOID and set(np.unique(segments)) == {0, 2, VOID}
    listed = tmp_path / "other" / "ImageSets" / "Segmentation"
    listed.mkdir(parents=True)
    write_voc(tmp_path / "other")
    (listed / "train.txt").write_text("2007_000001\n2007_000003\n2007_000008\n")
    assert set(every(tmp_path / "other")) == {"2007_000001.jpg", "2007_000003.jpg"}


def test_instances_of_coco_are_drawn_and_crowds_are_unknown(tmp_path: Path) -> None:
    photos = every(write_coco_train(tmp_path))
    assert set(photos) == {"000000000000.jpg", "000000000001.jpg"}  # nothing is marked in the third
    image, segments = photos["000000000000.jpg"].read()
    assert image.shape == (24, 32, 3) and set(np.unique(segments)) == {0, 1, 2, VOID}
    assert (segments[4:12, 4:12] == 2).all() and (segments == 2).sum() == 64
    assert (segments[:, 16:20] == 1).all() and (segments[:, 30:] == VOID).all()
    _, segments = photos["000000000001.jpg"].read()  # one thing in two parts, and one without a pixel
    assert segments[1, 6] == segments[21, 23] == 1 and set(np.unique(segments)) == {0, 1}


def test_val2017_is_not_trained_on(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"other than val"):
        find_photos(write_coco(tmp_path / "val"))
    root = write_coco_train(write_coco(tmp_path / "both").parent / "train")
    (root / "val2017").mkdir()
    save(root / "val2017" / "7.jpg", noise(7))
    content = {"images": [{"id": 0, "file_name": "7.jpg"}], "annotations": [annotation(1, 0, 1, [[4, 4, 8, 4, 8, 8]])]}
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    assert set(every(root)) == {"000000000000.jpg", "000000000001.jpg"}


def test_the_only_json_is_read_where_none_has_coco_s_name(tmp_path: Path) -> None:
    thing = annotation(1, 0, 1, [[4, 4, 12, 4, 12, 12, 4, 12]])
    _, segments = one_photo(tmp_path / "one", [thing]).read()
    assert (segments[4:12, 4:12] == 1).all() and segments.sum() == 64
    save(tmp_path / "two" / "images" / "one.png", noise(0))
    (tmp_path / "two" / "images" / "notes.json").write_text("{}")
    with pytest.raises(SystemExit):
        find_photos(tmp_path / "two")


def test_of_things_that_overlap_the_smaller_is_seen(tmp_path: Path) -> None:
    boxes = [[[8, 8, 12, 8, 12, 12, 8, 12]], [[4, 4, 20, 4, 20, 20, 4, 20]], [[0, 0, 32, 0, 32, 24, 0, 24]]]
    _, segments = one_photo(tmp_path, [annotation(n, 0, 1, box) for n, box in enumerate(boxes)]).read()
    assert segments[10, 10] == 3 and segments[5, 5] == 2 and segments[0, 0] == 1


def test_what_no_number_is_left_for_is_unknown(tmp_path: Path) -> None:
    pixels = [(x, y) for y in range(24) for x in range(32)]
    boxes = [[[x, y, x + 1, y, x + 1, y + 1, x, y + 1]] for x, y in pixels[:260]]
    _, segments = one_photo(tmp_path, [annotation(n, 0, 1, box) for n, box in enumerate(boxes)]).read()
    assert set(np.unique(segments)) == set(range(256)) and (segments == VOID).sum() == 6


def test_a_line_of_two_points_is_no_thing_and_a_word_no_number(tmp_path: Path) -> None:
    line, ring = [1, 1, 9, 9], [4, 4, 12, 4, 12, 12]
    photo = one_photo(tmp_path / "line", [annotation(1, 0, 1, [line, ring]), annotation(2, 0, 1, [line])])
    assert set(np.unique(photo.read()[1])) == {0, 1}
    with pytest.raises(MaskError, match="annotation 3: expected polygons"):
        one_photo(tmp_path / "word", [annotation(3, 0, 1, [[*ring[:5], "12"]])])


def test_a_photo_may_be_marked_as_stored_or_as_seen(tmp_path: Path) -> None:
    """Its EXIF says that it is to be turned; the JSON's size, whether that was done."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, size in (("stored", (24, 32)), ("seen", (32, 24))):
        photo = one_photo(tmp_path / name, [annotation(1, 0, 1, [[4, 4, 12, 4, 12, 12]])], *size)
        Image.fromarray(noise(0)).save(photo.image, exif=exif)
        image, segments = photo.read()
        assert image.shape[:2] == segments.shape == size
    photo = one_photo(tmp_path / "neither", [annotation(1, 0, 1, [[4, 4, 12, 4, 12, 12]])], 48, 64)
    with pytest.raises(MaskError, match="is 64x48, but its photo is 32x24"):
        photo.read()
