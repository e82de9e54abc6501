"""Masks of pixels: what is near to one, and what hangs together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ovss_personal.structures import BoolMask


def grow(mask: npt.NDArray[np.bool_], steps: int) -> npt.NDArray[np.bool_]:
    """The mask and every pixel within `steps` of it by city-block distance; the frame is no border."""
    grown = mask.copy()
    for _ in range(steps):
        last = grown.copy()
        grown[1:] |= last[:-1]
        grown[:-1] |= last[1:]
        grown[:, 1:] |= last[:, :-1]
        grown[:, :-1] |= last[:, 1:]
    return grown


def connected(mask: BoolMask, row: int, column: int) -> BoolMask:
    """The part of a (h, w) mask that is connected, side by side, with one cell; empty if that is outside it."""
    part = np.zeros_like(mask)
    part[row, column] = mask[row, column]
    while True:
        wider = grow(part, 1) & mask
        if np.array_equal(wider, part):
            return part
        part = wider
