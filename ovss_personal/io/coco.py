"""Masks from a COCO JSON, one file for all photos: polygons and run lengths, plain or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovss_personal.errors import MaskError
from ovss_personal.io.annotations import (
    decompress_counts,
    fill_rings,
    fill_runs,
    finite_numbers,
    read_json,
    the_one_name,
)
from ovss_personal.io.mask_checks import MaskOrientation, MaskResult, check_mask
from ovss_personal.pixels.images import check_pixels
from ovss_personal.structures import BoolMask

__all__ = ["CocoPhoto", "coco_mask_of", "coco_records", "coco_size", "draw_segmentation", "load_coco"]


@dataclass(frozen=True)
class CocoPhoto:
    """One photo of a COCO JSON, with what is said of the object in it.

    Attributes:
        path: the JSON file.
        file_name: the photo's, as the JSON has it.
        size: (H, W) that the JSON gives the photo, or None.
        annotations: those of the object's category, in the file's order.
    """

    path: Path
    file_name: str
    size: tuple[int, int] | None
    annotations: tuple[Mapping[str, Any], ...]


def load_coco(path: str | Path, category: str | None = None) -> list[CocoPhoto]:
    """All photos of a COCO JSON, in the file's order, also those without the object.

    Segmentations are not looked at before `coco_mask_of` draws them.

    Args:
        path: the JSON file.
        category: the name of the object's category, where the file has annotations of several.

    Raises:
        MaskError: broken JSON, a missing part, an id that nothing has, no such category, or several.
    """
    path = Path(path)
    content = read_json(path)
    images = coco_records(content, "images", path)
    names = {record.get("id"): str(record.get("name")) for record in coco_records(content, "categories", path)}
    ids = {image.get("id") for image in images}
    if len(ids) < len(images):
        raise MaskError("two images have the same id.", path=path, hint="Export it again.")
    annotations = coco_records(content, "annotations", path)
    for record in annotations:
        for kind, known in (("image", ids), ("category", set(names))):
            if (value := record.get(f"{kind}_id")) not in known:
                raise MaskError(
                    f"annotation {record.get('id')} is of {kind} {value}, which is not in the file.",
                    path=path,
                    hint="Export it again.",
                )
    wanted = the_one_name({names[record["category_id"]] for record in annotations}, category, path)
    of_image: dict[Any, list[Mapping[str, Any]]] = {image_id: [] for image_id in ids}
    for record in annotations:
        if names[record["category_id"]] == wanted:
            of_image[record["image_id"]].append(record)
    return [
        CocoPhoto(path, _file_name(image, path), coco_size(image, path), tuple(of_image[image.get("id")]))
        for image in images
    ]


def coco_mask_of(
    photo: CocoPhoto,
    *,
    size: tuple[int, int],
    exif: int = 1,
    orientation: MaskOrientation = "upright",
) -> MaskResult:
    """The union of a photo's annotations.

    Args:
        photo: what `load_coco` found.
        size, exif, orientation: as in `load_mask`.

    Raises:
        MaskError: an unusable segmentation, or a mask that `check_mask` refuses.
    """
    stored = (size[1], size[0]) if exif >= 5 else size
    drawn_on = photo.size or (stored if orientation == "raw" else size)
    mask = np.zeros(drawn_on, dtype=bool)
    for record in photo.annotations:
        what = f"annotation {record.get('id')} ({photo.file_name})"
        mask |= draw_segmentation(record.get("segmentation"), drawn_on, photo.path, what)
    what = f"mask of {photo.file_name}"
    return check_mask(mask, path=photo.path, size=size, exif=exif, orientation=orientation, what=what)


def coco_records(content: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """The list of objects under `key`, whose ids are usable as keys."""
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise MaskError(f"expected COCO's list of objects under '{key}'.", path=path)
    for record in records:
        for field in ("id", "image_id", "category_id"):
            if not isinstance(record.get(field, 0), (int, str)):
                raise MaskError(f"expected a number for '{field}' under '{key}'.", path=path)
    return records


def _file_name(image: dict[str, Any], path: Path) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip("./\\") or "\0" in name:
        raise MaskError(f"image {image.get('id')} has no 'file_name'.", path=path)
    return name.replace("\\", "/")


def coco_size(image: dict[str, Any], path: Path) -> tuple[int, int] | None:
    """(H, W) that the JSON gives a photo, or None. Raises MaskError if it is no size."""
    height, width = image.get("height"), image.get("width")
    if height is None and width is None:
        return None
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        raise MaskError(f"image {image.get('id')} has a 'height' and 'width' that are no size.", path=path)
    check_pixels(width, height, path, MaskError)
    return height, width


def draw_segmentation(segmentation: object, size: tuple[int, int], path: Path, what: str) -> BoolMask:
    """(H, W) bool of one annotation.

    Args:
        segmentation: polygons or run lengths, as the JSON has them.
        size: (H, W) of the photo that they are drawn on.
        path, what: the JSON, and how to call the annotation, in messages.

    Raises:
        MaskError: it is neither.
    """
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, size, path, what)
    if not isinstance(segmentation, list) or not segmentation or not isinstance(segmentation[0], list):
        raise MaskError(
            f"{what}: expected polygons [[x, y, ...], ...] or run lengths {{size, counts}}.",
            path=path,
            hint="Export it as COCO 1.0; CVAT's own lists of run lengths are not COCO.",
        )
    rings = [finite_numbers(ring) for ring in segmentation]
    sound = [ring for ring in rings if ring is not None and len(ring) >= 6 and len(ring) % 2 == 0]
    if len(sound) != len(rings):
        raise MaskError(
            f"{what}: a polygon needs three points or more, each x and y, all finite numbers.",
            path=path,
            hint="Draw it again.",
        )
    return fill_rings(sound, size)


def _run_lengths(rle: dict[str, Any], size: tuple[int, int], path: Path, what: str) -> BoolMask:
    """(H, W) bool of {"size": [H, W], "counts": a list or a compressed string}."""
    height, width = size
    if rle.get("size") != [height, width]:
        raise MaskError(
            f"{what}: the size of the run lengths is {rle.get('size')}, but [height, width] of the image is "
            f"[{height}, {width}].",
            path=path,
            hint="COCO has the height first and runs down the columns; export it again.",
        )
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = decompress_counts(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise MaskError(
            f"{what}: the counts are neither a list of run lengths nor COCO's compressed string.",
            path=path,
            hint="Export it again.",
        )
    if sum(counts) != height * width:
        raise MaskError(
            f"{what}: the run lengths add up to {sum(counts)} pixels, but the image has {height * width}.",
            path=path,
            hint="Export it again.",
        )
    return fill_runs(counts, size)
