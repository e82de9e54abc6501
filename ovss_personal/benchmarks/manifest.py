"""A benchmark as a file: which image is a shot of which concept, which a test, and where its truth lies.

Paths are relative to the folder of the manifest. One that begins with `data:` is relative to the raw data set
instead, whose folder `data.txt` beside the manifest names: so a manifest is the same bytes on every machine. That
folder may be a benchmark itself (concat), and the rest of the path begin with `data:` again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ovss_personal.benchmarks.pictures import VOID, read_labels, read_mask
from ovss_personal.errors import ConfigError, InputError, MaskError
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import load_image
from ovss_personal.painting.segmentation import LabelMap
from ovss_personal.store.files import atomic_write
from ovss_personal.structures import BoolMask, RGBImage, Shot
from ovss_personal.text import brief

FORMAT_VERSION = 1
DATA = "data:"
MAX_BYTES = 2**30  # of a manifest
MAX_TEXT = 300  # characters
KINDS = ("shots", "positives", "negatives", "pairs", "album", "look_alikes")
OPTIONAL = ("album", "look_alikes")  # left out of manifests that were made before there were any
SPARE = "spare_shots_are_tests"


@dataclass(frozen=True)
class Item:
    """An image and the truth about it.

    Attributes:
        image: path of the photo.
        mask: path of the mask of the concept; None: it is not there.
        sha256: of the photo's bytes.
        labels: path of a 16-bit map of indices into the benchmark's words; None: the unpersonalised base's own
            labels are the truth about the other words.
    """

    image: str
    mask: str | None
    sha256: str
    labels: str | None = None


@dataclass(frozen=True)
class ConceptSet:
    """One concept: its shots, of which the first K are learned from, and the test images of each kind.

    Attributes:
        positives, negatives: test images with the concept and without it.
        pairs: test images of the concept beside a look-alike.
        album: photos that a method may see without their masks, which say where the concept is in some of them.
        look_alikes: test images without the concept that are hard, since they show another thing of its class; they
            are counted apart from the negatives.
        spare_shots_are_tests: whether shots beyond the first K are positives where K are learned from, for data sets
            with few photos of each thing.
    """

    name: str
    class_name: str
    shots: tuple[Item, ...]
    positives: tuple[Item, ...]
    negatives: tuple[Item, ...]
    pairs: tuple[Item, ...] = ()
    album: tuple[Item, ...] = ()
    look_alikes: tuple[Item, ...] = ()
    spare_shots_are_tests: bool = field(default=False, kw_only=True)

    def positives_at(self, shots: int) -> tuple[Item, ...]:
        """The test images with the concept where the first `shots` are learned from."""
        return (*self.shots[shots:], *self.positives) if self.spare_shots_are_tests else self.positives


@dataclass(frozen=True)
class Manifest:
    """A benchmark: its concepts and the open words they are tested among."""

    name: str
    words: tuple[str, ...]
    concepts: tuple[ConceptSet, ...]
    root: Path

    def path(self, name: str) -> Path:
        """Where a file of the manifest is. Raises ConfigError if `data.txt` is needed and not there."""
        return located(self.root, name)

    def words_beside(self, concept: ConceptSet) -> tuple[str, ...]:
        """The open words without the class name, which the personal word stands in for."""
        return tuple(word for word in self.words if word != concept.class_name)

    def image(self, item: Item) -> RGBImage:
        """(H, W, 3) uint8. Raises InputError if the file is not the one the manifest was made of."""
        return checked_image(self.path(item.image), item.sha256)

    def mask(self, item: Item, image: RGBImage) -> BoolMask:
        """(H, W) bool, all false where the concept is absent. Raises MaskError if it cannot be read as grey."""
        size = (image.shape[0], image.shape[1])
        return np.zeros(size, bool) if item.mask is None else read_mask(self.path(item.mask), size)

    def labels(self, item: Item, image: RGBImage, concept: ConceptSet) -> LabelMap | None:
        """(H, W) int32 indices into `words_beside(concept)`, -1 where none is known; None without such a map.

        Raises:
            MaskError: the map cannot be read, or holds a label that no word has.
        """
        if item.labels is None:
            return None
        path = self.path(item.labels)
        labels = read_labels(path, (image.shape[0], image.shape[1]))
        beside = self.words_beside(concept)
        place = {word: index for index, word in enumerate(beside)}
        table = np.full(VOID + 1, -1, np.int32)
        table[: len(self.words)] = [place.get(word, -1) for word in self.words]
        known = labels[labels != VOID]
        if known.size and known.max() >= len(self.words):
            raise MaskError(f"holds label {known.max()}, but there are {len(self.words)} words.", path=path)
        return np.asarray(table[labels])

    def shot(self, item: Item) -> Shot:
        image = self.image(item)
        return Shot(image=image, mask=self.mask(item, image), name=item.image.rpartition(":")[2], sha256=item.sha256)


def located(root: Path, name: str) -> Path:
    """Where a file that the manifest in `root` names is. Raises ConfigError if `data.txt` is needed and not there."""
    while name.startswith(DATA):
        root, name = _data_folder(root), name.removeprefix(DATA)
    return root / name


def checked_image(path: Path, sha256: str) -> RGBImage:
    """(H, W, 3) uint8. Raises InputError if the file is not the one the manifest was made of."""
    if sha256_file(path) != sha256:
        raise InputError("has changed since the manifest was made.", path=path, hint="build the benchmark again.")
    return load_image(path)


def check_inside(name: str) -> None:
    """Raises ValueError for the name of a file that is not below the manifest's folder or that of the raw data."""
    if not isinstance(name, str) or "\0" in name:
        raise ValueError(f"{brief(name)} is no name of a file")
    inside = PurePosixPath(name.replace(DATA, ""))
    if inside.is_absolute() or ".." in inside.parts:
        raise ValueError(f"{brief(name)} leads out of the benchmark")


def write_manifest(manifest: Manifest, data: Path | None = None) -> Path:
    """Write `manifest.json` in the benchmark's root, and the folder of the raw data set, if any, to `data.txt`."""
    content = {"format_version": FORMAT_VERSION, **asdict(manifest)}
    del content["root"]
    for concept in content["concepts"]:
        for key in ("look_alikes", SPARE):  # so that benchmarks without them stay the bytes that they were
            if not concept[key]:
                del concept[key]
    return write_content(content, manifest.root, data)


def write_content(content: dict[str, Any], root: Path, data: Path | None) -> Path:
    """Write `manifest.json` and, where there are raw data, `data.txt` into `root`; returns the manifest's path."""
    if data is not None:
        atomic_write(root / "data.txt", f"{data.resolve()}\n".encode())
    path = root / "manifest.json"
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    # What stands for a byte of a name that is not UTF-8 has no bytes of its own, but JSON has a way to write it.
    text = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    atomic_write(path, text.encode())
    return path


def read_content(path: Path) -> dict[str, Any]:
    """What `manifest.json` holds. Raises OSError or ValueError unless it is a JSON object."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    try:
        content = json.loads(path.read_text("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"it is {brief(content)}")
    return content


def text(value: Any, what: str) -> str:
    """Raises ValueError unless it is one short line of text."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > MAX_TEXT:
        raise ValueError(f"{what} is {brief(value)}")
    return value


def texts(values: Any, what: str) -> tuple[str, ...]:
    """Raises ValueError unless it is a list of short lines of text."""
    if not isinstance(values, list):
        raise ValueError(f"{what} are {brief(values)}")
    return tuple(text(value, f"one of {what}") for value in values)


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest and check that every concept can be tested, and not on its own shots.

    Raises:
        ConfigError: it is missing, broken, or leaks; a concept has no shots, positives or negatives.
    """
    path = Path(path)
    try:
        content = read_content(path)
        if "kind" in content:
            raise ValueError(f"it is one of {brief(content['kind'])}, which has no concepts")
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version {brief(content['format_version'])} is not {FORMAT_VERSION}")
        concepts = tuple(
            ConceptSet(
                text(c["name"], "the name of a concept"),
                text(c["class_name"], "a class name"),
                *(_items(_rows(c, kind)) for kind in KINDS),
                spare_shots_are_tests=_spare(c),
            )
            for c in content["concepts"]
        )
        name, words = text(content["name"], "the name"), texts(content["words"], "the words")
        manifest = Manifest(name, words, concepts, path.parent)
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise ConfigError(f"the manifest cannot be read: {reason.lower()}.", path=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"is no manifest ({error}).", path=path, hint="build the benchmark again.") from error
    for concept in manifest.concepts:
        for kind in ("shots", "positives", "negatives"):
            if not getattr(concept, kind):
                raise ConfigError(
                    f"'{concept.name}' has no {kind}, so it cannot be tested.",
                    path=path,
                    hint=f"Give it {kind} and build the benchmark again.",
                )
        for kind, leaks in _leaks(concept).items():
            if leaks:
                raise ConfigError(f"'{concept.name}' is tested on its own {kind}: {', '.join(leaks)}.", path=path)
    return manifest


def _leaks(concept: ConceptSet) -> dict[str, list[str]]:
    """The shots that are among the tests of a fit that they take part in, and such photos of the album."""

    def tests(shots: int) -> set[str]:
        without = (*concept.negatives, *concept.pairs, *concept.look_alikes)
        return {item.sha256 for item in (*concept.positives_at(shots), *without)}

    return {
        "shots": [item.image for number, item in enumerate(concept.shots, 1) if item.sha256 in tests(number)],
        "album": [item.image for item in concept.album if item.sha256 in tests(1)],
    }


def _rows(concept: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = concept.get(kind, []) if kind in OPTIONAL else concept[kind]
    return rows


def _spare(concept: dict[str, Any]) -> bool:
    spare = concept.get(SPARE, False)
    if not isinstance(spare, bool):
        raise ValueError(f"{SPARE} is neither true nor false")
    return spare


def _items(rows: Sequence[dict[str, Any]]) -> tuple[Item, ...]:
    items = tuple(Item(row["image"], row["mask"], text(row["sha256"], "a sha256"), row.get("labels")) for row in rows)
    for item in items:
        for name in (item.image, *(path for path in (item.mask, item.labels) if path is not None)):
            check_inside(name)
    return items


def _data_folder(folder: Path) -> Path:
    try:
        return Path((folder / "data.txt").read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "there is no readable data.txt here that names the folder of the raw data set.",
            path=folder,
            hint="Write that folder's path into it, or build the benchmark again.",
        ) from error
