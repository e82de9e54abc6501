"""A benchmark as a file: which image is a shot of which concept, which a test, and where its truth lies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ovss_personal.errors import ConfigError, InputError
from ovss_personal.io.files import atomic_write, sha256_file
from ovss_personal.io.images import load_image
from ovss_personal.structures import BoolMask, RGBImage, Shot

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Item:
    """An image and the mask of the concept in it (None: it is not there); paths relative to the manifest."""

    image: str
    mask: str | None
    sha256: str


@dataclass(frozen=True)
class ConceptSet:
    """One concept: 5 shots (the first 1 and 3 are the smaller sets), and the test images of each kind.

    `pairs` show the concept beside a look-alike.
    """

    name: str
    class_name: str
    shots: tuple[Item, ...]
    positives: tuple[Item, ...]
    negatives: tuple[Item, ...]
    pairs: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A benchmark: its concepts and the open words they are tested among."""

    name: str
    words: tuple[str, ...]
    concepts: tuple[ConceptSet, ...]
    root: Path

    def image(self, item: Item) -> RGBImage:
        """(H, W, 3) uint8. Raises InputError if the file is not the one the manifest was made of."""
        path = self.root / item.image
        if sha256_file(path) != item.sha256:
            raise InputError("has changed since the manifest was made.", path=path, hint="build the benchmark again.")
        return load_image(path)

    def mask(self, item: Item, image: RGBImage) -> BoolMask:
        """(H, W) bool, all false where the concept is absent."""
        if item.mask is None:
            return np.zeros(image.shape[:2], bool)
        return np.asarray(Image.open(self.root / item.mask).convert("L")) > 127

    def shot(self, item: Item) -> Shot:
        image = self.image(item)
        return Shot(image=image, mask=self.mask(item, image), name=item.image, sha256=item.sha256)


def write_manifest(manifest: Manifest) -> Path:
    """Write `manifest.json` in the benchmark's root."""
    content = {"format_version": FORMAT_VERSION, **asdict(manifest)}
    del content["root"]
    path = manifest.root / "manifest.json"
    atomic_write(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest and check that no shot is also a test image.

    Raises:
        ConfigError: it is missing, broken, or leaks.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version {content['format_version']} is not {FORMAT_VERSION}")
        concepts = tuple(
            ConceptSet(
                name=c["name"],
                class_name=c["class_name"],
                **{kind: _items(c[kind]) for kind in ("shots", "positives", "negatives", "pairs")},
            )
            for c in content["concepts"]
        )
        manifest = Manifest(content["name"], tuple(content["words"]), concepts, path.parent)
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise ConfigError(f"the manifest cannot be read: {reason.lower()}.", path=path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"is no manifest ({error}).", path=path, hint="build the benchmark again.") from error
    for concept in manifest.concepts:
        tests = {item.sha256 for item in (*concept.positives, *concept.negatives, *concept.pairs)}
        leaks = [shot.image for shot in concept.shots if shot.sha256 in tests]
        if leaks:
            raise ConfigError(f"'{concept.name}' is tested on its own shots: {', '.join(leaks)}.", path=path)
    return manifest


def _items(rows: Sequence[dict[str, str]]) -> tuple[Item, ...]:
    return tuple(Item(row["image"], row["mask"], row["sha256"]) for row in rows)
