"""Album^per: a few photos of each of several things, learned from one of them and sought in the others."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from ovss_personal.benchmarks.choice import SHOTS, absent, listed, raw_path
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.benchmarks.named import named_classes, words_among
from ovss_personal.benchmarks.pictures import save_mask
from ovss_personal.errors import InputError, OvssWarning, ShotsError
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import find_images, load_image
from ovss_personal.io.pairs import Pair, find_pairs
from ovss_personal.io.shots import load_pair
from ovss_personal.store.files import safe_name

LEARN, LOOK_ALIKES = "learn", "look_alikes"


def build(root: Path, out: Path, classes: Path | None = None) -> Path:
    """Write the manifest and the masks below `out`; returns its path. The same photos give the same bytes.

    Each photo of an object is the first shot of a concept, "my cat (2)", whose further shots are the photos after it;
    those beyond the first K and what is left, one or more, are tests. Photos of other objects are negatives; those of
    objects of the same class, and of look-alikes that share a word of their name, are counted apart.

    Args:
        root: holds `learn`, with `cat_00.jpg` and `cat_00.png` or a folder `cat` of any layout of `find_pairs` for each
            object, and, if there are any, `look_alikes`, with a folder of photos alone for each.
        out: where manifest and masks go.
        classes: a file of lines `object: class word`; the others are of the class that they are called.

    Raises:
        InputError: a folder, a mask or a photo is missing or cannot be used, or there is only one kind of object.
    """
    if not (root / LEARN).is_dir():
        raise InputError(f"there is no folder '{LEARN}' here.", path=root, hint="Put photos with masks into it.")
    pairs = _objects(root / LEARN)
    known = {name: " ".join(_words(name)) or name for name in pairs} | named_classes(None, classes)
    items = {name: _items(root, name, of_one, out) for name, of_one in tqdm(pairs.items(), desc="album", disable=None)}
    look_alikes = _look_alikes(root, list(items))
    concepts = [concept for name in items for concept in _concepts(name, items, known, look_alikes[name], root)]
    words = words_among(known[name] for name in items)
    return write_manifest(Manifest("album", words, tuple(concepts), out), data=root)


def _concepts(
    name: str, items: Mapping[str, list[Item]], known: Mapping[str, str], look_alikes: list[Item], root: Path
) -> list[ConceptSet]:
    own = items[name]
    hashes = {item.sha256 for item in own}
    alike, others = list(look_alikes), list[Item]()
    for other, photos in items.items():
        if other != name:
            (alike if known[other] == known[name] else others).extend(photos)
    if not others:
        raise InputError(
            f"there is no photo of another kind of object than '{name}' to tell it from.",
            path=root / LEARN,
            hint="Add photos with masks of another object.",
        )
    shots = min(SHOTS, len(own) - 1)
    concepts = []
    for first in range(len(own)):
        order = own[first:] + own[:first]
        concepts.append(
            ConceptSet(
                f"my {' '.join(_words(name)) or name} ({first + 1})",
                known[name],
                shots=tuple(order[:shots]),
                positives=tuple(order[shots:]),
                negatives=absent(item for item in others if item.sha256 not in hashes),
                look_alikes=absent(item for item in alike if item.sha256 not in hashes),
                spare_shots_are_tests=True,
            )
        )
    return concepts


def _objects(folder: Path) -> dict[str, list[Pair]]:
    """Object -> its photos with masks, from its own folder, or from files that are called after it and numbered."""
    found: dict[str, list[Pair]] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found[place.name] = _pairs(place)
    if not found:
        for pair in _pairs(folder):
            found.setdefault(re.sub(r"[ _-]*\d+$", "", pair.image.stem) or pair.image.stem, []).append(pair)
    if not found:
        raise InputError("there is no photo with a mask here.", path=folder, hint="Put photos with masks into it.")
    return found


def _pairs(folder: Path) -> list[Pair]:
    pairing = find_pairs(folder)
    if pairing.unpaired:
        path, reason = next(iter(sorted(pairing.unpaired.items())))
        raise ShotsError(f"cannot be used: {reason}.", path=path, hint="Give each photo one mask of its name.")
    return list(pairing.pairs)


def _items(root: Path, name: str, pairs: list[Pair], out: Path) -> list[Item]:
    """The object's photos, each once, with their masks written below `out`."""
    items: dict[str, Item] = {}
    for number, pair in enumerate(pairs):
        shot = load_pair(pair)
        mask = save_mask(out, f"{safe_name(name)}/{number:03d}", shot.mask)
        items.setdefault(shot.sha256, Item(raw_path(root, pair.image), mask, shot.sha256))
    if len(items) < 2:
        raise InputError(
            f"there is only one photo of '{name}', but 2 are needed: one to learn from, one to test on.",
            path=pairs[0].image,
            hint="Add a photo with a mask, or take this one out.",
        )
    return list(items.values())


def _look_alikes(root: Path, objects: list[str]) -> dict[str, list[Item]]:
    """Object -> the photos of what looks like it."""
    found: dict[str, list[Item]] = {name: [] for name in objects}
    folder = root / LOOK_ALIKES
    for place in sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")):
        alike = [name for name in objects if set(_words(name)) & set(_words(place.name))]
        if not alike:
            warnings.warn(
                f"{place}: shares no word with {listed(objects, most=5)}, so it looks like none; left out.",
                OvssWarning,
                stacklevel=2,
            )
        for photo in find_images([place]) if alike else []:
            load_image(photo)
            for name in alike:
                found[name].append(Item(raw_path(root, photo), None, sha256_file(photo)))
    return found


def _words(name: str) -> list[str]:
    """The words of a folder's name, without numbers: `cat2` is a cat."""
    return re.findall(r"[^\W\d_]+", name.casefold())
