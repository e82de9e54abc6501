"""What every mask goes through, whatever file it is from: turned, fitted to its photo, checked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.pixels.images import Scalar, upright
from ovss_personal.pixels.masks import border_is_marked, inverted
from ovss_personal.structures import BoolMask

__all__ = ["MaskOrientation", "MaskResult", "check_mask", "nearest"]

MaskOrientation = Literal["upright", "raw"]

_TINY_PIXELS = 16
_TINY_SHARE = 1 / 40**2  # one cell of the 40x40 grid on which a base sees a photo of 640 pixels


class MaskResult(NamedTuple):
    """A checked mask, upright and of the photo's size.

    Attributes:
        mask: (H, W) bool, true on the object; never empty.
        ignore: (H, W) bool, true where the file says void, or None if it does nowhere.
    """

    mask: BoolMask
    ignore: BoolMask | None


def check_mask(
    mask: BoolMask,
    *,
    path: str | Path,
    size: tuple[int, int],
    exif: int = 1,
    orientation: MaskOrientation = "upright",
    ignore: BoolMask | None = None,
    invert: bool = False,
    what: str = "mask",
) -> MaskResult:
    """Turns a mask upright, fits it to its photo and makes sure that something can be learned from it.

    Args:
        mask: (h, w) bool.
        path: the file the mask is from.
        size, exif, orientation: as in `load_mask`.
        ignore: (h, w) bool, or None.
        invert: the object is what is neither marked nor void.
        what: how to call the mask in messages, e.g. "mask of annotation 7".

    Raises:
        MaskError: empty, or of another shape than the photo.
    """
    if orientation == "raw":
        mask = upright(mask, exif)
        ignore = None if ignore is None else upright(ignore, exif)
    if invert:
        mask = ~mask if ignore is None else ~(mask | ignore)
    _check_shape(mask.shape, size, exif, orientation, path, what)
    if mask.shape != size:
        warnings.warn(
            f"{path}: the {what} is {_wh(mask.shape)} but the photo {_wh(size)}; it was resized.",
            OvssWarning,
            stacklevel=2,
        )
        mask = nearest(mask, size)
        ignore = None if ignore is None else nearest(ignore, size)
    if ignore is not None:
        ignore = np.ascontiguousarray(ignore) if ignore.any() else None
    pixels = int(mask.sum())
    if pixels == 0:
        raise MaskError(f"the {what} is empty: no pixel is marked.", path=path, hint="Mark the object.")
    counted = mask if ignore is None else mask | ignore
    if counted.all():
        warnings.warn(
            f"{path}: the {what} covers the whole photo, so it cannot say what the object is not.",
            OvssWarning,
            stacklevel=2,
        )
    elif pixels < max(_TINY_PIXELS, _TINY_SHARE * mask.size):
        warnings.warn(
            f"{path}: the {what} covers only {pixels} of {mask.size} pixels, less than a base can see.",
            OvssWarning,
            stacklevel=2,
        )
    elif border_is_marked(counted):
        remedy = "Look at it with `inspect`." if invert else "If it is, pass --invert."
        warnings.warn(f"{path}: {inverted(mask, what)} {remedy}", OvssWarning, stacklevel=2)
    return MaskResult(np.ascontiguousarray(mask), ignore)


def _check_shape(
    shape: tuple[int, ...],
    size: tuple[int, int],
    exif: int,
    orientation: MaskOrientation,
    path: str | Path,
    what: str,
) -> None:
    fits = _same_aspect(shape, size)
    raw = (size[1], size[0]) if exif >= 5 else size
    fits_raw = orientation == "upright" and exif != 1 and _same_aspect(shape, raw)
    if fits and fits_raw:
        warnings.warn(
            f"{path}: the photo is stored turned (EXIF orientation {exif}) and its size cannot tell whether "
            f"the {what} is too; it was taken as upright. See `inspect`, or pass --mask-orientation raw.",
            OvssWarning,
            stacklevel=2,
        )
    elif fits_raw:
        raise MaskError(
            f"the {what} is {_wh(shape)}, which fits the photo as stored ({_wh(raw)}) but not upright "
            f"({_wh(size)}, EXIF orientation {exif}).",
            path=path,
            hint="Export the mask from the upright photo, or pass --mask-orientation raw.",
        )
    elif not fits:
        raise MaskError(
            f"the {what} is {_wh(shape)} but the photo is {_wh(size)} (width x height, upright).",
            path=path,
            hint="Export the mask at the photo's size.",
        )


def _same_aspect(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether one could be a scaled copy of the other, rounded to whole pixels."""
    (small_h, small_w), (large_h, large_w) = sorted((shape, size), key=lambda hw: hw[0] * hw[1])
    return abs(small_h - large_h * small_w / large_w) <= 1 or abs(small_w - large_w * small_h / large_h) <= 1


def nearest(labels: npt.NDArray[Scalar], size: tuple[int, int]) -> npt.NDArray[Scalar]:
    """(h, w) -> (H, W): each pixel takes the one that its centre falls on."""
    rows, columns = ((np.arange(to) * 2 + 1) * of // (2 * to) for to, of in zip(size, labels.shape, strict=True))
    resized: npt.NDArray[Scalar] = labels[rows[:, None], columns]
    return resized


def _wh(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
