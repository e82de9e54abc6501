"""Masks from LabelMe's JSON, one file a photo."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.io.annotations import Holes, fill_rings, finite_numbers, read_json, the_one_name, united
from ovss_personal.io.coco_shapes import NothingDrawn, warn_of
from ovss_personal.io.images import decode
from ovss_personal.io.mask_checks import MaskOrientation, MaskResult, check_mask
from ovss_personal.structures import BoolMask

__all__ = ["labelme_labels", "load_labelme"]

_MANY = 10**9
_POINTS = {  # of each type: at least, at most, and in words
    "polygon": (3, _MANY, "three or more"),
    "rectangle": (2, 5, "two or four"),  # X-AnyLabeling writes all corners; a fifth closes the ring
    "circle": (2, 2, "two"),
    "mask": (2, 2, "two"),
    "rotation": (3, 5, "three or four"),
    "oriented_rectangle": (3, 5, "three or four"),
}


def load_labelme(
    path: str | Path,
    *,
    size: tuple[int, int],
    exif: int = 1,
    category: str | None = None,
    invert: bool = False,
    holes: Holes = "filled",
    orientation: MaskOrientation = "upright",
) -> MaskResult:
    """The union of the shapes with one label: polygons, rectangles, also turned ones, circles and masks.

    A shape that surrounds nothing, as a point or a line, is passed over with an OvssWarning, if there is another.

    The photo is never read from the file's `imageData`. Where the file's `imageWidth` and `imageHeight` are
    not the photo's, the photo is believed, with an OvssWarning.

    Args:
        path: the JSON file.
        size, exif, invert, orientation: as in `load_mask`.
        category: the label of the object, where the file has several.
        holes: whether a shape inside another is filled or, by "even-odd", a hole.

    Raises:
        MaskError: broken JSON, an unusable shape, no such label, or a mask that `check_mask` refuses.
    """
    content = read_json(path)
    shapes = _shapes(content, path)
    stored = (size[1], size[0]) if exif >= 5 else size
    drawn_on = stored if orientation == "raw" else size
    recorded = (content.get("imageHeight"), content.get("imageWidth"))
    if recorded == stored:
        drawn_on = stored  # if that is not upright, check_mask says so
    elif recorded not in (size, (None, None)):
        warnings.warn(
            f"{path}: says that the photo is {recorded[1]}x{recorded[0]}, but it is {size[1]}x{size[0]}; "
            "the shapes are taken as they are.",
            OvssWarning,
            stacklevel=2,
        )
    wanted = the_one_name(set(map(_label, shapes)), category, path)
    mask = np.zeros(drawn_on, dtype=bool)
    drawn, nothing = 0, list[NothingDrawn]()
    for number, shape in enumerate(shapes, start=1):
        if _label(shape) == wanted:
            try:
                united(mask, _draw(shape, drawn_on, path, f"shape {number} ({wanted})"), holes)
                drawn += 1
            except NothingDrawn as error:
                nothing.append(error)
    if nothing and not drawn:
        raise nothing[0]
    for one in nothing:
        warn_of(path, f"{one.message.rstrip('.')}; it was passed over")
    return check_mask(mask, path=path, size=size, exif=exif, orientation=orientation, invert=invert)


def labelme_labels(path: str | Path) -> set[str]:
    """The labels of all shapes. Raises MaskError if the file is no LabelMe JSON."""
    return set(map(_label, _shapes(read_json(path), path)))


def _shapes(content: dict[str, Any], path: str | Path) -> list[dict[str, Any]]:
    shapes = content.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise MaskError("expected LabelMe's list of shapes under 'shapes'.", path=path)
    return shapes


def _label(shape: dict[str, Any]) -> str:
    return str(shape.get("label"))


def _draw(shape: dict[str, Any], size: tuple[int, int], path: str | Path, what: str) -> BoolMask:
    """(H, W) bool of one shape."""
    kind = shape.get("shape_type", "polygon")
    if not isinstance(kind, str) or kind not in _POINTS:
        raise NothingDrawn(
            f"{what} is of type {kind!r}; usable are {', '.join(_POINTS)}.", path=path, hint="Draw a polygon."
        )
    points = shape.get("points")
    pairs = [finite_numbers(point) for point in points] if isinstance(points, list) else []
    corners = [(pair[0], pair[1]) for pair in pairs if pair is not None and len(pair) == 2]
    least, most, number = _POINTS[kind]
    if len(corners) != len(pairs) or not least <= len(pairs) <= most or (kind == "rectangle" and len(pairs) == 3):
        raise NothingDrawn(
            f"{what}, a {kind}, needs {number} points [x, y] of finite numbers.",
            path=path,
            hint="Draw it again.",
        )
    (x1, y1), (x2, y2) = corners[:2]
    if kind == "circle":  # centre, point on the rim
        rows, columns = np.ogrid[: size[0], : size[1]]
        with np.errstate(over="ignore"):  # a circle may be larger than floats go
            inside: BoolMask = np.hypot(columns + 0.5 - x1, rows + 0.5 - y1) <= np.hypot(x2 - x1, y2 - y1)
        return inside
    if kind == "mask":
        return _paste(shape.get("mask"), (x1, y1), size, path, what)
    if kind == "rectangle" and len(corners) == 2:
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    elif kind != "polygon" and len(corners) == 3:  # a turned rectangle, of which the fourth corner follows
        corners.append((x1 + corners[2][0] - x2, y1 + corners[2][1] - y2))
    return fill_rings([[value for corner in corners for value in corner]], size)


def _paste(
    encoded: object, corner: tuple[float, float], size: tuple[int, int], path: str | Path, what: str
) -> BoolMask:
    """(H, W) bool of a PNG in base64 whose top left pixel lies at `corner` (x, y)."""
    try:
        data = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise MaskError(f"{what} needs a PNG in base64 under 'mask'.", path=path, hint="Draw it again.")
    crop = np.asarray(decode(path, error=MaskError, stream=io.BytesIO(data)).convert("L")) > 0
    # Clipped first, as a far-away corner has more digits than an index; out there nothing shows either way.
    left = round(np.clip(corner[0], -crop.shape[1], size[1]))
    top = round(np.clip(corner[1], -crop.shape[0], size[0]))
    mask = np.zeros(size, dtype=bool)
    seen = crop[max(0, -top) : max(0, size[0] - top), max(0, -left) : max(0, size[1] - left)]
    top, left = max(0, top), max(0, left)
    mask[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    return mask
