"""Masks from Pillow pictures and arrays, and the rule of what in them is the object.

The rule is the same wherever a mask is read. First it is asked what the picture says, then what the user says (`label`,
`ignore`; `invert` turns the outcome round), and where neither decides there is an error that lists the values with
their shares. What is void counts neither as the object nor as something else.

What numbers a picture holds (`mask_pictures`):

====================  ==============================================================================================
1-bit, bool           true is the object
grey, 16-bit, int     the numbers; they are greys if the largest is white, which is 255 or, of 16 bits, 65535
palette               greys, if its colours are black, white and greys; the colour, if there is black and one other;
                      the index, if index 0 is black, as in VOC, or with `label` or `ignore`; else an error
RGB                   grey in three channels: as grey; black and one colour, also with a soft edge: how much there is
                      of that; with `label` or `ignore` the colour as 0xRRGGBB; else an error
RGBA, grey + alpha    opaque: as without; one colour wherever visible: its alpha, the strongest being white; else an
                      error, as a cut-out photo is no mask
JPEG                  greys, or shades of one colour, with a warning: its edges are blurred
float                 whole numbers as such; 0, one share and 1: greys; other shares: over 0.5, with a warning
====================  ==============================================================================================

What the numbers mean (`values`):

* `label` is the object, `ignore` is void; with `label` alone, a 255 beside other labels is void too.
* 0 and one other: that is the object.
* 0, one number and 255: whichever separates the other from 0 is an edge. If 255 does, it is void, as VOC and ADE have
  it, and so it is where nothing separates anything and the number may be a class's (up to 32). If a grey does, as in a
  trimap, 255 is the object, with a warning: from 112 to 143 the grey is void; lighter it is the object and darker it
  is not (annotators' votes), unless it covers more than the white.
* Many greys up to white, those between black and white being no more than the edge of the white, as smoothing,
  blurring, votes and JPEG leave it: as above, with a warning.
* Anything else is an error.

A mask whose opposite nowhere touches the border of the photo may be inverted, and gets a warning (`border_is_marked`).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import MaskError, OvssWarning
from ovss_personal.pixels.images import orientation_of, upright
from ovss_personal.pixels.mask_pictures import number_values, picture_values
from ovss_personal.pixels.values import BoolMask, Values, the_object

__all__ = ["BoolMask", "border_is_marked", "inverted", "labels_of", "mask_of", "one_mask"]

_REMEDY = "Pass the object's alone, as in mask == 1; of soft edges, as in mask > 127."


def mask_of(source: Image.Image | npt.ArrayLike, size: tuple[int, int], path: str) -> tuple[BoolMask, BoolMask | None]:
    """The object in a mask that lies on its photo as shown, and what is void in it, if anything is: (H, W) bool both.

    Args:
        source, size, path: as in `labels_of`.

    Raises:
        MaskError: as `labels_of`; also empty, or not clear which value is the object.
    """
    values = labels_of(source, size, path)
    mask, void = the_object(values, path, remedy=_REMEDY)
    if not mask.any():
        raise MaskError("the mask is empty: no pixel is marked.", path=path, hint="Mark the object.")
    decided = not (isinstance(source, np.ndarray) and source.dtype == bool)
    if decided and border_is_marked(mask if void is None else mask | void):
        warnings.warn(f"{path}: {inverted(mask)} If it is, pass the opposite.", OvssWarning, stacklevel=3)
    return mask, void


def labels_of(source: Image.Image | npt.ArrayLike, size: tuple[int, int], path: str, what: str = "mask") -> Values:
    """(H, W) values of a mask that lies on its photo as shown.

    Args:
        source: a Pillow picture, which is turned upright, or an array shaped (H, W), (H, W, 1) or (1, H, W).
        size: (H, W) of the photo.
        path: what to call the shot in messages.
        what: what to call the mask in messages.

    Raises:
        MaskError: not of the photo's size, NaN, neither a picture nor numbers, or colours that say nothing.
    """
    if isinstance(source, Image.Image):
        values = picture_values(source, path)
        values = values._replace(array=upright(values.array, orientation_of(source)))
    else:
        try:
            array = np.asarray(source)
        except (TypeError, ValueError, RuntimeError) as error:  # a list of unequal rows, a tensor on a GPU
            kind = type(source).__name__
            raise MaskError(f"the {what} is a {kind} and cannot be made an array ({error}).", path=path) from error
        values = number_values(one_mask(array, path), path)
    height, width = values.array.shape
    if (height, width) != size:
        raise MaskError(
            f"the {what} is {width}x{height} but the photo is {size[1]}x{size[0]} (width x height, upright).",
            path=path,
            hint="Make it at the photo's size.",
        )
    return values


def one_mask(values: npt.NDArray[Any], path: str | Path) -> npt.NDArray[Any]:
    """(H, W) of an array that may also be shaped (H, W, 1) or (1, H, W). Raises MaskError for any other shape."""
    shape = values.shape
    if values.ndim == 3:
        values = values[0] if shape[0] == 1 else values[..., 0] if shape[2] == 1 else values
    if values.ndim != 2 or values.size == 0:
        raise MaskError(f"expected one mask shaped (H, W), found {shape}.", path=path, hint="Keep one of its channels.")
    return values


def inverted(mask: BoolMask, what: str = "mask") -> str:
    """What to say of a mask of which `border_is_marked`."""
    return f"the {what} covers {mask.mean():.1%} of the photo and all of its border, as one does that is inverted."


def border_is_marked(mask: BoolMask) -> bool:
    """Whether all that is not marked lies inside the picture, as in a mask whose black and white are exchanged."""
    return bool(mask[0].all() and mask[-1].all() and mask[:, 0].all() and mask[:, -1].all() and not mask.all())
