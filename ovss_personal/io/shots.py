"""The one to five photos with masks from which a concept is learned."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from ovss_personal.errors import OvssWarning, ShotsError, UsageError, counted
from ovss_personal.io.annotations import Holes, the_one_name
from ovss_personal.io.archives import is_zip
from ovss_personal.io.coco import coco_mask_of
from ovss_personal.io.files import list_files, sha256_file
from ovss_personal.io.folders import IMAGE_SUFFIXES, left_out, tell_left_out
from ovss_personal.io.formats.marks import marked_mask
from ovss_personal.io.images import exif_orientation, load_image
from ovss_personal.io.labelme import labelme_labels, load_labelme
from ovss_personal.io.mask_checks import MaskOrientation
from ovss_personal.io.masks import load_mask
from ovss_personal.io.matching import NOT_READ
from ovss_personal.io.pairs import Pair, Pairing, find_pairs, named_after_zip
from ovss_personal.pixels.images import at_most
from ovss_personal.structures import Shot

__all__ = ["Pair", "Pairing", "find_pairs", "load_pair", "load_shots", "tell_of_unread"]


class _Drawn(TypedDict):
    """What every reader of masks is told of the photo."""

    size: tuple[int, int]
    exif: int
    invert: bool
    orientation: MaskOrientation


def load_shots(
    source: str | Path,
    *,
    count: int | None = None,
    seed: int = 0,
    label: int | None = None,
    category: str | None = None,
    ignore: int | None = None,
    invert: bool = False,
    holes: Holes = "filled",
    mask_orientation: MaskOrientation = "upright",
) -> list[Shot]:
    """Photos and masks from a folder, zip or annotation file (layouts: `find_pairs`), sorted by name.

    Only what is chosen is decoded. Warns of files left without a partner, and of a photo that is there twice.

    Args:
        source: the folder or file.
        count: how many shots; all by default. Fewer than there are is a choice that `seed` decides.
        seed: decides the choice, the same on every machine.
        label: which label of a picture or `.npy` is the object, where there are several.
        category: which category of an annotation file is the object.
        ignore: which label of a picture or `.npy` is void.
        invert: the masks mark what is not the object.
        holes: whether a polygon inside another of the same object is filled or, by "even-odd", a hole.
        mask_orientation: "upright" if masks lie on the photos as shown, "raw" if on the photos as stored.

    Raises:
        ShotsError: no pair, or fewer than `count`; says what paired and what did not.
        ImageError, MaskError: a photo or mask that cannot be used.
        UsageError: `count` under 1, or `label` or `category` for files that have none.
    """
    if count is not None and count < 1:
        raise UsageError(f"the number of shots must be at least 1, not {count}.")
    pairing = find_pairs(source, category)
    tell_of_unread(source)
    pairs: Sequence[Pair] = pairing.pairs
    if not pairs or len(pairs) < (count or 1):
        unread = any(NOT_READ in reason for reason in pairing.unpaired.values())
        hint = "Export masks as PNG, COCO or LabelMe." if unread else "Add photos with masks."
        raise ShotsError(_too_few(pairing, count or 1), path=source, hint=hint)
    if pairing.unpaired:
        warnings.warn(f"{source}: left out {_listed(pairing)}.", OvssWarning, stacklevel=2)
    if count is not None:
        chosen = random.Random(seed).sample(range(len(pairs)), count)
        pairs = [pairs[index] for index in sorted(chosen)]
    category = _checked_category(pairs, label, category, source)
    shots = [
        load_pair(
            pair,
            label=label,
            category=category,
            ignore=ignore,
            invert=invert,
            holes=holes,
            mask_orientation=mask_orientation,
        )
        for pair in pairs
    ]
    first: dict[str, str] = {}
    for shot in shots:
        if (same := first.setdefault(shot.sha256, shot.name)) != shot.name:
            warnings.warn(f"{shot.name} is the same photo as {same}.", OvssWarning, stacklevel=2)
    return shots


@named_after_zip
def load_pair(
    pair: Pair,
    *,
    label: int | None = None,
    category: str | None = None,
    ignore: int | None = None,
    invert: bool = False,
    holes: Holes = "filled",
    mask_orientation: MaskOrientation = "upright",
) -> Shot:
    """One photo with its mask, both upright and of one size; the options are those of `load_shots`.

    Photos of more than `WORKING_PIXELS` are scaled down, with their masks.

    Raises:
        ImageError, MaskError: the photo or mask cannot be used.
    """
    image = load_image(pair.image)
    size = (image.shape[0], image.shape[1])
    drawn = _Drawn(size=size, exif=exif_orientation(pair.image), invert=invert, orientation=mask_orientation)
    if pair.coco is not None:
        result = coco_mask_of(pair.coco, **drawn, holes=holes)
    elif pair.marked is not None:
        result = marked_mask(pair.marked, **drawn)
    elif _is_json(pair):
        result = load_labelme(pair.mask, **drawn, holes=holes, category=category)
    else:
        result = load_mask(pair.mask, **drawn, label=label, ignore=ignore)
    ignored = None if result.ignore is None else at_most(result.ignore)
    return Shot(at_most(image), at_most(result.mask), pair.name, sha256_file(pair.image), ignored)


def tell_of_unread(source: str | Path) -> None:
    """Warns of pictures beside the shots that are neither photos nor masks, as they cannot be read."""
    folder = Path(source)
    folder = folder if folder.is_dir() else folder.parent
    if is_zip(Path(source)) or not folder.is_dir():  # beside a zip lie other things; a pattern's folder may be one too
        return
    for place in (folder, *(entry for entry in sorted(folder.iterdir()) if entry.name.casefold() == "images")):
        if place.is_dir():
            known = [file for file in list_files(place) if file.suffix.lower() in IMAGE_SUFFIXES]
            tell_left_out(place, left_out(place, known))


def _checked_category(pairs: Sequence[Pair], label: int | None, category: str | None, source: str | Path) -> str | None:
    """The category of the object, the same in all annotation files; or None where no file has categories."""
    annotated = [pair for pair in pairs if pair.marked is not None or _is_json(pair)]
    if category is not None and not annotated:
        raise UsageError("a category is chosen, but the masks are pictures.", path=source, hint="Use --label instead.")
    if label is not None and len(annotated) == len(pairs):
        raise UsageError(
            f"a label is chosen, but the masks are {'JSON' if all(map(_is_json, pairs)) else 'annotation'} files.",
            path=source,
            hint="Use --category instead.",
        )
    marks = [{mark.category for mark in pair.marked.marks} for pair in annotated if pair.marked is not None]
    labels = [labelme_labels(pair.mask) for pair in annotated if pair.coco is None and pair.marked is None]
    return the_one_name(set().union(*marks, *labels), category, source) if labels else category


def _is_json(pair: Pair) -> bool:
    return pair.mask.suffix.lower() == ".json"


def _too_few(pairing: Pairing, wanted: int) -> str:
    paired = ", ".join(f"{pair.name} with {pair.mask.name}" for pair in pairing.pairs) or "nothing"
    unpaired = _listed(pairing) if pairing.unpaired else "nothing"
    expected = counted(wanted, "photo")
    return f"expected {expected} with masks, found {len(pairing.pairs)}. Paired: {paired}. Not: {unpaired}."


def _listed(pairing: Pairing) -> str:
    return ", ".join(f"{path.name} ({reason})" for path, reason in pairing.unpaired.items())
