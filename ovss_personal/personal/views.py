"""More views of few shots: mirrored, closer, farther. With one photo the fit would else learn its one framing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ovss_personal.structures import Shot

FARTHER = 0.25  # of each side, mirrored outwards
CLOSER = 0.6  # of each side, at least


def more_views(shots: Sequence[Shot], count: int) -> list[Shot]:
    """So many views of the shots, if there are as many; a negative number is none."""
    views = (view(shot) for view in (mirrored, closer, farther) for shot in shots)
    return list(islice(views, max(0, count)))


def mirrored(shot: Shot) -> Shot:
    """Left and right exchanged."""
    return _with(shot, lambda pixels: pixels[:, ::-1])


def closer(shot: Shot) -> Shot:
    """Cropped to 0.6 of each side around the object, or to what holds all of it."""
    cuts = []
    for axis in (0, 1):
        inside = np.flatnonzero(shot.mask.any(1 - axis))
        low, high, size = int(inside[0]), int(inside[-1]) + 1, shot.mask.shape[axis]
        length = min(size, max(round(size * CLOSER), round((high - low) * 1.15)))
        start = min(max(0, (low + high - length) // 2), size - length)
        cuts.append(slice(start, start + length))
    return _with(shot, lambda pixels: pixels[cuts[0], cuts[1]])


def farther(shot: Shot) -> Shot:
    """Padded on every side with its own mirror image; the mask is not mirrored, what is mirrored is not counted."""
    height, width = shot.mask.shape
    y, x = int(height * FARTHER), int(width * FARTHER)
    ignore = np.zeros_like(shot.mask) if shot.ignore is None else shot.ignore
    reflected = np.pad(shot.mask, ((y, y), (x, x)), mode="reflect")
    inside = np.pad(np.ones_like(shot.mask), ((y, y), (x, x)))
    return replace(
        shot,
        image=np.pad(shot.image, ((y, y), (x, x), (0, 0)), mode="reflect"),
        mask=np.pad(shot.mask, ((y, y), (x, x))),
        # A mirrored piece of the object is neither the object nor something else.
        ignore=np.pad(ignore, ((y, y), (x, x))) | (reflected & ~inside),
    )


def _with(shot: Shot, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Shot:
    ignore = None if shot.ignore is None else np.ascontiguousarray(change(shot.ignore))
    return replace(
        shot,
        image=np.ascontiguousarray(change(shot.image)),
        mask=np.ascontiguousarray(change(shot.mask)),
        ignore=ignore,
    )
