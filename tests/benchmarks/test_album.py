"""A few photos of each of several objects as a benchmark."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes import write_objects
from fakes.raw import noise, save

from ovss_personal.benchmarks import album
from ovss_personal.benchmarks.manifest import ConceptSet, Manifest, read_manifest
from ovss_personal.errors import InputError, MaskError, OvssWarning, ShotsError


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    return write_objects(tmp_path / "objects")


def built(root: Path, out: Path, classes: Path | None = None) -> Manifest:
    return read_manifest(album.build(root, out, classes))


def by_name(manifest: Manifest) -> dict[str, ConceptSet]:
    return {concept.name: concept for concept in manifest.concepts}


def names(items: object) -> list[str]:
    return [Path(item.image).as_posix().removeprefix("data:") for item in items]  # type: ignore[attr-defined]


def test_each_photo_is_learned_from_in_turn(objects: Path, tmp_path: Path) -> None:
    manifest = built(objects, tmp_path / "out")
    assert manifest.words == ("tree", "grass", "road", "black cat", "cat", "duck toy")
    concepts = by_name(manifest)
    assert list(concepts) == [
        *("my black cat (1)", "my black cat (2)"),
        *("my cat (1)", "my cat (2)", "my cat (3)"),
        *("my duck toy (1)", "my duck toy (2)", "my duck toy (3)"),
    ]
    second = concepts["my cat (2)"]
    assert names(second.shots) == ["learn/cat_01.jpg", "learn/cat_02.jpg"] and second.class_name == "cat"
    assert names(second.positives_at(1)) == ["learn/cat_02.jpg", "learn/cat_00.jpg"]
    assert names(second.positives_at(2)) == ["learn/cat_00.jpg"]
    assert len(second.negatives) == 5 and all(item.mask is None for item in second.negatives)
    assert manifest.shot(second.shots[0]).mask.sum() == 16 * 16


def test_what_shares_a_word_of_its_name_is_a_look_alike(objects: Path, tmp_path: Path) -> None:
    concepts = by_name(built(objects, tmp_path / "out"))
    assert names(concepts["my cat (1)"].look_alikes) == ["look_alikes/cat2/00.jpg", "look_alikes/cat2/01.jpg"]
    assert names(concepts["my duck toy (3)"].look_alikes) == [f"look_alikes/robot_toy/0{n}.jpg" for n in range(2)]
    save(objects / "look_alikes" / "teapot" / "1.jpg", noise(7))
    with pytest.warns(OvssWarning, match="teapot: shares no word with black_cat, cat, duck_toy"):
        again = by_name(built(objects, tmp_path / "out"))
    assert again == concepts
    shutil.rmtree(objects / "look_alikes")
    assert not any(concept.look_alikes for concept in by_name(built(objects, tmp_path / "out")).values())


def test_objects_of_one_class_are_look_alikes_of_each_other(objects: Path, tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("black_cat: cat\nduck_toy: duck\n")
    concepts = by_name(built(objects, tmp_path / "out", file))
    black = concepts["my black cat (1)"]
    assert black.class_name == "cat" and concepts["my duck toy (1)"].class_name == "duck"
    assert names(black.look_alikes) == [
        *(f"look_alikes/cat2/0{n}.jpg" for n in range(2)),
        *(f"learn/cat_0{n}.jpg" for n in range(3)),
    ]
    assert all("duck_toy" in name for name in names(black.negatives))
    file.write_text("black_cat: cat\nduck_toy: cat\n")
    with pytest.raises(InputError, match="there is no photo of another kind of object than 'black_cat'"):
        album.build(objects, tmp_path / "out", file)


def test_folders_of_objects_are_read_and_give_the_same_bytes_again(objects: Path, tmp_path: Path) -> None:
    flat = built(objects, tmp_path / "flat")
    for name in ("cat", "duck_toy", "black_cat"):
        (objects / "learn" / name).mkdir()
        for file in sorted((objects / "learn").glob(f"{name}_*")):
            file.rename(objects / "learn" / name / file.name)
    one, two = (album.build(objects, tmp_path / out) for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    again = by_name(read_manifest(one))
    assert {n: len(c.shots) for n, c in again.items()} == {n: len(c.shots) for n, c in by_name(flat).items()}


def test_copies_of_a_photo_are_taken_once_and_are_no_negatives(objects: Path, tmp_path: Path) -> None:
    shutil.copy(objects / "learn" / "cat_00.jpg", objects / "learn" / "cat_01.jpg")
    shutil.copy(objects / "learn" / "cat_00.jpg", objects / "learn" / "duck_toy_00.jpg")
    shutil.copy(objects / "learn" / "cat_00.jpg", objects / "look_alikes" / "cat2" / "00.jpg")
    concepts = by_name(built(objects, tmp_path / "out"))
    cat = concepts["my cat (1)"]
    assert names((*cat.shots, *cat.positives)) == ["learn/cat_00.jpg", "learn/cat_02.jpg"]
    assert "learn/duck_toy_00.jpg" not in names(cat.negatives) and len(cat.look_alikes) == 1


def test_what_cannot_be_used_is_one_sentence(objects: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="there is no folder 'learn' here"):
        album.build(tmp_path, out)
    save(objects / "learn" / "cat_02.png", np.zeros((24, 32), np.uint8))
    with pytest.raises(MaskError, match="the mask is empty"):
        album.build(objects, out)
    (objects / "learn" / "cat_02.png").unlink()
    with pytest.raises(ShotsError, match="cannot be used: no mask of this name") as caught:
        album.build(objects, out)
    assert caught.value.path == str(objects / "learn" / "cat_02.jpg")
    for number in (1, 2):
        (objects / "learn" / f"cat_{number:02d}.jpg").unlink()
    (objects / "learn" / "cat_01.png").unlink()
    with pytest.raises(InputError, match="there is only one photo of 'cat', but 2 are needed"):
        album.build(objects, out)
