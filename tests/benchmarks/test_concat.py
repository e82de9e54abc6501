"""Side-by-side pictures of other benchmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import write_ade, write_cub
from fakes.raw import noise, save

from ovss_personal.benchmarks import ade, concat, cub
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, read_manifest, write_manifest
from ovss_personal.errors import ConfigError, InputError
from ovss_personal.io.files import sha256_file


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """One concept: photos 24 high and 32 wide with it, 48 high and 32 wide without."""
    root = tmp_path / "source"
    mask = np.zeros((24, 32), np.uint8)
    mask[:, :8] = 255
    items = []
    for number in range(9):
        tall = number >= 5
        path = save(root / f"{number}.png", noise(number, 48 if tall else 24, 32))
        if not tall:
            save(root / f"{number}_mask.png", mask)
        items.append(Item(path.name, None if tall else f"{number}_mask.png", sha256_file(path)))
    one = ConceptSet("my owl", "bird", (items[0],), tuple(items[1:5]), tuple(items[5:]))
    write_manifest(Manifest("owls", ("cat",), (one,), root))
    return root


def test_look_alikes_and_an_album_stay_where_they_are(benchmark: Path, tmp_path: Path) -> None:
    source = read_manifest(benchmark / "manifest.json")
    (concept,) = source.concepts
    without = concept.negatives
    moved = replace(concept, negatives=without[:2], look_alikes=without[2:3], album=without[3:])
    write_manifest(replace(source, concepts=(moved,)))
    manifest = read_manifest(concat.build(benchmark, tmp_path / "out"))
    (built,) = manifest.concepts
    assert manifest.path(built.look_alikes[0].image) == benchmark / without[2].image
    assert manifest.path(built.album[0].image) == benchmark / without[3].image


def test_each_positive_stands_beside_another_negative_at_its_own_height(benchmark: Path, tmp_path: Path) -> None:
    manifest = read_manifest(concat.build(benchmark, tmp_path / "out"))
    (concept,) = manifest.concepts
    assert manifest.name == "owls-concat" and len(concept.pairs) == 4
    sides = []
    for pair in concept.pairs:
        image = manifest.image(pair)
        mask = manifest.mask(pair, image)
        assert image.shape == (24, 32 + 16, 3) and mask.sum() == 24 * 8 and pair.labels is None
        sides.append(bool(mask[0, 0]))
        assert mask[:, :8].all() if sides[-1] else mask[:, 16:24].all()
    assert sorted(sides) == [False, False, True, True]


def test_the_rest_is_that_of_the_source_and_stays_where_it_is(benchmark: Path, tmp_path: Path) -> None:
    manifest = read_manifest(concat.build(benchmark, tmp_path / "out"))
    source = read_manifest(benchmark / "manifest.json")
    for kind in ("shots", "positives", "negatives"):
        for item, own in zip(getattr(manifest.concepts[0], kind), getattr(source.concepts[0], kind), strict=True):
            assert manifest.path(item.image) == benchmark / own.image
            image = manifest.image(item)
            np.testing.assert_array_equal(manifest.mask(item, image), source.mask(own, image))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000_my_owl", "data.txt", "manifest.json"]


def test_the_same_seed_gives_the_same_bytes_and_tests_limits(benchmark: Path, tmp_path: Path) -> None:
    one, again, other = (concat.build(benchmark, tmp_path / str(i), seed=i // 2).parent for i in range(3))
    assert files(one) == files(again) != files(other)
    assert len(read_manifest(concat.build(benchmark, tmp_path / "few", tests=3)).concepts[0].pairs) == 3


def test_a_benchmark_of_raw_data_can_be_concatenated(tmp_path: Path) -> None:
    cub.build(write_cub(tmp_path / "raw"), tmp_path / "cub")
    manifest = read_manifest(concat.build(tmp_path / "cub", tmp_path / "out"))
    concept = manifest.concepts[0]
    assert concept.shots[0].image.startswith("data:data:CUB_200_2011/images/")
    assert manifest.shot(concept.shots[0]).name.startswith("CUB_200_2011/images/001.")
    assert manifest.mask(concept.pairs[0], manifest.image(concept.pairs[0])).shape == (24, 64)


def test_labels_are_joined_where_both_have_them(tmp_path: Path) -> None:
    ade.build(write_ade(tmp_path / "raw"), tmp_path / "ade", tests=1)
    manifest = read_manifest(concat.build(tmp_path / "ade", tmp_path / "out"))
    concept = next(c for c in manifest.concepts if c.class_name == "kettle")
    (pair,) = concept.pairs
    image = manifest.image(pair)
    labels, mask = manifest.labels(pair, image, concept), manifest.mask(pair, image)
    assert labels is not None and labels.shape == (40, 96) and (labels[mask] == -1).all() and mask.sum() == 64
    # 15 words, of which one is the concept, in one half, the 15 others in the other, and the wall in both
    assert len(np.unique(labels[labels >= 0])) == 14 + 15 + 1


def test_what_is_no_benchmark_or_has_changed_is_refused(benchmark: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the manifest cannot be read"):
        concat.build(tmp_path, tmp_path / "out")
    save(benchmark / "3.png", noise(99))
    with pytest.raises(InputError, match="has changed") as caught:
        concat.build(benchmark, tmp_path / "out")
    assert caught.value.path == str(benchmark / "3.png")
