from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovss_personal.training.layouts import Masked, find_photos
from ovss_personal.training.photos import PhotoMaker, instance, whole
from ovss_personal.training.scenes import VOID


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of 40 photographs: a red thing on blue, a strip of unknown below."""
    for kind in ("images", "masks"):
        (tmp_path / "things" / kind).mkdir(parents=True)
    image, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    mask[10:44, 20:54], mask[50:] = 9, VOID
    image[..., 2], image[mask == 9] = 200, (220, 0, 0)
    for number in range(40):
        Image.fromarray(image).save(tmp_path / "things" / "images" / f"{number:02d}.jpg", quality=95)
        Image.fromarray(mask).save(tmp_path / "things" / "masks" / f"{number:02d}.png")
    return tmp_path


def test_a_scene_s_mask_moves_with_its_photo(folder: Path) -> None:
    maker = PhotoMaker(find_photos(folder), 96)
    redder = []
    for seed in range(12):
        image, segments = maker._view(np.random.default_rng(seed), *maker.photos[0].read())
        assert image.shape == (96, 96, 3) and segments.shape == (96, 96)
        inside, outside = image[segments == 9].mean(0), image[segments == 0].mean(0)
        redder.append(inside[0] > 180 and outside[0] < 40)
    assert all(redder)


def test_a_scene_numbers_its_things_and_teaches_no_ground(folder: Path) -> None:
    maker = PhotoMaker(find_photos(folder), 96)
    first, again = (maker.scene(np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.segments, again.segments)
    assert first.regions == 1 and not first.taught
    things = sorted(set(np.unique(first.segments)) - {0, VOID})
    assert things == list(range(1, len(things) + 1))


def test_other_photos_things_are_pasted(folder: Path) -> None:
    maker = PhotoMaker(find_photos(folder), 96)
    most = max(len(set(np.unique(maker.scene(np.random.default_rng(s)).segments)) - {0, VOID}) for s in range(12))
    assert most > 1  # a photo has one


def test_an_instance_is_cut_out_whole_or_not_at_all() -> None:
    image, mask = np.full((60, 60, 3), 7, np.uint8), np.zeros((60, 60), np.uint8)
    mask[10:50, 10:50] = 1
    cutout = instance(np.random.default_rng(0), image, mask)
    assert cutout is not None and cutout.shape == (40, 40, 4) and cutout[20, 20].tolist() == [7, 7, 7, 255]
    mask[:, :30] = 1
    assert instance(np.random.default_rng(0), image, mask) is None  # it goes on beyond the photo
    assert instance(np.random.default_rng(0), image, np.zeros_like(mask)) is None


def test_a_whole_photo_keeps_what_is_in_it(folder: Path) -> None:
    photo = Masked(folder / "things" / "images" / "00.jpg", folder / "things" / "masks" / "00.png")
    scene = whole(photo, 96)
    assert set(np.unique(scene.segments)) == {0, 1, VOID}
    assert (scene.segments == 1).mean() == pytest.approx(34 * 34 / 4800, abs=0.01)
