"""Masks from pictures and arrays. What counts as the object, by what the file holds:

====================  ==========================================================================
1-bit, bool           true
grey, 16-bit, int     labels: 0 is background, the one other label is the object; with several, `label`
                      says which
palette               the same, by index, not by colour
0..255 and others     255 is void, as VOC and ADE have it, if other labels but 0 are there
RGB                   grey in three channels: as grey; else black and one colour, which is the object
RGBA, grey + alpha    one alpha everywhere: as without; one colour wherever visible: alpha over 127; else
                      an error, as a cut-out photo is no mask
JPEG                  brighter than 127, with a warning: its edges are blurred
float `.npy`          whole numbers are labels, otherwise values in 0..1 over 0.5, with a warning
====================  ==========================================================================
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import MaskError, OvssWarning, UsageError
from ovss_personal.io.files import require_file
from ovss_personal.io.images import check_pixels, decode, upright
from ovss_personal.structures import BoolMask

__all__ = ["MaskOrientation", "MaskResult", "check_mask", "load_mask"]

MaskOrientation = Literal["upright", "raw"]

_VOID = 255
_THRESHOLD = 127
_TINY_PIXELS = 16
_TINY_SHARE = 1 / 40**2  # one cell of the 40x40 grid on which a base sees a photo of 640 pixels

Labels = npt.NDArray[Any]  # (h, w) integers


class MaskResult(NamedTuple):
    """A checked mask, upright and of the photo's size.

    Attributes:
        mask: (H, W) bool, true on the object; never empty.
        ignore: (H, W) bool, true where the file says void, or None if it does nowhere.
    """

    mask: BoolMask
    ignore: BoolMask | None


def load_mask(
    path: str | Path,
    *,
    size: tuple[int, int],
    exif: int = 1,
    label: int | None = None,
    ignore: int | None = None,
    orientation: MaskOrientation = "upright",
) -> MaskResult:
    """The object in a picture or `.npy` file, by the table above, made to fit its photo.

    Args:
        path: PNG or any other picture that `load_image` reads, or `.npy`.
        size: (H, W) of the upright photo.
        exif: how the photo is stored (`exif_orientation`), 1 to 8.
        label: which label is the object, where the file holds several.
        ignore: which label is void; without it 255 is, where other labels are there.
        orientation: "upright" if the mask lies on the photo as shown, "raw" if on the photo as stored.

    Raises:
        MaskError: unreadable, empty, ambiguous, or of another shape than the photo.
        UsageError: `label` and `ignore` are the same.
    """
    if label is not None and label == ignore:
        raise UsageError(f"label {label} cannot be both the object and ignored.")
    if Path(path).suffix.lower() == ".npy":
        labels = _array_labels(_load_array(path), path)
    else:
        picture = decode(path, error=MaskError)
        labels = _picture_labels(picture, path, label)
        if orientation == "upright":
            labels = upright(labels, exif_of(picture))
    mask, void = _choose(labels, path, label, ignore)
    return check_mask(mask, path=path, size=size, exif=exif, orientation=orientation, ignore=void)


def check_mask(
    mask: BoolMask,
    *,
    path: str | Path,
    size: tuple[int, int],
    exif: int = 1,
    orientation: MaskOrientation = "upright",
    ignore: BoolMask | None = None,
    what: str = "mask",
) -> MaskResult:
    """Turns a mask upright, fits it to its photo and makes sure that something can be learned from it.

    Args:
        mask: (h, w) bool.
        path: the file the mask is from.
        size, exif, orientation: as in `load_mask`.
        ignore: (h, w) bool, or None.
        what: how to call the mask in messages, e.g. "mask of annotation 7".

    Raises:
        MaskError: empty, or of another shape than the photo.
    """
    if orientation == "raw":
        mask = upright(mask, exif)
        ignore = None if ignore is None else upright(ignore, exif)
    _check_shape(mask.shape, size, exif, orientation, path, what)
    if mask.shape != size:
        warnings.warn(
            f"{path}: the {what} is {_wh(mask.shape)} but the photo {_wh(size)}; it was resized.",
            OvssWarning,
            stacklevel=2,
        )
        mask = _nearest(mask, size)
        ignore = None if ignore is None else _nearest(ignore, size)
    if ignore is not None:
        ignore = np.ascontiguousarray(ignore) if ignore.any() else None
    pixels = int(mask.sum())
    if pixels == 0:
        raise MaskError(f"the {what} is empty: no pixel is marked.", path=path, hint="Mark the object.")
    if (mask if ignore is None else mask | ignore).all():
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
    return MaskResult(np.ascontiguousarray(mask), ignore)
