"""What an annotation file marks in a photo, whatever tool wrote it, and the shapes that tools have in common."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.io.annotations import fill_rings, finite_numbers
from ovss_personal.io.mask_checks import MaskOrientation, MaskResult, check_mask
from ovss_personal.pixels.images import check_pixels
from ovss_personal.structures import BoolMask

__all__ = [
    "NAMELESS",
    "Draw",
    "Mark",
    "MarkedPhoto",
    "draw_box",
    "draw_ellipse",
    "draw_polygon",
    "draw_problem",
    "flat_points",
    "marked_mask",
    "photo_size",
    "text_of",
]

NAMELESS = "object"
"""The category of what a file marks without saying what it is."""

Draw = Callable[[tuple[int, int]], BoolMask]
"""(H, W) of the photo -> (H, W) bool. Raises MaskError if the shape is unusable."""


@dataclass(frozen=True)
class Mark:
    """One object in one photo. Nothing is looked at before `draw`.

    Attributes:
        category: what the file calls it.
        draw: draws it on a photo of a given size.
    """

    category: str
    draw: Draw


@dataclass(frozen=True)
class MarkedPhoto:
    """One photo and what a file marks in it.

    Attributes:
        path: the annotation file.
        file_name: the photo's, as the file has it; of a file that has none, its own.
        size: (H, W) on which the marks are to be drawn, or None for the photo's own.
        marks: in the file's order.
    """

    path: Path
    file_name: str
    size: tuple[int, int] | None
    marks: tuple[Mark, ...]

    def of(self, category: str) -> MarkedPhoto:
        """The same with the marks of one category only."""
        return replace(self, marks=tuple(mark for mark in self.marks if mark.category == category))


def marked_mask(
    photo: MarkedPhoto,
    *,
    size: tuple[int, int],
    exif: int = 1,
    invert: bool = False,
    orientation: MaskOrientation = "upright",
) -> MaskResult:
    """The union of a photo's marks.

    Args:
        photo: what a reader found, of one category.
        size, exif, invert, orientation: as in `load_mask`.

    Raises:
        MaskError: an unusable shape, or a mask that `check_mask` refuses.
    """
    stored = (size[1], size[0]) if exif >= 5 else size
    drawn_on = photo.size or (stored if orientation == "raw" else size)
    mask = np.zeros(drawn_on, dtype=bool)
    for mark in photo.marks:
        mask |= mark.draw(drawn_on)
    what = f"mask of {photo.file_name}"
    return check_mask(mask, path=photo.path, size=size, exif=exif, orientation=orientation, what=what, invert=invert)


def photo_size(height: Any, width: Any, path: Path) -> tuple[int, int] | None:
    """(H, W) that a file gives a photo, or None if it gives none. Raises MaskError if it is no size."""
    if height is None and width is None:
        return None
    sides = []
    for side in (height, width):
        try:
            number = float(side) if isinstance(side, (int, float, str)) else math.nan
        except (OverflowError, ValueError):
            number = math.nan
        if not (number >= 1 and number.is_integer()):
            raise MaskError(f"the height and width of a photo are {height!r:.40} and {width!r:.40}.", path=path)
        sides.append(int(number))
    check_pixels(sides[1], sides[0], path, MaskError)
    return sides[0], sides[1]


def flat_points(points: Any, path: Path, what: str) -> list[float]:
    """[x, y, x, y, ...] of a list of [x, y]. Raises MaskError unless there are three or more, all of finite numbers."""
    pairs = [finite_numbers(point) for point in points] if isinstance(points, list) else []
    sound = [pair for pair in pairs if pair is not None and len(pair) == 2]
    if len(sound) != len(pairs) or len(pairs) < 3:
        raise MaskError(
            f"{what}: a polygon needs three points or more, each x and y, all finite numbers.",
            path=path,
            hint="Draw it again.",
        )
    return [value for pair in sound for value in pair]


def draw_polygon(points: Any, path: Path, what: str, holes: Sequence[Any] = (), share: float | None = None) -> Draw:
    """Draws a polygon with holes.

    Args:
        points: a list of [x, y], in pixels; each of the `holes` too.
        path, what: the file, and how to call the polygon, in messages.
        share: the number that stands for the whole width and height, where points are shares of them.
    """

    def draw(size: tuple[int, int]) -> BoolMask:
        scale = np.array([1.0, 1.0] if share is None else [size[1] / share, size[0] / share])
        filled = []
        for ring in (points, *holes):
            pairs = np.asarray(flat_points(ring, path, what)).reshape(-1, 2)
            if share is not None and (abs(pairs) > 2 * share).any():
                raise MaskError(
                    f"{what}: expected shares of the width and height from 0 to {share:g}, found {abs(pairs).max():g}.",
                    path=path,
                    hint="Export it again.",
                )
            filled.append(fill_rings([(pairs * scale).ravel().tolist()], size))
        mask, *cut = filled
        for hole in cut:
            mask &= ~hole
        return mask

    return draw


def draw_box(corner: Any, path: Path, what: str, share: float | None = None) -> Draw:
    """Draws a filled box, with a warning, as a box is no mask.

    Args:
        corner: [x, y, width, height, degrees]; turned clockwise about (x, y).
        path, what, share: as in `draw_polygon`.
    """

    def draw(size: tuple[int, int]) -> BoolMask:
        x, y, width, height, degrees = _numbers(corner, path, what)
        warnings.warn(f"{path}: {what} is a box, no mask; all of it is taken.", OvssWarning, stacklevel=2)
        scale = np.array([1.0, 1.0] if share is None else [size[1] / share, size[0] / share])
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        with np.errstate(all="ignore"):  # what overflows is told of below
            start, sides = np.array([x, y]) * scale, np.array([width, height]) * scale
            across, down = sides[0] * np.array([cosine, sine]), sides[1] * np.array([-sine, cosine])
            ring = np.array([start, start + across, start + across + down, start + down])
        if not np.isfinite(ring).all():
            raise MaskError(f"{what}: the box is larger than any photo.", path=path, hint="Draw it again.")
        return fill_rings([ring.ravel().tolist()], size)

    return draw


def draw_ellipse(centre: Any, path: Path, what: str, share: float | None = None) -> Draw:
    """Draws a filled ellipse.

    Args:
        centre: [x, y, radius across, radius down, degrees]; turned clockwise about its centre.
        path, what, share: as in `draw_polygon`.
    """

    def draw(size: tuple[int, int]) -> BoolMask:
        x, y, across, down, degrees = _numbers(centre, path, what)
        if share is not None:
            x, across = x * size[1] / share, across * size[1] / share
            y, down = y * size[0] / share, down * size[0] / share
        if across <= 0 or down <= 0:
            raise MaskError(f"{what}: an ellipse needs radii above 0.", path=path, hint="Draw it again.")
        rows, columns = np.ogrid[: size[0], : size[1]]
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        with np.errstate(all="ignore"):  # an ellipse may be larger than floats go
            right, below = columns + 0.5 - x, rows + 0.5 - y
            inside = np.hypot((cosine * right + sine * below) / across, (cosine * below - sine * right) / down) <= 1
        return np.asarray(inside)

    return draw


def draw_problem(message: str, path: Path, hint: str) -> Draw:
    """Draws nothing: raises MaskError. For what is marked in a way that is no mask."""

    def draw(size: tuple[int, int]) -> BoolMask:
        raise MaskError(message, path=path, hint=hint)

    return draw


def text_of(value: Any) -> str | None:
    """A name in a JSON file as text; None if it is none."""
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if type(value) in (int, float) else None


def _numbers(values: Any, path: Path, what: str) -> list[float]:
    numbers = finite_numbers(values)
    if numbers is None or len(numbers) != 5:
        raise MaskError(f"{what}: expected finite numbers, found {values!r:.80}.", path=path, hint="Draw it again.")
    return numbers
