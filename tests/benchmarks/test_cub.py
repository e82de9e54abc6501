"""CUB^per on a tree of CUB-200-2011 in miniature."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes import write_cub
from PIL import Image

from ovss_personal.benchmarks import cub
from ovss_personal.benchmarks.manifest import Manifest, read_manifest
from ovss_personal.errors import ImageError, InputError, MaskError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_cub(tmp_path / "raw")


@pytest.fixture
def built(tree: Path, tmp_path: Path) -> Manifest:
    return read_manifest(cub.build(tree, tmp_path / "built"))


def test_every_species_is_a_concept_among_the_others(built: Manifest) -> None:
    assert built.name == "cub" and len(built.words) == 171
    assert [concept.name for concept in built.concepts] == [
        "my black footed albatross",
        "my laysan albatross",
        "my sooty albatross",
    ]
    for concept in built.concepts:
        assert concept.name == f"my {concept.class_name}"
        assert (len(concept.shots), len(concept.positives), len(concept.negatives)) == (5, 3, 3)
        own = {item.image.split("/")[2] for item in (*concept.shots, *concept.positives)}
        assert len(own) == 1 and not own & {item.image.split("/")[2] for item in concept.negatives}
        assert len({item.sha256 for item in concept.negatives}) == 3


def test_no_shot_of_any_species_is_tested_on(built: Manifest) -> None:
    shots = {item.sha256 for concept in built.concepts for item in concept.shots}
    assert not shots & {item.sha256 for c in built.concepts for item in (*c.positives, *c.negatives)}


def test_a_pixel_is_the_bird_where_half_of_the_annotators_saw_it(built: Manifest) -> None:
    item = built.concepts[0].shots[0]
    mask = built.mask(item, built.image(item))
    assert not mask[6:18, :12].any() and mask[6:18, 12:24].all()  # two of five are not half, three are
    assert mask.sum() == 12 * 12


def test_a_grey_photo_becomes_rgb(built: Manifest) -> None:
    (grey,) = {
        item.image: item
        for concept in built.concepts
        for item in (*concept.shots, *concept.positives)
        if item.image.endswith("_796001.jpg")
    }.values()
    with Image.open(built.path(grey.image)) as stored:
        assert stored.mode == "L"
    assert built.image(grey).shape == (24, 32, 3)


def test_segmentations_lie_beside_or_inside_and_either_folder_is_the_root(
    tree: Path, built: Manifest, tmp_path: Path
) -> None:
    home = tree / "CUB_200_2011"
    beside = cub.build(home, tmp_path / "beside")
    assert beside.read_bytes() == (built.root / "manifest.json").read_bytes()
    (tree / "segmentations").rename(home / "segmentations")
    inside = cub.build(home, tmp_path / "inside")
    assert cub.build(tree, tmp_path / "above").read_bytes() == inside.read_bytes()
    for one, other in zip(read_manifest(inside).concepts, built.concepts, strict=True):
        assert [item.sha256 for item in one.shots] == [item.sha256 for item in other.shots]


def test_the_seed_decides_and_tests_limits(tree: Path, built: Manifest, tmp_path: Path) -> None:
    again, other = (cub.build(tree, tmp_path / str(seed), seed=seed).read_bytes() for seed in (0, 1))
    assert again == (built.root / "manifest.json").read_bytes() != other
    few = read_manifest(cub.build(tree, tmp_path / "few", tests=1))
    assert {(len(c.positives), len(c.negatives)) for c in few.concepts} == {(1, 1)}


def test_what_is_missing_is_named(tree: Path, tmp_path: Path) -> None:
    home = tree / "CUB_200_2011"
    photo = next((home / "images" / "002.Laysan_Albatross").iterdir())
    photo.unlink()
    shutil.rmtree(tree / "segmentations" / "003.Sooty_Albatross")
    with pytest.raises(InputError, match="9 of the 48 photos and masks of CUB-200-2011 are missing: ") as caught:
        cub.build(tree, tmp_path / "out")
    assert f"CUB_200_2011/images/002.Laysan_Albatross/{photo.name}, segmentations/003" in str(caught.value)
    assert str(caught.value).endswith("and 6 more.") and caught.value.exit_code == 3
    shutil.rmtree(tree / "segmentations")
    with pytest.raises(InputError, match="the segmentations of CUB-200-2011 are missing") as caught:
        cub.build(tree, tmp_path / "out")
    assert "segmentations.tgz" in str(caught.value.hint)
    (home / "classes.txt").unlink()
    (tree / "segmentations").mkdir()
    with pytest.raises(InputError, match="cannot be read") as caught:
        cub.build(tree, tmp_path / "out")
    assert caught.value.path == str(home / "classes.txt")
    (home / "images.txt").unlink()
    with pytest.raises(InputError, match="this is not CUB-200-2011"):
        cub.build(tree, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("images.txt", "1\n", "expected lines of a number and a value"),
        ("images.txt", "\xff", "expected lines of a number and a value"),
        ("image_class_labels.txt", "1 1\n2 9\n", "image 2 has no class that classes.txt knows"),
    ],
)
def test_a_broken_table_is_named(tree: Path, tmp_path: Path, file: str, text: str, says: str) -> None:
    path = tree / "CUB_200_2011" / file
    path.write_text(text, "latin-1")
    with pytest.raises(InputError, match=says) as caught:
        cub.build(tree, tmp_path / "out")
    assert caught.value.path == str(path)


def test_a_species_of_five_photos_is_too_small(tree: Path, tmp_path: Path) -> None:
    images = tree / "CUB_200_2011" / "images.txt"
    images.write_text("".join(images.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(InputError, match="'sooty albatross' has 5 photos; 5 shots and at least one other are needed"):
        cub.build(tree, tmp_path / "out")


def test_a_broken_photo_and_a_coloured_segmentation_are_named(tree: Path, tmp_path: Path) -> None:
    photo = next((tree / "CUB_200_2011" / "images" / "002.Laysan_Albatross").iterdir())
    whole = photo.read_bytes()
    photo.write_bytes(whole[:200])
    with pytest.raises(ImageError) as caught:
        cub.build(tree, tmp_path / "out")
    assert caught.value.path == str(photo)
    photo.write_bytes(whole)
    mask = (tree / "segmentations" / "002.Laysan_Albatross" / photo.name).with_suffix(".png")
    Image.fromarray(np.full((32, 24), 255, np.uint8)).save(mask)
    with pytest.raises(MaskError, match="is 24x32, but its photo is 32x24"):
        cub.build(tree, tmp_path / "out")
    Image.fromarray(np.eye(24, 32, dtype=np.uint8)).convert("P").save(mask)
    with pytest.raises(MaskError, match="found a picture of mode P") as wrong:
        cub.build(tree, tmp_path / "out")
    assert wrong.value.path == str(mask)


@pytest.mark.parametrize("mode", ["LA", "RGB", "RGBA"])
def test_a_grey_segmentation_may_have_more_channels(tree: Path, tmp_path: Path, mode: str) -> None:
    for mask in (tree / "segmentations").rglob("*.png"):
        with Image.open(mask) as picture:
            other = picture.convert(mode)
        other.save(mask)
    manifest = read_manifest(cub.build(tree, tmp_path / "out"))
    item = manifest.concepts[0].shots[0]
    assert manifest.mask(item, manifest.image(item)).sum() == 12 * 12
