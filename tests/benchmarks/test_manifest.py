from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, read_manifest, write_manifest
from ovss_personal.errors import ConfigError, InputError, MaskError
from ovss_personal.io.files import sha256_file


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """One concept: a shot and a positive with a mask, a negative without."""
    items = []
    for number in range(3):
        Image.new("RGB", (24, 16), (80 * number, 0, 0)).save(tmp_path / f"{number}.png")
        mask = np.zeros((16, 24), np.uint8)
        mask[:8] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}_mask.png")
        truth = f"{number}_mask.png" if number < 2 else None
        items.append(Item(f"{number}.png", truth, sha256_file(tmp_path / f"{number}.png")))
    concept = ConceptSet("my owl", "bird", (items[0],), (items[1],), (items[2],))
    return Manifest("stamps", ("cat", "dog"), (concept,), tmp_path)


def test_a_manifest_comes_back(manifest: Manifest) -> None:
    path = write_manifest(manifest)
    assert path == manifest.root / "manifest.json"
    assert read_manifest(path) == manifest
    assert str(manifest.root) not in path.read_text("utf-8")


def test_images_masks_and_shots(manifest: Manifest) -> None:
    (concept,) = manifest.concepts
    shot = manifest.shot(concept.shots[0])
    assert shot.image.shape == (16, 24, 3) and shot.name == "0.png" and shot.sha256 == concept.shots[0].sha256
    assert shot.mask[:8].all() and not shot.mask[8:].any()
    negative = concept.negatives[0]
    absent = manifest.mask(negative, manifest.image(negative))
    assert absent.shape == (16, 24) and not absent.any()


def test_an_image_that_changed_is_refused(manifest: Manifest) -> None:
    item = manifest.concepts[0].positives[0]
    Image.new("RGB", (24, 16), "blue").save(manifest.root / item.image)
    with pytest.raises(InputError, match="has changed") as caught:
        manifest.image(item)
    assert caught.value.path == str(manifest.root / item.image)


def test_spare_shots_are_tests_only_where_the_manifest_says_so(manifest: Manifest) -> None:
    (concept,) = manifest.concepts
    plain = write_manifest(manifest).read_text("utf-8")
    assert "spare_shots" not in plain and "look_alikes" not in plain  # the bytes that it was before there were any
    first, second, third = (replace(concept.shots[0], sha256=letter * 64) for letter in "abc")
    more = replace(concept, shots=(first, second, third))
    assert [more.positives_at(count) for count in range(4)] == [concept.positives] * 4
    spare = replace(more, spare_shots_are_tests=True)
    assert [spare.positives_at(count) for count in range(4)] == [
        (first, second, third, *concept.positives),
        (second, third, *concept.positives),
        (third, *concept.positives),
        concept.positives,
    ]
    assert read_manifest(write_manifest(replace(manifest, concepts=(spare,)))).concepts == (spare,)
    twice = replace(spare, shots=(first, second, first))  # learned from at K = 1, and tested on
    path = write_manifest(replace(manifest, concepts=(twice,)))
    with pytest.raises(ConfigError, match=r"'my owl' is tested on its own shots: 0.png\."):
        read_manifest(path)
    path = write_manifest(replace(manifest, concepts=(replace(spare, album=(third,)),)))
    with pytest.raises(ConfigError, match=r"'my owl' is tested on its own album"):
        read_manifest(path)
    content = json.loads(plain)
    content["concepts"][0]["spare_shots_are_tests"] = "no"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="spare_shots_are_tests is neither true nor false"):
        read_manifest(path)


@pytest.mark.parametrize("kind", ["positives", "negatives", "pairs", "look_alikes"])
def test_a_shot_that_is_also_a_test_is_a_leak(manifest: Manifest, kind: str) -> None:
    (concept,) = manifest.concepts
    copied = replace(concept.shots[0], image="elsewhere.png")  # by content, whatever its name
    leaky = replace(concept, **{kind: (copied,)})
    path = write_manifest(replace(manifest, concepts=(leaky,)))
    with pytest.raises(ConfigError, match=r"'my owl' is tested on its own shots: 0.png"):
        read_manifest(path)


def test_an_album_may_be_missing_but_not_be_tested_on(manifest: Manifest) -> None:
    (concept,) = manifest.concepts
    path = write_manifest(manifest)
    content = json.loads(path.read_text("utf-8"))
    del content["concepts"][0]["album"]  # as it was before there was one
    path.write_text(json.dumps(content))
    assert read_manifest(path) == manifest
    leaky = replace(concept, album=(replace(concept.negatives[0], image="elsewhere.png"),))
    path = write_manifest(replace(manifest, concepts=(leaky,)))
    with pytest.raises(ConfigError, match=r"'my owl' is tested on its own album: elsewhere.png"):
        read_manifest(path)


@pytest.mark.parametrize("kind", ["shots", "positives", "negatives"])
def test_a_concept_without_shots_or_tests_of_either_kind_is_refused(manifest: Manifest, kind: str) -> None:
    (concept,) = manifest.concepts
    path = write_manifest(replace(manifest, concepts=(replace(concept, **{kind: ()}),)))
    with pytest.raises(ConfigError, match=f"'my owl' has no {kind}, so it cannot be tested") as caught:
        read_manifest(path)
    assert caught.value.path == str(path) and caught.value.exit_code == 3 and caught.value.hint


def test_raw_data_are_found_wherever_data_txt_says(manifest: Manifest, tmp_path: Path) -> None:
    raw, out = tmp_path, tmp_path / "out"
    (concept,) = manifest.concepts
    item = replace(concept.shots[0], image="data:0.png", mask="data:0_mask.png")
    there = replace(manifest, concepts=(replace(concept, shots=(item,)),), root=out)
    path = write_manifest(there, data=raw)
    assert (out / "data.txt").read_text() == f"{raw}\n" and str(raw) not in path.read_text()
    shot = read_manifest(path).shot(item)
    assert shot.name == "0.png" and shot.mask[:8].all()
    further = replace(there, root=out / "further")
    write_manifest(further, data=out)
    assert further.path("data:data:0.png") == raw / "0.png" and further.path("data:x.png") == out / "x.png"
    (out / "data.txt").unlink()
    with pytest.raises(ConfigError, match=r"no readable data\.txt here") as caught:
        further.path("data:data:0.png")
    assert caught.value.path == str(out) and further.path("data:x.png") == out / "x.png"


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (Image.new("P", (24, 16)), "expected a grey mask of 0 to 255, found a picture of mode P"),
        (Image.new("RGB", (24, 16), "red"), "expected a grey mask of 0 to 255, found a picture of mode RGB"),
        (Image.new("I;16", (24, 16)), "expected a grey mask of 0 to 255, found a picture of mode I;16"),
        (Image.new("L", (16, 24)), "is 16x24, but its photo is 24x16"),
    ],
)
def test_a_mask_in_the_wrong_mode_or_size_is_named(manifest: Manifest, picture: Image.Image, says: str) -> None:
    item = manifest.concepts[0].shots[0]
    picture.save(manifest.root / "0_mask.png")
    with pytest.raises(MaskError) as caught:
        manifest.shot(item)
    assert says in str(caught.value) and caught.value.path == str(manifest.root / "0_mask.png")


def test_labels_are_indices_into_the_words_beside_the_concept(manifest: Manifest) -> None:
    words = ("cat", "bird", "dog")
    labels = np.full((16, 24), 65535, np.uint16)
    labels[:3] = [[0], [1], [2]]
    Image.fromarray(labels).save(manifest.root / "labels.png")
    (concept,) = manifest.concepts
    known = replace(concept.positives[0], labels="labels.png")
    own = replace(manifest, words=words)
    assert own.words_beside(concept) == ("cat", "dog")
    image = own.image(known)
    found = own.labels(known, image, concept)
    assert found is not None and found[:4, 0].tolist() == [0, -1, 1, -1]
    assert own.labels(concept.positives[0], image, concept) is None
    Image.fromarray(labels.astype(np.uint8)).save(manifest.root / "labels.png")
    with pytest.raises(MaskError, match="expected a 16-bit grey map of labels, found a picture of mode L"):
        own.labels(known, image, concept)
    Image.fromarray(labels[:8]).save(manifest.root / "labels.png")
    with pytest.raises(MaskError, match="is 24x8, but its photo is 24x16"):
        own.labels(known, image, concept)


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda m: m.update(format_version=2),
    "no words": lambda m: m.pop("words"),
    "a concept without shots": lambda m: m["concepts"][0].pop("shots"),
    "an item without a checksum": lambda m: m["concepts"][0]["shots"][0].pop("sha256"),
    "a path to a parent": lambda m: m["concepts"][0]["shots"][0].update(image="data:../../secret.png"),
    "an absolute path": lambda m: m["concepts"][0]["positives"][0].update(mask="data:/etc/secret.png"),
    "concepts that are a number": lambda m: m.update(concepts=3),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_manifest_is_one_error(manifest: Manifest, case: str) -> None:
    path = write_manifest(manifest)
    content = json.loads(path.read_text("utf-8"))
    BROKEN[case](content)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ConfigError, match="is no manifest") as caught:
        read_manifest(path)
    assert caught.value.exit_code == 3 and caught.value.path == str(path)


def test_no_manifest_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the manifest cannot be read: no such file"):
        read_manifest(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").write_bytes(b"\xff{")
    with pytest.raises(ConfigError, match="is no manifest"):
        read_manifest(tmp_path / "manifest.json")
