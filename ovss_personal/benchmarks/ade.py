"""ADE^per: 30 of the 847 classes of ADE20K full; shots from its training photos, tests from its validation photos.

Every pixel's word is known, so the other words have a truth of their own. Two trees are read: the one that
MaskFormer's `prepare_ade20k_full_sem_seg.py` makes (shorter side 512, 16-bit labels), and ADE20K_2021_17_01 as it
is unpacked (`_seg.png`, class R // 10 * 256 + G).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ovss_personal.benchmarks.choice import SHOTS, class_lines, listed, raw_path, rng_of
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.benchmarks.pictures import VOID, TrainIds, check_size, read_labels, save_labels, save_mask
from ovss_personal.errors import InputError, MaskError
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import decode, load_image
from ovss_personal.store.files import safe_name

_PREPARED, _FULL = "annotations_detectron2", "images/ADE"


@dataclass(frozen=True)
class Photo:
    """A photo of ADE20K and its labels; `shares` is class -> share of the picture, of the 30 that are in it."""

    image: Path
    labels: Path
    shares: dict[str, float]


def build(root: Path, out: Path, seed: int = 0, tests: int | None = None) -> Path:
    """Write the manifest and the masks of the concepts below `out`; returns its path. Same seed, same bytes.

    Shots are drawn from the half of a class's training photos in which it is largest, as many a kettle is a few
    pixels in a kitchen.

    Args:
        root: `ADE20K_2021_17_01`, or the folder that it was unpacked in.
        out: where manifest, masks and, of the unprepared tree, labels go.
        seed: decides which photos are shots and which are negatives.
        tests: test photos with the object, and as many without, at most; all that there are by default.

    Raises:
        InputError: `root` is not ADE20K full, or a part of it is missing or broken.
    """
    tree = Tree.find(root)
    training, validation = tree.photos("training"), tree.photos("validation")
    classes = sorted(class_lines("ade_per"))
    pools = {name: sorted((p for p in training if name in p.shares), key=lambda p: -p.shares[name]) for name in classes}
    positives = {name: [p for p in validation if name in p.shares] for name in classes}
    negatives = {name: [p for p in validation if name not in p.shares] for name in classes}
    _check_enough(root, pools, positives, negatives, tests)
    concepts = []
    for name in tqdm(classes, desc="ade", disable=None):
        writer = _Writer(tree, out, name)
        pool = pools[name][: max(SHOTS, len(pools[name]) // 2)]
        shots = writer.items("shot", _shuffled(rng_of(seed, name), pool), SHOTS)
        shown = {shot.sha256 for shot in shots}
        with_it = _shuffled(rng_of(seed, f"{name} positives"), positives[name])
        present = writer.items("positive", with_it, tests, leave_out=shown)
        without = _shuffled(rng_of(seed, f"{name} negatives"), negatives[name])
        others = writer.items("negative", without, len(present), leave_out=shown)
        concepts.append(ConceptSet(f"my {name}", name, shots, present, others))
    return write_manifest(Manifest("ade", words(), tuple(concepts), out), tree.root)


@cache
def words() -> tuple[str, ...]:
    """The 847 words, each the first of its class's names that no other class begins with."""
    names = [line.partition("\t")[2].split(", ") for line in class_lines("ade20k_847")]
    begins = Counter(own[0] for own in names)
    return tuple(next((name for name in own if begins[name] == (name == own[0])), own[0]) for own in names)


@dataclass(frozen=True)
class Tree:
    """Where photos and labels lie; `prepared` tells which of the two trees it is."""

    root: Path
    prepared: bool

    @classmethod
    def find(cls, root: Path) -> Tree:
        for folder in (root, root / "ADE20K_2021_17_01"):
            for inside, prepared in ((_PREPARED, True), (_FULL, False)):
                if (folder / inside).is_dir():
                    return cls(folder, prepared)
        raise InputError(
            f"this is not ADE20K full: there is no {_PREPARED} and no {_FULL} here.",
            path=root,
            hint="Name the folder ADE20K_2021_17_01; see datasets/README.md.",
        )

    def photos(self, split: str) -> list[Photo]:
        """The photos of "training" or "validation" that have a label, sorted by name; reads every label."""
        ids = {name: words().index(name) for name in class_lines("ade_per")}
        photos = []
        for image, labels in tqdm(self._files(split), desc=f"ade {split}", disable=None):
            counts = np.bincount(self.read(labels).ravel(), minlength=VOID + 1)
            shares = {name: float(counts[index] / counts.sum()) for name, index in ids.items() if counts[index]}
            photos.append(Photo(image, labels, shares))
        return photos

    def read(self, labels: Path) -> TrainIds:
        """(H, W) indices into `words()`, or VOID. Raises MaskError if it is no label of this tree."""
        return read_labels(labels) if self.prepared else _read_full(labels)

    def _files(self, split: str) -> list[tuple[Path, Path]]:
        if self.prepared:
            photos, drawn = self.root / "images_detectron2" / split, self.root / _PREPARED / split
            files = _by_stem(photos.glob("*.jpg")), _by_stem(drawn.glob("*.tif"))
        else:
            photos = drawn = self.root / _FULL / split
            seen = photos.rglob("*_seg.png")
            files = _by_stem(photos.rglob("*.jpg")), _by_stem(seen, lambda path: path.stem.removesuffix("_seg"))
        alone = sorted(files[0].keys() ^ files[1].keys())
        if alone or not files[0]:
            raise InputError(
                f"{len(alone)} {split} photos lack their labels or the other way round: {listed(alone, most=3)}."
                if alone
                else f"there is no {split} photo of ADE20K with its labels.",
                path=drawn,
                hint="Unpack and prepare ADE20K again, as datasets/README.md says.",
            )
        return [(files[0][stem], files[1][stem]) for stem in sorted(files[0])]


class _Writer:
    """Makes the items of one concept, and its masks below `out`."""

    def __init__(self, tree: Tree, out: Path, name: str) -> None:
        self.tree, self.out, self.name = tree, out, name

    def items(
        self, kind: str, photos: Iterable[Photo], count: int | None, leave_out: frozenset[str] | set[str] = frozenset()
    ) -> tuple[Item, ...]:
        """The first `count` different photos as items, without those of the hashes `leave_out`."""
        items: dict[str, Item] = {}
        for photo in photos:
            if len(items) == count:
                break
            digest = sha256_file(photo.image)
            if digest not in leave_out and digest not in items:
                items[digest] = self._item(kind, len(items), photo, digest)
        return tuple(items.values())

    def _item(self, kind: str, number: int, photo: Photo, digest: str) -> Item:
        labels = self.tree.read(photo.labels)
        check_size(labels.shape, load_image(photo.image).shape[:2], photo.labels)
        mask = truth = None
        if kind != "negative":
            stem = f"{safe_name(self.name)}/{kind}_{number:03d}"
            mask = save_mask(self.out, stem, labels == words().index(self.name))
        if kind != "shot":
            truth = (
                raw_path(self.tree.root, photo.labels)
                if self.tree.prepared
                else save_labels(self.out, f"labels/{photo.image.stem}", labels)
            )
        return Item(raw_path(self.tree.root, photo.image), mask, digest, truth)


def _read_full(path: Path) -> TrainIds:
    picture = decode(path, error=MaskError)
    if picture.mode != "RGB":
        raise MaskError(
            f"expected the classes in red and green, found a picture of mode {picture.mode}.",
            path=path,
            hint="Unpack ADE20K_2021_17_01 again.",
        )
    red, green, _ = np.moveaxis(np.asarray(picture).astype(np.uint16), 2, 0)
    return np.asarray(_train_ids()[red // 10 * 256 + green])


@cache
def _train_ids() -> TrainIds:
    """ADE20K's own class number -> index into `words()`, or VOID."""
    table = np.full(26 * 256, VOID, np.uint16)
    for index, line in enumerate(class_lines("ade20k_847")):
        table[int(line.partition("\t")[0])] = index
    return table


def _by_stem(paths: Iterable[Path], stem: Callable[[Path], str] = lambda path: path.stem) -> dict[str, Path]:
    return {stem(path): path for path in paths if not path.name.startswith(".")}


def _shuffled(rng: np.random.Generator, photos: list[Photo]) -> list[Photo]:
    return [photos[int(index)] for index in rng.permutation(len(photos))]


def _check_enough(
    root: Path,
    pools: dict[str, list[Photo]],
    positives: dict[str, list[Photo]],
    negatives: dict[str, list[Photo]],
    tests: int | None,
) -> None:
    lacking = []
    for name in pools:
        wanted = min(len(positives[name]), tests or len(positives[name]))
        if len(pools[name]) < SHOTS:
            lacking.append(f"{name} ({len(pools[name])} of {SHOTS} shots)")
        elif not wanted:
            lacking.append(f"{name} (no test photo)")
        elif len(negatives[name]) < wanted:
            lacking.append(f"{name} ({len(negatives[name])} test photos without it, {wanted} with it)")
    if lacking:
        raise InputError(
            f"there are too few photos of {len(lacking)} of the {len(pools)} classes: {listed(lacking)}.",
            path=root,
            hint="Unpack all of ADE20K; a part of it is not enough.",
        )
