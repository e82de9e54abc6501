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
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import MaskError, OvssWarning, UsageError
from ovss_personal.io.files import require_file
from ovss_personal.io.images import check_pixels, decode, exif_orientation, upright
from ovss_personal.io.mask_checks import MaskOrientation, MaskResult, check_mask
from ovss_personal.structures import BoolMask

__all__ = ["load_mask"]

_VOID = 255
_THRESHOLD = 127

Labels = npt.NDArray[Any]  # (h, w) integers


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
            labels = upright(labels, exif_orientation(picture))
    mask, void = _choose(labels, path, label, ignore)
    return check_mask(mask, path=path, size=size, exif=exif, orientation=orientation, ignore=void)


def _choose(
    labels: Labels, path: str | Path, label: int | None, ignore: int | None
) -> tuple[BoolMask, BoolMask | None]:
    """(h, w) labels -> the object and what is void."""
    found = [int(value) for value in np.unique(labels)]
    void = ignore
    if ignore is None and label != _VOID and found[-1] == _VOID and set(found) - {0, _VOID}:
        void = _VOID
    if label is None:
        objects = [value for value in found if value not in (0, void)]
        if not objects and void in found:
            raise MaskError(
                f"nothing but label {void} is marked, and that is ignored.", path=path, hint="Drop --ignore."
            )
        if len(objects) > 1:
            raise MaskError(
                f"the mask holds several labels: {_listed(objects)}.",
                path=path,
                hint="Choose one with --label; if they are soft edges, save the mask as black and white.",
            )
        label = objects[0] if objects else 1
    elif label not in found:
        raise MaskError(
            f"label {label} is not in the mask, which holds {_listed(found)}.",
            path=path,
            hint="Pass one of those as --label.",
        )
    return labels == label, labels == void if void in found else None


def _picture_labels(picture: Image.Image, path: str | Path, label: int | None) -> Labels:
    if picture.format in ("JPEG", "MPO"):
        if label is not None:
            raise MaskError(f"a JPEG blurs its labels, so label {label} cannot be read.", path=path, hint="Use PNG.")
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
        return _array_labels(np.asarray(picture), path)
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
            f"{_listed([f'#{value:06x}' for value in found.tolist()])}.",
            path=path,
            hint="Save the mask as a black and white PNG, or as a palette PNG and pass --label.",
        )
    return np.asarray(packed > 0)


def _array_labels(values: npt.NDArray[Any], path: str | Path) -> Labels:
    """(h, w) of any type -> labels."""
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


def _load_array(path: str | Path) -> npt.NDArray[Any]:
    """(h, w) of any type, without running a pickle or believing a header that the file is too short for."""
    path = require_file(path, MaskError)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="numpy")
            array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as exc:  # a broken header raises anything from SyntaxError to OverflowError
        reason = str(exc).rstrip(".") or type(exc).__name__
        raise MaskError(
            f"this is not a readable .npy array: {reason}.", path=path, hint="Save it with numpy.save."
        ) from exc
    shape = array.shape
    if array.ndim == 3:
        array = array[0] if shape[0] == 1 else array[..., 0] if shape[2] == 1 else array
    if array.ndim != 2 or array.size == 0:
        raise MaskError(f"expected one mask shaped (H, W), found {shape}.", path=path)
    check_pixels(array.shape[1], array.shape[0], path, MaskError)
    return np.array(array)


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values[:20])) + (", ..." if len(values) > 20 else "")
