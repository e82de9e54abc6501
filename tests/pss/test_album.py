from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovss_personal.errors import ImageError, InputError, MaskError, UsageError
from ovss_personal.pss.album import (
    album_photos,
    annotated,
    cluster_list,
    group_batches,
    grouped_photos,
    load_labels,
    read_list,
    source_photos,
    write_list,
)


def test_a_list_is_read_as_it_was_written(album: Path) -> None:
    photos = grouped_photos(album)
    assert [(photo.name, photo.group) for photo in photos][:3] == [("p0", "0"), ("p1", "1"), ("p2", "0")]
    write_list(album / "again.txt", photos, album)
    assert (album / "again.txt").read_text() == (album / "train_cluster2.txt").read_text()
    assert read_list(album / "again.txt", album) == photos


def test_names_may_hold_spaces_and_the_group_may_be_missing(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "my dog.jpg")
    (tmp_path / "list.txt").write_text("/my dog.jpg /SegmentationClass/my dog.png\n\n")
    (photo,) = read_list(tmp_path / "list.txt", tmp_path)
    assert (photo.name, photo.mask.name, photo.group) == ("my dog", "my dog.png", "0")
    assert album_photos(tmp_path) == [photo]  # photos may lie in the album itself


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/JPEGImages/gone.jpg /SegmentationClass/gone.png 0", r"line 2: there is no photo .*gone\.jpg"),
        ("nonsense", "line 2: expected a photo, a mask and a group, found 'nonsense'"),
    ],
)
def test_a_bad_line_is_named(album: Path, line: str, message: str) -> None:
    path = album / "train_cluster2.txt"
    path.write_text(f"{path.read_text().splitlines()[0]}\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_list(path, album)


def test_an_empty_list_is_an_error(album: Path) -> None:
    (album / "list.txt").write_text("\n")
    with pytest.raises(InputError, match="the list names no photo"):
        read_list(album / "list.txt", album)


def test_the_list_of_groups_is_chosen_by_its_number(album: Path) -> None:
    assert cluster_list(album / "SegmentationClass") is None
    (album / "train_cluster1.txt").write_text((album / "train_cluster2.txt").read_text())
    with pytest.raises(UsageError, match="found several lists"):
        cluster_list(album)
    assert cluster_list(album, 1) == album / "train_cluster1.txt"
    with pytest.raises(UsageError, match=r"there is no train_cluster9\.txt"):
        cluster_list(album, 9)


def test_a_source_must_be_labelled_and_grouped_where_that_is_asked(album: Path) -> None:
    assert len(source_photos(album, grouped=True)) == 6
    (album / "train_cluster2.txt").unlink()
    with pytest.raises(UsageError, match="have no groups"):
        source_photos(album, grouped=True)
    assert len(source_photos(album, grouped=False)) == 6
    (album / "SegmentationClass/p4.png").unlink()
    with pytest.raises(MaskError, match=r"p4\.jpg has no mask"):
        source_photos(album, grouped=False)
    with pytest.raises(MaskError, match=r"names p4, but this mask is missing"):
        annotated(album)


def test_voc_is_found_below_its_kit(album: Path, tmp_path: Path) -> None:
    (tmp_path / "kit/VOCdevkit").mkdir(parents=True)
    album.rename(tmp_path / "kit/VOCdevkit/VOC2012")
    assert len(source_photos(tmp_path / "kit", grouped=True)) == 6


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((48, 56), 21), "labels must be 0 to 20 or 255, found 21"),
        (np.full((48, 56), 255), "the mask is empty"),
        (np.zeros((47, 56)), "the mask is 56x47 pixels, its photo 56x48"),
        (np.zeros((48, 56, 3)), "expected one channel of class indices"),
    ],
)
def test_bad_masks(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(MaskError, match=message):
        load_labels(tmp_path / "mask.png", (48, 56))


def test_a_palette_mask_is_its_indices(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[3:9, 4:8], labels[0] = 15, 255
    picture = Image.fromarray(labels).convert("P")
    picture.putpalette([7] * 768)
    picture.save(tmp_path / "mask.png")
    assert (load_labels(tmp_path / "mask.png", (20, 20)) == labels).all()


def test_an_empty_album_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photo found here"):
        album_photos(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError):
        from ovss_personal.io.images import load_image

        load_image(album_photos(tmp_path)[0].image)


def test_batches_are_full_of_one_group_and_wrap_around() -> None:
    groups = ["a"] * 3 + ["b"] * 9
    batches = group_batches(groups, random.Random(0), 8)
    assert sorted(len(batch) for batch in batches) == [8, 8, 8]
    of_a = next(batch for batch in batches if groups[batch[0]] == "a")
    assert set(of_a) == {0, 1, 2}
    assert of_a[:3] * 2 + of_a[:2] == of_a
    of_b = [index for batch in batches if groups[batch[0]] == "b" for index in batch]
    assert set(of_b) == set(range(3, 12))
