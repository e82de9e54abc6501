"""A benchmark of instances as a file: which things are seen in each photo, and what each is called.

Nothing in it is personal: it says how good a base's proposals and words are. Masks are COCO's compressed run lengths
in the file itself, since things overlap. Paths are those of a manifest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovss_personal.benchmarks.manifest import (
    check_inside,
    checked_image,
    located,
    read_content,
    text,
    texts,
    write_content,
)
from ovss_personal.errors import ConfigError, InputError
from ovss_personal.io.annotations import decompress_counts, fill_runs
from ovss_personal.structures import BoolMask, RGBImage
from ovss_personal.text import brief

FORMAT_VERSION = 1
KIND = "instances"
MAX_SIDE = 2**20  # pixels


@dataclass(frozen=True)
class Instance:
    """One thing: the index of its word, and its mask as COCO's string of run lengths."""

    word: int
    counts: str


@dataclass(frozen=True)
class Photo:
    """A photo and everything in it that has one of the words.

    Attributes:
        size: (H, W).
        void: run lengths of what does not count (crowds), or None.
    """

    image: str
    sha256: str
    size: tuple[int, int]
    instances: tuple[Instance, ...]
    void: str | None = None

    def masks(self) -> list[BoolMask]:
        """(H, W) bool of each instance."""
        return [_drawn(instance.counts, self.size) for instance in self.instances]

    def void_mask(self) -> BoolMask:
        """(H, W) bool, true where nothing counts."""
        return np.zeros(self.size, bool) if self.void is None else _drawn(self.void, self.size)


@dataclass(frozen=True)
class InstanceSet:
    """A benchmark: photos, and the words that their instances are told by."""

    name: str
    words: tuple[str, ...]
    photos: tuple[Photo, ...]
    root: Path

    def image(self, photo: Photo) -> RGBImage:
        """(H, W, 3) uint8. Raises InputError if the file is not the one the benchmark was made of."""
        path = located(self.root, photo.image)
        image = checked_image(path, photo.sha256)
        if image.shape[:2] != photo.size:
            raise InputError("is not of the size that its masks are.", path=path, hint="build the benchmark again.")
        return image


def run_lengths(mask: BoolMask) -> str:
    """(H, W) bool -> COCO's compressed string."""
    from pycocotools import mask as coco_mask

    counts: bytes = coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]
    return counts.decode()


def write_instances(benchmark: InstanceSet, data: Path) -> Path:
    """Write `manifest.json` in the benchmark's root, and the folder of the raw data to `data.txt`."""
    content = {"format_version": FORMAT_VERSION, "kind": KIND, **asdict(benchmark)}
    del content["root"]
    return write_content(content, benchmark.root, data)


def is_instances(path: str | Path) -> bool:
    """Whether a file is a benchmark of instances; a broken one is not."""
    try:
        return read_content(Path(path)).get("kind") == KIND
    except (OSError, ValueError):
        return False  # the reader of manifests says what is wrong with it


def read_instances(path: str | Path) -> InstanceSet:
    """Read a benchmark of instances.

    Raises:
        ConfigError: it is missing or broken, or has no instance.
    """
    path = Path(path)
    try:
        content = read_content(path)
        if (content["kind"], content["format_version"]) != (KIND, FORMAT_VERSION):
            raise ValueError(f"{brief(content['kind'])}, format_version {brief(content['format_version'])}")
        name, words = text(content["name"], "the name"), texts(content["words"], "the words")
        photos = tuple(_photo(row, len(words)) for row in content["photos"])
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise ConfigError(f"the benchmark cannot be read: {reason.lower()}.", path=path) from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ConfigError(
            f"is no benchmark of instances ({error}).", path=path, hint="build the benchmark again."
        ) from error
    if not any(photo.instances for photo in photos):
        raise ConfigError("has no instance, so nothing can be measured.", path=path, hint="build the benchmark again.")
    return InstanceSet(name, words, photos, path.parent)


def _photo(row: dict[str, Any], words: int) -> Photo:
    check_inside(row["image"])
    height, width = row["size"]
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in (height, width)):
        raise ValueError(f"the size of {row['image']} is {brief(row['size'])}")
    instances = tuple(Instance(int(one["word"]), one["counts"]) for one in row["instances"])
    if not all(0 <= instance.word < words for instance in instances):
        raise ValueError(f"an instance in {row['image']} has none of the {words} words")
    photo = Photo(row["image"], text(row["sha256"], "a sha256"), (int(height), int(width)), instances, row["void"])
    for counts in (*(instance.counts for instance in instances), *([photo.void] if photo.void is not None else [])):
        _runs(counts, photo.size)
    return photo


def _drawn(counts: str, size: tuple[int, int]) -> BoolMask:
    return fill_runs(_runs(counts, size), size)


def _runs(counts: str, size: tuple[int, int]) -> list[int]:
    """The run lengths of a string. Raises ValueError if they are broken."""
    runs = decompress_counts(counts)
    if runs is None or sum(runs) != size[0] * size[1] or min(runs) < 0:
        raise ValueError(f"run lengths that do not fill {size[1]}x{size[0]} pixels")
    return runs
