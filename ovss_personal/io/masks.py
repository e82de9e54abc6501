"""Masks from files of pictures and arrays. What counts as the object, by what the file holds: `pixels.masks`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import MaskError, UsageError
from ovss_personal.io.files import require_file
from ovss_personal.io.images import decode
from ovss_personal.io.mask_checks import MaskOrientation, MaskResult, check_mask
from ovss_personal.io.npz import load_npz
from ovss_personal.pixels.images import check_pixels, orientation_of, upright
from ovss_personal.pixels.mask_pictures import number_values, picture_values
from ovss_personal.pixels.masks import one_mask
from ovss_personal.pixels.values import the_object

__all__ = ["load_mask"]


def load_mask(
    path: str | Path,
    *,
    size: tuple[int, int],
    exif: int = 1,
    label: int | None = None,
    ignore: int | None = None,
    invert: bool = False,
    orientation: MaskOrientation = "upright",
) -> MaskResult:
    """The object in a picture, `.npy` or `.npz` file, by the rule of `pixels.masks`, made to fit its photo.

    Args:
        path: PNG or any other picture that `load_image` reads, `.npy`, or `.npz`.
        size: (H, W) of the upright photo.
        exif: how the photo is stored (`exif_orientation`), 1 to 8.
        label: which label is the object, where the file holds several; of a picture of several colours, 0xRRGGBB.
        ignore: which label is void; without it 255 may be, where other labels are there.
        invert: the object is what else would not be the object.
        orientation: "upright" if the mask lies on the photo as shown, "raw" if on the photo as stored.

    Raises:
        MaskError: unreadable, empty, ambiguous, or of another shape than the photo.
        UsageError: `label` and `ignore` are the same.
    """
    if label is not None and label == ignore:
        raise UsageError(f"label {label} cannot be both the object and ignored.")
    if Path(path).suffix.lower() in (".npy", ".npz"):
        values = number_values(_load_array(path), path)
    else:
        picture = decode(path, error=MaskError)
        named = label if label is not None else ignore
        if named is not None and picture.format in ("JPEG", "MPO"):
            raise MaskError(f"a JPEG blurs its labels, so label {named} cannot be read.", path=path, hint="Use PNG.")
        values = picture_values(picture, path, exact=named is not None)
        if orientation == "upright":
            values = values._replace(array=upright(values.array, orientation_of(picture)))
    mask, void = the_object(values, path, label=label, ignore=ignore)
    return check_mask(mask, path=path, size=size, exif=exif, orientation=orientation, ignore=void, invert=invert)


def _load_array(path: str | Path) -> npt.NDArray[Any]:
    """(h, w) of any type, without running a pickle or believing a header that the file is too short for."""
    path = require_file(path, MaskError)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="numpy")
            zipped = path.suffix.lower() == ".npz"
            array: npt.NDArray[Any] = load_npz(path) if zipped else np.lib.format.open_memmap(path, mode="r")
    except MaskError:
        raise
    except Exception as exc:  # a broken header raises anything from SyntaxError to OverflowError
        reason = str(exc).rstrip(".") or type(exc).__name__
        raise MaskError(
            f"this is not a readable .npy array: {reason}.", path=path, hint="Save it with numpy.save."
        ) from exc
    array = one_mask(array, path)
    check_pixels(array.shape[1], array.shape[0], path, MaskError)
    return np.array(array)
