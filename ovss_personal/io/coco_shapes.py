"""What is drawn in one annotation of a COCO JSON: polygons, or run lengths, plain or compressed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.io.annotations import Holes, decompress_counts, fill_rings, fill_runs, finite_numbers
from ovss_personal.structures import BoolMask

__all__ = ["NothingDrawn", "draw_segmentation", "warn_of"]


class NothingDrawn(MaskError):
    """An annotation that a photo can do without, if it has another."""


def draw_segmentation(
    segmentation: object, size: tuple[int, int], path: Path, what: str, holes: Holes = "filled"
) -> BoolMask:
    """(H, W) bool of one annotation. A polygon that is none, beside one, is passed over with an OvssWarning.

    Args:
        segmentation: polygons or run lengths, as the JSON has them.
        size: (H, W) of the photo that they are drawn on.
        path, what: the JSON, and how to call the annotation, in messages.
        holes: as in `coco_mask_of`.

    Raises:
        MaskError: it is neither.
    """
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, size, path, what)
    if segmentation is None or segmentation == []:
        raise NothingDrawn(
            f"{what}: expected polygons or run lengths, found no segmentation.",
            path=path,
            hint="Draw the object's outline, not only a box, and export it again.",
        )
    flat = finite_numbers(segmentation)
    if flat is not None and _is_one_ring(flat, size):
        segmentation = [flat]
    if not isinstance(segmentation, list) or not any(isinstance(ring, list) for ring in segmentation):
        raise MaskError(
            f"{what}: expected polygons [[x, y, ...], ...] or run lengths {{size, counts}}.",
            path=path,
            hint="Export it as COCO 1.0; CVAT's own lists of run lengths are not COCO.",
        )
    rings = [_ring(ring) for ring in segmentation]
    sound = [ring for ring in rings if ring is not None]
    if not sound:
        raise NothingDrawn(
            f"{what}: a polygon needs three points or more, each x and y, all finite numbers.",
            path=path,
            hint="Draw it again.",
        )
    if len(sound) < len(rings):
        warn_of(path, f"{what}: {len(rings) - len(sound)} of {len(rings)} polygons have no three points; passed over")
    return fill_rings(sound, size, holes)


def _ring(points: object) -> list[float] | None:
    """[x, y, x, y, ...] of three points or more, which may be written as pairs; None if it is none."""
    if isinstance(points, list) and points and all(isinstance(point, list) and len(point) == 2 for point in points):
        points = [value for point in points for value in point]
    numbers = finite_numbers(points)
    return numbers if numbers is not None and len(numbers) >= 6 and len(numbers) % 2 == 0 else None


def _is_one_ring(numbers: list[float], size: tuple[int, int]) -> bool:
    """Whether a list without inner brackets is one polygon in the photo, as VIA writes it, not CVAT's run lengths."""
    if len(numbers) < 6 or len(numbers) % 2:
        return False
    *runs, left, top, right, bottom = numbers
    if sum(runs) == (right - left + 1) * (bottom - top + 1):
        return False
    xs, ys = numbers[::2], numbers[1::2]
    return min(*xs, *ys) >= -1 and max(xs) <= size[1] + 1 and max(ys) <= size[0] + 1


def warn_of(path: str | Path, message: str) -> None:
    """Warns of something in a file, in a message without its full stop."""
    warnings.warn(f"{path}: {message}.", OvssWarning, stacklevel=3)


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
