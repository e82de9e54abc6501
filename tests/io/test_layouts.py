"""Folders and zips as tools and people lay them out."""

from __future__ import annotations

import gc
import io
import json
import stat
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from corpus import (
    MASK,
    PHOTO,
    coco_annotation,
    labelme_shape,
    write_array,
    write_coco,
    write_labelme,
    write_mask,
    write_photo,
)
from corpus.exports import ls_polygon, ls_task, write_text, yolo_line
from PIL import Image

from ovss_personal.errors import InputError, MaskError, OvssWarning, ShotsError
from ovss_personal.io import archives
from ovss_personal.io.images import find_images
from ovss_personal.io.photo_names import PhotoIndex
from ovss_personal.io.shots import find_pairs, load_shots


def only_mask(source: Path, **options: str) -> np.ndarray:
    [shot] = load_shots(source, **options)
    return shot.mask


# names


@pytest.mark.parametrize("photos", ["images", "img", "image", "JPEGImages", "Imgs"])
@pytest.mark.parametrize("masks", ["masks", "mask", "labels", "gt", "annotations", "SegmentationClassPNG"])
def test_folders_of_other_names(tmp_path: Path, photos: str, masks: str) -> None:
    write_photo(tmp_path / photos / "1.jpg")
    write_mask(tmp_path / masks / "1.png")
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)


NAMES = ["1_seg", "1-mask", "1.mask", "mask_1", "1_label", "1_masks", "1.jpg", "1_MASK", "seg-1", "1_gt"]


@pytest.mark.parametrize("mask", NAMES)
def test_masks_of_other_names(tmp_path: Path, mask: str) -> None:
    write_photo(tmp_path / "side" / "1.jpg")
    write_mask(tmp_path / "side" / f"{mask}.png")
    np.testing.assert_array_equal(only_mask(tmp_path / "side"), MASK)
    write_photo(tmp_path / "apart" / "images" / "1.jpg")
    write_mask(tmp_path / "apart" / "masks" / f"{mask}.png")
    np.testing.assert_array_equal(only_mask(tmp_path / "apart"), MASK)


def test_two_masks_of_other_names_are_no_choice(tmp_path: Path) -> None:
    write_photo(tmp_path / "1.jpg")
    write_mask(tmp_path / "1_seg.png")
    write_mask(tmp_path / "mask_1.png", ~MASK)
    with pytest.raises(ShotsError, match=r"1_seg\.png \(more than one mask of this name\)"):
        load_shots(tmp_path)


def test_a_photo_that_is_called_like_a_mask_is_one(tmp_path: Path) -> None:
    write_photo(tmp_path / "label_printer.jpg")
    write_mask(tmp_path / "label_printer.png")
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)


def test_one_photo_or_a_pattern_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "photos [2024]"
    for number in (1, 2, 3):
        write_photo(folder / "images" / f"{number}.jpg", PHOTO + np.uint8(number))
        write_mask(folder / "masks" / f"{number}.png")
    [shot] = load_shots(folder / "images" / "2.jpg")
    assert shot.name == "images/2.jpg"
    pattern = folder / "images" / "[12].jpg"  # brackets of a folder that is there are its name's
    assert [shot.name for shot in load_shots(pattern)] == ["images/1.jpg", "images/2.jpg"]
    with pytest.raises(ShotsError, match="no such folder"):
        load_shots(folder / "x*.jpg")
    assert [photo.name for photo in find_images([folder / "images" / "[23].*"])] == ["2.jpg", "3.jpg"]


def test_an_annotation_file_of_one_photo_named_outright(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write_photo(tmp_path / f"{name}.jpg")
        write_labelme(tmp_path / f"{name}.json", labelme_shape())
    assert [pair.name for pair in find_pairs(tmp_path / "2.json").pairs] == ["2.jpg"]
    write_text(tmp_path / "labels" / "1.txt", yolo_line())
    write_photo(tmp_path / "images" / "1.jpg")
    assert [pair.name for pair in find_pairs(tmp_path / "labels" / "1.txt").pairs] == ["images/1.jpg"]
    write_text(tmp_path / "odd.json", {"something": "else"})
    with pytest.raises(MaskError, match=r"odd\.json: this is no annotation file of a format that is read"):
        find_pairs(tmp_path / "odd.json")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1.jpg", "1.jpg"),
        ("a b/1.jpg", "images/a b/1.jpg"),
        ("a%20b/1.jpg", "images/a b/1.jpg"),
        ("A.JPG", "images/a.jpg"),
        ("/data/upload/7/0a1b2c3d-a.jpg", "images/a.jpg"),
        ("/data/upload/7/0a1b2c3d-b.jpg", "images/0a1b2c3d-b.jpg"),
        ("0a1b2c3d-a.jpg", "images/a.jpg"),
        ("2024-a.jpg", None),
        ("../../a.jpg", "images/a.jpg"),
        ("c.jpg", None),  # in two subsets
        ("val/c.jpg", "images/val/c.jpg"),
        ("", None),
        ("a\0.jpg", None),
        ("x" * 5000 + "/" + "y" * 5000, None),
        ("http://[broken/a.jpg", "images/a.jpg"),
        ("\udcff.jpg", None),
    ],
)
def test_photos_by_the_names_of_annotation_files(tmp_path: Path, name: str, found: str | None) -> None:
    places = ["1.jpg", "images/a.jpg", "images/b.jpg", "images/0a1b2c3d-b.jpg", "images/a b/1.jpg"]
    for place in [*places, "images/train/c.jpg", "images/val/c.jpg"]:
        write_text(tmp_path / place, "x")
    path = PhotoIndex(tmp_path).find(name)
    assert path == (None if found is None else tmp_path / found)


# splits


def test_roboflow_s_coco_splits(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "valid", "test"), start=1):
        write_photo(tmp_path / split / "1.jpg", PHOTO + np.uint8(number))
        annotations = [coco_annotation(category_id=2)] if split != "test" else []
        write_coco(tmp_path / split / "_annotations.coco.json", *annotations, categories=("things", "mug"))
    assert [shot.name for shot in load_shots(tmp_path)] == ["train/1.jpg", "valid/1.jpg"]
    assert [shot.name for shot in load_shots(tmp_path / "train")] == ["1.jpg"]
    cat = coco_annotation(category_id=1)
    write_coco(tmp_path / "test" / "_annotations.coco.json", cat, categories=("cat", "mug"))
    with pytest.raises(MaskError, match="expected one category, found cat, mug"):
        load_shots(tmp_path)
    assert [shot.name for shot in load_shots(tmp_path, category="cat")] == ["test/1.jpg"]


def test_splits_of_pictures(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_photo(tmp_path / split / "1.jpg")
        write_mask(tmp_path / split / "1_mask.png")
    with pytest.warns(OvssWarning, match=r"val/1\.jpg is the same photo as train/1\.jpg"):
        assert len(load_shots(tmp_path)) == 2


# zips


def zip_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where zips are unpacked."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("top", ["", "project/", "a/b/"])
def test_a_zip_is_read_and_what_was_unpacked_is_removed(tmp_path: Path, temporary: Path, top: str) -> None:
    album = tmp_path / "album"
    write_photo(album / top / "images" / "1.jpg")
    write_mask(album / top / "masks" / "1.png")
    write_text(album / "__MACOSX" / "._1.jpg", "junk")
    path = zip_of(album, tmp_path / "shots.zip")
    [shot] = load_shots(path)
    assert shot.name == "images/1.jpg"
    np.testing.assert_array_equal(shot.mask, MASK)
    assert list(temporary.iterdir()) == []
    pairing = find_pairs(path)
    assert pairing.pairs[0].image.is_file() and len(list(temporary.iterdir())) == 1
    del pairing
    assert list(temporary.iterdir()) == []


def test_zips_of_annotation_files(tmp_path: Path, temporary: Path) -> None:
    album = tmp_path / "album"
    write_photo(album / "images" / "1.jpg")
    (album / "annotations").mkdir()
    write_coco(album / "annotations" / "instances_default.json", coco_annotation())
    np.testing.assert_array_equal(only_mask(zip_of(album, tmp_path / "cvat.zip")), MASK)
    write_coco(album / "annotations" / "instances_default.json", coco_annotation(segmentation=[[1, 2, 3]]))
    with pytest.raises(MaskError) as caught:
        load_shots(zip_of(album, tmp_path / "broken.zip"))
    assert caught.value.path == str(tmp_path / "broken.zip" / "annotations" / "instances_default.json")
    del caught  # whose traceback holds what was unpacked
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_an_error_names_the_zip_not_the_temporary_folder(tmp_path: Path, temporary: Path) -> None:
    album = tmp_path / "album"
    write_photo(album / "1.jpg")
    write_array(album / "1.npy", np.zeros_like(MASK))
    with pytest.raises(MaskError, match=r"shots\.zip/1\.npy: the mask is empty") as caught:
        load_shots(zip_of(album, tmp_path / "shots.zip"))
    assert "temporary" not in str(caught.value)


def bad_zip(tmp_path: Path, name: str) -> Path:
    path = tmp_path / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if name == "link":
            entry = zipfile.ZipInfo("images/1.jpg")
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
        elif name == "twice":
            archive.writestr("a/1.jpg", b"1")
            archive.writestr("A/1.JPG", b"2")
        elif name == "many":
            for number in range(9):
                archive.writestr(f"{number}.jpg", b"")
        elif name == "large":
            archive.writestr("1.npy", bytes(2**20))
        else:
            archive.writestr({"up": "../evil.jpg", "root": "/evil.jpg", "drive": "C:\\evil.jpg"}[name], b"evil")
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("up", r"names a file outside itself: '\.\./evil\.jpg'"),
        ("root", r"names a file outside itself: '/evil\.jpg'"),
        ("drive", "names a file outside itself"),
        ("link", r"'images/1\.jpg' in the zip is a link"),
        ("twice", "two files in the zip have the same name"),
        ("many", "the zip holds 9 files; at most 8 are unpacked"),
        ("large", "unpacked, the zip would be larger"),
    ],
)
def test_zips_that_are_not_unpacked(
    tmp_path: Path, temporary: Path, name: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 8)
    monkeypatch.setattr(archives, "RATIO_FROM", 2**19)
    path = bad_zip(tmp_path, name)
    before = {file for file in tmp_path.rglob("*")}
    with pytest.raises(ShotsError, match=says):
        load_shots(path)
    assert {file for file in tmp_path.rglob("*")} == before


def test_a_zip_whose_header_lies_about_sizes(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bad_zip(tmp_path, "large")
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\1\2")
    for place in (22, central + 24):  # the size unpacked, in both headers
        data[place : place + 4] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with pytest.raises(ShotsError):
        load_shots(path)
    assert list(temporary.iterdir()) == []


def test_files_that_are_no_zip(tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "shots.zip"
    path.write_bytes(b"PK\3\4 and no more")
    with pytest.raises(ShotsError, match=r"shots\.zip: this is no zip that can be read"):
        load_shots(path)
    write_text(tmp_path / "shots.tar.gz", "x")
    with pytest.raises(ShotsError, match=r"a \.gz archive is not read"):
        load_shots(tmp_path / "shots.tar.gz")
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(ShotsError, match=r"shots\.zip: no photo and no mask found here"):
        load_shots(path)
    assert list(temporary.iterdir()) == []


def test_a_concept_is_no_album(tmp_path: Path, temporary: Path) -> None:
    write_text(tmp_path / "my_mug" / "adapter_config.json", {})
    for source in (tmp_path / "my_mug", zip_of(tmp_path / "my_mug", tmp_path / "concept.zip")):
        with pytest.raises(ShotsError, match="this is a concept that was learned, not photos of one"):
            load_shots(source)


def test_the_page_s_zip_of_shots(tmp_path: Path, temporary: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "PNG")
    mask = io.BytesIO()
    Image.fromarray(MASK).convert("L").save(mask, "PNG")
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:  # as web.work.shots_zip names them
        archive.writestr("images/1.png", buffer.getvalue())
        archive.writestr("masks/1.png", mask.getvalue())
    np.testing.assert_array_equal(only_mask(tmp_path / "shots.zip"), MASK)


def test_a_file_of_notes_beside_shots_is_not_parsed_as_masks(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "1.jpg")
    write_mask(tmp_path / "masks" / "1.png")
    write_text(tmp_path / "project.json", json.dumps([ls_task(ls_polygon("cat"))]))
    (tmp_path / "broken.json").write_text("{")
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)
    with pytest.raises(InputError, match=r"broken\.json: this is not valid JSON"):
        find_pairs(tmp_path / "broken.json")
