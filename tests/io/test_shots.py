from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from corpus import (
    MASK,
    PHOTO,
    coco_annotation,
    coco_image,
    labelme_shape,
    write_array,
    write_coco,
    write_labelme,
    write_mask,
    write_photo,
)

from ovss_personal.errors import ImageError, InputError, MaskError, OvssWarning, ShotsError, UsageError
from ovss_personal.io import shots as shots_module
from ovss_personal.io.shots import Pairing, find_pairs, load_pair, load_shots


def another_photo(number: int) -> np.ndarray:
    return PHOTO + np.uint8(number)


def two_folders(folder: Path, count: int = 3) -> Path:
    for number in range(1, count + 1):
        write_photo(folder / "images" / f"{number}.png", another_photo(number))
        write_mask(folder / "masks" / f"{number}.png")
    return folder


def names(pairing: Pairing) -> list[tuple[str, str]]:
    return [(pair.name, pair.mask.name) for pair in pairing.pairs]


def reasons(pairing: Pairing) -> dict[str, str]:
    return {path.name: reason for path, reason in pairing.unpaired.items()}


def test_two_folders(tmp_path: Path) -> None:
    shots = load_shots(two_folders(tmp_path))
    assert [shot.name for shot in shots] == ["images/1.png", "images/2.png", "images/3.png"]
    np.testing.assert_array_equal(shots[1].image, another_photo(2))
    np.testing.assert_array_equal(shots[1].mask, MASK)
    assert shots[1].ignore is None
    assert shots[1].sha256 == hashlib.sha256((tmp_path / "images" / "2.png").read_bytes()).hexdigest()


def test_two_folders_of_other_case_and_suffix(tmp_path: Path) -> None:
    write_photo(tmp_path / "Images" / "IMG 1.JPG")
    write_mask(tmp_path / "Masks" / "img 1_mask.PNG")
    assert names(find_pairs(tmp_path)) == [("Images/IMG 1.JPG", "img 1_mask.PNG")]


@pytest.mark.parametrize("photo", ["1.jpg", "1.JPEG", "1.png", "1.webp", "mein Hütchen 日本.jpg"])
@pytest.mark.parametrize("mask", ["{}_mask.png", "{}_MASK.png", "{}.npy", "{}_mask.npy", "{}.json"])
def test_side_by_side(tmp_path: Path, photo: str, mask: str) -> None:
    write_photo(tmp_path / photo)
    path = tmp_path / mask.format(Path(photo).stem)
    if path.suffix == ".json":
        write_labelme(path, labelme_shape())
    elif path.suffix == ".npy":
        write_array(path, MASK)
    else:
        write_mask(path)
    [shot] = load_shots(tmp_path)
    assert shot.name == photo
    np.testing.assert_array_equal(shot.mask, MASK)


def test_a_lossless_mask_of_the_same_stem(tmp_path: Path) -> None:
    write_photo(tmp_path / "1.jpg")
    write_mask(tmp_path / "1.png")
    write_photo(tmp_path / "2.webp", another_photo(2))
    write_mask(tmp_path / "2.tif")
    assert names(find_pairs(tmp_path)) == [("1.jpg", "1.png"), ("2.webp", "2.tif")]


def test_a_photo_of_a_face_mask(tmp_path: Path) -> None:
    write_photo(tmp_path / "face_mask.jpg")
    write_mask(tmp_path / "face_mask.png")
    assert names(find_pairs(tmp_path)) == [("face_mask.jpg", "face_mask.png")]


def test_both_ways_to_write_an_umlaut(tmp_path: Path) -> None:
    write_photo(tmp_path / (unicodedata.normalize("NFC", "Hütchen") + ".jpg"))
    write_mask(tmp_path / (unicodedata.normalize("NFD", "Hütchen") + "_mask.png"))
    assert len(find_pairs(tmp_path).pairs) == 1


def test_junk_does_not_count(tmp_path: Path) -> None:
    two_folders(tmp_path, 1)
    for junk in (".DS_Store", "Thumbs.db", "._1.png", "notes.txt"):
        (tmp_path / "images" / junk).write_text("junk")
        (tmp_path / "masks" / junk).write_text("junk")
    (tmp_path / "images" / "loop.png").symlink_to(tmp_path / "images" / "loop.png")
    (tmp_path / "masks" / "2.png").mkdir()
    assert find_pairs(tmp_path).unpaired == {}
    assert len(load_shots(tmp_path)) == 1


def test_why_files_did_not_pair(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg")
    write_labelme(tmp_path / "b.json", labelme_shape())
    write_photo(tmp_path / "c.jpg")
    write_mask(tmp_path / "c_mask.png")
    write_array(tmp_path / "c.npy", MASK)
    write_photo(tmp_path / "d.jpg")
    write_photo(tmp_path / "d.webp")
    write_mask(tmp_path / "d_mask.png")
    write_photo(tmp_path / "e.jpg")
    write_mask(tmp_path / "e.png")
    pairing = find_pairs(tmp_path)
    assert names(pairing) == [("e.jpg", "e.png")]
    assert reasons(pairing) == {
        "a.jpg": "no mask of this name",
        "b.json": "no photo of this name",
        **dict.fromkeys(["c.jpg", "c.npy", "c_mask.png"], "more than one mask of this name"),
        **dict.fromkeys(["d.jpg", "d.webp", "d_mask.png"], "more than one photo of this name"),
    }
    with pytest.warns(OvssWarning, match=r"left out a\.jpg \(no mask of this name\), b\.json"):
        assert [shot.name for shot in load_shots(tmp_path)] == ["e.jpg"]


def test_a_seed_chooses(tmp_path: Path) -> None:
    two_folders(tmp_path, 5)

    def chosen(count: int, seed: int) -> list[str]:
        return [shot.name for shot in load_shots(tmp_path, count=count, seed=seed)]

    assert chosen(2, 0) == ["images/4.png", "images/5.png"]
    assert chosen(2, 1) == ["images/1.png", "images/2.png"]
    assert chosen(5, 7) == [f"images/{number}.png" for number in range(1, 6)]
    assert {tuple(chosen(1, seed)) for seed in range(20)} == {(f"images/{n}.png",) for n in range(1, 6)}


def test_only_the_chosen_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_folders(tmp_path, 3)
    (tmp_path / "images" / "1.png").write_text("broken")
    opened: list[str] = []
    real = shots_module.load_image
    monkeypatch.setattr(shots_module, "load_image", lambda path: opened.append(path.name) or real(path))
    [shot] = load_shots(tmp_path, count=1, seed=0)
    assert opened == [Path(shot.name).name] == ["2.png"]


def test_more_than_there_are(tmp_path: Path) -> None:
    two_folders(tmp_path, 2)
    write_photo(tmp_path / "images" / "9.jpg")
    with pytest.raises(ShotsError) as caught:
        load_shots(tmp_path, count=5)
    assert caught.value.message == (
        "expected 5 photos with masks, found 2. Paired: images/1.png with 1.png, images/2.png with 2.png. "
        "Not: 9.jpg (no mask of this name)."
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("count", [0, -1])
def test_no_shots_wanted(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        load_shots(tmp_path, count=count)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ShotsError, match="no such folder"):
        load_shots(tmp_path / "absent")
    with pytest.raises(ShotsError, match="no photo and no mask") as caught:
        load_shots(tmp_path)
    assert "images/" in str(caught.value.hint)
    (tmp_path / "1.md").write_text("# my bird")
    with pytest.raises(ShotsError, match="expected a folder, a zip or an annotation file"):
        load_shots(tmp_path / "1.md")
    path = write_photo(tmp_path / "1.jpg")
    with pytest.raises(ShotsError, match=r"found 0\. Paired: nothing\. Not: 1\.jpg \(no mask"):
        load_shots(path)
    with pytest.raises(ShotsError, match=r"found 0\. Paired: nothing\. Not: 1\.jpg \(no mask"):
        load_shots(tmp_path)


def test_the_same_photo_twice(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write_photo(tmp_path / f"{name}.jpg")
        write_mask(tmp_path / f"{name}.png")
    with pytest.warns(OvssWarning, match=r"2\.jpg is the same photo as 1\.jpg"):
        assert len(load_shots(tmp_path)) == 2


def test_a_turned_photo(tmp_path: Path) -> None:
    write_photo(tmp_path / "1.jpg", orientation=6)
    write_mask(tmp_path / "1.png", np.rot90(MASK, -1))
    [shot] = load_shots(tmp_path)
    assert shot.image.shape == (40, 24, 3)
    np.testing.assert_array_equal(shot.mask, np.rot90(MASK, -1))
    write_mask(tmp_path / "1.png")
    with pytest.raises(MaskError, match="as stored"):
        load_shots(tmp_path)
    [raw] = load_shots(tmp_path, mask_orientation="raw")
    np.testing.assert_array_equal(raw.mask, shot.mask)


def test_labels_reach_the_masks(tmp_path: Path) -> None:
    labels = np.full((24, 40), 1, np.uint8)
    labels[:, 20:30], labels[:, 30:35] = 2, 9
    write_photo(tmp_path / "1.jpg")
    write_array(tmp_path / "1.png", labels)
    [shot] = load_shots(tmp_path, label=2, ignore=9)
    np.testing.assert_array_equal(shot.mask, labels == 2)
    np.testing.assert_array_equal(shot.ignore, labels == 9)
    with pytest.raises(UsageError, match="the masks are pictures"):
        load_shots(tmp_path, category="mug")


def test_one_bad_pair_can_be_shown_among_good_ones(tmp_path: Path) -> None:
    two_folders(tmp_path, 2)
    write_mask(tmp_path / "masks" / "1.png", np.zeros_like(MASK))
    (tmp_path / "images" / "2.png").write_text("broken")
    first, second = find_pairs(tmp_path).pairs
    with pytest.raises(MaskError, match="is empty"):
        load_pair(first)
    with pytest.raises(ImageError, match="not a picture"):
        load_pair(second)


def test_labelme_labels_are_one_for_all(tmp_path: Path) -> None:
    for name, label in (("1", "mug"), ("2", "cat")):
        write_photo(tmp_path / f"{name}.jpg", another_photo(int(name)))
        write_labelme(tmp_path / f"{name}.json", labelme_shape(label=label), labelme_shape(label="both"))
    with pytest.raises(MaskError, match="found both, cat, mug"):
        load_shots(tmp_path)
    with pytest.raises(MaskError, match=r"2\.json: category 'mug' is not there; found both, cat"):
        load_shots(tmp_path, category="mug")
    assert len(load_shots(tmp_path, category="both")) == 2
    with pytest.raises(UsageError, match="the masks are JSON files"):
        load_shots(tmp_path, label=1)


def coco_folder(folder: Path, photos: str = "images") -> Path:
    write_photo(folder / photos / "1.jpg")
    write_photo(folder / photos / "2.jpg", another_photo(2))
    return write_coco(
        folder / "annotations.json",
        coco_annotation(id=1),
        coco_annotation(id=2, image_id=2),
        images=[coco_image(), coco_image(2, "2.jpg")],
    )


@pytest.mark.parametrize("photos", ["images", "."])
def test_coco_by_folder_or_by_name(tmp_path: Path, photos: str) -> None:
    path = coco_folder(tmp_path, photos)
    for source in (path, tmp_path):
        shots = load_shots(source)
        assert [Path(shot.name).name for shot in shots] == ["1.jpg", "2.jpg"]
        np.testing.assert_array_equal(shots[1].mask, MASK)


def test_why_coco_photos_did_not_pair(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        write_photo(tmp_path / "images" / f"{number}.jpg", another_photo(number))
    images = [coco_image(number, f"{number}.jpg") for number in (1, 2, 3)]
    write_coco(
        tmp_path / "a.json",
        coco_annotation(),
        coco_annotation(image_id=2, category_id=2),
        images=images,
        categories=("mug", "cat"),
    )
    pairing = find_pairs(tmp_path, "mug")
    assert names(pairing) == [("images/1.jpg", "a.json")]
    assert reasons(pairing) == {
        "2.jpg": "the object is not annotated in a.json",
        "3.jpg": "named in a.json, but not there",
        "4.jpg": "not named in a.json",
    }
    with pytest.raises(MaskError, match="found cat, mug"):
        find_pairs(tmp_path)
    with pytest.warns(OvssWarning, match="left out"):
        assert [shot.name for shot in load_shots(tmp_path, category="cat")] == ["images/2.jpg"]


@pytest.mark.parametrize(
    "file_name",
    [
        "1.jpg",
        "images/1.jpg",
        "images\\1.jpg",
        "/home/me/data/1.jpg",
        "../elsewhere/1.jpg",
        "C:\\data\\1.jpg",
    ],
)
def test_photos_are_found_by_name_and_never_outside(tmp_path: Path, file_name: str) -> None:
    folder = tmp_path / "shots"
    write_photo(folder / "images" / "1.jpg")
    write_photo(tmp_path / "elsewhere" / "1.jpg")
    write_coco(folder / "a.json", coco_annotation(), images=[coco_image(file_name=file_name)])
    assert names(find_pairs(folder)) == [("images/1.jpg", "a.json")]


def test_several_coco_files(tmp_path: Path) -> None:
    path = coco_folder(tmp_path)
    path.with_name("val.json").write_text(path.read_text())
    with pytest.raises(ShotsError, match=r"several COCO files: annotations\.json, val\.json"):
        find_pairs(tmp_path)
    assert len(find_pairs(path).pairs) == 2


def test_broken_json_beside_photos(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "1.jpg")
    (tmp_path / "a.json").write_text('{"images": [')
    for source in (tmp_path, tmp_path / "a.json"):
        with pytest.raises(InputError, match=r"a\.json: this is not valid JSON"):
            find_pairs(source)
    (tmp_path / "a.json").write_text(json.dumps({"classes": ["mug"]}))
    with pytest.raises(ShotsError, match=r"Not: a\.json"):
        load_shots(tmp_path)


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    two_folders(tmp_path)
    for name in ("4.dng", "5.jxl"):
        (tmp_path / "images" / name).write_bytes(b"x")
    write_photo(tmp_path / "images/6", format="JPEG")  # without a suffix it pairs with nothing
    with pytest.warns(OvssWarning, match=r"images: 3 files left out: 4\.dng, 5\.jxl, 6\. Export them"):
        load_shots(tmp_path)


def test_masks_can_be_inverted_and_polygons_have_holes(tmp_path: Path) -> None:
    write_photo(tmp_path / "1.png")
    write_mask(tmp_path / "1_mask.png", ~MASK)
    [shot] = load_shots(tmp_path, invert=True)
    np.testing.assert_array_equal(shot.mask, MASK)
    write_photo(tmp_path / "coco/1.jpg")
    rings = [[5, 3, 20, 3, 20, 15, 5, 15], [8, 5, 12, 5, 12, 9, 8, 9]]
    path = write_coco(tmp_path / "coco/a.json", coco_annotation(rings))
    assert load_shots(path)[0].mask.sum() == 180
    assert load_shots(path, holes="even-odd")[0].mask.sum() == 180 - 16
