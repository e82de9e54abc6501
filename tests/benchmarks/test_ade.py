"""ADE^per on both trees of ADE20K full in miniature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import ade_labels, write_ade
from PIL import Image

from ovss_personal.benchmarks import ade
from ovss_personal.benchmarks.choice import class_lines
from ovss_personal.benchmarks.manifest import Manifest, read_manifest
from ovss_personal.errors import InputError, MaskError


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ade(tmp_path_factory.mktemp("ade"))


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(ade.build(tree, tmp_path_factory.mktemp("built")))


@pytest.fixture
def own_tree(tmp_path: Path) -> Path:
    return write_ade(tmp_path / "raw")


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_words_are_847_and_each_is_there_once() -> None:
    words = ade.words()
    assert len(words) == len(set(words)) == 847 and words[:3] == ("wall", "building", "sky")
    # Where two classes begin with one name, the one that has no other keeps it.
    assert words[211] == "chest" and words[255] == "pier" and words[174] == "wharf" and words[130] == "flowerpot"
    assert set(class_lines("ade_per")) <= set(words) and len(class_lines("ade_per")) == 30


def test_thirty_concepts_with_shots_from_training_and_tests_from_validation(built: Manifest) -> None:
    assert built.name == "ade" and built.words == ade.words() and len(built.concepts) == 30
    for concept in built.concepts:
        assert concept.name == f"my {concept.class_name}"
        assert (len(concept.shots), len(concept.positives), len(concept.negatives)) == (5, 3, 3)
        assert all("images_detectron2/training/" in item.image for item in concept.shots)
        assert all("/validation/" in item.image for item in (*concept.positives, *concept.negatives))


def test_masks_are_the_class_and_labels_the_other_words(built: Manifest) -> None:
    concept = next(c for c in built.concepts if c.class_name == "kettle")
    item = concept.positives[0]
    image = built.image(item)
    mask, labels = built.mask(item, image), built.labels(item, image, concept)
    kettle = ade.words().index("kettle")
    number = int(Path(item.image).stem[-8:]) - 1
    np.testing.assert_array_equal(mask, ade_labels(number) == kettle)
    beside = built.words_beside(concept)
    assert len(beside) == 846 and "kettle" not in beside
    assert labels is not None and (labels[mask] == -1).all() and (labels[32:] == -1).all()
    assert labels[0, 47] == beside.index("wall")
    first = class_lines("ade_per")[15 * (number % 2)]
    assert labels[0, 0] == beside.index(first)
    negative = concept.negatives[0]
    assert negative.mask is None and negative.labels is not None


def test_shots_are_drawn_from_the_photos_in_which_the_class_is_largest(tmp_path: Path) -> None:
    tree = write_ade(tmp_path / "raw")
    drawn = tree / "ADE20K_2021_17_01" / "annotations_detectron2" / "training"
    for number in range(0, 10, 2):  # a kettle of one pixel in five more photos
        labels = ade_labels(number)
        labels[0, 47] = ade.words().index("kettle")
        Image.fromarray(labels).save(drawn / f"ADE_train_{number + 1:08d}.tif")
    concept = next(c for c in read_manifest(ade.build(tree, tmp_path / "out")).concepts if c.class_name == "kettle")
    assert {int(Path(shot.image).stem[-8:]) % 2 for shot in concept.shots} == {0}


def test_the_unprepared_tree_gives_the_same_benchmark(built: Manifest, tmp_path: Path) -> None:
    full = read_manifest(ade.build(write_ade(tmp_path / "raw", prepared=False), tmp_path / "out"))
    for one, other in zip(full.concepts, built.concepts, strict=True):
        for kind in ("shots", "positives", "negatives"):
            for a, b in zip(getattr(one, kind), getattr(other, kind), strict=True):
                assert a.sha256 == b.sha256 and Path(a.image).stem == Path(b.image).stem
                image = full.image(a)
                np.testing.assert_array_equal(full.mask(a, image), built.mask(b, image))
                labels, expected = full.labels(a, image, one), built.labels(b, image, other)
                assert (labels is None) == (expected is None) == (kind == "shots")
                np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("prepared", [True, False])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, prepared: bool) -> None:
    tree = write_ade(tmp_path / "raw", prepared=prepared)
    one, again, other = (ade.build(tree, tmp_path / str(i), seed=i // 2).parent for i in range(3))
    assert files(one) == files(again) != files(other)


def test_hidden_files_do_not_count(own_tree: Path, tmp_path: Path) -> None:
    (own_tree / "ADE20K_2021_17_01" / "images_detectron2" / "training" / "._ADE_train_00000001.jpg").write_bytes(b"")
    assert len(read_manifest(ade.build(own_tree, tmp_path / "out", tests=1)).concepts) == 30


def test_another_folder_is_no_ade(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is not ADE20K full: there is no annotations_detectron2 and no") as e:
        ade.build(tmp_path, tmp_path / "out")
    assert e.value.path == str(tmp_path) and e.value.exit_code == 3


def test_half_a_data_set_names_what_is_missing(own_tree: Path, tmp_path: Path) -> None:
    home = own_tree / "ADE20K_2021_17_01"
    (home / "annotations_detectron2" / "training" / "ADE_train_00000003.tif").unlink()
    with pytest.raises(InputError, match=r"1 training photos lack their labels .*: ADE_train_00000003"):
        ade.build(own_tree, tmp_path / "out")
    for kind in ("annotations_detectron2", "images_detectron2"):
        for path in (home / kind / "training").glob("*[2468]*"):
            path.unlink()
        for path in (home / kind / "training").glob("*3.jpg"):
            path.unlink()
    with pytest.raises(InputError, match=r"too few photos of 30 of the 30 classes: altarpiece \(4 of 5 shots\)") as e:
        ade.build(own_tree, tmp_path / "out")
    assert e.value.hint == "Unpack all of ADE20K; a part of it is not enough."
    for path in (home / "images_detectron2" / "validation").iterdir():
        path.unlink()
    for path in (home / "annotations_detectron2" / "validation").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="there is no validation photo of ADE20K with its labels"):
        ade.build(own_tree, tmp_path / "out")


def test_labels_in_the_wrong_mode_are_named(own_tree: Path, tmp_path: Path) -> None:
    path = own_tree / "ADE20K_2021_17_01" / "annotations_detectron2" / "validation" / "ADE_val_00000002.tif"
    Image.fromarray(ade_labels(1).astype(np.uint8)).save(path)
    with pytest.raises(MaskError, match="expected a 16-bit grey map of labels, found a picture of mode L") as caught:
        ade.build(own_tree, tmp_path / "out")
    assert caught.value.path == str(path)
    full = write_ade(tmp_path / "full", prepared=False)
    path = next(full.rglob("ADE_train_*_seg.png"))
    Image.fromarray(ade_labels(0)).save(path)
    with pytest.raises(MaskError, match="expected the classes in red and green") as caught:
        ade.build(full, tmp_path / "out")
    assert caught.value.path == str(path)


def test_labels_of_another_size_than_their_photo_are_named(own_tree: Path, tmp_path: Path) -> None:
    path = own_tree / "ADE20K_2021_17_01" / "annotations_detectron2" / "validation" / "ADE_val_00000002.tif"
    Image.fromarray(ade_labels(1)[:32]).save(path)
    with pytest.raises(MaskError, match="is 48x32, but its photo is 48x40") as caught:
        ade.build(own_tree, tmp_path / "out")
    assert caught.value.path == str(path)


def test_labels_beyond_the_words_are_refused_when_they_are_read(own_tree: Path, tmp_path: Path) -> None:
    manifest = read_manifest(ade.build(own_tree, tmp_path / "out"))
    concept = manifest.concepts[0]
    item = concept.positives[0]
    Image.fromarray(np.full((40, 48), 847, np.uint16)).save(manifest.path(item.labels or ""))
    with pytest.raises(MaskError, match="holds label 847, but there are 847 words"):
        manifest.labels(item, manifest.image(item), concept)
