"""DAVIS^per: every video sequence is a concept, learned from its first frames and sought in the others.

Three trees are read: DAVIS 2016 (masks 0 and 255), DAVIS 2017 (a palette picture of the objects 1, 2, …, which
together are the thing), and a plain one, a folder of .jpg and .png a sequence.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ovss_personal.benchmarks.choice import SHOTS, absent, listed, raw_path
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.benchmarks.named import check_known, named_classes, words_among
from ovss_personal.benchmarks.pictures import check_size, read_mask, save_mask
from ovss_personal.errors import InputError, MaskError, OvssWarning
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import decode, load_image
from ovss_personal.store.files import safe_name
from ovss_personal.structures import BoolMask

FRAMES = 8
SHOT_EVERY, NEGATIVE_EVERY = 3, 4  # frames
_PHOTOS, _MASKS, _LISTS = "JPEGImages/480p", "Annotations/480p", "ImageSets"
_SETS = ("480p/val", "2016/val", "2017/val")

Frame = tuple[Path, Path]  # a photo and its mask


def build(
    root: Path, out: Path, frames: int = FRAMES, image_set: str | None = None, classes: Path | None = None
) -> Path:
    """Write the manifest and the masks below `out`; returns its path. The same data give the same bytes.

    Of each sequence, `frames` spread evenly over it are taken, or all where there are fewer. Frames 1, 4, 7, … are the
    shots, at most five; those beyond the first K are tests, as are the other frames. Negatives are frames 1, 5, … of
    the sequences of other classes; such frames of sequences of the same class are look-alikes.

    Args:
        root: the folder of JPEGImages/, or of one folder a sequence.
        out: where manifest and masks go.
        frames: of a sequence, at most; 2 or more.
        image_set: which list below ImageSets/ names the sequences, without its suffix; by default the first of
            480p/val, 2016/val and 2017/val that is there.
        classes: a file of lines `sequence: class word`, beside what is known of DAVIS and before it.

    Raises:
        InputError: `root` is not DAVIS, a part of it is missing or broken, or the class of a sequence is not known.
    """
    sequences = _sequences(root, image_set)
    known = named_classes("davis", classes)
    check_known(list(sequences), known, "sequences", root)
    taken = {
        name: _items(root, name, of_one, frames, out)
        for name, of_one in tqdm(sorted(sequences.items()), desc="davis", disable=None)
    }
    concepts = tuple(_concept(name, taken, known, root) for name in taken)
    words = words_among(known[name] for name in taken)
    return write_manifest(Manifest("davis", words, concepts, out), data=root)


def _concept(name: str, taken: Mapping[str, list[Item]], known: Mapping[str, str], root: Path) -> ConceptSet:
    own = taken[name]
    hashes = {item.sha256 for item in own}
    without: dict[bool, list[Item]] = {True: [], False: []}  # by whether of the same class
    for other, items in taken.items():
        if other != name:
            without[known[other] == known[name]] += [i for i in items[::NEGATIVE_EVERY] if i.sha256 not in hashes]
    if not without[False]:
        raise InputError(
            f"there is no sequence of another class than '{name}', a {known[name]}, to tell it from.",
            path=root,
            hint="Add sequences of other things.",
        )
    shots = own[::SHOT_EVERY][:SHOTS]
    return ConceptSet(
        f"my {name}",
        known[name],
        shots=tuple(shots),
        positives=tuple(item for item in own if item not in shots),
        negatives=absent(without[False]),
        look_alikes=absent(without[True]),
        spare_shots_are_tests=True,
    )


def _sequences(root: Path, image_set: str | None) -> dict[str, list[Frame]]:
    """Sequence -> its photos and their masks, in time."""
    if not (root / _PHOTOS).is_dir():
        plain = {folder.name: folder for folder in sorted(root.glob("*")) if any(folder.glob("*.jpg"))}
        if not plain:
            raise InputError(
                f"this is not DAVIS: there is no {_PHOTOS}, and no folder with .jpg and .png of a sequence here.",
                path=root,
                hint="Name the folder that holds JPEGImages/ and Annotations/; see datasets/README.md.",
            )
        return {name: _frames(folder, folder) for name, folder in plain.items()}
    names = _listed_sequences(root, image_set)
    return {name: _frames(root / _PHOTOS / name, root / _MASKS / name) for name in names}


def _listed_sequences(root: Path, image_set: str | None) -> list[str]:
    """The sequences that a list names, one a line (2017) or by the paths of every frame and mask (2016)."""
    tried = (image_set,) if image_set else _SETS
    there = [path for path in (root / _LISTS / f"{name}.txt" for name in tried) if path.is_file()]
    if not there:
        raise InputError(
            f"there is no list of sequences here: {' or '.join(f'{name}.txt' for name in tried)}.",
            path=root / _LISTS,
            hint="Unpack DAVIS again, or name another list with --image-set.",
        )
    lines = there[0].read_text("utf-8", errors="replace").split("\n")
    firsts = [line.split()[0] for line in lines if line.strip()]
    names = list(dict.fromkeys(first.strip("/").split("/")[-2] if "/" in first else first for first in firsts))
    if not names:
        raise InputError("names no sequence.", path=there[0], hint="Unpack DAVIS again.")
    return names


def _frames(photos: Path, masks: Path) -> list[Frame]:
    pairs = [(photo, masks / f"{photo.stem}.png") for photo in sorted(photos.glob("*.jpg"))]
    missing = [mask.name for _, mask in pairs if not mask.is_file()]
    if missing or not pairs:
        raise InputError(
            f"{len(missing)} of {len(pairs)} frames have no mask: {listed(missing, most=3)}."
            if missing
            else "there is no frame of this sequence.",
            path=masks if missing else photos,
            hint="Unpack DAVIS again.",
        )
    return pairs


def _items(root: Path, name: str, frames: list[Frame], count: int, out: Path) -> list[Item]:
    """The frames that are taken of a sequence, each once, with their masks written below `out`."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    items: dict[str, Item] = {}
    for photo, annotation in (frames[index] for index in chosen):
        mask = _read(annotation)
        check_size(mask.shape, load_image(photo).shape[:2], annotation)
        if not mask.any():
            warnings.warn(f"{annotation}: nothing is marked, so the frame is left out.", OvssWarning, stacklevel=2)
            continue
        digest = sha256_file(photo)
        saved = save_mask(out, f"{safe_name(name)}/{photo.stem}", mask)
        items.setdefault(digest, Item(raw_path(root, photo), saved, digest))
    if len(items) < 2:
        raise InputError(
            f"the sequence '{name}' has {len(items)} different frames with its object, but needs 2: to learn, to test.",
            path=frames[0][1].parent,
            hint="Leave the sequence out, or take more --frames of it.",
        )
    return list(items.values())


def _read(path: Path) -> BoolMask:
    """(H, W) bool: every object of an annotation together. Raises MaskError if it is no mask."""
    picture = decode(path, error=MaskError)
    return np.asarray(picture) > 0 if picture.mode == "P" else read_mask(path)
