"""Masks from a COCO JSON, one file for all photos. What is drawn in an annotation: `coco_shapes`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from ovss_personal.errors import MaskError
from ovss_personal.io.annotations import Holes, read_json, the_one_name
from ovss_personal.io.coco_shapes import NothingDrawn, draw_segmentation, warn_of
from ovss_personal.io.mask_checks import MaskOrientation, MaskResult, check_mask
from ovss_personal.pixels.images import check_pixels

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
    names = {_key(record, "id"): str(record.get("name")) for record in coco_records(content, "categories", path)}
    ids = {_key(image, "id") for image in images}
    if len(ids) < len(images):
        raise MaskError("two images have the same id.", path=path, hint="Export it again.")
    annotations = coco_records(content, "annotations", path)
    for record in annotations:
        for kind, known in (("image", ids), ("category", set(names))):
            if _key(record, f"{kind}_id") not in known:
                raise MaskError(
                    f"annotation {record.get('id')} is of {kind} {record.get(f'{kind}_id')}, which is not in the file.",
                    path=path,
                    hint="Export it again.",
                )
    wanted = the_one_name({names[_key(record, "category_id")] for record in annotations}, category, path)
    of_image: dict[str, list[Mapping[str, Any]]] = {image_id: [] for image_id in ids}
    for record in annotations:
        if names[_key(record, "category_id")] == wanted:
            of_image[_key(record, "image_id")].append(record)
    return [
        CocoPhoto(path, _file_name(image, path), coco_size(image, path), tuple(of_image[_key(image, "id")]))
        for image in images
    ]


def coco_mask_of(
    photo: CocoPhoto,
    *,
    size: tuple[int, int],
    exif: int = 1,
    invert: bool = False,
    holes: Holes = "filled",
    orientation: MaskOrientation = "upright",
) -> MaskResult:
    """The union of a photo's annotations. A crowd beside others is not the object, but void.

    An annotation in which nothing is drawn is passed over with an OvssWarning, if there is another.

    Args:
        photo: what `load_coco` found.
        size, exif, invert, orientation: as in `load_mask`.
        holes: whether a ring inside another of the same annotation is filled, as pycocotools does it, or, by
            "even-odd", a hole.

    Raises:
        MaskError: an unusable segmentation, or a mask that `check_mask` refuses.
    """
    stored = (size[1], size[0]) if exif >= 5 else size
    drawn_on = photo.size or (stored if orientation == "raw" else size)
    mask, crowds = np.zeros(drawn_on, dtype=bool), np.zeros(drawn_on, dtype=bool)
    only_crowds = all(map(_is_crowd, photo.annotations))
    drawn, nothing = 0, list[NothingDrawn]()
    for record in photo.annotations:
        what = f"annotation {record.get('id')} ({photo.file_name})"
        try:
            shape = draw_segmentation(record.get("segmentation"), drawn_on, photo.path, what, holes)
        except NothingDrawn as error:
            nothing.append(error)
            continue
        if _is_crowd(record) and not only_crowds:
            warn_of(photo.path, f"{what} is a crowd beside other objects (iscrowd); it does not count")
            crowds |= shape
        else:
            mask |= shape
            drawn += 1
    if nothing and not drawn:
        raise nothing[0]
    for one in nothing:
        warn_of(photo.path, f"{one.message.rstrip('.')}; it was passed over")
    return check_mask(
        mask,
        path=photo.path,
        size=size,
        exif=exif,
        orientation=orientation,
        ignore=crowds & ~mask,
        invert=invert,
        what=f"mask of {photo.file_name}",
    )


def coco_records(content: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """The list of objects under `key`, whose ids are usable as keys."""
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise MaskError(f"expected COCO's list of objects under '{key}'.", path=path)
    for record in records:
        for field in ("id", "image_id", "category_id"):
            if not isinstance(record.get(field, 0), (int, float, str)):
                raise MaskError(f"expected a number for '{field}' under '{key}'.", path=path)
    return records


def _key(record: Mapping[str, Any], field: str) -> str:
    """An id as text, since VIA writes "0" for 0 and a table of numbers 0.0."""
    value = record.get(field)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_crowd(record: Mapping[str, Any]) -> bool:
    return record.get("iscrowd") in (1, "1", True)


def _file_name(image: dict[str, Any], path: Path) -> str:
    """The photo's name as the JSON has it; or, where no such file is there, as the URL that it may be has it."""
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip("./\\") or "\0" in name:
        raise MaskError(f"image {image.get('id')} has no 'file_name'.", path=path)
    name = name.replace("\\", "/")
    unquoted = unquote(name)
    asked_for = unquote(re.sub(r"[?#].*", "", name))  # of an address, without what follows the path
    for other in (name, unquoted, asked_for, unquoted.rpartition("=")[2]):
        last = PurePosixPath(other).name
        if "\0" not in other and last and any(_is_file(place / last) for place in _places(path, other)):
            return other
    return name


def _places(path: Path, name: str) -> list[Path]:
    """The folders beside a JSON in which a photo may be."""
    parent = PurePosixPath(name).parent
    parts = ["."] if parent.is_absolute() or ".." in parent.parts else [str(parent), "."]
    return [place / part for place in (path.parent, path.parent / "images") for part in parts]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or of no encoding
        return False


def coco_size(image: dict[str, Any], path: Path) -> tuple[int, int] | None:
    """(H, W) that the JSON gives a photo, or None. Raises MaskError if it is no size."""
    height, width = image.get("height"), image.get("width")
    if height is None and width is None:
        return None
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        raise MaskError(f"image {image.get('id')} has a 'height' and 'width' that are no size.", path=path)
    check_pixels(width, height, path, MaskError)
    return height, width
