"""Photographs with instance masks, in the layouts that public sets come in.

A set is a folder of one of these, and the folder that `find_photos` is given is a set or holds some:

* `images/NAME.jpg` (or jpeg, png) and `masks/NAME.png`: grey, 0 background, 1 … instances, 255 where nobody knows;
* PASCAL VOC: `JPEGImages/NAME.jpg` and `SegmentationObject/NAME.png`, whose palette's indices are those numbers. Of
  names only those in `ImageSets/Segmentation/train.txt` count, if that is there: the others are a common test set;
* COCO: `annotations/instances_*.json`, or the only JSON in the set or its `annotations/` that tells of images and
  annotations. Photos are beside it, in `images/`, or in a folder called as the JSON without `instances_`. A JSON with
  "val" in its name is never read: val2017 is a common test set.
"""

from __future__ import annotations

import functools
import zlib
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ovss_personal.benchmarks.composites.sources import RGB
from ovss_personal.benchmarks.pictures import check_size
from ovss_personal.errors import MaskError
from ovss_personal.io.annotations import read_json
from ovss_personal.io.coco import coco_records, coco_size, draw_segmentation
from ovss_personal.io.images import load_image
from ovss_personal.structures import BoolMask
from ovss_personal.training.scenes import VOID, Segments

HELD_BACK = 12  # one photo in so many is for validation, by its name's checksum
SUFFIXES = {".jpg", ".jpeg", ".png"}
COCO_PREFIX = "instances_"
TRAIN_LIST = "ImageSets/Segmentation/train.txt"
LAYOUTS = (
    "images/ with masks/*.png, JPEGImages/ with SegmentationObject/*.png, or photos with annotations/instances_*.json "
    "(other than val)"
)


@dataclass(frozen=True)
class Photo(ABC):
    """A photograph and what is marked in it; nothing is read before it is asked for."""

    image: Path

    @abstractmethod
    def read(self) -> tuple[RGB, Segments]:
        """(H, W, 3) uint8 and (H, W) uint8: 0 background, 1 … instances, `VOID`. Raises MaskError on broken masks."""


@dataclass(frozen=True)
class Masked(Photo):
    """A photograph with a picture of its masks, whose pixels (indices, if it has a palette) number the instances."""

    mask: Path

    def read(self) -> tuple[RGB, Segments]:
        with Image.open(self.image) as image, Image.open(self.mask) as mask:
            pixels, segments = np.array(image.convert("RGB")), np.array(mask)
        if segments.dtype != np.uint8 or segments.ndim != 2:
            raise MaskError(
                f"expected 8 bits a pixel, grey or of a palette, found a picture of mode {mask.mode}.",
                path=self.mask,
                hint="Number the instances from 1; 0 is background, 255 unknown.",
            )
        check_size(segments.shape, pixels.shape[:2], self.mask)
        return pixels, segments


@dataclass(frozen=True, slots=True)  # COCO has a million
class Outline:
    """One annotation of COCO.

    Attributes:
        segmentation: run lengths as the JSON has them, or rings of x, y, x, y, … in four bytes a number.
    """

    segmentation: dict[str, Any] | list[array[float]]
    crowd: bool

    def drawable(self) -> object:
        """The segmentation as a JSON has it."""
        if isinstance(self.segmentation, dict):
            return self.segmentation
        return [ring.tolist() for ring in self.segmentation]


@dataclass(frozen=True)
class Outlined(Photo):
    """A photograph whose masks are drawn when it is read.

    Attributes:
        source: the JSON, for messages.
        size: (H, W) that it gives the photo, or None.
    """

    source: Path
    size: tuple[int, int] | None
    outlines: tuple[Outline, ...]

    def read(self) -> tuple[RGB, Segments]:
        """Crowds are unknown, and of things that overlap the smaller is seen. The smallest ones are unknown where
        numbers run out."""
        with Image.open(self.image) as stored:
            pixels = np.array(stored.convert("RGB"))
        if self.size and pixels.shape[:2] != self.size:
            pixels = load_image(self.image)  # it was marked as it is seen, which EXIF tells
            check_size(self.size, pixels.shape[:2], self.source)
        size = (pixels.shape[0], pixels.shape[1])
        segments, things = np.zeros(size, np.uint8), list[BoolMask]()
        for outline in self.outlines:
            mask = draw_segmentation(outline.drawable(), size, self.source, f"an annotation of {self.image.name}")
            if outline.crowd:
                segments[mask] = VOID
            else:
                things.append(mask)
        for number, mask in enumerate(sorted(things, key=np.count_nonzero, reverse=True), 1):
            segments[mask] = min(number, VOID)
        return pixels, segments


def find_photos(folder: Path, *, validation: bool = False) -> dict[str, list[Photo]]:
    """The photos of each set in `folder`: those that are trained on, or those that are kept for validation.

    Exits if there is none to train on.
    """
    parts = {name: [p for p in photos if _held_back(p) == validation] for name, photos in _sets(folder).items()}
    found = {name: photos for name, photos in parts.items() if photos}
    if not found and not validation:
        raise SystemExit(f"{folder} holds no photos to train on: neither it nor a folder in it has {LAYOUTS}.")
    return found


def _held_back(photo: Photo) -> bool:
    return zlib.crc32(photo.image.stem.encode()) % HELD_BACK == 0


@functools.cache  # a training asks several times, and COCO's JSON takes long to read
def _sets(folder: Path) -> dict[str, Sequence[Photo]]:
    """All photos of a folder that is a set, or of each set in it."""
    own = _photos(folder)
    if own:
        return {folder.resolve().name: own}
    return {path.name: _photos(path) for path in sorted(folder.glob("*")) if path.is_dir()}


def _photos(folder: Path) -> Sequence[Photo]:
    """Those of a set in the first layout that it has, or none."""
    for images, masks in (("images", "masks"), ("JPEGImages", "SegmentationObject")):
        found = list(_masked(folder / images, folder / masks, folder / TRAIN_LIST))
        if found:
            return found
    photos: dict[Path, Photo] = {}  # of one that several files tell of, only what the first says
    for path in _annotations(folder):
        photos = {photo.image: photo for photo in _outlined(folder, path)} | photos
    return list(photos.values())


def _masked(images: Path, masks: Path, listed: Path) -> Iterator[Photo]:
    names = set(listed.read_text("utf-8").split()) if listed.is_file() else None
    for path in sorted(images.glob("*")):
        mask = masks / f"{path.stem}.png"
        if path.suffix.lower() in SUFFIXES and (names is None or path.stem in names) and mask.is_file():
            yield Masked(path, mask)


def _annotations(folder: Path) -> Sequence[Path]:
    """The JSON files of a set: all of COCO's own, or the only other one."""
    paths = [path for place in ("annotations", ".") for path in sorted((folder / place).glob("*.json"))]
    paths = [path for path in paths if "val" not in path.stem.lower()]
    instances = [path for path in paths if path.stem.startswith(COCO_PREFIX)]
    return instances or (paths if len(paths) == 1 else [])


def _outlined(folder: Path, path: Path) -> Iterator[Photo]:
    """The photos that a JSON tells of, that are there, and in which something is marked."""
    content = read_json(path)
    if not (path.stem.startswith(COCO_PREFIX) or {"images", "annotations"} <= content.keys()):
        return  # a JSON of something else
    outlines: dict[object, list[Outline]] = {}
    for record in coco_records(content, "annotations", path):
        segmentation = _compact(record, path)
        if segmentation:
            outline = Outline(segmentation, bool(record.get("iscrowd")))
            outlines.setdefault(record.get("image_id"), []).append(outline)
    split = path.stem.removeprefix(COCO_PREFIX)
    places = [folder / place for place in (split, f"images/{split}", "images", ".")] + [path.parent]
    for image in coco_records(content, "images", path):
        own, name = outlines.get(image.get("id")), image.get("file_name")
        if own and isinstance(name, str):
            files = (place / name for place in places)
            file = next((file for file in files if file.is_file()), None)
            if file:
                yield Outlined(file, path, coco_size(image, path), tuple(own))


def _compact(record: dict[str, Any], path: Path) -> dict[str, Any] | list[array[float]]:
    """The segmentation of an annotation in an eighth of the memory, without rings of fewer than three points."""
    segmentation = record.get("segmentation")
    if isinstance(segmentation, dict):
        return segmentation
    try:
        return [array("f", ring) for ring in segmentation or [] if len(ring) >= 6]
    except (TypeError, OverflowError):
        raise MaskError(f"annotation {record.get('id')}: expected polygons [[x, y, ...], ...].", path=path) from None
