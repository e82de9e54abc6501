"""Supervisely: one JSON a photo, `1.jpg.json`, with bitmaps (a PNG, zlib, base64) and polygons with holes."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ovss_personal.errors import MaskError
from ovss_personal.io.annotations import finite_numbers
from ovss_personal.io.formats.marks import (
    NAMELESS,
    Draw,
    Mark,
    MarkedPhoto,
    draw_box,
    draw_polygon,
    draw_problem,
    photo_size,
    text_of,
)
from ovss_personal.io.images import decode
from ovss_personal.structures import BoolMask

__all__ = ["is_supervisely", "read_supervisely"]

_MOST_BYTES = 64 * 2**20  # of a bitmap's PNG


def is_supervisely(content: Any) -> bool:
    return (
        isinstance(content, dict) and isinstance(content.get("objects"), list) and isinstance(content.get("size"), dict)
    )


def read_supervisely(content: Any, path: Path) -> list[MarkedPhoto]:
    """The photo of a JSON that `is_supervisely` accepted. Points, lines and graphs are no masks, and left out.

    Raises:
        MaskError: a size that is none.
    """
    size = photo_size(content["size"].get("height"), content["size"].get("width"), path)
    marks = []
    for number, thing in enumerate(content["objects"], 1):
        draw = _shape(thing, path, f"object {number}") if isinstance(thing, dict) else None
        if draw is not None:
            marks.append(Mark(text_of(thing.get("classTitle")) or NAMELESS, draw))
    return [MarkedPhoto(path, path.name, size, tuple(marks))]


def _shape(thing: dict[str, Any], path: Path, what: str) -> Draw | None:
    kind = thing.get("geometryType", "bitmap" if "bitmap" in thing else "polygon")
    points = thing.get("points")
    points = points if isinstance(points, dict) else {}
    if kind == "bitmap":
        return _bitmap(thing.get("bitmap"), path, what)
    if kind == "polygon":
        holes = points.get("interior")
        return draw_polygon(points.get("exterior"), path, what, holes if isinstance(holes, list) else ())
    if kind == "rectangle":
        return _rectangle(points.get("exterior"), path, what)
    return None


def _rectangle(corners: Any, path: Path, what: str) -> Draw:
    """Of two opposite corners."""
    pairs = [finite_numbers(corner) for corner in corners] if isinstance(corners, list) else []
    sound = [pair for pair in pairs if pair is not None and len(pair) == 2]
    if len(pairs) != 2 or len(sound) != 2:
        return draw_problem(f"{what}: a rectangle needs two corners [x, y].", path, "Draw it again.")
    (x1, y1), (x2, y2) = sound
    return draw_box([x1, y1, x2 - x1, y2 - y1, 0], path, what)


def _bitmap(bitmap: Any, path: Path, what: str) -> Draw:
    def draw(size: tuple[int, int]) -> BoolMask:
        fields = bitmap if isinstance(bitmap, dict) else {}
        origin = finite_numbers(fields.get("origin"))
        if origin is None or len(origin) != 2:
            raise MaskError(f"{what}: a bitmap needs an 'origin' [x, y].", path=path, hint="Export it again.")
        picture = decode(path, error=MaskError, stream=io.BytesIO(_png(fields.get("data"), path, what)))
        crop = np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "L"))
        inside = crop[..., 3] > 0 if crop.ndim == 3 else crop > 0
        left, top = (int(np.clip(value, -(2**31), 2**31)) for value in origin)
        if left < 0 or top < 0 or left + inside.shape[1] > size[1] or top + inside.shape[0] > size[0]:
            raise MaskError(
                f"{what}: its bitmap {inside.shape[1]}x{inside.shape[0]} at ({left}, {top}) is not within the photo, "
                f"{size[1]}x{size[0]}.",
                path=path,
                hint="Export it again.",
            )
        mask = np.zeros(size, dtype=bool)
        mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return mask

    return draw


def _png(data: Any, path: Path, what: str) -> bytes:
    """The bytes of the PNG; never more than `_MOST_BYTES`, whatever they were packed to."""
    try:
        packed = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
        unpacker = zlib.decompressobj()
        png = unpacker.decompress(packed, _MOST_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        png = b""
    if not png:
        raise MaskError(
            f"{what}: a bitmap needs a PNG, packed with zlib and in base64, under 'data'.",
            path=path,
            hint="Export it again.",
        )
    return png
