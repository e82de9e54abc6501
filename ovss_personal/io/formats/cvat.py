"""CVAT for images 1.1: one XML for all photos, with polygons, run-length masks, boxes and ellipses in pixels."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, XMLParser

import numpy as np

from ovss_personal.errors import MaskError
from ovss_personal.io.annotations import read_text
from ovss_personal.io.formats.marks import (
    NAMELESS,
    Draw,
    Mark,
    MarkedPhoto,
    draw_box,
    draw_ellipse,
    draw_polygon,
    photo_size,
)
from ovss_personal.pixels.images import check_pixels
from ovss_personal.structures import BoolMask

__all__ = ["is_cvat_images", "is_cvat_video", "read_cvat", "read_xml"]


def read_xml(path: Path) -> Element:
    """The root of an XML file. Raises MaskError if it is broken, or declares a document type, which may hide bombs."""
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise MaskError("XML with a document type is not read.", path=path, hint="Remove the line <!DOCTYPE ...>.")
    parser = XMLParser()
    try:
        parser.feed(text)
        return parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise MaskError(f"this is not valid XML: {error}.", path=path, hint="Export it again.") from error


def is_cvat_images(root: Element) -> bool:
    return root.tag == "annotations" and root.find("image") is not None


def is_cvat_video(root: Element) -> bool:
    return root.tag == "annotations" and root.find("track") is not None


def read_cvat(root: Element, path: Path) -> list[MarkedPhoto]:
    """The photos of an XML that `is_cvat_images` accepted.

    Polylines, points, cuboids, skeletons and tags are no masks, and left out.

    Raises:
        MaskError: a size that is none.
    """
    return [_photo(image, path) for image in root.iterfind("image")]


def _photo(image: Element, path: Path) -> MarkedPhoto:
    name = image.get("name") or f"image {image.get('id')}"
    marks = []
    for number, shape in enumerate(image, 1):
        draw = _shape(shape, path, f"{shape.tag} {number} of {name}")
        if draw is not None:
            marks.append(Mark(shape.get("label") or NAMELESS, draw))
    return MarkedPhoto(path, name, photo_size(image.get("height"), image.get("width"), path), tuple(marks))


def _shape(shape: Element, path: Path, what: str) -> Draw | None:
    if shape.tag == "polygon":
        return draw_polygon([_floats(pair) for pair in shape.get("points", "").split(";")], path, what)
    if shape.tag == "mask":
        return _runs(shape, path, what)
    turned = _floats(shape.get("rotation", "0"))
    if shape.tag == "ellipse":
        return draw_ellipse([*_values(shape, "cx", "cy", "rx", "ry"), *turned], path, what)
    if shape.tag == "box":
        return _box(_values(shape, "xtl", "ytl", "xbr", "ybr"), turned, path, what)
    return None


def _box(corners: list[float], turned: list[float], path: Path, what: str) -> Draw:
    """CVAT turns a box about its centre, `draw_box` about its corner."""
    if len(corners) != 4 or len(turned) != 1 or not np.isfinite([*corners, *turned]).all():
        return draw_box(corners, path, what)  # which tells of it
    left, top, right, bottom = corners
    cosine, sine = np.cos(np.radians(turned[0])), np.sin(np.radians(turned[0]))
    with np.errstate(all="ignore"):
        across, down = np.float64(right - left) / 2, np.float64(bottom - top) / 2
        x = left + across - cosine * across + sine * down
        y = top + down - sine * across - cosine * down
        return draw_box([float(x), float(y), float(2 * across), float(2 * down), turned[0]], path, what)


def _runs(shape: Element, path: Path, what: str) -> Draw:
    """A mask in a box of the photo: lengths of runs along its rows, background first."""

    def draw(size: tuple[int, int]) -> BoolMask:
        left, top, width, height = (_whole(value) for value in _values(shape, "left", "top", "width", "height"))
        counts = [_whole(value) for value in _floats(shape.get("rle", ""))]
        if width < 1 or height < 1 or min(counts, default=-1) < 0 or sum(counts) != width * height:
            raise MaskError(
                f"{what}: the run lengths add up to {sum(counts)} pixels, but its box has {width}x{height}.",
                path=path,
                hint="Export it again as CVAT for images 1.1.",
            )
        check_pixels(width, height, path, MaskError)
        if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
            raise MaskError(
                f"{what}: its box {width}x{height} at ({left}, {top}) is not within the photo, {size[1]}x{size[0]}.",
                path=path,
                hint="Export it again as CVAT for images 1.1.",
            )
        mask = np.zeros(size, dtype=bool)
        runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        mask[top : top + height, left : left + width] = runs.reshape(height, width)
        return mask

    return draw


def _values(shape: Element, *names: str) -> list[float]:
    """The numbers of several attributes; what is no number is NaN, which every shape refuses."""
    return [value for name in names for value in _floats(shape.get(name, "nan"))[:1]]


def _floats(text: str) -> list[float]:
    numbers = []
    for word in text.split(","):
        try:
            numbers.append(float(word))
        except ValueError:
            numbers.append(float("nan"))
    return numbers


def _whole(value: float) -> int:
    """The number as an int, -1 if it is not whole or beyond any photo."""
    return int(value) if value.is_integer() and abs(value) < 2**31 else -1
