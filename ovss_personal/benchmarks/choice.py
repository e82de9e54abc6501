"""What the builders of raw data sets share: looking at a photo once, and choosing shots and tests from a seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ovss_personal.benchmarks.manifest import DATA, Item
from ovss_personal.benchmarks.pictures import read_mask
from ovss_personal.errors import MaskError
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import load_image

SHOTS = 5


def raw_item(root: Path, photo: Path, mask: Path) -> Item:
    """A photo below `root` with its mask, both looked at.

    Raises:
        ImageError, MaskError: one of them cannot be read, they differ in size, or no pixel is the object.
    """
    image = load_image(photo)
    if not read_mask(mask, (image.shape[0], image.shape[1])).any():
        raise MaskError(
            "no pixel is half of 255 or more, so there is no object.", path=mask, hint="Unpack the data set again."
        )
    return Item(raw_path(root, photo), raw_path(root, mask), sha256_file(photo))


def raw_path(root: Path, file: Path) -> str:
    """How a manifest calls a file of the raw data set."""
    return DATA + file.relative_to(root).as_posix()


def rng_of(seed: int, name: str) -> np.random.Generator:
    """A generator of one concept's own: what it draws does not depend on which others there are."""
    return np.random.default_rng([seed, *name.encode()])


def shots_and_tests(
    rng: np.random.Generator, items: Sequence[Item], tests: int | None
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Five different photos, and at most `tests` of the others (None: all); copies of a photo count as that photo."""
    shots: dict[str, Item] = {}
    rest: dict[str, Item] = {}
    for index in rng.permutation(len(items)):
        item = items[int(index)]
        if item.sha256 not in shots:
            (shots if len(shots) < SHOTS else rest).setdefault(item.sha256, item)
    return tuple(shots.values()), tuple(rest.values())[:tests]


def absent(items: Iterable[Item]) -> tuple[Item, ...]:
    """The same photos as negatives: what their masks show is not the concept."""
    return tuple(Item(item.image, None, item.sha256, item.labels) for item in items)


def drawn(rng: np.random.Generator, items: Sequence[Item], count: int) -> tuple[Item, ...]:
    """At most `count` of the items, in random order."""
    return tuple(items[int(index)] for index in rng.permutation(len(items))[:count])


def name_key(name: str) -> str:
    """What is left of a class name when its spelling does not count: case, spaces, hyphens and underscores."""
    return "".join(letter for letter in name.casefold() if letter not in " -_")


def listed(names: Sequence[object], most: int = 30) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def class_lines(name: str) -> list[str]:
    """The lines of a class list that ships with the program."""
    return (Path(__file__).parent / "classes" / f"{name}.txt").read_text("utf-8").splitlines()
