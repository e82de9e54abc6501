"""The one to five photos with masks from which a concept is learned."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path

from ovss_personal.errors import OvssWarning, ShotsError, UsageError
from ovss_personal.io.annotations import the_one_name
from ovss_personal.io.coco import coco_mask_of
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import exif_orientation, load_image
from ovss_personal.io.labelme import labelme_labels, load_labelme
from ovss_personal.io.mask_checks import MaskOrientation
from ovss_personal.io.masks import load_mask
from ovss_personal.io.pairs import Pair, Pairing, find_pairs
from ovss_personal.pixels.images import at_most
from ovss_personal.structures import Shot

__all__ = ["Pair", "Pairing", "find_pairs", "load_pair", "load_shots"]


def load_shots(
    source: str | Path,
    *,
    count: int | None = None,
    seed: int = 0,
    label: int | None = None,
    category: str | None = None,
    ignore: int | None = None,
    mask_orientation: MaskOrientation = "upright",
) -> list[Shot]:
    """Photos and masks from a folder or COCO JSON (layouts: `find_pairs`), sorted by name.

    Only what is chosen is decoded. Warns of files left without a partner, and of a photo that is there twice.

    Args:
        source: the folder or COCO JSON.
        count: how many shots; all by default. Fewer than there are is a choice that `seed` decides.
        seed: decides the choice, the same on every machine.
        label: which label of a picture or `.npy` is the object, where there are several.
        category: which category of a COCO JSON or label of a LabelMe JSON is the object.
        ignore: which label of a picture or `.npy` is void.
        mask_orientation: "upright" if masks lie on the photos as shown, "raw" if on the photos as stored.

    Raises:
        ShotsError: no pair, or fewer than `count`; says what paired and what did not.
        ImageError, MaskError: a photo or mask that cannot be used.
        UsageError: `count` under 1, or `label` or `category` for files that have none.
    """
    if count is not None and count < 1:
        raise UsageError(f"the number of shots must be at least 1, not {count}.")
    pairing = find_pairs(source, category)
    pairs: Sequence[Pair] = pairing.pairs
    if not pairs or len(pairs) < (count or 1):
        raise ShotsError(_too_few(pairing, count or 1), path=source, hint="Add photos with masks.")
    if pairing.unpaired:
        warnings.warn(f"{source}: left out {_listed(pairing)}.", OvssWarning, stacklevel=2)
    if count is not None:
        chosen = random.Random(seed).sample(range(len(pairs)), count)
        pairs = [pairs[index] for index in sorted(chosen)]
    category = _checked_category(pairs, label, category, source)
    shots = [
        load_pair(pair, label=label, category=category, ignore=ignore, mask_orientation=mask_orientation)
        for pair in pairs
    ]
    first: dict[str, str] = {}
    for shot in shots:
        if (same := first.setdefault(shot.sha256, shot.name)) != shot.name:
            warnings.warn(f"{shot.name} is the same photo as {same}.", OvssWarning, stacklevel=2)
    return shots


def load_pair(
    pair: Pair,
    *,
    label: int | None = None,
    category: str | None = None,
    ignore: int | None = None,
    mask_orientation: MaskOrientation = "upright",
) -> Shot:
    """One photo with its mask, both upright and of one size; the options are those of `load_shots`.

    Photos of more than `WORKING_PIXELS` are scaled down, with their masks.

    Raises:
        ImageError, MaskError: the photo or mask cannot be used.
    """
    image = load_image(pair.image)
    size = (image.shape[0], image.shape[1])
    exif = exif_orientation(pair.image)
    if pair.coco is not None:
        result = coco_mask_of(pair.coco, size=size, exif=exif, orientation=mask_orientation)
    elif _is_json(pair):
        result = load_labelme(pair.mask, size=size, exif=exif, category=category, orientation=mask_orientation)
    else:
        result = load_mask(pair.mask, size=size, exif=exif, label=label, ignore=ignore, orientation=mask_orientation)
    ignore_there = None if result.ignore is None else at_most(result.ignore)
    return Shot(at_most(image), at_most(result.mask), pair.name, sha256_file(pair.image), ignore_there)


def _checked_category(pairs: Sequence[Pair], label: int | None, category: str | None, source: str | Path) -> str | None:
    """The category of the object, the same in all LabelMe files; or None where no file has categories."""
    json_pairs = [pair for pair in pairs if _is_json(pair)]
    if category is not None and not json_pairs:
        raise UsageError("a category is chosen, but the masks are pictures.", path=source, hint="Use --label instead.")
    if label is not None and len(json_pairs) == len(pairs):
        raise UsageError(
            "a label is chosen, but the masks are JSON files.", path=source, hint="Use --category instead."
        )
    labels = [labelme_labels(pair.mask) for pair in json_pairs if pair.coco is None]
    return the_one_name(set().union(*labels), category, source) if labels else category


def _is_json(pair: Pair) -> bool:
    return pair.mask.suffix.lower() == ".json"


def _too_few(pairing: Pairing, wanted: int) -> str:
    paired = ", ".join(f"{pair.name} with {pair.mask.name}" for pair in pairing.pairs) or "nothing"
    unpaired = _listed(pairing) if pairing.unpaired else "nothing"
    return f"expected {wanted} photos with masks, found {len(pairing.pairs)}. Paired: {paired}. Not: {unpaired}."


def _listed(pairing: Pairing) -> str:
    return ", ".join(f"{path.name} ({reason})" for path, reason in pairing.unpaired.items())
