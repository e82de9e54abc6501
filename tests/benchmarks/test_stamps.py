"""Stamps^per on a tree in miniature: what is in it, that it is the same every time, and that nothing leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import write_stamps

from ovss_personal.benchmarks import stamps
from ovss_personal.benchmarks.composites.sources import SHOT_BACKGROUNDS, TEST_BACKGROUNDS, Sources
from ovss_personal.benchmarks.manifest import Manifest, read_manifest


class Watched(Sources):
    """Writes down what is read."""

    read: list[str]

    def cutout(self, name: str, max_side: int = 0) -> np.ndarray:
        self.read.append(name)
        return super().cutout(name, max_side)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stamps(tmp_path_factory.mktemp("share"))


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stamps, "SIZE", 64)
        yield


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(stamps.build(tmp_path_factory.mktemp("built"), Sources(tree), birds=2))


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_concept_has_its_pictures(built: Manifest) -> None:
    assert len(built.concepts) == 2 and built.words == stamps.WORDS and "bird" not in built.words
    for concept in built.concepts:
        counts = [len(getattr(concept, kind)) for kind in ("shots", "positives", "negatives", "pairs")]
        assert counts == [5, 10, 10, 4]
        assert concept.class_name == "bird" and concept.name.startswith("my ") and "(" not in concept.name
        for item in (*concept.shots, *concept.positives, *concept.pairs):
            image = built.image(item)
            assert image.shape == (64, 64, 3) and 0.01 < built.mask(item, image).mean() < 0.6
        assert all(item.mask is None for item in concept.negatives)


def test_a_pair_has_the_bird_on_either_side(built: Manifest) -> None:
    for concept in built.concepts:
        for first, second in zip(concept.pairs[::2], concept.pairs[1::2], strict=True):
            middles = [np.nonzero(built.mask(item, built.image(item)))[1].mean() for item in (first, second)]
            assert middles[0] < 32 < middles[1]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(built: Manifest, tree: Path, tmp_path: Path) -> None:
    stamps.build(tmp_path / "again", Sources(tree), birds=2)
    assert files(tmp_path / "again") == files(built.root)
    stamps.build(tmp_path / "other", Sources(tree), birds=2, seed=1)
    assert files(tmp_path / "other") != files(built.root)


def test_an_album_leaves_the_rest_as_it_is_and_shows_the_bird_in_every_other_photo(
    built: Manifest, tree: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(stamps.build(tmp_path, Sources(tree), birds=2, album=5))
    pictures, before = files(tmp_path), files(built.root)
    assert all(pictures[name] == data for name, data in before.items() if name != "manifest.json")
    assert len(pictures) == len(before) + 2 * (5 + 3)
    for concept, old in zip(manifest.concepts, built.concepts, strict=True):
        assert replace(concept, album=()) == old
        assert [item.mask is not None for item in concept.album] == [True, False, True, False, True]
        seen = {item.sha256 for item in (*concept.shots, *concept.positives, *concept.negatives, *concept.pairs)}
        assert not seen & {item.sha256 for item in concept.album}


def test_look_alikes_share_the_picture_and_negatives_show_as_many(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowds: list[list[str]] = []
    drawn = stamps.Painter.crowd

    def watched(self: stamps.Painter, rng: np.random.Generator, birds: list[str]) -> object:
        crowds.append(birds)
        return drawn(self, rng, birds)

    monkeypatch.setattr(stamps.Painter, "crowd", watched)
    manifest = read_manifest(stamps.build(tmp_path / "one", Sources(tree), birds=2, look_alikes=1))
    assert manifest.name == "stamps-crowd-1" and len(crowds) == 2 * 20
    for concept, (positives, negatives) in zip(
        manifest.concepts, ((crowds[:10], crowds[10:20]), (crowds[20:30], crowds[30:])), strict=True
    ):
        (target,) = {birds[0] for birds in positives}
        assert all(len(set(birds)) == 2 for birds in positives + negatives)
        assert not any(target in birds for birds in negatives)
        for item in concept.positives:
            assert 0.005 < manifest.mask(item, manifest.image(item)).mean() < 0.15
    stamps.build(tmp_path / "again", Sources(tree), birds=2, look_alikes=1)
    assert files(tmp_path / "again") == files(tmp_path / "one")


def test_what_lies_before_the_bird_is_not_in_its_mask(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = stamps.Painter(Sources(tree))
    opaque = iter([np.eye(64, dtype=bool), np.eye(64, dtype=bool) & (np.arange(64) < 9)])
    monkeypatch.setattr(stamps, "paste", lambda *_: next(opaque))

    class InOrder:
        """Draws like a generator, but never shuffles."""

        def __init__(self) -> None:
            self.rng = np.random.default_rng(0)

        def permutation(self, count: int) -> np.ndarray:
            return np.arange(count)

        def __getattr__(self, name: str) -> object:
            return getattr(self.rng, name)

    _, mask = painter.crowd(InOrder(), ["animals/birds/owl", "animals/birds/duck"])  # type: ignore[arg-type]
    assert mask.sum() == 64 - 9


def test_shots_and_tests_share_no_background_and_no_training_stamp_is_used(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grounds: list[tuple[str, ...]] = []
    drawn = stamps.Painter._ground

    def watched(self: stamps.Painter, rng: np.random.Generator, backgrounds: tuple[str, ...]) -> np.ndarray:
        grounds.append(backgrounds)
        return drawn(self, rng, backgrounds)

    monkeypatch.setattr(stamps.Painter, "_ground", watched)
    sources = Watched(tree)
    object.__setattr__(sources, "read", [])
    manifest = read_manifest(stamps.build(tmp_path, sources, birds=1))
    # 5 shots, then 10 positives, 10 negatives and 2 grounds for the pairs.
    assert grounds == [SHOT_BACKGROUNDS] * 5 + [TEST_BACKGROUNDS] * 22
    assert not set(SHOT_BACKGROUNDS) & set(TEST_BACKGROUNDS)
    assert not set(sources.read) & set(sources.stamps("train"))
    assert not any("dishes" in name for name in sources.read)
    hashes = [item.sha256 for c in manifest.concepts for item in (*c.shots, *c.positives, *c.negatives, *c.pairs)]
    assert len(set(hashes)) == len(hashes)


def test_the_same_small_thing_lies_on_both_birds(tree: Path) -> None:
    painter = stamps.Painter(Sources(tree))
    rng = np.random.default_rng(0)
    names = ("animals/birds/owl", "animals/birds/robin", "food/fruit/apple")
    first, second = painter.touching(rng, *names)
    for image, mine, equal in (first, second):
        assert image.shape == (64, 64, 3) and mine.sum() == equal.sum() > 20 and not (mine & equal).any()
        assert np.abs(image[mine].mean(0) - image[equal].mean(0)).max() < 12  # but for what shines through the edges
    columns = [np.nonzero(mask)[1].mean() for picture in (first, second) for mask in picture[1:]]
    assert columns[0] < 32 < columns[1] and columns[2] > 32 > columns[3]
    again = painter.touching(np.random.default_rng(0), *names)
    assert all((a[0] == b[0]).all() for a, b in zip((first, second), again, strict=True))
