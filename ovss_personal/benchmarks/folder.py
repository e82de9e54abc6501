"""Anybody's own photos as a benchmark of one concept: `shots/`, `positives/` and `negatives/` in one folder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from ovss_personal.benchmarks.choice import SHOTS, raw_path, rng_of
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.benchmarks.pictures import save_mask
from ovss_personal.errors import InputError, OvssWarning, ShotsError
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import find_images, load_image
from ovss_personal.io.shots import find_pairs, load_pair


def build(root: Path, out: Path, *, concept: str, class_name: str, words: Sequence[str], seed: int = 0) -> Path:
    """Write the manifest and the masks below `out`; returns its path. Same seed, same bytes.

    Args:
        root: holds `shots` and `positives`, photos with masks in any layout of `find_pairs`, and `negatives`, photos
            alone.
        out: where manifest and masks go.
        concept: the personal word.
        class_name: what kind of thing it is.
        words: the open words to test among.
        seed: decides the order of the shots, and which five of more are taken.

    Raises:
        InputError: a folder, a mask or a photo is missing or cannot be used, or a shot is also a test photo.
    """
    for kind in ("shots", "positives", "negatives"):
        if not (root / kind).is_dir():
            raise InputError(
                f"there is no folder '{kind}' here.", path=root, hint="Make shots/, positives/ and negatives/ in it."
            )
    shots = _with_masks(root, "shots", out)
    positives = _with_masks(root, "positives", out)
    negatives = [_alone(root, photo) for photo in find_images([root / "negatives"])]
    _check_no_leak(root, shots, [*positives, *negatives])
    if len(positives) != len(negatives):
        warnings.warn(
            f"{root}: {len(positives)} positives but {len(negatives)} negatives; precision depends on their ratio.",
            OvssWarning,
            stacklevel=2,
        )
    order = rng_of(seed, concept).permutation(len(shots))[:SHOTS]
    pool = tuple(shots[int(index)] for index in order)
    one = ConceptSet(concept, class_name, pool, tuple(positives), tuple(negatives))
    return write_manifest(Manifest("folder", tuple(words), (one,), out), data=root)


def _with_masks(root: Path, kind: str, out: Path) -> list[Item]:
    pairing = find_pairs(root / kind)
    if pairing.unpaired or not pairing.pairs:
        path, reason = next(iter(sorted(pairing.unpaired.items())), (root / kind, "no photo with a mask"))
        raise ShotsError(f"cannot be used: {reason}.", path=path, hint="Give each photo one mask of its name.")
    items = []
    for number, pair in enumerate(pairing.pairs):
        shot = load_pair(pair)
        mask = save_mask(out, f"{kind}/{number:03d}", shot.mask)
        items.append(Item(raw_path(root, pair.image), mask, shot.sha256))
    return items


def _alone(root: Path, photo: Path) -> Item:
    load_image(photo)
    return Item(raw_path(root, photo), None, sha256_file(photo))


def _check_no_leak(root: Path, shots: Sequence[Item], tests: Sequence[Item]) -> None:
    tested = {item.sha256: item.image for item in tests}
    for shot in shots:
        if shot.sha256 in tested:
            same = tested[shot.sha256].rpartition(":")[2]
            raise InputError(
                f"{shot.image.rpartition(':')[2]} is a shot and, as {same}, also a test photo.",
                path=root,
                hint="Take it out of one of the two folders.",
            )
