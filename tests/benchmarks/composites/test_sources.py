"""What may be trained on and what is tested on do not meet."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from fakes import write_stamps

from ovss_personal.benchmarks.composites import sources as module
from ovss_personal.benchmarks.composites.sources import (
    SHOT_BACKGROUNDS,
    STAMPS,
    TEST_BACKGROUNDS,
    TRAIN_ABSTRACT,
    TRAIN_BACKGROUNDS,
    Sources,
    fetch,
    split_of,
)
from ovss_personal.errors import ImageError, InputError, UsageError

LISTS = {
    "train": TRAIN_BACKGROUNDS,
    "abstract": TRAIN_ABSTRACT,
    "shots": SHOT_BACKGROUNDS,
    "tests": TEST_BACKGROUNDS,
}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(write_stamps(tmp_path))


@pytest.mark.parametrize(("one", "other"), list(combinations(LISTS, 2)))
def test_no_background_is_in_two_lists(one: str, other: str) -> None:
    assert not set(LISTS[one]) & set(LISTS[other])


def test_no_background_is_listed_twice_or_shows_an_object() -> None:
    for names in LISTS.values():
        assert len(set(names)) == len(names)
        assert not any(subject in name for name in names for subject in ("chelsea", "astronaut", "rocket", "coffee"))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("animals/birds/owl", "birds"),
        ("animals/birds/cartoon/tux", None),
        ("animals/birds/owl_mirror", None),
        ("seasonal/easter/bluebird", None),
        ("seasonal/christmas/Roast_turkey", None),
        ("household/dishes/cup", None),
        ("symbols/arrow", None),
        ("town/flags/france", None),
        ("food/fruit/apple", "distractors"),
        ("vehicles/auto/truck", "distractors"),
        ("hobbies/music/string/violin", "distractors"),
        ("animals/dog", "train"),
        ("food/bread", "train"),
        ("household/clock", "train"),
        ("vehicles/boats/canoe", "train"),
    ],
)
def test_which_split_a_stamp_belongs_to(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_stamps_of_a_split_are_sorted_and_of_no_other(sources: Sources) -> None:
    assert sources.stamps("birds") == ["animals/birds/duck", "animals/birds/owl", "animals/birds/robin"]
    assert sources.stamps("distractors") == ["food/fruit/apple"]
    assert sources.stamps("train") == ["animals/dog", "hobbies/camera"]


def test_a_cutout_is_cropped_to_what_is_opaque(sources: Sources) -> None:
    whole = sources.cutout("animals/dog")
    assert whole.shape == (40, 50, 4) and whole.dtype == np.uint8
    for edge in (whole[0], whole[-1], whole[:, 0], whole[:, -1]):
        assert edge[..., 3].any()
    assert sources.cutout("animals/dog", max_side=25).shape == (20, 25, 4)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("animals/birds/owl", "owl"),
        ("animals/birds/robin", "robin (erithacus rubecula)"),
        ("food/fruit/apple", "apple"),
        ("food/fruit/pear", "pear"),  # has no text
    ],
)
def test_what_a_stamp_shows(sources: Sources, name: str, kind: str) -> None:
    assert sources.kind(name) == kind


def test_a_wallpaper_s_size_nearest_1600_is_taken(sources: Sources) -> None:
    from PIL import Image

    folder = sources.root / TRAIN_ABSTRACT[0] / "contents" / "images"
    Image.new("RGB", (8, 8), "red").save(folder / "800x600.png")
    Image.new("RGB", (8, 8), "red").save(folder / "3840x2160.png")
    assert sources.background(TRAIN_ABSTRACT[0], max_side=64).shape == (48, 64, 3)


@pytest.mark.parametrize("name", [*TRAIN_BACKGROUNDS, *SHOT_BACKGROUNDS, *TEST_BACKGROUNDS])
def test_every_listed_background_can_be_read(sources: Sources, name: str) -> None:
    background = sources.background(name, max_side=64)
    assert background.ndim == 3 and background.shape[2] == 3 and max(background.shape) <= 64


def test_a_folder_without_stamps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no 'tuxpaint/stamps' folder") as caught:
        Sources(tmp_path)
    assert caught.value.exit_code == 3 and "tuxpaint-stamps-default" in (caught.value.hint or "")


def test_what_is_missing_or_broken_is_named(sources: Sources, tmp_path: Path) -> None:
    root = write_stamps(tmp_path)
    owl, garden = root / STAMPS / "animals/birds/owl.png", root / "backgrounds/mate/nature/Garden.jpg"
    owl.write_bytes(owl.read_bytes()[:60])
    garden.unlink()
    for read, name, path in (
        (Sources(root).cutout, "animals/birds/owl", owl),
        (Sources(root).background, "backgrounds/mate/nature/Garden.jpg", garden),
    ):
        with pytest.raises(ImageError, match="is missing, or no picture that can be read") as caught:
            read(name)
        assert caught.value.path == str(path) and caught.value.exit_code == 3


def test_what_is_unpacked_is_not_fetched_again(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.subprocess, "run", lambda *args, **kwargs: pytest.fail("something was run"))
    assert fetch(sources.root) == sources


def test_without_apt_get_the_user_is_told_what_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="no apt-get"):
        fetch(tmp_path / "new")
