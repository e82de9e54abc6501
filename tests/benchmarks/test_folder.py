"""A user's own photos as a benchmark."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from corpus import MASK, write_mask
from fakes.raw import noise, save

from ovss_personal.benchmarks import folder
from ovss_personal.benchmarks.manifest import Manifest, read_manifest
from ovss_personal.errors import ImageError, InputError, MaskError, OvssWarning, ShotsError


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Six shots with masks in a folder of their own, two positives with masks beside them, two negatives."""
    root = tmp_path / "mine"
    for number in range(1, 7):
        save(root / "shots" / "images" / f"{number}.jpg", noise(number, 24, 40))
        write_mask(root / "shots" / "masks" / f"{number}.png", mode="L1")
    for number in (1, 2):
        save(root / "positives" / f"{number}.jpg", noise(10 + number, 24, 40))
        write_mask(root / "positives" / f"{number}_mask.png", mode="P")
        save(root / "negatives" / f"{number}.png", noise(20 + number, 24, 40))
    return root


def build(root: Path, out: Path, seed: int = 0) -> Manifest:
    made = folder.build(root, out, concept="my mug", class_name="mug", words=("cat", "dog"), seed=seed)
    return read_manifest(made)


def test_it_becomes_a_manifest_of_one_concept(mine: Path, tmp_path: Path) -> None:
    manifest = build(mine, tmp_path / "out")
    (concept,) = manifest.concepts
    assert (concept.name, concept.class_name, manifest.words) == ("my mug", "mug", ("cat", "dog"))
    assert (len(concept.shots), len(concept.positives), len(concept.negatives)) == (5, 2, 2)
    assert {item.image for item in concept.positives} == {"data:positives/1.jpg", "data:positives/2.jpg"}
    for item in (*concept.shots, *concept.positives):
        assert (manifest.mask(item, manifest.image(item)) == MASK).all()
    assert all(item.mask is None for item in concept.negatives)


def test_the_seed_decides_which_shots(mine: Path, tmp_path: Path) -> None:
    one, again = (build(mine, tmp_path / name) for name in "ab")
    assert one.concepts == again.concepts
    orders = {tuple(item.image for item in build(mine, tmp_path / str(s), s).concepts[0].shots) for s in range(5)}
    assert len(orders) > 1


@pytest.mark.parametrize("kind", ["positives", "negatives"])
def test_a_shot_that_is_also_a_test_is_named_with_its_double(mine: Path, tmp_path: Path, kind: str) -> None:
    shutil.copy(mine / "shots" / "images" / "4.jpg", mine / kind / "9.jpg")
    if kind == "positives":
        write_mask(mine / kind / "9_mask.png")
    with pytest.raises(InputError, match=rf"shots/images/4.jpg is a shot and, as {kind}/9.jpg, also a test") as caught:
        build(mine, tmp_path / "out")
    assert caught.value.exit_code == 3 and caught.value.path == str(mine)


@pytest.mark.parametrize("kind", ["shots", "positives", "negatives"])
def test_a_missing_or_empty_folder_is_named(mine: Path, tmp_path: Path, kind: str) -> None:
    shutil.rmtree(mine / kind)
    with pytest.raises(InputError, match=f"there is no folder '{kind}' here") as caught:
        build(mine, tmp_path / "out")
    assert caught.value.path == str(mine)
    (mine / kind).mkdir()
    with pytest.raises(InputError, match="no photo") as caught:
        build(mine, tmp_path / "out")
    assert caught.value.path == str(mine / kind)


def test_a_photo_without_a_mask_is_named(mine: Path, tmp_path: Path) -> None:
    (mine / "shots" / "masks" / "3.png").unlink()
    with pytest.raises(ShotsError, match="no mask of this name") as caught:
        build(mine, tmp_path / "out")
    assert caught.value.path == str(mine / "shots" / "images" / "3.jpg")


def test_broken_files_are_named(mine: Path, tmp_path: Path) -> None:
    write_mask(mine / "positives" / "2_mask.png", MASK & False)
    with pytest.raises(MaskError, match="empty") as caught:
        build(mine, tmp_path / "out")
    assert caught.value.path == str(mine / "positives" / "2_mask.png")
    write_mask(mine / "positives" / "2_mask.png")
    (mine / "negatives" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ImageError) as broken:
        build(mine, tmp_path / "out")
    assert broken.value.path == str(mine / "negatives" / "1.png")


def test_unequal_numbers_are_told(mine: Path, tmp_path: Path) -> None:
    (mine / "negatives" / "2.png").unlink()
    with pytest.warns(OvssWarning, match="2 positives but 1 negatives"):
        manifest = build(mine, tmp_path / "out")
    assert len(manifest.concepts[0].negatives) == 1
