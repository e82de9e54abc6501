"""Masks drawn as shapes: what COCO and LabelMe JSON have in common.

Coordinates are continuous, as in COCO: pixel (x, y) covers the square from (x, y) to (x + 1, y + 1). All that the
rings of one annotation surround is filled, as pycocotools does it; by the even-odd rule, where that is asked for, a
ring inside another is a hole. Points outside the picture are moved onto its border.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ovss_personal.errors import MaskError
from ovss_personal.io.files import require_file
from ovss_personal.structures import BoolMask

__all__ = [
    "Holes",
    "decompress_counts",
    "fill_rings",
    "fill_runs",
    "finite_numbers",
    "read_any_json",
    "read_json",
    "read_text",
    "the_one_name",
    "united",
]

Holes = Literal["filled", "even-odd"]


def read_json(path: str | Path) -> dict[str, Any]:
    """The object in a JSON file. Raises MaskError as `read_any_json`, and if the file holds no object."""
    content = read_any_json(path)
    if not isinstance(content, dict):
        raise MaskError(f"expected a JSON object, found {_kind(content)}.", path=path)
    return content


def read_any_json(path: str | Path) -> Any:
    """What a JSON file holds. Raises MaskError if the file is missing or broken."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        reason = str(exc).rstrip(".")
        raise MaskError(f"this is not valid JSON: {reason}.", path=path, hint="Export it again.") from exc


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises:
        MaskError: the file is missing, empty, or in another encoding.
    """
    path = require_file(path, MaskError)
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise MaskError(f"the file cannot be read: {exc.strerror}.", path=path) from exc
    try:
        return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError as exc:
        raise MaskError(
            f"the text is neither UTF-8 nor UTF-16 (byte {exc.start + 1}).", path=path, hint="Save it as UTF-8."
        ) from exc


def finite_numbers(values: object) -> list[float] | None:
    """`values` as floats, or None if they are not a list of finite numbers."""
    if not isinstance(values, list):
        return None
    try:
        numbers = [float(value) for value in values if type(value) in (int, float)]
    except OverflowError:  # an integer of 400 digits
        return None
    return numbers if len(numbers) == len(values) and all(map(math.isfinite, numbers)) else None


def fill_rings(rings: Iterable[Sequence[float]], size: tuple[int, int], holes: Holes = "filled") -> BoolMask:
    """(H, W) bool, true inside closed rings of [x, y, x, y, ...].

    Args:
        size: (H, W).
        holes: "filled" for inside any of them, "even-odd" for inside an odd number of them.
    """
    from pycocotools import mask as coco_mask

    height, width = size
    inside = np.zeros(size, dtype=bool)
    for ring in rings:
        points = np.asarray(ring, dtype=float).reshape(-1, 2).clip(0, (width, height))
        [rle] = coco_mask.frPyObjects([points.ravel().tolist()], height, width)
        united(inside, fill_runs(decompress_counts(rle["counts"].decode()) or [], size), holes)
    return inside


def united(mask: BoolMask, other: BoolMask, holes: Holes) -> None:
    """Adds a shape to a mask, in place; where they overlap, "even-odd" cuts it out."""
    if holes == "filled":
        mask |= other
    else:
        mask ^= other


def fill_runs(counts: list[int], size: tuple[int, int]) -> BoolMask:
    """(H, W) bool from run lengths down the columns, background first, that add up to H * W."""
    runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return runs.reshape(size[1], size[0]).T


def decompress_counts(text: str) -> list[int] | None:
    """COCO's string of run lengths: six bits a character, the lowest first; None if it is broken.

    Five bits count, the sixth says that more follow, and from the fourth number on each is the difference to
    the one two before. Not left to pycocotools, which reads beyond the end of a broken string.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return None if shift else counts


def the_one_name(names: set[str], wanted: str | None, path: str | Path) -> str:
    """`wanted` if it is among the `names` in a file, or the only one if none is wanted; else a MaskError."""
    listed = ", ".join(sorted(names)) or "none"
    if wanted is None and len(names) != 1:
        raise MaskError(f"expected one category, found {listed}.", path=path, hint="Choose one with --category.")
    if wanted is not None and wanted not in names:
        raise MaskError(
            f"category '{wanted}' is not there; found {listed}.",
            path=path,
            hint="Choose one with --category.",
        )
    return wanted if wanted is not None else min(names)


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
