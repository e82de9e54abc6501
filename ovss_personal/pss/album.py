"""A user's album, or a labelled source, on disk: lists of photos with their masks and groups.

::

    ALBUM/
      JPEGImages/NAME.jpg             the photos; or photos in ALBUM itself
      SegmentationClass/NAME.png      class indices 0–20, 255 not counted; of annotated photos only
      train_cluster80.txt             every photo with its group, as `pss group` writes it
      val_all.txt                     the annotated photos

A line of a list is `/JPEGImages/NAME.jpg /SegmentationClass/NAME.png GROUP`, the group left out where there is none.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import InputError, MaskError, UsageError
from ovss_personal.io.files import require_file
from ovss_personal.io.images import decode, find_images
from ovss_personal.pss.classes import CLASSES, IGNORE
from ovss_personal.store.files import atomic_write

Labels = npt.NDArray[np.uint8]  # (H, W)

PHOTOS, MASKS = "JPEGImages", "SegmentationClass"
ANNOTATED, UNGROUPED = "val_all.txt", "list/train_aug.txt"
# Names may hold spaces, so a field ends at its suffix.
_LINE = re.compile(r"(\S.*?\.\w+)\s+(\S.*?\.png)(?:\s+(\S+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Photo:
    """One line of a list.

    Attributes:
        image: the photo.
        mask: where its mask is, if it has one.
        group: the photos that look alike share it.
    """

    image: Path
    mask: Path
    group: str = "0"

    @property
    def name(self) -> str:
        """The file's stem, by which lists and masks know it."""
        return self.image.stem


def album_photos(album: Path) -> list[Photo]:
    """Every photo of an album, sorted by name, in one group.

    Raises:
        InputError: there is no photo, or two photos would share a mask.
    """
    folder = album / PHOTOS
    found = find_images([folder if folder.is_dir() else album])
    photos = [Photo(image, album / MASKS / f"{image.stem}.png") for image in found]
    stems: dict[str, Path] = {}
    for photo in photos:
        if photo.name in stems:
            other = stems[photo.name].name
            raise InputError(
                f"{photo.image.name} and {other} differ in their suffix only.",
                path=photo.image.parent,
                hint="Rename one.",
            )
        stems[photo.name] = photo.image
    return photos


def read_list(path: Path, root: Path, mask_root: Path | None = None) -> list[Photo]:
    """The photos of a list.

    Args:
        path: the list.
        root: the folder that its paths are below.
        mask_root: the folder that the masks are below, if it is another.

    Raises:
        InputError: the list is missing, empty, or a line is malformed or names a photo that is not there.
    """
    try:
        lines = require_file(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"the list is not UTF-8 text: {error}.", path=path) from None
    photos = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(
                f"line {number}: expected a photo, a mask and a group, found '{line.strip()[:80]}'.", path=path
            )
        image, mask, group = match.groups()
        photo = Photo(_below(root, image), _below(mask_root or root, mask), group or "0")
        if not photo.image.is_file():
            raise InputError(
                f"line {number}: there is no photo {photo.image}.", path=path, hint="Copy it there, or remove the line."
            )
        photos.append(photo)
    if not photos:
        raise InputError("the list names no photo.", path=path)
    return photos


def write_list(path: Path, photos: Sequence[Photo], root: Path, mask_root: Path | None = None) -> None:
    """Raises OutputError or ResourceError where `path` cannot be written."""
    lines = [
        f"/{p.image.relative_to(root).as_posix()} /{p.mask.relative_to(mask_root or root).as_posix()} {p.group}\n"
        for p in photos
    ]
    atomic_write(path, "".join(lines).encode())


def cluster_list(root: Path, groups: int | None = None) -> Path | None:
    """The list of groups that `pss group` wrote for an album or source, or None.

    Args:
        root: its folder; the list is in it, or in its `list/`.
        groups: with how many groups; may be left out where there is one list.

    Raises:
        UsageError: there are several lists and `groups` is left out, or none of so many groups.
    """
    found = {path.name: path for folder in (root / "list", root) for path in sorted(folder.glob("train_cluster*.txt"))}
    if groups is not None:
        name = f"train_cluster{groups}.txt"
        if name not in found:
            raise UsageError(f"there is no {name} here.", path=root, hint=f"Run: ovss-personal pss group {root}")
        return found[name]
    if len(found) > 1:
        raise UsageError(
            f"found several lists: {', '.join(found)}.", path=root, hint="Choose one by its number of groups."
        )
    return next(iter(found.values()), None)


def grouped_photos(album: Path, groups: int | None = None) -> list[Photo]:
    """An album's photos with their groups, all in one where they were not grouped. Raises as `cluster_list`."""
    found = cluster_list(album, groups)
    return read_list(found, album) if found else album_photos(album)


def source_photos(root: Path, *, grouped: bool) -> list[Photo]:
    """A labelled source's training photos: VOC 2012 (its folder, or one above), or any folder laid out as an album.

    Args:
        grouped: whether they must have groups.

    Raises:
        UsageError: they must, and do not.
        InputError: there is no photo, or a list names one that is missing.
        MaskError: a photo has no mask.
    """
    root = next((path for path in (root / "VOCdevkit" / "VOC2012", root / "VOC2012") if path.is_dir()), root)
    path = cluster_list(root)
    if path is None and grouped:
        raise UsageError(
            "the source's photos have no groups, which this method needs.",
            path=root,
            hint=f"Run: ovss-personal pss group {root} (with --list {UNGROUPED} for VOC 2012)",
        )
    if path is None and (root / UNGROUPED).is_file():
        path = root / UNGROUPED
    photos = read_list(path, root) if path else album_photos(root)
    for photo in photos:
        if not photo.mask.is_file():
            raise MaskError(f"{photo.image.name} has no mask, and the source must be labelled.", path=photo.mask)
    return photos


def annotated(album: Path) -> list[Photo]:
    """The photos whose masks are to be scored: those of `val_all.txt`, or every photo that has a mask.

    Raises:
        InputError: there are none.
        MaskError: `val_all.txt` names a photo whose mask is missing.
    """
    path = album / ANNOTATED
    if not path.is_file():
        photos = [photo for photo in album_photos(album) if photo.mask.is_file()]
        if not photos:
            raise InputError(f"no photo has a mask in {MASKS}/, so there is nothing to score.", path=album)
        return photos
    known = {photo.name: photo for photo in album_photos(album)}
    photos = []
    for photo in read_list(path, album):
        if photo.name not in known:
            raise InputError(f"{ANNOTATED} names {photo.image.name}, which is no photo of the album.", path=album)
        photos.append(replace(known[photo.name], mask=photo.mask))
    for photo in photos:
        if not photo.mask.is_file():
            raise MaskError(f"{ANNOTATED} names {photo.name}, but this mask is missing.", path=photo.mask)
    return photos


def load_labels(path: Path, size: tuple[int, int]) -> Labels:
    """(H, W) uint8 class indices, 255 where the pixel does not count.

    Args:
        size: (height, width) that the photo has.

    Raises:
        MaskError: missing or broken, of another size, of several channels, with another value than 0–20 and 255, or
            without a pixel that counts.
    """
    labels = np.asarray(decode(path, error=MaskError))
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise MaskError(
            f"expected one channel of class indices, found {labels.dtype} shaped {labels.shape}.",
            path=path,
            hint="Save it as a palette or 8-bit grey PNG.",
        )
    if labels.shape != size:
        raise MaskError(
            f"the mask is {labels.shape[1]}x{labels.shape[0]} pixels, its photo {size[1]}x{size[0]} (width x height, "
            "after EXIF rotation).",
            path=path,
            hint="Export the mask from the upright photo.",
        )
    values = np.unique(labels)
    wrong = [int(v) for v in values if v >= len(CLASSES) and v != IGNORE]
    if wrong:
        raise MaskError(
            f"labels must be 0 to {len(CLASSES) - 1} or {IGNORE}, found {', '.join(map(str, wrong[:8]))}.",
            path=path,
            hint="Map the classes to PASCAL VOC's.",
        )
    if (values == IGNORE).all():
        raise MaskError(f"the mask is empty: every pixel is {IGNORE}.", path=path, hint="Draw it, or remove its line.")
    return labels


def group_batches(groups: Sequence[str], rng: random.Random, size: int = 8) -> list[list[int]]:
    """Batches of `size` photos (indices into `groups`), each of one group.

    A batch that runs past the end of its group wraps to the group's start, so a group of n gives ⌈n/size⌉ batches.
    """
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    shuffled = list(members.values())
    for indices in shuffled:
        rng.shuffle(indices)
    rng.shuffle(shuffled)
    batches = [
        [indices[(start + offset) % len(indices)] for offset in range(size)]
        for indices in shuffled
        for start in range(0, len(indices), size)
    ]
    rng.shuffle(batches)
    return batches


def _below(root: Path, field: str) -> Path:
    return root / field.lstrip("/")
