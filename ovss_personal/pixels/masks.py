"""Masks from Pillow pictures and arrays. What counts as the object, by what they hold:

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.pixels.images import orientation_of, upright

BoolMask = npt.NDArray[np.bool_]  # (H, W)
Labels = npt.NDArray[Any]  # (h, w) integers

VOID = 255
_THRESHOLD = 127


def mask_of(source: Image.Image | npt.ArrayLike, size: tuple[int, int], path: str) -> tuple[BoolMask, BoolMask | None]:
    """The object in a mask that lies on its photo as shown, and what is void in it, if anything is: (H, W) bool both.

    Args:
        source, size, path: as in `labels_of`.

    Raises:
        MaskError: as `labels_of`; also empty, or of several labels.
    """
    labels = labels_of(source, size, path)
    found = [int(labels.any())] if labels.dtype == bool else np.unique(labels).tolist()
    void = void_among(found)
    objects = [value for value in found if value not in (0, void)]
    if len(objects) > 1:
        raise MaskError(
            f"the mask holds several labels: {listed(objects)}.",
            path=path,
            hint=f"Pass the object's alone, as in mask == {objects[0]}; of soft edges, as in mask > {_THRESHOLD}.",
        )
    if not objects:
        raise MaskError("the mask is empty: no pixel is marked.", path=path, hint="Mark the object.")
    return labels == objects[0], None if void is None else labels == void


def labels_of(source: Image.Image | npt.ArrayLike, size: tuple[int, int], path: str, what: str = "mask") -> Labels:
    """(H, W) labels of a mask that lies on its photo as shown.

    Args:
        source: a Pillow picture, which is turned upright, or an array shaped (H, W), (H, W, 1) or (1, H, W).
        size: (H, W) of the photo.
        path: what to call the shot in messages.
        what: what to call the mask in messages.

    Raises:
        MaskError: not of the photo's size, NaN, or neither a picture nor numbers.
    """
    if isinstance(source, Image.Image):
        labels = upright(picture_labels(source, path), orientation_of(source))
    else:
        try:
            values = np.asarray(source)
        except (TypeError, ValueError, RuntimeError) as error:  # a list of unequal rows, a tensor on a GPU
            kind = type(source).__name__
            raise MaskError(f"the {what} is a {kind} and cannot be made an array ({error}).", path=path) from error
        labels = array_labels(one_mask(values, path), path)
    if labels.shape != size:
        raise MaskError(
            f"the {what} is {labels.shape[1]}x{labels.shape[0]} but the photo is {size[1]}x{size[0]} "
            "(width x height, upright).",
            path=path,
            hint="Make it at the photo's size.",
        )
    return labels


def one_mask(values: npt.NDArray[Any], path: str | Path) -> npt.NDArray[Any]:
    """(H, W) of an array that may also be shaped (H, W, 1) or (1, H, W). Raises MaskError for any other shape."""
    shape = values.shape
    if values.ndim == 3:
        values = values[0] if shape[0] == 1 else values[..., 0] if shape[2] == 1 else values
    if values.ndim != 2 or values.size == 0:
        raise MaskError(f"expected one mask shaped (H, W), found {shape}.", path=path, hint="Keep one of its channels.")
    return values


def void_among(found: Sequence[int]) -> int | None:
    """255 where it is the largest of several labels, as VOC and ADE have it: "do not count".

    Args:
        found: all labels of a mask, rising.
    """
    return VOID if found[-1] == VOID and set(found) - {0, VOID} else None


def picture_labels(picture: Image.Image, path: str | Path) -> Labels:
    """(h, w) labels of a Pillow picture, as it is stored. Raises MaskError for what is no mask."""
    if picture.format in ("JPEG", "MPO"):
        warnings.warn(
            f"{path}: a JPEG blurs the edges of a mask; brighter than {_THRESHOLD} was taken. Use PNG.",
            OvssWarning,
            stacklevel=2,
        )
        return np.asarray(picture.convert("L")) > _THRESHOLD
    if picture.mode in ("LA", "RGBA"):
        return _alpha_labels(np.asarray(picture), path)
    if picture.mode == "RGB":
        return _colour_labels(np.asarray(picture), path)
    if picture.mode in ("1", "L", "P", "I", "F") or picture.mode.startswith("I;16"):
        return array_labels(np.asarray(picture), path)
    raise MaskError(
        f"a picture of mode {picture.mode} is no mask.", path=path, hint="Save it as a grey or palette PNG."
    )


def _alpha_labels(pixels: npt.NDArray[np.uint8], path: str | Path) -> Labels:
    """(h, w, 2 or 4) -> (h, w)."""
    colours, alpha = pixels[..., :-1], pixels[..., -1]
    if alpha.min() == alpha.max():
        return colours[..., 0] if colours.shape[2] == 1 else _colour_labels(colours, path)
    visible = colours[alpha > 0]
    if (visible != visible[0]).any():
        raise MaskError(
            "both the colour and the transparency vary, so it is unclear which is the mask.",
            path=path,
            hint="Save the mask alone as a black and white PNG.",
        )
    return np.asarray(alpha > _THRESHOLD)


def _colour_labels(colours: npt.NDArray[np.uint8], path: str | Path) -> Labels:
    """(h, w, 3) -> (h, w): the grey level, or 1 where it is not black."""
    red, green, blue = np.moveaxis(colours, 2, 0)
    if (red == green).all() and (red == blue).all():
        return np.asarray(red)
    packed = red.astype(np.uint32) << 16 | green.astype(np.uint32) << 8 | blue
    found = np.unique(packed)
    if len(found) > 2 or (len(found) == 2 and found[0] != 0):
        raise MaskError(
            f"expected black and one colour, found {len(found)} colours: "
            f"{listed([f'#{value:06x}' for value in found.tolist()])}.",
            path=path,
            hint="Save the mask as a black and white PNG, or as a palette PNG and pass --label.",
        )
    return np.asarray(packed > 0)


def array_labels(values: npt.NDArray[Any], path: str | Path) -> Labels:
    """(h, w) of any type -> labels. Raises MaskError for numbers that are neither labels nor shares."""
    if values.dtype.kind in "biu":
        return values
    if values.dtype.kind != "f":
        raise MaskError(f"expected bool, int or float values, found {values.dtype}.", path=path)
    if not np.isfinite(values).all():
        raise MaskError("the mask holds NaN or infinite values.", path=path)
    if (values == np.rint(values)).all() and abs(values).max() < 2**31:
        return values.astype(np.int32)
    if values.min() < 0 or values.max() > 1:
        raise MaskError(
            f"expected labels or shares in 0..1, found values from {values.min():g} to {values.max():g}.",
            path=path,
            hint="Save it as bool.",
        )
    warnings.warn(f"{path}: a soft mask; values over 0.5 were taken.", OvssWarning, stacklevel=2)
    return values > 0.5


def listed(values: Sequence[Any]) -> str:
    """The first twenty of them, separated by commas."""
    return ", ".join(map(str, values[:20])) + (", ..." if len(values) > 20 else "")
