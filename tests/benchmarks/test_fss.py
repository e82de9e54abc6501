"""FSS^per on a tree of FSS-1000 in miniature."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes import write_fss
from PIL import Image

from ovss_personal.benchmarks import fss
from ovss_personal.benchmarks.manifest import Manifest, read_manifest
from ovss_personal.errors import InputError, MaskError, OvssWarning

INSIDE = "fewshot_data/fewshot_data"


def build(root: Path, out: Path, seed: int = 0, tests: int | None = None) -> Path:
    """What a sound data set gives, with the warning of the one mask of it that does not fit its photo."""
    with pytest.warns(OvssWarning, match=r"rocking_chair/9.png: the mask is 64x72 but its photo 32x24"):
        return fss.build(root, out, seed, tests)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fss(tmp_path_factory.mktemp("fss"))


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(build(tree, tmp_path_factory.mktemp("built")))


@pytest.fixture
def own_tree(tree: Path, tmp_path: Path) -> Path:
    """A copy to break, its class folders directly below it."""
    return Path(shutil.copytree(tree / INSIDE, tmp_path / "raw"))


def classes(items: object) -> set[str]:
    return {item.image.split("/")[-2] for item in items}  # type: ignore[attr-defined]


def test_thirty_concepts_of_five_shots_five_positives_and_the_partner_s_positives(built: Manifest) -> None:
    assert built.name == "fss" and len(built.words) == 171 and len(built.concepts) == 30
    by_name = {concept.name: concept for concept in built.concepts}
    golf, soccer = by_name["my golf ball"], by_name["my soccer ball"]
    assert (len(golf.shots), len(golf.positives), len(golf.negatives), golf.pairs) == (5, 5, 5, ())
    assert classes((*golf.shots, *golf.positives)) == {"golf_ball"} and classes(golf.negatives) == {"soccer_ball"}
    assert {item.sha256 for item in golf.negatives} == {item.sha256 for item in soccer.positives}
    assert by_name["my adidas logo"].class_name == "adidas logo" and "my ping-pong ball" in by_name


def test_photos_masks_and_hashes_are_those_of_the_data_set(built: Manifest, tree: Path) -> None:
    concept = built.concepts[0]
    item = concept.shots[0]
    assert item.image.startswith(f"data:{INSIDE}/adidas_logo1/") and item.labels is None
    assert built.path(item.image).parent == tree / INSIDE / "adidas_logo1"
    shot = built.shot(item)
    assert shot.mask.sum() == 12 * 16 and shot.mask[6, 8] and shot.name == item.image.removeprefix("data:")
    assert all(negative.mask is None for negative in concept.negatives)


def test_no_shot_of_any_concept_is_tested_on(built: Manifest) -> None:
    shots = {item.sha256 for concept in built.concepts for item in concept.shots}
    tests = {item.sha256 for concept in built.concepts for item in (*concept.positives, *concept.negatives)}
    assert len(shots) == len(tests) == 150 and not shots & tests


def test_the_same_seed_gives_the_same_bytes_wherever_it_is_built(built: Manifest, tree: Path, tmp_path: Path) -> None:
    again = build(tree, tmp_path / "a" / "b")
    assert again.read_bytes() == (built.root / "manifest.json").read_bytes()
    assert sorted(path.name for path in again.parent.iterdir()) == [
        "data.txt",
        "manifest.json",
        "rocking_chair_9_mask.png",
    ]
    assert build(tree, tmp_path / "other", seed=1).read_bytes() != again.read_bytes()


def test_fewer_tests_are_a_beginning_of_the_same_order(built: Manifest, tree: Path, tmp_path: Path) -> None:
    few = read_manifest(build(tree, tmp_path, tests=2))
    for short, full in zip(few.concepts, built.concepts, strict=True):
        assert short.shots == full.shots and short.positives == full.positives[:2] and len(short.negatives) == 2


def test_class_names_are_matched_whatever_their_spelling(own_tree: Path, tmp_path: Path) -> None:
    (own_tree / "golf_ball").rename(own_tree / "Golf Ball")
    (own_tree / "ping-pong_ball").rename(own_tree / "ping_pong_ball")
    manifest = read_manifest(build(own_tree, tmp_path / "out"))
    names = [concept.name for concept in manifest.concepts]
    assert len(names) == 30 and "my golf ball" in names and "my ping-pong ball" in names


def test_copies_of_one_photo_are_not_both_a_shot_and_a_test(own_tree: Path, tmp_path: Path) -> None:
    for number in range(2, 5):
        shutil.copy(own_tree / "golf_ball" / "1.jpg", own_tree / "golf_ball" / f"{number}.jpg")
        shutil.copy(own_tree / "golf_ball" / "1.jpg", own_tree / "soccer_ball" / f"{number}.jpg")
    for seed in range(3):
        read_manifest(build(own_tree, tmp_path / str(seed), seed=seed))


def test_missing_classes_are_listed_in_one_sentence(own_tree: Path, tmp_path: Path) -> None:
    for name in ("golf_ball", "nike_logo"):
        shutil.rmtree(own_tree / name)
    with pytest.raises(
        InputError, match=r"^[^\n]*2 of the 30 classes of FSS\^per have no folder here: golf_ball,"
    ) as e:
        fss.build(own_tree, tmp_path / "out")
    assert "nike_logo" in str(e.value) and e.value.exit_code == 3 and e.value.hint


def test_another_folder_is_no_fss(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is not FSS-1000") as caught:
        fss.build(tmp_path, tmp_path / "out")
    assert caught.value.path == str(tmp_path) and not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="this is not FSS-1000"):
        fss.build(tmp_path / "nowhere", tmp_path / "out")


def test_a_missing_mask_and_a_missing_photo_are_named(own_tree: Path, tmp_path: Path) -> None:
    (own_tree / "golf_ball" / "3.png").unlink()
    with pytest.raises(InputError, match=r"expected 1.jpg to 10.jpg and a .png beside each, but 3.png is not") as e:
        fss.build(own_tree, tmp_path / "out")
    assert e.value.path == str(own_tree / "golf_ball")
    (own_tree / "golf_ball" / "8.jpg").unlink()
    with pytest.raises(InputError, match=r"but 3.png, 8.jpg is not there"):
        fss.build(own_tree, tmp_path / "out")


def test_what_is_odd_in_the_real_data_set_is_met(built: Manifest) -> None:
    by_name = {concept.class_name: concept for concept in built.concepts}
    boat = by_name["banana boat"]
    assert not any(item.image.endswith("1.jpeg") for item in (*boat.shots, *boat.positives))  # a stray file
    chair = by_name["rocking chair"]
    ninth = next(item for item in (*chair.shots, *chair.positives) if item.image.endswith("/9.jpg"))
    assert ninth.mask == "rocking_chair_9_mask.png"
    mask = built.mask(ninth, built.image(ninth))
    assert mask.sum() == 12 * 16 and mask[6:18, 8:24].all()


@pytest.mark.parametrize(
    ("mode", "pixels", "says"),
    [
        ("P", np.eye(24, 32), "expected a grey mask of 0 to 255, found a picture of mode P"),
        ("RGB", np.stack([np.eye(24, 32), np.zeros((24, 32)), np.zeros((24, 32))], 2), "found a picture of mode RGB"),
        ("I;16", np.eye(24, 32), "found a picture of mode I;16"),
        ("L", np.zeros((24, 32)), "no pixel is half of 255 or more"),
    ],
)
def test_a_mask_of_the_wrong_mode_or_without_content_is_named(
    own_tree: Path, tmp_path: Path, mode: str, pixels: np.ndarray, says: str
) -> None:
    path = own_tree / "golf_ball" / "7.png"
    picture = Image.fromarray((pixels * 255).astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        picture = Image.fromarray(pixels.astype(np.uint8))
        picture.putpalette([0, 0, 0, 200, 0, 0])
    picture.save(path)
    with pytest.raises(MaskError) as caught:
        fss.build(own_tree, tmp_path / "out")
    assert says in str(caught.value) and caught.value.path == str(path) and caught.value.exit_code == 3
