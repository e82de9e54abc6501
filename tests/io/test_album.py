"""Which files of a folder are an album's photos, and what becomes of those that cannot be used."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from corpus import MASK, PHOTO, write_broken, write_photo

from ovss_personal.errors import InputError, OvssWarning
from ovss_personal.io import album
from ovss_personal.io.album import find_album, load_album
from ovss_personal.io.files import sha256_file
from ovss_personal.structures import Shot


def shot_of(path: Path) -> Shot:
    return Shot(PHOTO, MASK, path.name, sha256_file(path))


def test_shots_and_copies_are_left_out(tmp_path: Path) -> None:
    photos = [write_photo(tmp_path / f"{n}.png", np.roll(PHOTO, n, axis=1)) for n in range(3)]
    shutil.copy(photos[1], tmp_path / "9.png")
    (tmp_path / "notes.txt").write_text("no photo")
    shot = shot_of(photos[0])
    shutil.move(photos[0], tmp_path / "another name.png")
    found = find_album(tmp_path, [shot])
    assert sorted(path.name for path in found) == ["1.png", "2.png"]
    swapped = tmp_path / "swap.png"
    for old, new in ((photos[1], swapped), (photos[2], photos[1]), (swapped, photos[2])):
        shutil.move(old, new)
    (tmp_path / "9.png").unlink()
    again = find_album(tmp_path, [shot])
    assert [sha256_file(path) for path in again] == sorted(sha256_file(path) for path in again), "names do not count"


def test_nothing_but_shots_is_no_album(tmp_path: Path) -> None:
    shot = shot_of(write_photo(tmp_path / "1.png"))
    with pytest.raises(InputError, match=r"every photo of the album is a shot") as caught:
        find_album(tmp_path, [shot])
    assert caught.value.path == str(tmp_path) and caught.value.hint


def test_a_folder_without_photos_is_no_album(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(InputError, match="no photo found here"):
        find_album(tmp_path, [])


def test_too_many_photos_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(album, "MOST_PHOTOS", 2)
    for number in range(3):
        write_photo(tmp_path / f"{number}.png", np.roll(PHOTO, number, axis=1))
    with pytest.raises(InputError, match="the album holds 3 photos; at most 2 are looked at"):
        find_album(tmp_path, [])


def test_a_broken_photo_is_left_out_with_a_warning(tmp_path: Path) -> None:
    paths = [write_photo(tmp_path / "1.png"), write_broken(tmp_path, "half.jpg"), write_photo(tmp_path / "3.png")]
    with pytest.warns(OvssWarning, match=r"half.jpg: the picture is broken.*It is left out of the album.") as caught:
        images = list(load_album(paths))
    assert len(caught) == 1
    assert images[1] is None and all(np.array_equal(images[i], PHOTO) for i in (0, 2))


def test_an_album_of_broken_photos_is_an_error(tmp_path: Path) -> None:
    paths = [write_broken(tmp_path, "text.jpg"), write_broken(tmp_path, "half.jpg")]
    with (
        pytest.warns(OvssWarning, match="text.jpg"),
        pytest.raises(InputError, match="no photo of the album can be used; of the last: the picture is broken"),
    ):
        list(load_album(paths))
