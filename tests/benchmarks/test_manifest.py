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
from ovss_personal.errors import ConfigError, InputError
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


@pytest.mark.parametrize("kind", ["positives", "negatives", "pairs"])
def test_a_shot_that_is_also_a_test_is_a_leak(manifest: Manifest, kind: str) -> None:
    (concept,) = manifest.concepts
    copied = replace(concept.shots[0], image="elsewhere.png")  # by content, whatever its name
    leaky = replace(concept, **{kind: (copied,)})
    path = write_manifest(replace(manifest, concepts=(leaky,)))
    with pytest.raises(ConfigError, match=r"'my owl' is tested on its own shots: 0.png"):
        read_manifest(path)


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda m: m.update(format_version=2),
    "no words": lambda m: m.pop("words"),
    "a concept without shots": lambda m: m["concepts"][0].pop("shots"),
    "an item without a checksum": lambda m: m["concepts"][0]["shots"][0].pop("sha256"),
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
