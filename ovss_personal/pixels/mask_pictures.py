"""The values of a mask that is a Pillow picture: by its colours, its palette or its transparency (`pixels.masks`)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.pixels.values import MOST_LABEL, OPTIONS, VOID, Values, shares, tallied

_ALIKE = 8  # of 255; no eye tells channels or colours apart that differ by less
_ROUNDING = 3  # of 255; what storing a colour times its opacity may change
_SAME_COLOUR = 0.25  # how far the channels' shares of a blurred colour may spread
_ODD, _ODD_IN_JPEG = 0.5, 10.0  # percent; a JPEG keeps colours at half the size, and blurs them at every edge
_FEW_COLOURS = 256
_SAMPLE = 100_000  # pixels


def picture_values(picture: Image.Image, path: str | Path, *, exact: bool = False) -> Values:
    """(h, w) values of a Pillow picture, as it is stored.

    Args:
        picture: of any mode.
        path: what to call it in messages.
        exact: take a palette by its indices and colours one by one, as the user names values.

    Raises:
        MaskError: it is no mask, or its colours do not say which is the object.
    """
    lossy = picture.format in ("JPEG", "MPO")
    if lossy:
        warnings.warn(
            f"{path}: a JPEG blurs the edges of a mask; what is brighter than half was taken. Use PNG.",
            OvssWarning,
            stacklevel=3,
        )
    if picture.mode == "P":
        return _palette_values(picture, path, exact)
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        colourless = picture.mode in ("LA", "La")
        return _alpha_values(np.asarray(picture.convert("LA" if colourless else "RGBA")), path, exact)
    if picture.mode == "RGB":
        return _colour_values(np.asarray(picture), path, exact, lossy)
    if picture.mode == "1":
        return Values(np.asarray(picture))
    if picture.mode == "L":
        return Values(np.asarray(picture), graded=True, lossy=lossy)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return number_values(np.asarray(picture), path)
    raise MaskError(
        f"a picture of mode {picture.mode} is no mask.", path=path, hint="Save it as a grey or palette PNG."
    )


def number_values(values: npt.NDArray[Any], path: str | Path) -> Values:
    """(h, w) of any type -> values. Raises MaskError for numbers that are neither labels nor shares."""
    if values.dtype.kind == "b":
        return Values(values)
    if values.dtype.kind in "iu":
        return Values(values, graded=True)
    if values.dtype.kind != "f":
        raise MaskError(f"expected bool, int or float values, found {values.dtype}.", path=path)
    if not np.isfinite(values).all():
        raise MaskError("the mask holds NaN or infinite values.", path=path)
    if (values == np.rint(values)).all() and float(abs(values).max()) < 2**31:
        return Values(values.astype(np.int32), graded=True)
    if values.min() < 0 or values.max() > 1:
        raise MaskError(
            f"expected labels or shares in 0..1, found values from {values.min():g} to {values.max():g}.",
            path=path,
            hint="Save it as bool.",
        )
    if len(np.unique(values)) == 3 and values.min() == 0 and values.max() == 1:  # a trimap, a single edge
        return Values(np.rint(values * VOID).astype(np.uint8), graded=True)
    warnings.warn(f"{path}: a soft mask; values over 0.5 were taken.", OvssWarning, stacklevel=3)
    return Values(values > 0.5)


def _palette_values(picture: Image.Image, path: str | Path, exact: bool) -> Values:
    """By colour where the colours are greys with black and white, or black and another; else by index."""
    indices = np.asarray(picture)
    if exact:
        return Values(indices)
    if "transparency" in picture.info:
        pixels = np.asarray(picture.convert("RGBA"))
        if _varies(pixels[..., 3]) and _one_colour(pixels):
            return _alpha_values(pixels, path, exact)
    palette = np.zeros((256, 3), np.uint8)
    entries = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    palette[: len(entries)] = entries
    found, counts = tallied(indices)
    colours = palette[found].astype(int)
    black = colours.max(1) <= MOST_LABEL
    if (np.ptp(colours, axis=1) <= _ALIKE).all() and black.any() and (colours.min(1) >= VOID - MOST_LABEL).any():
        return Values(palette.max(1)[indices], graded=True)
    if len(found) == 2 and black.sum() == 1:
        return Values(indices == found[int(np.argmin(black))])
    if len(found) == 1 or (palette[0] <= MOST_LABEL).all():
        return Values(indices)
    names = {index: f"{index} #{bytes(palette[index].tolist()).hex()}" for index in found}
    raise MaskError(
        "the colours of the palette do not say which is the object: "
        f"{shares(found, counts, lambda index: names[index])}.",
        path=path,
        hint=OPTIONS,
    )


def _alpha_values(pixels: npt.NDArray[np.uint8], path: str | Path, exact: bool) -> Values:
    """(h, w, 2 or 4), transparency last: that is the mask, unless the colours are."""
    colours, alpha = pixels[..., :-1], pixels[..., -1]
    if not _varies(alpha):
        if colours.shape[2] == 1:
            return Values(colours[..., 0], graded=True)
        return _colour_values(colours, path, exact, lossy=False)
    if not _one_colour(pixels):
        raise MaskError(
            "both the colour and the transparency vary, so it is unclear which is the mask.",
            path=path,
            hint="Save the mask alone as a black and white PNG.",
        )
    if exact:
        return Values(alpha)
    return Values((alpha.astype(np.uint16) * VOID // int(alpha.max())).astype(np.uint8), graded=True)


def _varies(alpha: npt.NDArray[np.uint8]) -> bool:
    return int(alpha.max()) - int(alpha.min()) > _ALIKE


def _one_colour(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether all that is visible, by the last channel, is of one colour."""
    alpha = pixels[..., -1]
    visible = pixels[alpha > int(alpha.max()) // 2, :-1]
    return bool((np.ptp(visible.astype(int), axis=0) <= _ROUNDING).all())


def _colour_values(colours: npt.NDArray[np.uint8], path: str | Path, exact: bool, lossy: bool) -> Values:
    """(h, w, 3) -> (h, w): the grey level, or how much there is of the one colour beside black."""
    red, green, blue = np.moveaxis(colours, 2, 0)
    brightest = colours.max(2)
    if (brightest - colours.min(2) <= _ALIKE).all():
        return Values(brightest, graded=True, lossy=lossy)
    packed = red.astype(np.uint32) << 16 | green.astype(np.uint32) << 8 | blue
    found, counts = tallied(packed)
    if exact:
        return Values(packed, say=_hex)
    black = [max(value.to_bytes(3)) <= MOST_LABEL for value in found]
    if len(found) == 2 and sum(black) == 1:
        return Values(packed == found[black.index(False)])
    if len(found) > 2 and _shades_of_one(colours, brightest, _ODD_IN_JPEG if lossy else _ODD):
        scaled = brightest.astype(np.uint16) * VOID // int(brightest.max())
        return Values(scaled.astype(np.uint8), graded=True, lossy=lossy)
    remedy = "Save the mask as a black and white PNG"
    if len(found) <= _FEW_COLOURS:
        remedy += f', or choose the object\'s colour, as in --label "{_hex(found[counts.index(min(counts))])}"'
    raise MaskError(
        f"expected black and one colour, found {len(found)} colours: {shares(found, counts, _hex)}.",
        path=path,
        hint=f"{remedy}.",
    )


def _shades_of_one(colours: npt.NDArray[np.uint8], brightest: npt.NDArray[np.uint8], odd: float) -> bool:
    """Whether the bright half of a picture is of one colour, but for so many percent at either end."""
    bright = colours[brightest > int(brightest.max()) // 2]
    bright = bright[:: max(1, len(bright) // _SAMPLE)]
    low, high = np.percentile(bright / bright.max(1, keepdims=True), (odd, 100 - odd), axis=0)
    return bool((high - low <= _SAME_COLOUR).all())


def _hex(colour: int) -> str:
    return f"#{colour:06x}"
