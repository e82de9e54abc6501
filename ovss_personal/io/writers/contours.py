"""The outlines of a mask as polygons, along the edges of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ovss_personal.io.annotations import fill_rings
from ovss_personal.structures import BoolMask

__all__ = ["Piece", "bridged", "pieces_of", "simplified"]

Ring = npt.NDArray[np.float64]  # (n, 2) x and y of its corners, not closed

_TOLERANCES = (1.0, 0.75, 0.5)  # in pixels
_LEAST_IOU = 0.99
_FEW = 16  # corners that are not worth fewer
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


@dataclass(frozen=True)
class Piece:
    """A part of a mask whose pixels are connected side by side.

    Attributes:
        outer: its outline, clockwise as seen.
        holes: the outlines of the holes in it, counter-clockwise.
    """

    outer: Ring
    holes: tuple[Ring, ...]


def pieces_of(mask: BoolMask) -> list[Piece]:
    """The pieces of a (H, W) mask. Their outlines, filled, are the mask exactly; pixel (x, y) is the square from there
    to (x + 1, y + 1)."""
    rings = _rings(mask)
    areas = [_area(ring) for ring in rings]
    outers = sorted(
        ((area, ring) for area, ring in zip(areas, rings, strict=True) if area > 0), key=lambda pair: pair[0]
    )
    least = np.array([ring.min(axis=0) for _, ring in outers]).reshape(-1, 2)
    most = np.array([ring.max(axis=0) for _, ring in outers]).reshape(-1, 2)
    holes: list[list[Ring]] = [[] for _ in outers]
    for area, ring in zip(areas, rings, strict=True):
        if area < 0:
            place = _beside(ring)
            near = np.flatnonzero(((least < place) & (place < most)).all(axis=1)).tolist()
            holes[next(number for number in near if _contains(outers[number][1], place))].append(ring)
    return [Piece(outer, tuple(inner)) for (_, outer), inner in zip(outers, holes, strict=True)]


def simplified(ring: Ring) -> Ring:
    """The ring with fewer corners that encloses nearly the same pixels: an IoU of 0.99 or more."""
    if len(ring) < _FEW:
        return ring
    corner = ring.min(axis=0)
    width, height = (ring.max(axis=0) - corner).astype(int)
    exact = _filled(ring - corner, (height, width))
    for tolerance in _TOLERANCES:
        fewer = _fewer(ring, tolerance)
        if len(fewer) >= 3:
            inside = _filled(fewer - corner, (height, width))
            if (inside & exact).sum() >= _LEAST_IOU * (inside | exact).sum():
                return fewer
    return ring


def bridged(piece: Piece) -> Ring:
    """One ring for a piece with holes: each is joined to the outline by a cut of no width, there and back."""
    ring = simplified(piece.outer)
    for hole in sorted((simplified(hole) for hole in piece.holes), key=lambda hole: float(hole[:, 0].min())):
        start = int(np.argmin(hole[:, 0]))
        at = int(np.argmin(np.hypot(*(ring - hole[start]).T)))
        around = np.concatenate((hole[start:], hole[: start + 1]))
        ring = np.concatenate((ring[: at + 1], around, ring[at:]))
    return ring


def _rings(mask: BoolMask) -> list[Ring]:
    """Closed paths along the edges between true and false, with true on the right hand."""
    ends = _edges(mask)
    rings = []
    while ends:
        start = next(iter(ends))
        first = min(ends[start])
        place, heading = start, first
        corners = []
        while True:
            place = (place[0] + _STEPS[heading][0], place[1] + _STEPS[heading][1])
            ways = ends[place]
            # Where pixels touch by a corner only, the way to the right is the same pixel's next side.
            turned = next(way for way in ((heading + 1) % 4, heading, (heading + 3) % 4) if way in ways)
            if turned != heading:
                corners.append(place)
            ways.discard(turned)
            if not ways:
                del ends[place]
            heading = turned
            if (place, heading) == (start, first):
                break
        rings.append(np.array(corners, dtype=float))
    return rings


def _edges(mask: BoolMask) -> dict[tuple[int, int], set[int]]:
    """Of each corner (x, y), the headings of the edges that leave it."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    sides = (
        (_RIGHT, inside & ~padded[:-2, 1:-1], 0, 0),
        (_DOWN, inside & ~padded[1:-1, 2:], 1, 0),
        (_LEFT, inside & ~padded[2:, 1:-1], 1, 1),
        (_UP, inside & ~padded[1:-1, :-2], 0, 1),
    )
    ends: dict[tuple[int, int], set[int]] = {}
    for heading, where, right, below in sides:
        rows, columns = np.nonzero(where)
        for x, y in zip((columns + right).tolist(), (rows + below).tolist(), strict=True):
            ends.setdefault((x, y), set()).add(heading)
    return ends


def _area(ring: Ring) -> float:
    """Above 0 for an outline, below 0 for a hole."""
    x, y = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _beside(ring: Ring) -> Ring:
    """(2,) the middle of the pixel on the right hand of a ring's first edge, which is of the mask."""
    step = np.sign(ring[1] - ring[0])
    middle: Ring = ring[0] + step / 2 + np.array([-step[1], step[0]]) / 2
    return middle


def _contains(ring: Ring, place: Ring) -> bool:
    """Whether a point that is on no edge is inside, by the edges that a line to the right crosses."""
    ahead = np.roll(ring, -1, axis=0)
    crosses = (ring[:, 1] > place[1]) != (ahead[:, 1] > place[1])  # only upright edges do
    return bool((crosses & (ring[:, 0] > place[0])).sum() % 2)


def _filled(ring: Ring, size: tuple[int, int]) -> BoolMask:
    return fill_rings([ring.ravel().tolist()], size)


def _fewer(ring: Ring, tolerance: float) -> Ring:
    """Douglas and Peucker's choice of corners, from which no other is farther than `tolerance`."""
    start = int(np.argmin(ring.sum(axis=1)))
    closed = np.concatenate((ring[start:], ring[: start + 1]))
    half = int(np.argmax(np.hypot(*(closed - closed[0]).T)))
    kept = np.zeros(len(closed), dtype=bool)
    kept[[0, half]] = True
    spans = [(0, half), (half, len(closed) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        along = closed[last] - closed[first]
        away = closed[first + 1 : last] - closed[first]
        length = float(np.hypot(*along))
        far = np.hypot(*away.T) if length == 0 else abs(along[0] * away[:, 1] - along[1] * away[:, 0]) / length
        farthest = int(np.argmax(far))
        if far[farthest] > tolerance:
            middle = first + 1 + farthest
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return closed[:-1][kept[:-1]]
