"""DAVIS^per on three of its trees in miniature."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes import write_davis
from fakes.raw import noise, save
from PIL import Image

from ovss_personal.benchmarks import davis
from ovss_personal.benchmarks.manifest import Manifest, read_manifest
from ovss_personal.errors import InputError, MaskError, OvssWarning, VocabularyError

LAYOUTS = ("2016", "2017", "plain")


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    for layout in LAYOUTS:
        write_davis(root / layout, layout)
    return root


@pytest.fixture
def plain(trees: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(trees / "plain", tmp_path / "plain"))


def built(root: Path, out: Path, **options: object) -> Manifest:
    return read_manifest(davis.build(root, out, **options))  # type: ignore[arg-type]


def frames(items: object) -> list[str]:
    """`cows 5` of data:…/cows/00005.jpg"""
    paths = [Path(item.image) for item in items]  # type: ignore[attr-defined]
    return [f"{path.parent.name.removeprefix('data:')} {int(path.stem)}" for path in paths]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_are_spread_and_the_first_fourth_and_seventh_are_shots(trees: Path, tmp_path: Path, layout: str) -> None:
    manifest = built(trees / layout, tmp_path)
    assert manifest.name == "davis" and manifest.words == ("tree", "grass", "road", "car", "cow", "dog")
    by_name = {concept.name: concept for concept in manifest.concepts}
    assert list(by_name) == ["my car-turn", "my cows", "my dog", "my libby"]
    cows = by_name["my cows"]
    assert frames(cows.shots) == ["cows 0", "cows 8", "cows 16"]  # of 0 3 5 8 11 14 16 19
    assert frames(cows.positives) == ["cows 3", "cows 5", "cows 11", "cows 14", "cows 19"]
    assert len(cows.positives_at(1)) == 7 and len(cows.positives_at(3)) == 5
    assert frames(by_name["my libby"].shots) == ["libby 0"]  # of three
    assert "cow" not in manifest.words_beside(cows)


def test_negatives_are_every_fourth_frame_of_the_others_and_those_of_its_class_stand_apart(
    trees: Path, tmp_path: Path
) -> None:
    dog = {concept.name: concept for concept in built(trees / "2016", tmp_path).concepts}["my dog"]
    assert frames(dog.negatives) == ["car-turn 0", "car-turn 5", "cows 0", "cows 11"]
    assert frames(dog.look_alikes) == ["libby 0"]
    assert all(item.mask is None for item in (*dog.negatives, *dog.look_alikes))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_objects_of_an_annotation_are_one_thing(trees: Path, tmp_path: Path, layout: str) -> None:
    manifest = built(trees / layout, tmp_path)
    concept = manifest.concepts[1]
    shot = manifest.shot(concept.shots[1])
    expected = np.zeros((24, 32), bool)
    expected[8:12, 4:28] = True
    assert (shot.mask == expected).all()


def test_the_same_data_give_the_same_bytes(trees: Path, tmp_path: Path) -> None:
    one, two = (davis.build(trees / "2017", tmp_path / name) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_more_frames_give_more_shots_and_tests_and_five_shots_at_most(trees: Path, tmp_path: Path) -> None:
    cows = built(trees / "2016", tmp_path, frames=20).concepts[1]
    assert frames(cows.shots) == [f"cows {n}" for n in (0, 3, 6, 9, 12)] and len(cows.positives) == 15


def test_a_list_can_be_named_and_decides(trees: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trees / "2017", tmp_path / "raw"))
    (root / "ImageSets" / "2017" / "two.txt").write_text("cows\ndog\n\n")
    manifest = built(root, tmp_path / "out", image_set="2017/two")
    assert [concept.name for concept in manifest.concepts] == ["my cows", "my dog"]
    with pytest.raises(InputError, match=r"there is no list of sequences here: 2017/three\.txt"):
        davis.build(root, tmp_path / "out", image_set="2017/three")
    shutil.rmtree(root / "ImageSets")
    with pytest.raises(InputError, match=r"here: 480p/val\.txt or 2016/val\.txt or 2017/val\.txt"):
        davis.build(root, tmp_path / "out")


def test_a_file_of_classes_names_what_is_unknown_and_has_the_last_word(plain: Path, tmp_path: Path) -> None:
    (plain / "cows").rename(plain / "ours")
    with pytest.raises(InputError, match="nobody says what is seen in 1 of the 4 sequences: ours") as caught:
        davis.build(plain, tmp_path / "out")
    assert "'ours: CLASS WORD'" in str(caught.value.hint)
    file = tmp_path / "classes.txt"
    file.write_text("# mine\n\nours: red cow\nlibby: puppy\n")
    by_name = {c.name: c for c in built(plain, tmp_path / "out", classes=file).concepts}
    assert by_name["my ours"].class_name == "red cow" and by_name["my libby"].class_name == "puppy"
    assert by_name["my dog"].look_alikes == ()
    for text, says in (
        ("ours red cow\n", "line 1 is not 'name: class word', but 'ours red cow'"),
        ("\nx:\n", "line 2"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=says):
            davis.build(plain, tmp_path / "out", classes=file)
    file.write_text("ours: " + "a" * 400)
    with pytest.raises(VocabularyError, match="the class word in line 1"):
        davis.build(plain, tmp_path / "out", classes=file)
    with pytest.raises(InputError, match="the classes cannot be read: No such file"):
        davis.build(plain, tmp_path / "out", classes=tmp_path / "none.txt")


def test_a_frame_without_the_object_is_left_out_with_a_warning(plain: Path, tmp_path: Path) -> None:
    Image.new("L", (32, 24)).save(plain / "dog" / "00000.png")
    with pytest.warns(OvssWarning, match=r"dog/00000\.png: nothing is marked, so the frame is left out"):
        dog = built(plain, tmp_path / "out").concepts[2]
    assert frames(dog.shots) == ["dog 1", "dog 4", "dog 7"]


@pytest.mark.filterwarnings("ignore")
def test_a_sequence_of_empty_masks_is_one_sentence(plain: Path, tmp_path: Path) -> None:
    for path in (plain / "dog").glob("*.png"):
        Image.new("L", (32, 24)).save(path)
    with pytest.raises(InputError, match="the sequence 'dog' has 0 different frames with its object, but needs 2"):
        davis.build(plain, tmp_path / "out")


def test_copies_of_a_frame_are_taken_once(plain: Path, tmp_path: Path) -> None:
    for number in (3, 4):
        shutil.copy(plain / "dog" / "00000.jpg", plain / "dog" / f"{number:05d}.jpg")
    shutil.copy(plain / "dog" / "00000.jpg", plain / "cows" / "00000.jpg")
    dog = built(plain, tmp_path / "out").concepts[2]
    assert frames(dog.shots) == ["dog 0", "dog 5"] and len(dog.positives) == 4
    assert "cows 0" not in frames(dog.negatives)


def test_a_tree_that_is_not_davis_or_is_broken_is_one_sentence(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for root in (tmp_path / "nowhere", out):
        with pytest.raises(InputError, match="this is not DAVIS: there is no JPEGImages/480p, and no folder"):
            davis.build(root, out)
    (plain / "dog" / "00003.png").unlink()
    with pytest.raises(InputError, match=r"1 of 8 frames have no mask: 00003\.png") as caught:
        davis.build(plain, out)
    assert caught.value.path == str(plain / "dog")
    save(plain / "dog" / "00003.png", noise(1))
    with pytest.raises(MaskError, match="expected a grey mask of 0 to 255"):
        davis.build(plain, out)
    save(plain / "dog" / "00003.png", np.full((32, 24), 255, np.uint8))
    with pytest.raises(MaskError, match="is 24x32, but its photo is 32x24"):
        davis.build(plain, out)
    for name in ("dog", "libby", "car-turn"):
        shutil.rmtree(plain / name)
    with pytest.raises(InputError, match="no sequence of another class than 'cows', a cow, to tell it from"):
        davis.build(plain, out)


def test_a_listed_sequence_that_is_not_there_is_named(trees: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trees / "2016", tmp_path / "raw"))
    shutil.rmtree(root / "JPEGImages" / "480p" / "libby")
    with pytest.raises(InputError, match="there is no frame of this sequence") as caught:
        davis.build(root, tmp_path / "out")
    assert caught.value.path == str(root / "JPEGImages" / "480p" / "libby")
    (root / "ImageSets" / "480p" / "val.txt").write_text("\n")
    with pytest.raises(InputError, match="names no sequence"):
        davis.build(root, tmp_path / "out")
