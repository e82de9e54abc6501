"""VGG Image Annotator 2 (and 1): one JSON for all photos, with regions in pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovss_personal.io.formats.marks import (
    NAMELESS,
    Draw,
    Mark,
    MarkedPhoto,
    draw_box,
    draw_ellipse,
    draw_polygon,
    draw_problem,
    text_of,
)

__all__ = ["is_via", "read_via"]

_METADATA = "_via_img_metadata"
_NAMES = ("class", "label", "name", "category", "type", "object")


def is_via(content: Any) -> bool:
    """Whether this is a project of VIA 2, or its annotations as JSON."""
    if not isinstance(content, dict) or not content:
        return False
    files = content.get(_METADATA, content)
    return isinstance(files, dict) and all(
        isinstance(file, dict) and "filename" in file and "regions" in file for file in files.values()
    )


def read_via(content: Any, path: Path) -> list[MarkedPhoto]:
    """The photos of a JSON that `is_via` accepted.

    A region's category is the value of its one attribute, or of the one called class, label, name, category, type or
    object. Lines and points are no masks, and left out.
    """
    photos = []
    for file in content.get(_METADATA, content).values():
        name = text_of(file["filename"]) or "a photo"
        regions = file["regions"]
        listed = list(regions.values()) if isinstance(regions, dict) else regions if isinstance(regions, list) else []
        marks = [_mark(region, path, f"region {number} of {name}") for number, region in enumerate(listed, 1)]
        photos.append(MarkedPhoto(path, name, None, tuple(mark for mark in marks if mark is not None)))
    return photos


def _mark(region: Any, path: Path, what: str) -> Mark | None:
    shape = region.get("shape_attributes") if isinstance(region, dict) else None
    if not isinstance(shape, dict):
        return Mark(NAMELESS, draw_problem(f"{what} has no 'shape_attributes'.", path, "Export it again."))
    draw = _shape(shape, path, what)
    return None if draw is None else Mark(_category(region.get("region_attributes")), draw)


def _shape(shape: dict[str, Any], path: Path, what: str) -> Draw | None:
    kind = shape.get("name")
    if kind in ("polygon", "polyline") and (kind == "polygon" or _closed(shape)):
        return draw_polygon(_points(shape), path, what)
    if kind == "rect":
        return draw_box([*(shape.get(key) for key in ("x", "y", "width", "height")), 0], path, what)
    if kind == "circle":
        return draw_ellipse([shape.get(key) for key in ("cx", "cy", "r", "r")] + [0], path, what)
    if kind == "ellipse":
        return draw_ellipse(_ellipse(shape), path, what)
    return None


def _ellipse(shape: dict[str, Any]) -> list[Any]:
    """VIA turns by radians."""
    theta = shape.get("theta", 0)
    degrees = theta * 57.29577951308232 if isinstance(theta, float) else theta
    return [*(shape.get(key) for key in ("cx", "cy", "rx", "ry")), degrees]


def _points(shape: dict[str, Any]) -> Any:
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        return None
    return [[x, y] for x, y in zip(xs, ys, strict=True)]


def _closed(shape: dict[str, Any]) -> bool:
    points = _points(shape)
    return bool(points) and len(points) > 3 and points[0] == points[-1]


def _category(attributes: Any) -> str:
    """The text of the attribute that says what a region is; a list of ticked boxes is joined by commas."""
    said = {}
    for key, value in attributes.items() if isinstance(attributes, dict) else ():
        ticked = ", ".join(name for name, on in value.items() if on) if isinstance(value, dict) else text_of(value)
        if ticked:
            said[key.strip().casefold()] = ticked
    if len(said) == 1:
        return next(iter(said.values()))
    return next((said[name] for name in _NAMES if name in said), NAMELESS)
